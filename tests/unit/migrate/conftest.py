"""A cluster of simulated processes in virtual time, whose shards take as long, and fail as often, as a test says."""

import asyncio
import itertools

import pytest

from tenantry.cluster import Cluster
from tenantry.errors import Unavailable
from tenantry.testing.memory_backend import MemoryBackend
from tenantry.testing.memory_catalog import MemoryCatalog
from tenantry.testing.memory_catalog_tables import Tables
from tenantry.testing.parts import parts_in_memory
from tenantry.testing.virtual_loop import VirtualClock, run_virtual
from tenantry.testing.world import Process, ProcessClock, World

WINDOW_S = 60.0
DAY_S = 86_400.0
#: Records of each tenant that its load overwrites again and again.
WRITTEN = 40


class ShakyBackend(MemoryBackend):
    """Queries take ``query_s``; every call of the kinds in ``failing`` fails."""

    def __init__(self, metric):
        super().__init__(metric)
        self.query_s, self.failing = 0.002, ()

    async def enter(self, call):
        await super().enter(call)
        if call in self.failing:
            raise Unavailable(f"this shard does not {call}")
        if call == "query":
            await asyncio.sleep(self.query_s)


class Convoy:
    """Processes over one catalog and one set of shards; ``cluster`` is the first one's."""

    def __init__(self, sole=True):
        self.sole = sole
        self.world = World(1, call_s=2.0)
        self.tables = Tables()
        self.stores = {}
        self.tokens = itertools.count(1)
        self.acknowledged = {}
        self.problems = []
        self.over = False
        self.process, self.cluster = self.opened()

    def opened(self):
        """Another process of the cluster."""
        process = Process(self.world, f"p{len(self.world.processes)}")
        loop = asyncio.get_running_loop()
        cluster = Cluster(
            parts_in_memory(
                process.reach(MemoryCatalog(tables=self.tables)),
                lambda index, shard: process.reach(self.store(shard.name, index.metric)),
                ProcessClock(process, VirtualClock(loop)),
                token=lambda size: f"{next(self.tokens):0{2 * size}x}",
                close=nothing,
                window_s=WINDOW_S,
                sole=self.sole,
                lease_s=1.0,
            )
        )
        return process, cluster

    def store(self, shard, metric=None):
        if shard not in self.stores:
            self.stores[shard] = ShakyBackend(metric)
        return self.stores[shard]

    async def filled(self, tenants=8, targets=2):
        """An index with one full shard, ``old``, and some empty ones."""
        await self.cluster.indexes.create("default", 2, shards=0)
        await self.cluster.shards.add("old")
        for number in range(tenants):
            rows = [(f"r{n}", [1.0, n + 1.0]) for n in range(3 + number)]
            await self.cluster.tenant(f"t{number}").upsert(rows)
            self.acknowledged[f"t{number}"] = {f"r{n}": None for n in range(3 + number)}
        for number in range(targets):
            await self.cluster.shards.add(f"new-{number}")
        return self

    async def load(self, every_s=0.5, cluster=None):
        """Queries and overwrites of each tenant in turn, until ``over``; what fails is noted."""
        number = 0
        while not self.over:
            for name in list(self.acknowledged):
                number += 1
                try:
                    await (cluster or self.cluster).tenant(name).query([1.0, 0.5], top_k=1)
                    id = f"w{number % WRITTEN}"
                    await (cluster or self.cluster).tenant(name).upsert([(id, [1.0, 2.0], {"n": number})])
                    self.acknowledged[name][id] = {"n": number}
                except Unavailable as error:
                    self.problems.append(f"{name}: {error}")
                await asyncio.sleep(every_s / len(self.acknowledged))

    async def homes(self, cluster=None):
        """Tenant to its shard."""
        found = await (cluster or self.cluster).tenants.list()
        return {one.tenant.name: one.tenant.route.place.shard for one in found}

    async def until(self, id, *states, cluster=None, within_s=40 * DAY_S):
        async with asyncio.timeout(within_s):
            async for one in (cluster or self.cluster).migrations.watch(id):
                if one.state in states:
                    return one
        raise AssertionError("it ended otherwise")

    async def all_there(self, cluster=None):
        """Nothing acknowledged is lost."""
        for name, rows in self.acknowledged.items():
            found = await (cluster or self.cluster).tenant(name).fetch(list(rows))
            assert {id: record.metadata or None for id, record in found.items()} == rows, name


async def nothing():
    pass


@pytest.fixture
def convoy():
    """Runs a test's own course in virtual time: ``convoy(course, sole=False)``; it gets a `Convoy`."""

    def run(course, sole=True, limit_s=60 * DAY_S):
        async def whole():
            made = Convoy(sole)
            try:
                await course(made)
            finally:
                made.over = True
                if not made.process.killed:
                    await made.cluster.aclose()

        run_virtual(whole(), limit_s)

    return run
