"""Both sides are compared while the tenant is written to, whatever it is written with."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest

from tenantry.cluster import Cluster
from tenantry.control.mover.verifier import Round, Verifier
from tenantry.model.changes import Clear, LogEntry, Nothing, Patch, Put, Remove, RemoveWhere
from tenantry.model.filters import parse_filter
from tenantry.model.moves import Phase
from tenantry.model.records import Record, Update
from tenantry.testing.clock import ManualClock
from tenantry.testing.memory_backend import MemoryBackend
from tenantry.testing.memory_catalog import MemoryCatalog
from tenantry.testing.parts import parts_in_memory
from tenantry.testing.virtual_loop import VirtualClock, run_virtual

RECORDS, WRITERS = 400, 8
#: Writes during a move, at least.
RESTLESS = 30


class Slow(MemoryBackend):
    """Takes its time over writes, so that there is always something in the log."""

    async def enter(self, call):
        if call.startswith("upsert"):
            await asyncio.sleep(0.05)
        await super().enter(call)


async def moved(write):
    """How a move ends beside writers that never rest; and how often they wrote meanwhile."""
    stores = {}
    cluster = Cluster(
        parts_in_memory(
            MemoryCatalog(),
            lambda index, shard: stores.setdefault(shard.name, Slow(index.metric)),
            VirtualClock(asyncio.get_running_loop()),
        )
    )
    written = 0
    async with cluster:
        await cluster.indexes.create("default", 2, shards=2)
        acme = cluster.tenant("acme")
        await acme.upsert([(f"r{n}", [1.0, n], {"n": 0}) for n in range(RECORDS)])
        source = (await cluster.tenants.get("acme")).tenant.route.place.shard
        target = next(one.shard.name for one in await cluster.shards.list() if one.shard.name != source)

        async def keep_writing(writer):
            nonlocal written
            while True:
                written += 1
                await asyncio.sleep(0.006 * writer)  # so that something always waits for its turn
                await write(acme, writer, written)

        writers = [asyncio.create_task(keep_writing(writer)) for writer in range(WRITERS)]
        try:
            started = await cluster.moves.start("acme", target, soak_s=0)
            ended = await cluster.moves.wait(started.id)
        finally:
            for one in writers:
                one.cancel()
            await asyncio.gather(*writers, return_exceptions=True)
    return ended, written


def test_partial_updates_never_rest():
    async def course():
        ended, written = await moved(lambda acme, writer, n: acme.update(f"r{writer}", set_metadata={"n": n}))
        assert ended.phase is Phase.DONE, ended.error
        assert ended.proof.records >= RECORDS - WRITERS
        assert written > RESTLESS

    run_virtual(course(), limit_s=600)


def test_deletes_by_filter_never_rest():
    async def either(acme, writer, n):
        if writer % 2:
            await acme.delete(filter={"n": {"$lt": -writer}})
        else:
            await acme.update(f"r{writer}", set_metadata={"n": n})

    async def course():
        ended, written = await moved(either)
        assert ended.phase is Phase.DONE, ended.error
        assert ended.proof.records >= RECORDS - WRITERS
        assert written > RESTLESS

    run_virtual(course(), limit_s=600)


def record(id, n):
    return Record(id, np.float32([1, n]), {"n": n})


class Held:
    """One side, as the verifier uses it."""

    def __init__(self, *records):
        self.records = {one.id: one for one in records}

    async def fetch(self, ids):
        return {id: self.records[id] for id in ids if id in self.records}

    async def put(self, records):
        self.records |= {one.id: one for one in records}

    async def remove(self, ids):
        for id in ids:
            del self.records[id]


async def healed(*log):
    """What becomes of one that differs, one that is missing and one too many, with this in the log; and the round."""
    source = Held(record("differs", 1), record("missing", 2))
    target = Held(record("differs", 0), record("extra", 3))
    entries = [LogEntry(seq, change) for seq, change in enumerate(log, 1)]

    async def read(index, tenant, after, most):
        return entries[after : after + most]

    ledger = SimpleNamespace(move=SimpleNamespace(index="default", tenant="acme", target_mark=0))
    applier = SimpleNamespace(lane=asyncio.Lock(), unsettled=set)
    catalog = SimpleNamespace(log=SimpleNamespace(read=read))
    context = SimpleNamespace(catalog=catalog, clock=ManualClock(), inflight=SimpleNamespace(answered=0))
    found = Round()
    await Verifier(context, ledger, applier, source, target, None)._heal(["differs", "extra", "missing"], found)
    return {id: one.metadata["n"] for id, one in sorted(target.records.items())}, found


UNTOUCHED = {"differs": 0, "extra": 3}
HEALED = {"differs": 1, "missing": 2}


@pytest.mark.parametrize(
    ("log", "becomes", "left"),
    [
        ([], HEALED, 0),
        ([Nothing()], HEALED, 0),
        ([Put((record("differs", 9),))], {"differs": 0, "missing": 2}, 0),
        ([Remove(("missing", "other"))], {"differs": 1}, 0),
        ([Patch(Update("differs", None, {"n": 9}))], {"differs": 0, "missing": 2}, 0),
        ([Patch(Update("other", None, {"n": 9}))], HEALED, 0),
        ([RemoveWhere(parse_filter({"n": {"$gt": 50}}))], HEALED, 0),
        ([RemoveWhere(parse_filter({"n": 3}))], {**HEALED, "extra": 3}, 1),
        ([RemoveWhere(parse_filter({"n": 0}))], {"differs": 0, "missing": 2}, 1),
        ([RemoveWhere(parse_filter({"n": 1}))], {"differs": 0, "missing": 2}, 1),
        ([Clear()], UNTOUCHED, 3),
    ],
)
async def test_what_the_log_has_yet_to_bring_is_left_to_it(log, becomes, left):
    target, found = await healed(*log)
    assert target == becomes
    assert found.left == left
    assert found.healed == sum(target.get(id) != UNTOUCHED.get(id) for id in ("differs", "extra", "missing"))
