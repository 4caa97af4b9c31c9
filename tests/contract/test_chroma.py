"""The backend contract on a real Chroma server, for each metric."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest

from tenantry.backends.chroma import ChromaBackend, ChromaOptions
from tenantry.model.records import Metric
from tenantry.testing.backend_contract import BackendContract

_numbers = itertools.count()


class ChromaContract(BackendContract):
    metric = Metric.COSINE

    @pytest.fixture
    async def backend(self, chroma_url: str) -> AsyncIterator[ChromaBackend]:
        options = ChromaOptions(url=chroma_url)
        backend = ChromaBackend(16, self.metric, f"shard_{next(_numbers)}", options)
        yield backend
        await backend.aclose()


class TestCosine(ChromaContract):
    pass


class TestDotProduct(ChromaContract):
    metric = Metric.DOTPRODUCT


class TestEuclidean(ChromaContract):
    metric = Metric.EUCLIDEAN
