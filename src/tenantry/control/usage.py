"""What the advisor wants to know of a running cluster, from what is measured for the planner."""

from __future__ import annotations

from collections.abc import Sequence

from tenantry.control.health.values import Thresholds
from tenantry.control.measure.readings import Readings
from tenantry.control.measure.sketch import add_bins, quantiles_s
from tenantry.model.cost import ShardUse, TenantUse, Usage
from tenantry.model.plan import PlanView
from tenantry.model.topology import LogicalIndex, ShardState

#: As for warnings.
LEAST_QUESTIONS = Thresholds().least_operations


def usage_of(index: LogicalIndex, view: PlanView, readings: Readings, created: Sequence[float] = ()) -> Usage:
    """A view and what was counted of late, as the advisor takes them; of few questions nothing is concluded. Retired
    shards cost nothing."""
    queries = sum(each.queries for each in readings.shards.values())
    writes = sum(each.writes for each in readings.shards.values())
    enough = queries + readings.searches >= LEAST_QUESTIONS
    bins: dict[int, int] = {}
    for each in readings.shards.values():
        add_bins(bins, each.bins)
    shards = [each.shard for each in view.cluster.shards if each.shard.state is not ShardState.RETIRED]
    return Usage(
        index=index.name,
        dimension=index.dimension,
        tenants=tuple(TenantUse(each.name, each.vectors, each.bytes, each.load, each.shard) for each in view.tenants),
        shards=tuple(ShardUse(each.name, each.backend, each.max_tenants or None, each.max_vectors) for each in shards),
        cross_tenant=readings.cross_tenant_share if enough else None,
        p95_ms=quantiles_s(bins, (0.95,))[0] * 1_000 if enough and queries else None,
        write_share=writes / (queries + writes) if queries + writes else 0.0,
        created=tuple(created),
        at=view.at,
    )
