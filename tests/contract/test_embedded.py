"""The embedded engine under the contract of every backend, once per metric."""

import pytest

from tenantry.backends.embedded import EmbeddedBackend, Engine
from tenantry.model.records import Metric
from tenantry.testing.backend_contract import BackendContract


class EmbeddedContract(BackendContract):
    metric: Metric

    @pytest.fixture
    async def backend(self, tmp_path):
        engine = Engine(tmp_path)
        yield EmbeddedBackend(engine, "shard", 12, self.metric)
        await engine.aclose()


class TestCosine(EmbeddedContract):
    metric = Metric.COSINE


class TestDotProduct(EmbeddedContract):
    metric = Metric.DOTPRODUCT


class TestEuclidean(EmbeddedContract):
    metric = Metric.EUCLIDEAN


class TestNothingKeptInMemory(EmbeddedContract):
    """A budget of one byte: whatever is read is let go when the next namespace is."""

    metric = Metric.COSINE

    @pytest.fixture
    async def backend(self, tmp_path):
        engine = Engine(tmp_path, max_resident_bytes=1, max_connections=1)
        yield EmbeddedBackend(engine, "shard", 12, self.metric)
        await engine.aclose()
