"""A gateway in this process: real routes, frame and cluster; catalog and shards in memory, time by hand."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from tenantry.cluster import Cluster
from tenantry.gateway.app import Gateway, build_app
from tenantry.telemetry.prometheus import PrometheusTelemetry
from tenantry.testing.clock import ManualClock
from tenantry.testing.memory_backend import MemoryBackend
from tenantry.testing.memory_catalog import MemoryCatalog
from tenantry.testing.parts import parts_in_memory

ADMIN_KEY = "the-admin-key-of-the-settings"


class House:
    """A gateway, its cluster and its insides.

    Attributes:
        http: a client without a key. admin_key: the one of the settings.
        catalog, clock, telemetry: what it runs on.
    """

    def __init__(self, catalog: Any = None, **changes: Any) -> None:
        self.admin_key = ADMIN_KEY
        self.catalog = MemoryCatalog() if catalog is None else catalog
        self.clock = changes.pop("clock", None) or ManualClock()
        self.telemetry = PrometheusTelemetry()
        self.backends: dict[tuple[str, str], MemoryBackend] = {}
        self.cluster = Cluster(
            parts_in_memory(
                self.catalog,
                self._open,
                self.clock,
                **{
                    "telemetry": self.telemetry,
                    "token": secrets.token_hex,
                    "request_timeout_s": 60.0,
                    "search_deadline_s": 60.0,
                }
                | changes,
            )
        )
        self.app: Gateway = build_app(self.cluster, admin_key=ADMIN_KEY, telemetry=self.telemetry)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://house.test")

    def _open(self, index: Any, shard: Any) -> MemoryBackend:
        return self.backends.setdefault((index.name, shard.name), MemoryBackend(index.metric))


@pytest.fixture(scope="session")
def make_house() -> Callable[[], House]:
    """For tests with an event loop of their own."""
    return House


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """Two indexes of four dimensions."""
    made = House()
    await made.cluster.indexes.create("default", 4, shards=2)
    await made.cluster.indexes.create("second", 4, shards=1)
    async with made.http:
        yield made
    await made.cluster.aclose()
