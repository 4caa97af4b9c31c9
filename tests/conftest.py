"""What tests of several folders share: a real PostgreSQL, started once a session when a test first asks for it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("busy", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")  # a machine that does other things too stands still now and then

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


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The URL of a running server that speaks S3's protocol."""
    pytest.importorskip("obstore")
    threaded = pytest.importorskip("moto.server").ThreadedMotoServer
    server = threaded(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The ``s3://`` URL of an empty bucket, with the environment that leads to it."""
    name = f"bucket-{secrets.token_hex(6)}"
    for variable, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(variable, value)
    httpx.put(f"{s3_server}/{name}").raise_for_status()
    return f"s3://{name}"
