"""The bill that a regular check makes up is the one that `tenantry cost` shows, and metrics show it."""

import msgspec
import pytest

from tenantry.control.costs import usage_of_view
from tenantry.control.health.values import HealthView, ShardHealth
from tenantry.telemetry.health_metrics import HealthMetrics


async def test_a_check_makes_up_the_same_bill_as_the_command(ward):
    for shard in range(5):
        await ward.tenants(f"shard-{shard}", 3, vectors=shard + 1)
    await ward.query("shard-4-000", 40)
    await ward.query("shard-0-000", 10)
    ward.clock.advance(100)
    checks = ward.cluster.health_checks
    await checks.check()
    (report,) = checks.latest
    bill = await ward.cluster.advice.cost()
    assert report.costs is not None
    assert report.costs.monthly == pytest.approx(bill.monthly)
    assert (report.costs.wasted, report.costs.budget) == (pytest.approx(bill.wasted), 500)
    assert report.costs.shards == pytest.approx({one.shard: one.cost for one in bill.shards})
    assert report.costs.tenants == pytest.approx({one.tenant: one.cost for one in bill.tenants})
    assert len(set(report.costs.tenants.values())) > 2


async def test_metrics_show_the_bill_and_the_fair_parts(ward):
    await ward.cluster.shards.update("shard-0", weight=4.0, max_vectors=9)
    await ward.tenants("shard-0", 2)
    await ward.cluster.health_checks.check()
    metrics = HealthMetrics(lambda: ward.cluster.health_checks.latest, dict)
    found = {(one.name, *one.labels.values()): one.value for family in metrics.collect() for one in family.samples}
    bill = await ward.cluster.advice.cost()
    assert found["tenantry_index_cost_per_month", "default", "USD"] == pytest.approx(bill.monthly)
    assert found["tenantry_index_budget_per_month", "default", "USD"] == 500
    assert found["tenantry_shard_fair_share_ratio", "default", "shard-0"] == 0.5
    assert found["tenantry_shard_fair_share_ratio", "default", "shard-1"] == 0.125
    assert found["tenantry_shard_max_vectors", "default", "shard-0"] == 9
    assert ("tenantry_shard_max_vectors", "default", "shard-1") not in found
    assert found["tenantry_shard_created_timestamp_seconds", "default", "shard-1"] == ward.clock.now()
    parts = [value for (name, *_), value in found.items() if name == "tenantry_tenant_cost_per_month"]
    assert sum(parts) == pytest.approx(bill.monthly)


async def test_a_metric_lists_no_more_tenants_than_a_report(ward):
    await ward.tenants("shard-0", 30)
    await ward.cluster.health_checks.check()
    (report,) = ward.cluster.health_checks.latest
    assert report.costs is not None
    assert len(report.costs.tenants) == len(report.top_tenants) == 20


def test_retired_shards_cost_nothing():
    shards = (ShardHealth("a", "active", backend="memory"), ShardHealth("b", "retired", backend="memory"))
    view = HealthView("default", 0.0, 300.0, 1, shards, ())
    assert [one.name for one in usage_of_view(view, 2).shards] == ["a"]
    assert msgspec.structs.asdict(usage_of_view(view, 2))["dimension"] == 2
