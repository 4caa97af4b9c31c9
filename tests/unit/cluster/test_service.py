"""Plans, room, shares and usage through the cluster's own face, on memory backends and time by hand."""

import asyncio
import itertools

import msgspec
import pytest

from tenantry.catalogs.sql import open_catalog
from tenantry.control.metering import Metering
from tenantry.errors import (
    InvalidArgument,
    NotFound,
    QuotaExceeded,
    RateLimited,
    Refused,
    Unavailable,
)
from tenantry.model.records import NamespaceStats
from tenantry.model.service import MOST_PLANS
from tenantry.model.topology import TenantSpec
from tenantry.model.usage import HOUR_S, Usage
from tenantry.router import loads
from tenantry.router.gate import GateOptions
from tenantry.router.meter import Meter
from tenantry.router.service import ServiceOptions
from tenantry.testing.memory_catalog import MemoryCatalog

from .conftest import Lab

ON = ServiceOptions(plans_s=5.0, gate=GateOptions(width=4), usage_s=10.0, searches_per_minute=3)


@pytest.fixture
async def lab(tmp_path):
    lab = Lab(await open_catalog(f"sqlite:///{tmp_path}/catalog.db"), service=ON)
    await lab.cluster.indexes.create("default", 2, shards=1)
    yield lab
    await lab.cluster.aclose()


def rows(count, start=0):
    return [(f"v{number}", [1.0, float(number)]) for number in range(start, start + count)]


async def on_plan(lab, name="acme", **limits):
    await lab.cluster.service_plans.set("test", **limits)
    await lab.cluster.tenants.create(name, spec=TenantSpec(plan="test"))
    return lab.cluster.tenant(name)


async def test_the_built_in_plans_are_there_and_hold_for_nobody_by_default(lab):
    plans = await lab.cluster.service_plans.all()
    assert [plan.name for plan in plans.plans] == ["enterprise", "free", "pro"]
    assert plans.default is None
    acme = lab.cluster.tenant("acme")
    await acme.upsert(rows(10))
    for _ in range(300):
        await acme.query([1, 0])


async def test_a_plan_is_changed_made_and_read_back(lab):
    changed = await lab.cluster.service_plans.set("free", vectors=5, bytes=None)
    assert (changed.vectors, changed.bytes, changed.requests_per_s) == (5, None, 20)
    made = await lab.cluster.service_plans.set("a-1", weight=7)
    assert made == msgspec.structs.replace(made, vectors=None, requests_per_s=None, weight=7)
    assert (await lab.cluster.service_plans.all()).get("a-1") == made


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("Free", {}, "plan: got 'Free'"),
        ("none", {}, "not 'none'"),
        ("free", {"vectors": 0}, "vectors: got 0; allowed: a whole number from 1"),
        ("free", {"requests_per_s": 1.5}, "requests_per_s: got 1.5"),
        ("free", {"concurrent": True}, "concurrent: got True"),
        ("free", {"weight": 101}, "weight: got 101; allowed: a whole number from 1 to 100"),
        ("free", {"weight": None}, "weight: got None"),
        ("free", {"vektors": 3}, "allowed: the fields requests_per_s, vectors"),
    ],
)
async def test_a_wrong_plan_is_refused_and_changes_nothing(lab, name, changes, said):
    before = await lab.cluster.service_plans.all()
    with pytest.raises(InvalidArgument, match=said):
        await lab.cluster.service_plans.set(name, **changes)
    assert await lab.cluster.service_plans.all() == before


async def test_plans_are_bounded(lab):
    for number in range(MOST_PLANS - 3):
        await lab.cluster.service_plans.set(f"p{number}")
    with pytest.raises(Refused, match="100 plans"):
        await lab.cluster.service_plans.set("one-more")
    await lab.cluster.service_plans.set("p1", weight=2)


