"""The roll-up of an index: what searches find in it, and when they do not look there."""

import asyncio
import secrets

import numpy as np
import pytest

from tenantry.catalogs.sql import open_catalog
from tenantry.clock import SystemClock
from tenantry.control.mover.context import MovingLimits
from tenantry.control.rollup.service import RollupService
from tenantry.errors import InvalidArgument, NotFound, Refused, Unavailable
from tenantry.model.records import ByIds, Record
from tenantry.model.rollup import TAG
from tenantry.model.topology import ShardState, TenantSpec

V = [1.0, 0.3]
OLD = 1_000.0


@pytest.fixture
async def labs(lab, tmp_path):
    """Makes clusters in real time; several of one name share catalog and stores, as processes of a fleet do."""
    made, stores = [], {}

    async def make(name="one", sole=True, **parts):
        other = type(lab)(
            await open_catalog(f"sqlite:///{tmp_path}/{name}.db"),
            **{"clock": SystemClock(), "token": secrets.token_hex, "sole": sole, "search_deadline_s": 60.0, **parts},
        )
        other.backends = stores.setdefault(name, {})
        made.append(other.cluster)
        return other

    yield make
    for cluster in made:
        await cluster.aclose()


@pytest.fixture
async def full(labs):
    """A cluster with a roll-up, of five tenants with four records each."""
    lab = await labs()
    await fill(lab.cluster)
    await lab.cluster.rollups.on(wait_s=10.0)
    return lab


async def fill(cluster, tenants=5, each=4):
    await cluster.indexes.create("default", 2, shards=3)
    rng = np.random.default_rng(3)
    for t in range(tenants):
        await cluster.tenant(f"t{t}").upsert([(f"r{i}", rng.normal(size=2), {"n": i}) for i in range(each)])


def names(found):
    return [(one.tenant, one.hit.id, one.hit.score) for one in found.hits]


async def rolled(cluster, vector=V, **asked):
    """A search in the roll-up, once everything before is in it."""
    await settled(cluster)
    found = await cluster.search_all(vector, max_lag_s=OLD, **asked)
    assert found.source == "roll-up", found.why_shards
    return found


async def settled(cluster):
    async with asyncio.timeout(10):
        begun = cluster.clock.monotonic()
        while True:
            fresh = await cluster.rollups._freshness.of("default")
            if fresh.lag_s is not None and cluster.clock.monotonic() - fresh.lag_s >= begun:
                return
            await cluster.clock.sleep(0.02)


@pytest.mark.parametrize(
    "asked",
    [
        {"top_k": 1},
        {"top_k": 7},
        {"top_k": 100},
        {"top_k": 5, "tenants": ["t0", "t1", "t2", "t3"]},
        {"top_k": 5, "filter": {"n": {"$gte": 2}}},
        {"top_k": 5, "filter": {"n": {"$gte": 2}}, "tenants": ["t0", "t1", "t2", "t3"]},
        {"top_k": 5, "include_metadata": False, "include_values": True},
    ],
    ids=str,
)
async def test_it_answers_as_the_shards_do(full, asked):
    found = await rolled(full.cluster, **asked)
    there = await full.cluster.search_all(V, max_lag_s=0, **asked)
    assert there.source == "shards"
    assert there.why_shards == "nothing but the present was asked for"
    assert names(found) == names(there)
    assert [one.hit.metadata for one in found.hits] == [one.hit.metadata for one in there.hits]
    assert (found.shards_asked, [one.shard for one in found.shards]) == (1, ["rollup"])


async def test_pages_go_on_from_either(full):
    whole = names(await rolled(full.cluster, top_k=20))
    first = await rolled(full.cluster, top_k=6)
    second = await full.cluster.search_all(V, top_k=6, cursor=first.cursor, max_lag_s=0)
    third = await rolled(full.cluster, top_k=6, cursor=second.cursor)
    assert names(first) + names(second) + names(third) == whole[:18]


