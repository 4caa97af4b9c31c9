"""Servers and fleets for the tests of this folder: they stop servers, so these are their own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tenantry.settings import Settings
from tenantry.testing.redis_server import RedisServer
from tenantry.testing.servers import PostgresServer
from tenantry.wiring import init_cluster

sys.path.insert(0, str(Path(__file__).parent))
from fleet import DIMENSION, GATEWAYS, SHARDS, Fleet


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[PostgresServer, PostgresServer]]:
    with PostgresServer.start() as catalog, PostgresServer.start() as vectors:
        yield catalog, vectors


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer.start() as redis:
        yield redis


@pytest.fixture
async def fleet(
    tmp_path: Path,
    servers: tuple[PostgresServer, PostgresServer],
    redis: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Fleet]:
    catalog, vectors = (server.create_database() for server in servers)
    monkeypatch.setenv("VECTORS_URL", vectors)
    async with await init_cluster(
        Settings(data=tmp_path / "init", catalog_url=catalog), dimension=DIMENSION, shards=0
    ) as cluster:
        for shard in SHARDS:
            await cluster.shards.add(shard, backend="pgvector", options={"url_env": "VECTORS_URL"})
    fleet = Fleet(tmp_path, catalog, vectors, redis)
    try:
        for number in range(GATEWAYS):
            await asyncio.to_thread(fleet.start, number)
        yield fleet
    finally:
        await fleet.stop()
