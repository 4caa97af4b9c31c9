"""The backend in plain dictionaries keeps the contract too, so tests that stand on it can be believed."""

import pytest

from tenantry.model.records import Metric
from tenantry.testing.backend_contract import BackendContract
from tenantry.testing.memory_backend import MemoryBackend


class MemoryContract(BackendContract):
    metric: Metric

    @pytest.fixture
    async def backend(self):
        return MemoryBackend(self.metric)


class TestCosine(MemoryContract):
    metric = Metric.COSINE


class TestDotProduct(MemoryContract):
    metric = Metric.DOTPRODUCT


class TestEuclidean(MemoryContract):
    metric = Metric.EUCLIDEAN


class TestManyTogether(BackendContract):
    @pytest.fixture
    async def backend(self) -> MemoryBackend:
        return MemoryBackend(Metric.COSINE, many=True)
