"""The backend contract on the engine of qdrant-client (there is no Qdrant server to be had for tests), both layouts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

import pytest

from tenantry.backends.qdrant import QdrantBackend, QdrantOptions
from tenantry.model.records import Metric
from tenantry.testing.backend_contract import BackendContract


class QdrantContract(BackendContract):
    metric = Metric.COSINE
    layout: Literal["tenants", "collections"] = "tenants"

    @pytest.fixture
    async def backend(self) -> AsyncIterator[QdrantBackend]:
        backend = QdrantBackend(16, self.metric, "shard", QdrantOptions(path=":memory:", layout=self.layout))
        yield backend
        await backend.aclose()


class TestCosine(QdrantContract):
    pass


class TestDotProduct(QdrantContract):
    metric = Metric.DOTPRODUCT


class TestEuclidean(QdrantContract):
    metric = Metric.EUCLIDEAN


class TestCollections(QdrantContract):
    layout = "collections"