async def test_a_plan_that_is_not_there_is_given_to_nobody(lab):
    await lab.cluster.tenants.create("acme")
    with pytest.raises(NotFound, match="plan 'gold' does not exist; there are enterprise, free, pro"):
        await lab.cluster.service_plans.assign("acme", "gold")
    with pytest.raises(NotFound, match="plan 'gold'"):
        await lab.cluster.tenants.create("beta", spec=TenantSpec(plan="gold"))
    with pytest.raises(NotFound, match="tenant 'beta'"):
        await lab.cluster.tenants.get("beta")
    with pytest.raises(NotFound, match="plan 'gold'"):
        await lab.cluster.service_plans.set_default("gold")


async def test_requests_a_second(lab):
    acme = await on_plan(lab, requests_per_s=5)
    await acme.upsert(rows(1))
    for _ in range(4):
        await acme.query([1, 0])
    with pytest.raises(RateLimited, match="over the 5 requests a second of plan 'test'") as limited:
        await acme.query([1, 0])
    assert 0 < limited.value.retry_after_s <= 1.03
    await lab.cluster.tenant("other").upsert(rows(1))  # others go on
    lab.clock.advance(limited.value.retry_after_s + 0.001)
    await acme.query([1, 0])


async def test_a_refused_write_writes_nothing(lab):
    acme = await on_plan(lab, requests_per_s=1)
    await acme.upsert(rows(1))
    with pytest.raises(RateLimited):
        await acme.upsert(rows(5))
    assert (await acme.stats()).vectors == 1


async def passed(ask, times):
    """How many of so many are let through."""
    done = [await asyncio.gather(ask(), return_exceptions=True) for _ in range(times)]
    assert all(not isinstance(one, Exception) or isinstance(one, RateLimited) for [one] in done)
    return sum(not isinstance(one, Exception) for [one] in done)


async def test_a_new_plan_holds_at_once_here_and_soon_elsewhere(lab, tmp_path):
    other = Lab(await open_catalog(f"sqlite:///{tmp_path}/catalog.db"), service=ON)
    other.backends = lab.backends
    acme = await on_plan(lab)
    for cluster in (lab.cluster, other.cluster):
        for _ in range(30):
            await cluster.tenant("acme").list_ids()
    await lab.cluster.service_plans.set("test", requests_per_s=2)
    assert await passed(acme.list_ids, 3) < 3
    for _ in range(30):
        await other.cluster.tenant("acme").list_ids()
    other.clock.advance(5.1)
    async with asyncio.timeout(60):  # the plans are read beside the requests
        while await passed(other.cluster.tenant("acme").list_ids, 4) == 4:
            await asyncio.sleep(0.01)
    await other.cluster.aclose()


async def test_operations_at_once(lab):
    acme = await on_plan(lab, concurrent=2)
    await acme.upsert(rows(1))
    backend = lab.backend("shard-0")
    release = asyncio.Event()
    slow(backend, release)
    held = [asyncio.ensure_future(acme.query([1, 0])) for _ in range(2)]
    while lab.cluster.service.admission.in_hand("default", "acme") < 2:
        await asyncio.sleep(0)
    with pytest.raises(RateLimited, match="has 2 operations in hand; plan 'test' allows 2 at once"):
        await acme.query([1, 0])
    release.set()
    await asyncio.gather(*held)
    await acme.query([1, 0])
    assert lab.cluster.service.admission.in_hand("default", "acme") == 0


def slow(backend, release):
    """Queries of this backend wait for the event."""
    make = backend.index

    def index(namespace):
        found = make(namespace)
        ask = found.query

        async def query(asked):
            await release.wait()
            return await ask(asked)

        found.query = query
        return found

    backend.index = index


async def test_a_failed_or_cancelled_operation_is_not_in_hand_any_more(lab):
    acme = await on_plan(lab, concurrent=1)
    await acme.upsert(rows(1))
    release = asyncio.Event()
    slow(lab.backend("shard-0"), release)
    asked = asyncio.ensure_future(acme.query([1, 0]))
    await asyncio.sleep(0.01)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    assert lab.cluster.service.admission.in_hand("default", "acme") == 0
    with pytest.raises(NotFound):
        await acme.query(id="not there")
    assert lab.cluster.service.admission.in_hand("default", "acme") == 0


