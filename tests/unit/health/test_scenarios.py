"""Each warning, from a cluster that is brought into that state and asked. The figures are the document's where they
do not ask for millions of vectors; these limits are set smaller."""

import msgspec
import pytest

from tenantry.errors import Refused, Unavailable
from tenantry.model.topology import Place, Route


async def test_nothing_is_wrong_with_an_even_cluster(ward):
    for shard in range(5):
        await ward.tenants(f"shard-{shard}", 14)
    found = await ward.cluster.health()
    assert (found.health, found.warnings) == ("ok", [])
    assert (found.tenants, found.vectors, found.routing_checked) == (70, 70, True)


async def test_uneven_distribution(ward):
    """30 tenants on one shard and 14 or 15 on each other: the average is 18, and 27 is too many."""
    await ward.tenants("shard-2", 30)
    for shard in (0, 1, 3, 4):
        await ward.tenants(f"shard-{shard}", 15)
    one = await ward.only()
    assert (one.kind, one.subject, one.severity) == ("uneven-tenants", "shard-2", "warning")
    assert (one.value, one.threshold) == (30, 27)
    assert "30 tenants, its fair part is 18" in one.message
    assert one.command == "tenantry rebalance"
    assert len(one.tenants) == 5
    assert all(name.startswith("shard-2-") for name in one.tenants)


async def test_a_shard_may_have_as_much_more_as_it_weighs(ward):
    await ward.cluster.shards.update("shard-2", weight=2.5)
    await ward.tenants("shard-2", 30)
    for shard in (0, 1, 3, 4):
        await ward.tenants(f"shard-{shard}", 15)
    assert await ward.kinds() == set()


async def test_hot_by_vectors(ward):
    for shard in range(5):
        await ward.tenants(f"shard-{shard}", 4, vectors=200)
    await ward.tenant("bulk", "shard-1", 900)
    one = await ward.only()
    assert (one.kind, one.subject) == ("uneven-vectors", "shard-1")
    assert one.tenants[0] == "bulk"
    assert one.command == "tenantry tenant isolate bulk"
    assert one.value > one.threshold == pytest.approx(1.5 * (5 * 800 + 900) / 5)


async def test_hot_by_vectors_of_many_is_to_be_evened_out(ward):
    for shard in range(5):
        await ward.tenants(f"shard-{shard}", 4, vectors=100 if shard else 500)
    assert (await ward.only()).command == "tenantry rebalance"


async def test_slow_shard(ward):
    """1,847 ms, as in the document's first failure."""
    for shard in range(5):
        await ward.tenants(f"shard-{shard}", 2)
        ward.backend(f"shard-{shard}").seconds = 0.35
    ward.backend("shard-2").seconds = 1.847
    for shard in range(5):
        await ward.query(f"shard-{shard}-000", 15)
        await ward.query(f"shard-{shard}-001", 10)
    found = await ward.cluster.health()
    assert [(one.kind, one.subject, one.severity, one.page) for one in found.warnings] == [
        ("slow-shard", "shard-2", "critical", True),
        ("uneven-latency", "shard-2", "warning", False),
    ]
    assert found.health == "critical"
    assert found.warnings[0].value == pytest.approx(1_847, rel=0.011)
    assert found.warnings[0].threshold == 1_000
    assert found.warnings[0].tenants == ["shard-2-000", "shard-2-001"]
    assert found.warnings[0].command == "tenantry tenant isolate shard-2-000"


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.78, None), (0.85, "warning"), (0.95, "warning"), (1.05, "critical")]
)
async def test_p95_pages_over_800_ms_and_is_critical_over_1000(opened, seconds, expected):
    async with opened(shards=1) as ward:
        await ward.tenants("shard-0", 1)
        ward.backend("shard-0").seconds = seconds
        await ward.query("shard-0-000", 25)
        found = [(one.kind, one.severity, one.page) for one in (await ward.cluster.health()).warnings]
        assert found == ([] if expected is None else [("slow-shard", expected, True)])


async def test_a_few_slow_queries_say_nothing(ward):
    await ward.tenants("shard-0", 1)
    ward.backend("shard-0").seconds = 5.0
    await ward.query("shard-0-000", 5)
    assert await ward.kinds() == set()


async def test_slowness_is_forgotten_with_the_window(ward):
    await ward.tenants("shard-0", 1)
    ward.backend("shard-0").seconds = 2.0
    await ward.query("shard-0-000", 30)
    assert ("slow-shard", "shard-0") in await ward.kinds()
    ward.clock.advance(400)
    assert await ward.kinds() == set()


async def test_near_capacity(ward):
    """80 of 100 namespaces."""
    for shard in range(5):
        await ward.cluster.shards.update(f"shard-{shard}", max_tenants=100)
        await ward.tenants(f"shard-{shard}", 79)
    assert await ward.kinds() == set()
    await ward.tenant("one-more", "shard-3")
    one = await ward.only()
    assert (one.kind, one.subject, one.value, one.threshold) == ("near-capacity", "shard-3", 0.8, 0.8)
    assert "80 of at most 100" in one.message
    assert one.command == "tenantry shard add shard-5"


