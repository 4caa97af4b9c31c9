"""Cost and advice of a measured cluster, by the library."""

import pytest

from tenantry.errors import InvalidArgument, NotFound
from tenantry.model.advice import Architecture, Imagined

DAY_S = 86_400


async def fill(lab, sizes):
    for name, many in sizes.items():
        await lab.cluster.tenant(name).upsert([(f"r{n}", [1, n]) for n in range(many)])


async def test_cost_by_what_each_uses(lab):
    await fill(lab, {"big": 30, "small": 10})
    lab.clock.advance(60)
    report = await lab.cluster.advice.cost(offer="reference", overhead=["redis", "postgresql"], budget=800)
    assert (report.monthly, report.per_tenant, report.budget.state) == (750, 375, "near")
    assert report.tenants[0].tenant == "big"
    assert sum(each.cost for each in report.tenants) == pytest.approx(750)
    assert (report.shards_needed, report.saving) == (1, 400)


async def test_a_retired_shard_costs_nothing(lab):
    await lab.cluster.shards.update("shard-2", state="retired")
    assert (await lab.cluster.advice.cost(offer="reference")).monthly == 400


async def test_requests_that_were_measured_count(lab):
    await fill(lab, {"busy": 10, "calm": 10})
    for _ in range(90):
        await lab.cluster.tenant("busy").query([1, 0])
    lab.clock.advance(10)
    few = await lab.cluster.advice.usage()
    assert (few.cross_tenant, few.p95_ms) == (None, None)
    for _ in range(10):
        await lab.cluster.search_all([1, 0])
    usage = await lab.cluster.advice.usage()
    assert usage.cross_tenant == pytest.approx(0.1)
    assert usage.p95_ms is not None
    assert usage.write_share == pytest.approx(2 / 92)
    by_name = {each.name: each.qps for each in usage.tenants}
    assert by_name["busy"] > 10 * by_name["calm"] > 0
    card = await lab.cluster.advice.advise(offer="reference")
    assert card.workload.qps == pytest.approx(9.0)  # queries alone, of 92 operations in 10 s


async def test_growth_is_read_off_the_tenants(lab):
    for day in range(10):
        await fill(lab, {f"tenant-{day}": 10})
        lab.clock.advance(DAY_S)
    card = await lab.cluster.advice.advise(offer="reference", months=6)
    assert [each.tenants for each in card.forecast] == pytest.approx([10 + 27 * n for n in range(7)], abs=7)
    assert any("tenants made in the last 10 days" in note for note in card.notes)
    given = await lab.cluster.advice.advise(offer="reference", growth=1.0, months=2)
    assert [each.tenants for each in given.forecast] == [10, 20, 40]


async def test_what_is_asked_goes_before_what_was_measured(lab):
    card = await lab.cluster.advice.advise(offer="reference", qps=401, p95_ms=1_001, cross_tenant=0.05)
    assert card.shard
    assert (card.workload.qps, card.sizing.shards) == (401, 2)


async def test_limits_of_the_shards_are_those_that_count(lab):
    for name in ("shard-0", "shard-1", "shard-2"):
        await lab.cluster.shards.update(name, max_tenants=5)
    await fill(lab, {f"t{n}": 1 for n in range(9)})
    card = await lab.cluster.advice.advise(offer="reference")
    assert (card.sizing.tenants_per_shard, card.sizing.shards) == (4, 3)


async def test_imagining(lab):
    card = await lab.cluster.advice.imagine(Imagined(90, 1_200_000), cross_tenant=0.05, shards=[1, 2, 5])
    assert (card.architecture, card.sizing.shards) == (Architecture.SHARDED, 2)
    assert [(each.shards, each.fits) for each in card.what_if] == [(1, False), (2, True), (5, True)]


@pytest.mark.parametrize("bad", [{"colour": 1}, {"months": 500, "growth": 0.1}, {"offer": "x"}, {"overhead": ["x"]}])
async def test_bad_questions(lab, bad):
    with pytest.raises(InvalidArgument):
        await lab.cluster.advice.advise(**bad)
    with pytest.raises(NotFound):
        await lab.cluster.advice.cost("nothing")
