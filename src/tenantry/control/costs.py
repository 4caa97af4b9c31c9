"""What an index costs by use, from what the check of its health has measured."""

from __future__ import annotations

import asyncio

from tenantry.control.advisor import attribute
from tenantry.control.health.values import HealthView
from tenantry.errors import Refused
from tenantry.model.cost import Costs, PriceBook, ShardUse, TenantUse, Usage
from tenantry.model.topology import ShardState
from tenantry.ports import Catalog


class CostWatch:
    """The same bill as `tenantry.cluster.advice.AdviceAdmin.cost`, without measuring a second time.

    Args:
        overhead: what there is besides shards, by names in the book.
        most_tenants: tenants whose part is told, the dearest.
    """

    def __init__(self, catalog: Catalog, book: PriceBook, overhead: tuple[str, ...], most_tenants: int) -> None:
        self._catalog = catalog
        self._book = book
        self._overhead = overhead
        self._most_tenants = most_tenants

    async def of(self, view: HealthView) -> Costs | None:
        """None when something of it has no published price. Raises NotFound (index), Unavailable (catalog)."""
        usage = usage_of_view(view, (await self._catalog.indexes.get(view.index)).dimension)
        try:
            bill = await asyncio.to_thread(attribute, usage, self._book, overhead=self._overhead)
        except Refused:
            return None
        return Costs(
            currency=bill.currency,
            monthly=bill.monthly,
            wasted=bill.wasted,
            budget=bill.budget.budget,
            shards={one.shard: one.cost for one in bill.shards},
            tenants={one.tenant: one.cost for one in bill.tenants[: self._most_tenants]},
        )


def usage_of_view(view: HealthView, dimension: int) -> Usage:
    """A view as the advisor takes it. Retired shards cost nothing."""
    return Usage(
        index=view.index,
        dimension=dimension,
        tenants=tuple(
            TenantUse(one.name, one.vectors, one.bytes, one.own_per_second, one.shard) for one in view.tenants
        ),
        shards=tuple(
            ShardUse(one.name, one.backend, one.max_tenants, one.max_vectors)
            for one in view.shards
            if one.state != ShardState.RETIRED.value
        ),
        write_share=view.write_share,
        at=view.at,
    )
