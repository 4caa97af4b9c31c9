"""What the advisor wants to know of a running cluster, from what is measured for the planner."""

from __future__ import annotations

from collections.abc import Sequence

from tenantry.model.cost import ShardUse, TenantUse, Usage
from tenantry.model.plan import PlanView
from tenantry.model.topology import LogicalIndex, ShardState


def usage_of(
    index: LogicalIndex,
    view: PlanView,
    created: Sequence[float] = (),
    *,
    cross_tenant: float | None = None,
    p95_ms: float | None = None,
    write_share: float = 0.0,
) -> Usage:
    """A view as the advisor takes it; what the view does not have is given besides. Retired shards cost nothing."""
    shards = [each.shard for each in view.cluster.shards if each.shard.state is not ShardState.RETIRED]
    return Usage(
        index=index.name,
        dimension=index.dimension,
        tenants=tuple(TenantUse(each.name, each.vectors, each.bytes, each.load, each.shard) for each in view.tenants),
        shards=tuple(ShardUse(each.name, each.backend, each.max_tenants, each.max_vectors) for each in shards),
        cross_tenant=cross_tenant,
        p95_ms=p95_ms,
        write_share=write_share,
        created=tuple(created),
        at=view.at,
    )
