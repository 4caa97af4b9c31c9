"""The backend contract on tables of PostgreSQL that others laid out: one for each tenant, and one of all."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest

from tenantry.backends.common.adopted import adopted
from tenantry.backends.common.collection import Collections
from tenantry.backends.common.tenant_field import FieldTenants
from tenantry.backends.pgvector import PgvectorOptions
from tenantry.backends.pgvector.adopted import AdoptedPgvector
from tenantry.model.records import Metric
from tenantry.testing.backend_contract import BackendContract
from tenantry.testing.servers import PostgresServer

_numbers = itertools.count()


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> Iterator[str]:
    url = postgres_server.create_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE EXTENSION vector")
    yield url
    postgres_server.drop_database(url)


class ManyTables(BackendContract):
    metric = Metric.COSINE

    @pytest.fixture
    async def backend(self, database: str) -> AsyncIterator[Collections]:
        schema = f"theirs_{next(_numbers)}"
        with psycopg.connect(database) as connection:
            connection.execute(f"CREATE SCHEMA {schema}")
        engine = AdoptedPgvector(database, 16, self.metric, PgvectorOptions(adopted=True, schema=schema))
        await engine.probe()
        made = Collections(engine)
        made.dimension, made.metric = 16, self.metric  # type: ignore[attr-defined]  # what the contract fills it by
        yield made
        await made.aclose()


class TestTablesCosine(ManyTables):
    pass


class TestTablesDotProduct(ManyTables):
    metric = Metric.DOTPRODUCT


class TestTablesEuclidean(ManyTables):
    metric = Metric.EUCLIDEAN


class OneTable(BackendContract):
    """With columns of the names that the contract's fields have."""

    metric = Metric.COSINE
    columns = ""
    field = "customer"
    more = ""

    @pytest.fixture
    async def backend(self, database: str) -> AsyncIterator[FieldTenants]:
        name = f"items_{next(_numbers)}"
        with psycopg.connect(database) as connection:
            connection.execute(f"CREATE TABLE {name} ({self.columns})")
            if self.more:
                connection.execute(self.more.format(name))
        options = PgvectorOptions(adopted=True, collection=name, tenant_field=self.field)
        engine = AdoptedPgvector(database, 16, self.metric, options)
        await engine.probe()
        made = adopted(engine, name, self.field, "pgvector")
        assert isinstance(made, FieldTenants)
        made.dimension, made.metric = 16, self.metric  # type: ignore[attr-defined]  # what the contract fills it by
        yield made
        await made.aclose()


class TestKeyOfTheDocument(OneTable):
    """LangChain's."""

    columns = (
        "id varchar PRIMARY KEY, collection_id uuid, embedding vector, document varchar, cmetadata jsonb"  # any size
    )


class TestTextColumn(OneTable):
    """Values that the columns cannot hold are kept in the document."""

    columns = (
        "id text PRIMARY KEY, customer text NOT NULL, color varchar(5), n bigint, ok boolean, tags text[], "
        '"a.b" numeric(4, 1), v text, embedding vector(16), metadata jsonb, '
        "created_at timestamptz NOT NULL DEFAULT now()"
    )
    more = "CREATE INDEX ON {} (customer)"


class TestCountedIds(OneTable):
    """A tutorial's. Ids of new records are kept in the document."""

    metric = Metric.EUCLIDEAN
    columns = (
        "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer text, color text NOT NULL DEFAULT 'red', "
        "n real, ok text, content text, embedding vector(16) NOT NULL, metadata jsonb"
    )


class TestIdsOfUuids(OneTable):
    """With JSON that is kept as text, and an index over the vectors."""

    metric = Metric.DOTPRODUCT
    columns = (
        "id uuid PRIMARY KEY DEFAULT gen_random_uuid(), n double precision, tags varchar(20)[], "
        "embedding vector(16), metadata_ json NOT NULL"
    )
    more = "CREATE INDEX ON {} USING hnsw (embedding vector_ip_ops)"
