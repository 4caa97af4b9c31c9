"""The backend contract on a real PostgreSQL with pgvector, in both layouts and for each metric."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator

import pytest

from tenantry.backends.pgvector import PgvectorBackend, PgvectorOptions
from tenantry.model.records import Metric
from tenantry.testing.backend_contract import BackendContract
from tenantry.testing.servers import PostgresServer

_numbers = itertools.count()


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> Iterator[str]:
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


class PgvectorContract(BackendContract):
    metric = Metric.COSINE
    options = PgvectorOptions()

    @pytest.fixture
    async def backend(self, database: str) -> AsyncIterator[PgvectorBackend]:
        backend = PgvectorBackend(database, f"shard_{next(_numbers)}", 16, self.metric, self.options)
        yield backend
        await backend.aclose()


class TestCosine(PgvectorContract):
    pass


class TestDotProduct(PgvectorContract):
    metric = Metric.DOTPRODUCT


class TestEuclidean(PgvectorContract):
    metric = Metric.EUCLIDEAN


class TestPartitions(PgvectorContract):
    options = PgvectorOptions(layout="partitions")


class TestIndexedFromTheFirst(PgvectorContract):
    """Every namespace has an HNSW index as soon as something was written."""

    options = PgvectorOptions(index_from=1)
