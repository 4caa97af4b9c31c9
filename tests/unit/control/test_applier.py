"""What a change comes to is in the log before anybody relies on it, whatever is lost on the way there."""

import asyncio

import pytest

from tenantry.cluster import Cluster
from tenantry.errors import Unavailable
from tenantry.model.changes import Resolved
from tenantry.model.moves import Phase
from tenantry.testing.memory_backend import MemoryBackend
from tenantry.testing.memory_catalog import MemoryCatalog
from tenantry.testing.parts import parts_in_memory
from tenantry.testing.virtual_loop import VirtualClock, run_virtual

ROWS = [(f"r{n}", [1.0, n], {"odd": n % 2 == 1}) for n in range(6)]


@pytest.mark.parametrize("lost", [1, 3])
@pytest.mark.parametrize("what", ["where", "patch"])
def test_a_resolution_that_is_lost_is_made_again(what, lost):
    left = [0]

    async def enter(call):
        if call == "log.resolve" and left[0]:
            left[0] -= 1
            raise Unavailable("the request was lost", retry_after_s=0.0)

    async def course():
        stores, catalog = {}, MemoryCatalog(enter)
        cluster = Cluster(
            parts_in_memory(
                catalog,
                lambda index, shard: stores.setdefault(shard.name, MemoryBackend(index.metric)),
                VirtualClock(asyncio.get_running_loop()),
            )
        )
        async with cluster:
            await cluster.indexes.create("default", 2, shards=2)
            acme = cluster.tenant("acme")
            await acme.upsert(ROWS)
            source = (await cluster.tenants.get("acme")).tenant.route.place.shard
            target = next(one.shard.name for one in await cluster.shards.list() if one.shard.name != source)
            move = await cluster.moves.start("acme", target, soak_s=600)
            while (await cluster.moves.get(move.id)).phase is not Phase.SOAK:
                await asyncio.sleep(0.1)

            left[0] = lost
            if what == "where":
                await acme.delete(filter={"odd": True})
            else:
                await acme.update("r0", set_metadata={"new": 1})
            assert left == [0]
            entries = await catalog.log.read("default", "acme", 0, 100)
            assert entries
            assert all(isinstance(entry.change, Resolved) for entry in entries)

            await cluster.moves.rollback(move.id)
            await cluster.moves.wait(move.id)
            assert (await cluster.tenants.get("acme")).tenant.route.place.shard == source
            found = await acme.fetch([row[0] for row in ROWS])
            if what == "where":
                assert sorted(found) == ["r0", "r2", "r4"]
            else:
                assert found["r0"].metadata == {"odd": False, "new": 1}

    run_virtual(course(), 3_600.0)
