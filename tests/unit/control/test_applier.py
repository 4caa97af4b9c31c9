"""What a change comes to is in the log before anybody relies on it, whatever is lost on the way there."""

import asyncio
import itertools

import pytest

from tenantry.caches.memory import MemoryRouteCache
from tenantry.cluster import Cluster, Parts
from tenantry.errors import InvalidArgument, Unavailable
from tenantry.model.changes import Resolved
from tenantry.model.limits import Limits
from tenantry.model.moves import Phase
from tenantry.placement import policy
from tenantry.telemetry.silent import SilentTelemetry
from tenantry.testing.memory_backend import MemoryBackend
from tenantry.testing.memory_catalog import MemoryCatalog
from tenantry.testing.virtual_loop import VirtualClock, run_virtual

ROWS = [(f"r{n}", [1.0, n], {"odd": n % 2 == 1}) for n in range(6)]


async def nothing():
    pass


def no_embedder(name):
    raise InvalidArgument("embedder", name, "none here")


@pytest.mark.parametrize("lost", [1, 3])
@pytest.mark.parametrize("what", ["where", "patch"])
def test_a_resolution_that_is_lost_is_made_again(what, lost):
    left = [0]

    async def enter(call):
        if call == "log.resolve" and left[0]:
            left[0] -= 1
            raise Unavailable("the request was lost", retry_after_s=0.0)

    async def course():
        tokens, stores, catalog = itertools.count(1), {}, MemoryCatalog(enter)
        cluster = Cluster(
            Parts(
                catalog=catalog,
                cache=MemoryRouteCache(),
                open_backend=lambda index, shard: stores.setdefault(shard.name, MemoryBackend(index.metric)),
                backends=("memory",),
                default_backend="memory",
                policy=policy,
                embedder=no_embedder,
                clock=VirtualClock(asyncio.get_running_loop()),
                telemetry=SilentTelemetry(),
                token=lambda size: f"{next(tokens):0{2 * size}x}",
                limits=Limits(),
                request_timeout_s=30.0,
                search_deadline_s=3.0,
                close=nothing,
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
