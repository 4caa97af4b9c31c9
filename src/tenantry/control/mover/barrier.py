"""Rule R2: wait until no router uses a route of the tenant that is older than an epoch."""

from __future__ import annotations

import asyncio

from tenantry.control.mover.context import Context
from tenantry.control.mover.watch import LeaseWatch
from tenantry.model.topology import Tenant
from tenantry.router.member import ROUTERS


class Barrier:
    """Waits for this process's own requests, then for every registered router: the list is that of the leases, not
    that of those who answer. A router that stopped renewing is expelled after the length of a lease and the longest
    time of one of its requests; its own check of the lease (R1) keeps it from acknowledging what it does after that.
    """

    def __init__(self, context: Context, watch: LeaseWatch) -> None:
        self._context = context
        self._watch = watch

    async def passed(self, tenant: Tenant) -> None:
        """Return when no router, here or elsewhere, acts under an epoch below that of the tenant's route."""
        context, epoch = self._context, tenant.route.epoch
        await context.inflight.drain(tenant.index, tenant.name, epoch)
        if context.member.sole:
            return
        while await self._waiting(tenant, epoch):
            context.news.passed.clear()
            try:
                async with asyncio.timeout(context.moving.poll_s / 4):
                    await context.news.passed.wait()
            except TimeoutError:
                continue

    async def _waiting(self, tenant: Tenant, epoch: int) -> bool:
        """Whether some router has neither acknowledged the epoch nor been expelled."""
        context = self._context
        routers = await context.catalog.leases.list(ROUTERS)
        acknowledged = await context.catalog.barriers.acknowledged(tenant.index, tenant.name)
        patience_s = context.member.lease_s + context.moving.request_s
        waiting = False
        for lease in routers:
            if lease.owner == context.member.owner or acknowledged.get(lease.name, 0) >= epoch:
                continue
            lapsed = self._watch.unchanged_s(lease) > patience_s
            if not (lapsed and await context.catalog.leases.expel(lease)):
                waiting = True
        return waiting