async def test_every_kind_of_write_gets_there(full):
    cluster = full.cluster
    acme = cluster.tenant("t1")
    await acme.upsert([("new", V, {"n": 9}), ("r0", [-1.0, 0.0])])
    await acme.update("r1", set_metadata={"m": "x"})
    await acme.delete(["r2"])
    await acme.delete(filter={"n": 3})
    await cluster.tenant("t2").delete(all=True)
    await cluster.tenant("born").upsert([("a", V)])
    found = await rolled(cluster, top_k=100)
    mine = {one.hit.id: one.hit.metadata for one in found.hits if one.tenant == "t1"}
    assert mine == {"new": {"n": 9}, "r0": None, "r1": {"n": 1, "m": "x"}}
    assert {one.tenant for one in found.hits} == {"t0", "t1", "t3", "t4", "born"}
    compared = await cluster.rollups.verify()
    assert (compared.whole, compared.tenants, compared.records) == (True, 6, 3 * 4 + 3 + 1)


@pytest.mark.parametrize("how", ["suspend", "delete"])
async def test_a_tenant_that_must_not_be_seen_is_not_found_even_before_its_copies_are_gone(full, how, labs):
    cluster = full.cluster
    await settled(cluster)
    await halted(cluster)
    await getattr(cluster.tenants, how)("t3")
    assert copies(full, "t3") == 4
    found = await cluster.search_all(V, top_k=100, max_lag_s=OLD)
    assert (found.source, "still holds" in found.why_shards) == ("shards", True)
    assert "t3" not in {one.tenant for one in found.hits}
    cluster._rolling = cluster.rollups._service = again(cluster)
    found = await rolled(cluster, top_k=100)
    assert "t3" not in {one.tenant for one in found.hits}
    assert copies(full, "t3") == 0
    if how == "suspend":
        await cluster.tenants.resume("t3")
        assert "t3" in {one.tenant for one in (await rolled(cluster, top_k=100)).hits}


async def test_chosen_tenants_are_all_that_is_found_whatever_the_filter_says(full):
    wide = {"$or": [{TAG: {"$in": ["t4"]}}, {"n": {"$exists": True}}, {"n": {"$exists": False}}]}
    found = await rolled(full.cluster, top_k=100, tenants=["t0", "t1", "t2"], filter=wide)
    assert {one.tenant for one in found.hits} == {"t0", "t1", "t2"}


async def test_what_it_is_not_for_goes_to_the_shards(full):
    await settled(full.cluster)
    for asked, why in (
        ({"per_tenant": 2}, "by tenant"),
        ({"tenants": ["t0"]}, "one shard"),
        ({"by_model": True}, "each model"),
        ({"max_lag_s": 0}, "present"),
    ):
        found = await full.cluster.search_all(V, **{"max_lag_s": OLD, **asked})
        assert (found.source, found.lag_s) == ("shards", None)
        assert why in found.why_shards
    for bad in (-1, True, float("nan"), "5"):
        with pytest.raises(InvalidArgument, match="max_lag_s"):
            await full.cluster.search_all(V, max_lag_s=bad)


async def test_without_one_nothing_is_said_of_it(lab):
    await lab.cluster.tenant("t").upsert([("a", V)])
    found = await lab.cluster.search_all(V)
    assert (found.source, found.why_shards, found.lag_s) == ("shards", "", None)
    assert (await lab.cluster.rollups.status()).state == "off"
    with pytest.raises(Refused, match="rollup on"):
        await lab.cluster.rollups.verify()
    assert (await lab.cluster.rollups.off()).state == "off"
    with pytest.raises(NotFound):
        await lab.cluster.rollups.on("none")