async def test_eighty_five_tenants_then_ninety_percent(ward):
    for shard in range(5):
        await ward.tenants(f"shard-{shard}", 84)
    assert await ward.kinds() == set()
    await ward.tenant("n85", "shard-1")
    assert await ward.kinds() == {("many-tenants", "shard-1")}
    await ward.tenants("shard-1", 6, prefix="more")  # 91 of the 100 that a shard without limits is taken to hold
    assert await ward.kinds() == {("many-tenants", "shard-1"), ("full-shard", "shard-1")}
    assert (await ward.cluster.health()).health == "critical"


async def test_ninety_percent_of_the_vectors_is_critical_though_few_namespaces_are_used(ward):
    for shard in range(5):
        await ward.cluster.shards.update(f"shard-{shard}", max_vectors=1_000)
        await ward.tenants(f"shard-{shard}", 2, vectors=450)
    assert await ward.kinds() == set()
    await ward.tenant("drop", "shard-4", 1)
    one = await ward.only()
    assert (one.kind, one.subject, one.severity) == ("full-shard", "shard-4", "critical")
    assert one.value == pytest.approx(0.901)


async def test_many_vectors(opened, quiet):
    """1.8 million; a thousandth of it here."""
    limits = msgspec.structs.replace(quiet, many_vectors=1_800, shard_vectors=1_000_000)
    async with opened(limits) as ward:
        for shard in range(5):
            await ward.tenants(f"shard-{shard}", 1, vectors=1_800)
        assert await ward.kinds() == set()
        await ward.tenant("more", "shard-0", 1)
        assert await ward.kinds() == {("many-vectors", "shard-0")}


async def test_wasteful(opened, quiet):
    """90 tenants on 5 shards, which 2 would hold."""
    async with opened(msgspec.structs.replace(quiet, wasteful=0.5)) as ward:
        for shard in range(5):
            await ward.tenants(f"shard-{shard}", 18)
        assert await ward.kinds() == set(), "a cluster of today is still to be filled"
        ward.clock.advance(quiet.wasteful_grace_s - 1)
        assert await ward.kinds() == set()
        ward.clock.advance(1)
        found = await ward.cluster.health()
        assert {(one.kind, one.subject) for one in found.warnings} == {
            ("wasteful-shard", f"shard-{shard}") for shard in range(5)
        }
        assert found.warnings[0].value == pytest.approx(0.18)
        assert found.warnings[0].command == "tenantry shard consolidate"


async def test_a_new_shard_of_an_old_cluster_is_no_waste_and_makes_none(opened, quiet):
    async with opened(msgspec.structs.replace(quiet, wasteful=0.5, uneven=0.0), shards=1) as ward:
        await ward.tenants("shard-0", 40)
        ward.clock.advance(10 * quiet.wasteful_grace_s)
        assert await ward.kinds() == set()
        await ward.cluster.shards.add("shard-1")
        assert await ward.kinds() == set()
        ward.clock.advance(quiet.wasteful_grace_s)
        assert await ward.kinds() == {("wasteful-shard", "shard-0"), ("wasteful-shard", "shard-1")}


async def test_without_grace_it_is_said_at_once(opened, quiet):
    async with opened(msgspec.structs.replace(quiet, wasteful=0.5, wasteful_grace_s=0.0), shards=2) as ward:
        await ward.tenants("shard-0", 1)
        assert ("wasteful-shard", "shard-1") in await ward.kinds()


async def test_one_shard_alone_or_one_that_is_needed_is_no_waste(opened, quiet):
    limits = msgspec.structs.replace(quiet, wasteful=0.5, uneven=0.0, wasteful_grace_s=0.0)
    async with opened(limits, shards=1) as ward:
        await ward.tenants("shard-0", 3)
        assert await ward.kinds() == set()
    async with opened(limits, shards=2) as ward:
        await ward.tenants("shard-0", 80)
        await ward.tenants("shard-1", 20)
        assert await ward.kinds() == set()


async def test_a_stale_cache_is_inconsistent_until_it_is_healed(ward):
    await ward.tenants("shard-0", 3)
    await ward.query("shard-0-001")
    ward.cache.clear()
    ward.cache.put("default", "shard-0-001", Route(99, Place("shard-3", "elsewhere")))
    one = await ward.only()
    assert (one.kind, one.subject, one.severity) == ("inconsistent-routing", "default", "warning")
    assert (one.tenants, one.command) == (["shard-0-001"], "tenantry verify-routing")
    await ward.cluster.verify_routing()
    assert await ward.kinds() == set()


async def test_lost_data_are_critical(ward):
    await ward.tenants("shard-0", 3)
    del ward.backend("shard-0").data["shard-0-001"]
    one = await ward.only()
    assert (one.kind, one.severity, one.page) == ("inconsistent-routing", "critical", True)
    assert one.tenants == ["shard-0-001"]