async def test_vectors_are_held_to_the_plan_exactly(lab):
    acme = await on_plan(lab, vectors=100)
    await acme.upsert(rows(60))
    with pytest.raises(QuotaExceeded) as over:
        await acme.upsert(rows(60, 50))
    assert (over.value.field, over.value.held, over.value.given, over.value.allowed) == ("vectors", 60, 50, 100)
    assert over.value.plan == "test"
    assert (await acme.stats()).vectors == 60  # nothing half done
    await acme.upsert(rows(60, 40))  # 20 of them are there: it fits exactly
    await acme.upsert(rows(100))  # overwriting is always possible
    with pytest.raises(QuotaExceeded):
        await acme.upsert(rows(1, 1_000))
    await acme.update("v0", set_metadata={"a": 1})
    await acme.delete(["v1"])
    await acme.upsert(rows(1, 1_000))
    assert (await acme.stats()).vectors == 100


async def test_many_writes_at_once_never_go_over_and_never_stay_under(lab):
    acme = await on_plan(lab, vectors=100)
    done = await asyncio.gather(*(acme.upsert(rows(7, 7 * n)) for n in range(40)), return_exceptions=True)
    assert sum(one == 7 for one in done) == 14
    assert all(isinstance(one, QuotaExceeded) for one in done if one != 7)
    assert (await acme.stats()).vectors == 98


async def test_bytes_are_held_to_the_plan(lab):
    acme = await on_plan(lab, bytes=400)
    await acme.upsert(rows(5))
    with pytest.raises(QuotaExceeded, match="bytes: got") as over:
        await acme.upsert(rows(200, 5))
    assert over.value.field == "bytes"
    assert (await acme.stats()).vectors == 5


async def test_a_first_write_that_is_too_large_makes_no_tenant(lab):
    await lab.cluster.service_plans.set("test", vectors=3)
    await lab.cluster.service_plans.set_default("test")
    with pytest.raises(QuotaExceeded, match="allowed: 3 in all, by plan 'test'"):
        await lab.cluster.tenant("new").upsert(rows(4))
    with pytest.raises(NotFound):
        await lab.cluster.tenants.get("new")
    await lab.cluster.tenant("new").upsert(rows(3))


