"""The backend that gives no help keeps the contract when it is well-behaved, and misbehaves as it is told."""

import asyncio

import numpy as np
import pytest

from tenantry.errors import InvalidArgument, RateLimited, Unavailable
from tenantry.model.records import ByIds, Everything, Metric, Query, Record, Update
from tenantry.model.topology import LogicalIndex, Shard
from tenantry.testing.backend_contract import BackendContract
from tenantry.testing.clock import ManualClock
from tenantry.testing.eventual_backend import EventualBackend, Temper

ONE = Record("a", np.ones(4, np.float32), {"n": 1})
TWO = Record("a", np.ones(4, np.float32), {"n": 2})


class WellBehaved(BackendContract):
    metric: Metric

    @pytest.fixture
    async def backend(self):
        return EventualBackend(self.metric)


class TestCosine(WellBehaved):
    metric = Metric.COSINE


class TestDotProduct(WellBehaved):
    metric = Metric.DOTPRODUCT


class TestEuclidean(WellBehaved):
    metric = Metric.EUCLIDEAN


async def made(**temper):
    clock = ManualClock()
    backend = EventualBackend(Metric.COSINE, 4, Temper(**temper), clock)
    backend.data["n"] = {}
    return backend, backend.index("n"), clock


async def unslept(clock, work):
    """Latencies are zero: a manual clock need not move for them."""
    task = asyncio.ensure_future(work)
    for _ in range(10):
        await asyncio.sleep(0)
        clock.advance(0)
    return await task


async def test_each_kind_of_read_shows_a_write_after_its_own_delay():
    backend, index, clock = await made(fetch_delay_s=1, query_delay_s=2, list_delay_s=3)
    assert backend.features.visible_s == 3
    assert not backend.features.read_your_writes
    await unslept(clock, index.upsert([ONE]))
    seen = []
    for _ in range(4):
        fetched = await unslept(clock, index.fetch(["a"]))
        queried = await unslept(clock, index.query(Query(np.ones(4, np.float32), 3)))
        listed = await unslept(clock, index.list_ids(None, 10))
        seen.append((len(fetched), len(queried), len(listed.ids)))
        clock.advance(1)
    assert seen == [(0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, 1)]


async def test_the_older_state_shows_until_then_and_updates_act_on_the_newest():
    _, index, clock = await made(fetch_delay_s=1)
    await unslept(clock, index.upsert([ONE]))
    clock.advance(2)
    await unslept(clock, index.upsert([TWO]))
    assert (await unslept(clock, index.fetch(["a"])))["a"].metadata == {"n": 1}
    assert await unslept(clock, index.update(Update("a", None, {"m": 3})))
    clock.advance(1)
    assert (await unslept(clock, index.fetch(["a"])))["a"].metadata == {"n": 2, "m": 3}
    await unslept(clock, index.delete(ByIds(("a",))))
    assert "a" in await unslept(clock, index.fetch(["a"]))
    assert not await unslept(clock, index.update(Update("a", None, {"m": 4})))
    clock.advance(1)
    assert await unslept(clock, index.fetch(["a"])) == {}


async def test_what_nobody_can_see_any_more_is_forgotten():
    backend, index, clock = await made(fetch_delay_s=1)
    for _ in range(50):
        await unslept(clock, index.upsert([ONE]))
        clock.advance(0.3)
    assert len(backend.data["n"]["a"]) < 7


async def test_every_so_many_calls_one_is_throttled():
    _, index, clock = await made(throttle_every=3)
    outcomes = []
    for _ in range(9):
        try:
            await unslept(clock, index.fetch(["a"]))
            outcomes.append("ok")
        except RateLimited:
            outcomes.append("429")
    assert outcomes == ["ok", "ok", "429"] * 3


async def test_of_failing_writes_some_took_effect_and_some_did_not():
    backend, index, clock = await made(fail_share=1.0, seed=3)
    happened = set()
    for number in range(40):
        with pytest.raises(Unavailable):
            await unslept(clock, index.upsert([Record(str(number), np.ones(4, np.float32))]))
        happened.add(str(number) in backend.data["n"])
    assert happened == {True, False}


async def test_the_same_seed_fails_the_same_calls():
    async def course():
        _, index, clock = await made(fail_share=0.3, seed=5)
        found = []
        for _ in range(30):
            try:
                await unslept(clock, index.delete(Everything()))
                found.append(True)
            except Unavailable:
                found.append(False)
        return found

    assert await course() == await course()


def test_options_of_a_shard_are_its_temper():
    index = LogicalIndex("docs", 4)
    backend = EventualBackend.of_shard(
        index, Shard("docs", "bad", "testing", {"query_delay_s": "0.5", "throttle_every": "7"})
    )
    assert backend.temper == Temper(query_delay_s=0.5, throttle_every=7)
    assert backend.dimension == 4
    for name, value in (("query_delay", "1"), ("throttle_every", "often"), ("fail_share", "1.1"), ("stall_s", "-1")):
        with pytest.raises(InvalidArgument, match=f"options.{name}"):
            EventualBackend.of_shard(index, Shard("docs", "bad", "testing", {name: value}))
