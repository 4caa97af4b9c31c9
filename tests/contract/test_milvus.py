"""The backend contract on Milvus Lite, for each metric."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest

from tenantry.backends.milvus import MilvusBackend, MilvusOptions
from tenantry.model.records import Metric
from tenantry.testing.backend_contract import BackendContract

_numbers = itertools.count()


class MilvusContract(BackendContract):
    metric = Metric.COSINE

    @pytest.fixture
    async def backend(self, milvus_url: str) -> AsyncIterator[MilvusBackend]:
        options = MilvusOptions(url=milvus_url)
        backend = MilvusBackend(16, self.metric, f"shard_{next(_numbers)}", options)
        yield backend
        await backend.aclose()


class TestCosine(MilvusContract):
    pass


class TestDotProduct(MilvusContract):
    metric = Metric.DOTPRODUCT


class TestEuclidean(MilvusContract):
    metric = Metric.EUCLIDEAN