async def test_gateways_together_go_over_by_no_more_than_is_said(lab, tmp_path):
    """Three processes, each with a measurement of its own, write small batches as fast as they can."""
    limit, gateways = 4_800, 3
    await on_plan(lab, vectors=limit)
    labs = [lab] + [
        Lab(await open_catalog(f"sqlite:///{tmp_path}/catalog.db"), service=ON) for _ in range(gateways - 1)
    ]
    for one in labs[1:]:
        one.backends = lab.backends
    numbers = itertools.count()

    async def fill(one):
        try:
            while True:
                await one.cluster.tenant("acme").upsert(rows(10, 10 * next(numbers)))
                await asyncio.sleep(0)
        except QuotaExceeded:
            pass

    await asyncio.gather(*(fill(one) for one in labs))
    held = (await lab.cluster.tenant("acme").stats()).vectors
    assert limit - 10 < held <= limit + (gateways - 1) * (limit // 16 + 10)
    for one in labs[1:]:
        await one.cluster.aclose()


async def test_cross_tenant_searches_are_counted_by_key(lab):
    for _ in range(3):
        await lab.cluster.service.search("k1")
    with pytest.raises(RateLimited, match="at most 3 cross-tenant searches a minute") as limited:
        await lab.cluster.service.search("k1")
    await lab.cluster.service.search("k2")
    assert 59 <= limited.value.retry_after_s <= 62
    lab.clock.advance(limited.value.retry_after_s)
    await lab.cluster.service.search("k1")


async def test_cross_tenant_searches_do_not_use_up_a_tenants_requests(lab):
    acme = await on_plan(lab, requests_per_s=2)
    await acme.upsert(rows(3))
    for _ in range(10):
        assert (await lab.cluster.search_all([1, 0])).hits
    await acme.query([1, 0])


async def usage_of(lab):
    return [row async for row in lab.cluster.usage.export()]


async def test_usage_is_counted_by_tenant_and_hour(lab):
    acme = lab.cluster.tenant("acme")
    await acme.upsert(rows(7))
    await acme.query([1, 0])
    await acme.query(id="v1")
    await acme.fetch(["v1"])
    await acme.update("v1", set_metadata={"a": 1})
    await acme.delete(["v2"])
    with pytest.raises(InvalidArgument):
        await acme.query([1, 0, 0])
    await lab.cluster.tenant("beta").upsert(rows(2))
    await lab.cluster.search_all([1, 0])
    first, second = await usage_of(lab)
    hour = int(lab.clock.now()) // HOUR_S * HOUR_S
    sizes = sum(8 + len(id) for id, _ in rows(7))
    assert first == Usage("default", "acme", hour, 2, 2, 3, 7, first.bytes, 6, first.bytes_stored)
    assert first.bytes >= sizes
    assert (second.tenant, second.writes, second.vectors, second.vectors_stored) == ("beta", 1, 2, 2)
    lab.clock.advance(HOUR_S)
    await acme.query([1, 0])
    assert [(row.start - hour, row.queries) for row in await usage_of(lab) if row.tenant == "acme"] == [
        (0, 2),
        (HOUR_S, 1),
    ]


@pytest.mark.parametrize(
    ("asked", "field"),
    [({"by": "week"}, "by"), ({"since": -1}, "from"), ({"since": 5, "until": 5}, "to"), ({"limit": 0}, "limit")],
)
async def test_a_wrong_question_about_usage_is_refused(lab, asked, field):
    with pytest.raises(InvalidArgument, match=field):
        await lab.cluster.usage.page(**asked)


class Lossy:
    """A usage catalog that does what it is told, and then says that it did not, or does not do it."""

    def __init__(self, inner, outcomes):
        self.inner, self.outcomes, self.calls = inner, list(outcomes), []

    async def add(self, source, part, rows, at):
        self.calls.append(part)
        outcome = self.outcomes.pop(0) if self.outcomes else "good"
        if outcome == "lost":
            raise Unavailable("never arrived")
        added = await self.inner.add(source, part, rows, at)
        if outcome == "unknown":
            raise Unavailable("the answer was lost")
        return added


async def nothing_stored(index, tenant):
    return NamespaceStats(0, 0)


async def test_a_flush_of_unknown_outcome_is_repeated_and_counts_once(lab):
    catalog = MemoryCatalog()
    lossy = Lossy(catalog.usage, ["unknown", "lost", "unknown", "good"])
    meter = Meter(lab.clock, on=True)
    metering = Metering(meter, lossy, lab.clock, "one", nothing_stored, 3_600.0)
    load = loads.upsert(3, 30)
    for _ in range(4):
        meter.count("default", "acme", load)
        try:
            await metering.flush()
        except Unavailable:
            meter.count("default", "acme", load)
    await metering.flush()
    [row] = await catalog.usage.list(0, 2**40)
    counted = 4 + 3
    assert (row.writes, row.vectors, row.bytes) == (counted, 3 * counted, 30 * counted)
    assert lossy.calls[:4] == [1, 1, 1, 1]
    await metering.aclose()


async def test_nothing_is_lost_at_an_orderly_end(lab, tmp_path):
    await lab.cluster.tenant("acme").upsert(rows(2))
    await lab.cluster.aclose()
    async with await open_catalog(f"sqlite:///{tmp_path}/catalog.db") as catalog:
        [row] = await catalog.usage.list(0, 2**40)
    assert (row.writes, row.vectors, row.vectors_stored) == (1, 2, 2)
