"""Searches over all while tenants move: no tenant twice, none missing."""

import asyncio

import numpy as np
import pytest

from tenantry.catalogs.sql import open_catalog
from tenantry.clock import SystemClock
from tenantry.testing.memory_backend import MemoryBackend

TENANTS, EACH = 6, 4


@pytest.mark.parametrize("many", [True, False])
@pytest.mark.parametrize("sole", [True, False])
async def test_while_tenants_move_all_are_there_once(lab, tmp_path, many, sole):
    moving = type(lab)(
        await open_catalog(f"sqlite:///{tmp_path}/moving.db"), clock=SystemClock(), sole=sole, search_deadline_s=30.0
    )
    moving.cluster.router.pool._open_backend = lambda index, shard: moving.backends.setdefault(
        (index.name, shard.name), MemoryBackend(index.metric, many=many)
    )
    async with moving.cluster as cluster:
        await cluster.indexes.create("default", 2, shards=3)
        rng = np.random.default_rng(1)
        for t in range(TENANTS):
            await cluster.tenant(f"t{t}").upsert([(f"r{i}", rng.normal(size=2)) for i in range(EACH)])
        wanted = sorted((f"t{t}", f"r{i}") for t in range(TENANTS) for i in range(EACH))
        done, searches, order = asyncio.Event(), 0, None

        async def search() -> None:
            nonlocal searches, order
            while not done.is_set():
                found = await cluster.search_all([1.0, 0.2], top_k=1_000)
                assert not found.partial
                names = [(one.tenant, one.hit.id) for one in found.hits]
                assert sorted(names) == wanted
                order = order or names
                assert names == order
                searches += 1
                await asyncio.sleep(0)

        async def move() -> int:
            moved = 0
            for turn in range(2):
                for t in range(TENANTS):
                    shard = (await cluster.tenants.get(f"t{t}")).tenant.route.place.shard
                    target = f"shard-{(int(shard[-1]) + 1 + turn) % 3}"
                    started = await cluster.moves.start(f"t{t}", target, soak_s=0)
                    ended = await cluster.moves.wait(started.id)
                    moved += ended.phase.value == "done"
            done.set()
            return moved

        try:
            async with asyncio.timeout(100):
                _, _, moved = await asyncio.gather(search(), search(), move())
        finally:
            done.set()
        assert moved == 2 * TENANTS
        assert searches > 2 * TENANTS