async def test_highly_uneven_tenant_sizes(ward):
    """5 large and 95 tiny tenants; a hundredth of the document's sizes."""
    for shard in range(5):
        await ward.tenants(f"shard-{shard}", 19, vectors=9)
        await ward.tenant(f"large-{shard}", f"shard-{shard}", 1_000)
    one = await ward.only()
    assert (one.kind, one.subject) == ("uneven-sizes", "default")
    assert one.value == pytest.approx((5 * 1_000 + 5 * 9) / (5 * 1_000 + 95 * 9))
    assert set(one.tenants) == {f"large-{shard}" for shard in range(5)}
    assert one.command == "tenantry tenant isolate large-0"


async def test_over_twenty_percent_across_tenants(ward):
    for shard in range(5):
        await ward.tenants(f"shard-{shard}", 1)
    await ward.query("shard-0-000", 80)
    for _ in range(20):
        await ward.cluster.search_all([1.0, 0.0])
    assert await ward.kinds() == set()
    await ward.cluster.search_all([1.0, 0.0])
    one = await ward.only()
    assert (one.kind, one.subject) == ("cross-tenant", "default")
    assert one.value == pytest.approx(21 / 101)


async def test_searches_that_lack_a_shard(ward):
    for shard in range(5):
        await ward.tenants(f"shard-{shard}", 1)
    await ward.query("shard-0-000", 80)
    ward.backend("shard-2").fail_with = Unavailable("gone")
    for _ in range(3):
        assert (await ward.cluster.search_all([1.0, 0.0])).partial
    ward.backend("shard-2").fail_with = None
    one = await ward.only()
    assert (one.kind, one.value) == ("partial-searches", 1.0)


async def test_a_failing_shard_and_one_that_is_away(ward):
    for shard in range(5):
        await ward.tenants(f"shard-{shard}", 1)
    await ward.query("shard-1-000", 30)
    ward.backend("shard-1").fail_with = Unavailable("gone fishing")
    for _ in range(4):
        with pytest.raises(Unavailable):
            await ward.query("shard-1-000")
    found = await ward.cluster.health()
    assert [(one.kind, one.subject, one.severity) for one in found.warnings] == [
        ("unreachable-shard", "shard-1", "critical"),
        ("failing-shard", "shard-1", "critical"),
    ]
    assert "gone fishing" in found.warnings[0].message
    assert found.warnings[0].tenants == ["shard-1-000"]
    ward.backend("shard-1").fail_with = None
    assert await ward.kinds() == {("failing-shard", "shard-1")}


async def test_a_shard_that_does_not_answer_holds_nothing_up_for_long(ward, monkeypatch):
    monkeypatch.setattr("tenantry.control.health_view.ANSWER_S", 0.05)
    monkeypatch.setattr("tenantry.control.health_view.ROUTING_S", 0.1)
    for shard in range(5):
        await ward.tenants(f"shard-{shard}", 3)
    ward.backend("shard-2").gate.clear()
    found = await ward.cluster.health()
    assert [(one.kind, one.subject) for one in found.warnings] == [("unreachable-shard", "shard-2")]
    assert not found.routing_checked
    assert found.vectors == 12


async def test_an_index_of_another_name_is_named_in_the_command(ward):
    await ward.cluster.indexes.create("two", 2, shards=2)
    for number in range(30):
        await ward.cluster.tenants.create(f"t{number}", "two")
    await ward.cluster.shards.update("shard-0", "two", max_tenants=1)
    near = [one for one in (await ward.cluster.health("two")).warnings if one.kind == "near-capacity"]
    assert near[0].command == "tenantry shard add shard-2 --index two"
    assert (await ward.cluster.health()).warnings == []


async def test_a_threshold_of_nought_takes_the_rule_away(opened, quiet):
    none = dict.fromkeys(("uneven", "many_tenants", "near_capacity", "full", "uneven_sizes", "many_vectors"), 0)
    async with opened(msgspec.structs.replace(quiet, **none)) as ward:
        await ward.cluster.shards.update("shard-1", max_tenants=100)
        await ward.tenants("shard-1", 99, vectors=20)
        assert await ward.kinds() == set()


async def test_readings_of_shards_and_tenants(ward):
    await ward.tenants("shard-0", 2)
    ward.backend("shard-0").seconds = 0.1
    await ward.query("shard-0-000", 30)
    await ward.query("shard-0-001", 10)
    found = await ward.cluster.readings()
    shard = found.shards["shard-0"]
    assert (shard.queries, shard.writes) == (40, 2)
    assert shard.latencies_ms()[1] == pytest.approx(100, rel=0.011)
    assert shard.queries_per_second == pytest.approx(40 / found.seconds)
    assert found.tenants["shard-0-000"].queries == 30
    assert found.cache_hit_rate > 0.9


async def test_what_callers_do_wrong_is_no_failure_of_the_shard(ward):
    await ward.tenants("shard-0", 2)
    await ward.cluster.shards.update("shard-0", state="read-only")
    for _ in range(30):
        with pytest.raises(Refused):
            await ward.cluster.tenant("shard-0-000").upsert([("a", [1.0, 0.0])])
    assert await ward.kinds() == set()
    assert (await ward.cluster.readings()).shards["shard-0"].errors == 0
