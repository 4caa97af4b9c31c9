"""A cluster on dictionaries: real catalog, router and placement; backends in memory, time by hand."""

import asyncio

import pytest

from tenantry.caches.memory import MemoryRouteCache
from tenantry.catalogs.sql import open_catalog
from tenantry.cluster import Cluster
from tenantry.testing.clock import ManualClock
from tenantry.testing.memory_backend import MemoryBackend
from tenantry.testing.parts import parts_in_memory


class Lab:
    """A cluster and its insides."""

    def __init__(self, catalog, **changes):
        self.catalog = catalog
        self.clock = ManualClock()
        self.cache = MemoryRouteCache()
        self.backends: dict[tuple[str, str], MemoryBackend] = {}
        given = {"cache": self.cache, "request_timeout_s": 60.0, "search_deadline_s": 60.0, **changes}
        self.cluster = Cluster(parts_in_memory(catalog, self.open_backend, self.clock, **given))

    def open_backend(self, index, shard):
        return self.backends.setdefault((index.name, shard.name), MemoryBackend(index.metric))

    def backend(self, shard, index="default"):
        return self.backends[index, shard]


async def outwaited(search, stuck):
    """What a search answers, the loop's time being put forward past its deadline once only ``stuck`` is waited for."""
    loop, ahead = asyncio.get_running_loop(), 0.0
    real = loop.time
    loop.time = lambda: real() + ahead
    try:
        stuck.calls.clear()
        task = asyncio.ensure_future(search)
        while not stuck.calls and not task.done():
            await asyncio.sleep(0)
        for _ in range(200):  # backends in memory need turns of the loop, not time
            await asyncio.sleep(0)
        ahead = 100.0
        return await task
    finally:
        del loop.time


@pytest.fixture
async def lab(tmp_path):
    lab = Lab(await open_catalog(f"sqlite:///{tmp_path}/catalog.db"))
    await lab.cluster.indexes.create("default", 2, shards=3)
    yield lab
    await lab.cluster.aclose()
