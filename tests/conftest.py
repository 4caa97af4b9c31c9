"""What tests of several folders share: a real PostgreSQL, started once a session when a test first asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tenantry.testing")  # contract suites assert as tests do

from tenantry.testing.servers import PostgresServer, started  # noqa: E402  # after the rewriting is in place
from tenantry.testing.vector_servers import VectorServer  # noqa: E402


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running PostgreSQL."""
    with started(PostgresServer.start) as server:
        yield server


@pytest.fixture(scope="session")
def chroma_url() -> Iterator[str]:
    """The URL of a running Chroma."""
    with started(VectorServer.chroma) as server:
        yield server.url


@pytest.fixture(scope="session")
def milvus_url() -> Iterator[str]:
    """The URL of a running Milvus Lite."""
    with started(VectorServer.milvus) as server:
        yield server.url


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty database of this test's own."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)
