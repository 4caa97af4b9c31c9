"""What tenants get: limits by plan, fair shares of shards, and what they used; in one object for the router."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

import msgspec

from tenantry.errors import NotFound, RateLimited
from tenantry.model.rates import Rate
from tenantry.model.records import NamespaceStats
from tenantry.model.topology import Route
from tenantry.model.usage import Load
from tenantry.ports import Catalog, Clock, Features, Limiter, Telemetry
from tenantry.router.admission import Admission, Ticket
from tenantry.router.gate import GateOptions
from tenantry.router.meter import Meter
from tenantry.router.planbook import PlanBook
from tenantry.router.resolve import Resolver
from tenantry.router.room import Room, check_empty
from tenantry.router.shards import ShardPool

#: Ids that are looked up at once, to see which are new.
LOOKED_UP = 1_000
MINUTE_S = 60.0

Resolve = Callable[[str, str], Awaitable[Route]]


class ServiceOptions(msgspec.Struct, frozen=True):
    """What of it is on. By itself nothing is.

    Attributes:
        plans_s: age at which plans are read anew, seconds; 0: there are no limits by plan.
        gate: how shards are shared.
        usage_s: pause between flushes of what was used, seconds; 0: nothing is counted.
        searches_per_minute: cross-tenant searches of one key; 0: any number.
    """

    plans_s: float = 0.0
    gate: GateOptions = GateOptions()
    usage_s: float = 0.0
    searches_per_minute: int = 0


class Service:
    """Limits, shares and counts of one process.

    Attributes:
        plans: the plans, as this process knows them.
        admission: who may begin.
        meter: what was used; `tenantry.control.metering` saves it.
    """

    def __init__(
        self,
        catalog: Catalog,
        resolver: Resolver,
        pool: ShardPool,
        clock: Clock,
        limiter: Limiter,
        telemetry: Telemetry,
        options: ServiceOptions,
    ) -> None:
        self._resolver = resolver
        self._pool = pool
        self._limiter = limiter
        self._searches = options.searches_per_minute
        self._room = Room(clock)
        self.plans = PlanBook(catalog.settings, clock, options.plans_s)
        self.admission = Admission(self.plans, limiter, options.gate, clock, telemetry, self._features_of)
        self.meter = Meter(clock, on=options.usage_s > 0)
        self.admit: Callable[[str, str, Route, Load], Awaitable[Ticket]] = self.admission.admit
        self.admit_across: Callable[[str, str, Load], Awaitable[Ticket]] = self.admission.admit_across
        self.count: Callable[[str, str, Load], None] = self.meter.count

    def room(
        self, index: str, tenant: str, load: Load, ids: Sequence[str], resolve: Resolve
    ) -> AbstractAsyncContextManager[None]:
        """Room for a write by the tenant's plan, while the body carries it out; the tenant is made if `resolve` makes
        it. Raises QuotaExceeded, and what `resolve` raises."""
        return self._held_room(index, tenant, load, ids, resolve) if self.plans.kept else nullcontext()

    @asynccontextmanager
    async def _held_room(
        self, index: str, tenant: str, load: Load, ids: Sequence[str], resolve: Resolve
    ) -> AsyncIterator[None]:
        await self.plans.ready()
        try:
            plan = self.plans.of((await self._resolver.route(index, tenant)).plan)
        except NotFound as missing:
            if missing.kind != "tenant":
                raise
            check_empty(tenant, self.plans.of(None), load)  # before it is made
            plan = self.plans.of((await resolve(index, tenant)).plan)
        if not plan.stores_limited:
            yield
            return

        async def measure() -> NamespaceStats:
            return await self.stored(index, tenant)

        async def present(wanted: Sequence[str]) -> int:
            return await self._present(index, tenant, wanted)

        async with self._room.take((index, tenant), plan, load, ids, measure, present):
            yield

    async def search(self, who: str) -> None:
        """Count one cross-tenant search of whoever asks, such as ``key:1f0c22ab93de``; exact whoever asks at the same
        time, and over all gateways that share a limiter. Raises RateLimited."""
        if not self._searches:
            return
        wait_s = await self._limiter.take(f"search:{who}", Rate(self._searches, MINUTE_S))
        if wait_s:
            raise RateLimited(
                f"at most {self._searches} cross-tenant searches a minute with one key; the next in {wait_s:.0f} s "
                "(TENANTRY_SEARCHES_PER_MINUTE)",
                wait_s,
            )

    async def stored(self, index: str, tenant: str) -> NamespaceStats:
        """What a tenant stores, by its shard. Raises NotFound, Refused, Unavailable."""
        route = await self._resolver.route(index, tenant)
        try:
            return await self._measured(index, route)
        except NotFound as missing:
            if missing.kind != "namespace":
                raise
        return await self._measured(index, await self._resolver.reload(index, tenant))

    async def aclose(self) -> None:
        """Let go of connections; safe to call twice."""
        await self.plans.aclose()
        await self.admission.aclose()

    async def _features_of(self, index: str, shard: str) -> Features:
        return (await self._pool.backend(index, shard)).features

    async def _measured(self, index: str, route: Route) -> NamespaceStats:
        backend = await self._pool.backend(index, route.place.shard)
        return await backend.stats(route.place.namespace)

    async def _present(self, index: str, tenant: str, ids: Sequence[str]) -> int:
        namespace = await self._pool.namespace(index, (await self._resolver.route(index, tenant)).place)
        count = 0
        for start in range(0, len(ids), LOOKED_UP):
            count += len(await namespace.fetch(ids[start : start + LOOKED_UP]))
        return count