async def test_too_old_is_not_used(full):
    cluster = full.cluster
    await settled(cluster)
    await halted(cluster)
    await cluster.tenant("t0").upsert([("late", V)])
    await asyncio.sleep(0.15)
    found = await cluster.search_all(V, top_k=1, max_lag_s=0.1)
    assert (found.source, "behind" in found.why_shards) == ("shards", True)
    assert names(found)[0][:2] == ("t0", "late")
    found = await cluster.search_all(V, top_k=1, max_lag_s=OLD)
    assert found.source == "roll-up"
    assert found.lag_s > 0.1
    assert names(found)[0][:2] != ("t0", "late")


async def test_a_roll_up_that_cannot_be_reached_costs_a_search_nothing_but_time(full):
    cluster = full.cluster
    await settled(cluster)

    async def fails(*_):
        raise Unavailable("away", retry_after_s=1.0)

    backend = full.backend("rollup")
    backend.index = lambda namespace: type("Away", (), {"query": fails})()
    await cluster.router.pool.close_shard("default", "rollup")
    found = await cluster.search_all(V, top_k=100, max_lag_s=OLD)
    assert (found.source, len(found.hits), found.partial) == ("shards", 20, False)
    assert "away" in found.why_shards


async def test_no_write_waits_for_the_catalog_twice(full, monkeypatch):
    """The first write of a while marks its tenant; those after it ask nothing."""
    cluster, asked = full.cluster, []
    marking = cluster.router.feed._catalog.mark

    async def mark(*given):
        asked.append(given[3])
        await marking(*given)

    monkeypatch.setattr(cluster.router.feed._catalog, "mark", mark)
    await cluster.tenant("fresh").upsert([("a", V)])
    for i in range(20):
        await cluster.tenant("fresh").upsert([(f"b{i}", V)])
    assert asked == [{"fresh"}]


async def test_what_the_dead_had_written_is_copied(labs):
    moving = MovingLimits(call_s=0.3, request_s=0.3)
    one = await labs("fleet", sole=False, lease_s=0.2, moving=moving)
    async with one.cluster as cluster:
        await fill(cluster)
        await cluster.rollups.on(wait_s=15.0)
        dying = await labs("fleet", sole=False, lease_s=0.2, moving=moving)
        await dying.cluster.tenant("t0").fetch(["r0"])
        await asyncio.sleep(0.5)  # it has heard of the roll-up, or reads of it with its first write
        await halted(dying.cluster)
        await dying.cluster.tenant("t0").upsert([("last", V)])
        marks = await cluster._parts.catalog.rollups.marks("default")
        assert "t0" in {mark.tenant for mark in marks if mark.owner == dying.cluster._member.owner}
        await gone(dying.cluster)
        async with asyncio.timeout(20):
            while ("t0", "last") not in {found[:2] for found in names(await cluster.search_all(V, max_lag_s=OLD))}:
                await asyncio.sleep(0.1)


async def test_what_is_wrong_is_found_and_healed(full):
    cluster = full.cluster
    await settled(cluster)
    store = full.backend("rollup")
    (namespace,) = store.data
    handle = store.index(namespace)
    await handle.delete(ByIds(("t0\x01r0",)))
    await handle.upsert(
        [Record("t1\x01no", np.float32(V), {TAG: "t1"}), Record("t2\x01r1", np.float32(V), {TAG: "t2"})]
    )
    await handle.upsert([Record("nobody\x01x", np.float32(V), {TAG: "nobody"})])
    await handle.upsert(
        [Record("t3\x01r0", *[(await cluster.tenant("t3").fetch(["r0"]))["r0"].values, {"n": 0, TAG: "t4"}])]
    )
    found = await cluster.rollups.verify(heal=True)
    assert (found.missing, found.extra, found.different) == (1, 2, 2)
    assert found.tenants_wrong == ("nobody", "t0", "t1", "t2", "t3")
    async with asyncio.timeout(10):
        while not (await cluster.rollups.verify()).whole:
            await asyncio.sleep(0.1)


