"""What tests of several folders share: a real PostgreSQL, started once a session when a test first asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tenantry.testing")  # contract suites assert as tests do

from tenantry.testing.servers import PostgresServer, ServerMissing  # noqa: E402  # after the rewriting is in place


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running PostgreSQL. Without its package the test is skipped; with ``CI=true`` it fails."""
    try:
        server = PostgresServer.start()
    except ServerMissing as missing:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"{missing} (a missing server fails in CI)")
        pytest.skip(str(missing))
    with server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty database of this test's own."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)
