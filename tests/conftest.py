"""What tests of several folders share: a real PostgreSQL, started once a session when a test first asks for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

pytest.register_assert_rewrite("tenantry.testing")  # contract suites assert as tests do

from tenantry.testing.servers import PostgresServer, ServerMissing  # noqa: E402  # after the rewriting is in place
from tenantry.testing.vector_servers import VectorServer  # noqa: E402

Server = TypeVar("Server")


def started(start: Callable[[], Server]) -> Server:
    """A running server. Where it is not installed the test is skipped; with ``CI=true`` it fails."""
    try:
        return start()
    except ServerMissing as missing:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"{missing} (a missing server fails in CI)")
        pytest.skip(str(missing))


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