async def test_a_record_that_it_cannot_hold_is_told_and_keeps_it_out_of_use(full):
    cluster = full.cluster
    await cluster.tenant("t0").upsert([("odd", V, {TAG: "t1"}), ("fine", V)])
    async with asyncio.timeout(10):
        while not (status := await cluster.rollups.status()).error:
            await asyncio.sleep(0.05)
    assert TAG in status.error
    assert "'t0'" in status.error
    assert "odd" in status.error
    await cluster.tenant("t0").delete(["odd"])
    await settled(cluster)
    assert (await cluster.rollups.verify()).whole


async def test_switching_it_off_drops_the_copies_and_gives_the_shard_back(full):
    cluster = full.cluster
    await settled(cluster)
    assert (await cluster.rollups.off()).state == "off"
    assert full.backend("rollup").data == {}
    found = await cluster.search_all(V, max_lag_s=OLD)
    assert (found.source, found.why_shards) == ("shards", "")
    assert (await cluster.shards.get("rollup")).shard.state is ShardState.ACTIVE
    await cluster.tenant("next").upsert([("a", V)])
    assert (await cluster.tenants.get("next")).tenant.route.place.shard != "rollup"
    await cluster.rollups.on(wait_s=10.0)
    assert (await cluster.rollups.verify()).records == 21
    await cluster.rollups.off(remove_shard=True)
    assert "rollup" not in {one.shard.name for one in await cluster.shards.list()}


async def test_on_again_is_nothing_and_rebuilding_fills_anew(full):
    cluster = full.cluster
    before = await cluster.rollups.status()
    assert (await cluster.rollups.on()).since == before.since
    with pytest.raises(Refused, match="rollup off"):
        await cluster.rollups.on(shard="shard-0")
    after = await cluster.rollups.on(rebuild=True, wait_s=10.0)
    assert after.since > before.since
    assert len(full.backend("rollup").data) == 1
    assert names(await rolled(cluster, top_k=100)) == names(await cluster.search_all(V, top_k=100, max_lag_s=0))


async def test_no_tenant_is_put_on_its_shard(full):
    with pytest.raises(InvalidArgument, match="rollup on"):
        await full.cluster.shards.update("shard-0", state="rollup")
    with pytest.raises(Refused):
        await full.cluster.moves.start("t0", "rollup")
    await full.cluster.tenants.create("pinned", spec=TenantSpec())
    assert (await full.cluster.tenants.get("pinned")).tenant.route.place.shard != "rollup"
    report = await full.cluster.verify_routing()
    assert report.problems == []


async def test_it_is_whole_when_the_cluster_was_closed(labs):
    lab = await labs()
    async with lab.cluster as cluster:
        await fill(cluster)
        await cluster.rollups.on(wait_s=10.0)
        await cluster.tenant("t0").upsert([("last", V)])
    again = await labs()
    look = await again.catalog.rollups.look("default")
    assert look.idle
    assert await again.catalog.rollups.due("default", 0, 10) == []
    found = await again.cluster.search_all(V, top_k=1, max_lag_s=OLD)
    assert (found.source, names(found)[0][:2]) == ("roll-up", ("t0", "last"))
    async with again.cluster as cluster:
        assert names(await rolled(cluster, top_k=1))[0][:2] == ("t0", "last")


def copies(lab, tenant):
    (namespace,) = lab.backend("rollup").data.values()
    return sum(key.startswith(f"{tenant}\x01") for key in namespace)


async def halted(cluster):
    """Stop copying, and telling, as if the process had stood still."""
    service = cluster._rolling
    service._closed = True
    loop, service._loop = service._loop, None
    tasks = [loop, *service._copying.values()]
    for task in tasks:
        if task is not None:
            task.cancel()
    await asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)


def again(cluster):
    """A new service in its place."""
    old = cluster._rolling
    fresh = RollupService(old._context, old._router, old._freshness, old._exclusive)
    fresh.wake()
    return fresh


async def gone(cluster):
    """Its leases lapse, as those of a process that was killed."""
    await cluster._moving.aclose()
    beating = cluster._member._beating
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
