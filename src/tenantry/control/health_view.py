"""Gathers what the rules look at: sizes from the shards, rates from the windows, routing from its verifier."""

from __future__ import annotations

import asyncio
from collections import Counter

from tenantry.control.health.values import HealthView, RoutingProblem, ShardHealth, TenantHealth, Thresholds
from tenantry.control.measure.readings import Reading, Readings
from tenantry.control.measure.sharing import Sharing
from tenantry.control.sizes import ShardSize, sizes_of
from tenantry.errors import TenantryError
from tenantry.model.records import NamespaceStats
from tenantry.model.topology import Claim, Shard, Tenant
from tenantry.ports import Catalog, Clock
from tenantry.router.listing import every_tenant
from tenantry.router.problems import HARMLESS, Problem
from tenantry.router.shards import ShardPool
from tenantry.router.verify import RoutingVerifier

#: A shard that does not answer for that long is not reachable, seconds.
ANSWER_S = 5.0
#: Longest time for a comparison of the routing, seconds; after it the rest is told without.
ROUTING_S = 10.0
MOST_MOVES = 1_000


class HealthViews:
    """One view is consistent in itself as far as a running cluster can be: a tenant that comes or goes meanwhile is
    seen or not. A shard that does not answer is in the view, with the reason, and costs `ANSWER_S` at most."""

    def __init__(
        self,
        catalog: Catalog,
        pool: ShardPool,
        verifier: RoutingVerifier,
        sharing: Sharing,
        clock: Clock,
        limits: Thresholds,
    ) -> None:
        self._catalog = catalog
        self._pool = pool
        self._verifier = verifier
        self._sharing = sharing
        self._clock = clock
        self._limits = limits

    async def view(self, index: str) -> HealthView:
        """An index at this moment. Raises NotFound (index), Unavailable (catalog)."""
        await self._catalog.indexes.get(index)
        await self._sharing.refresh()
        readings = self._sharing.readings(index)
        tenants = [tenant async for tenant in every_tenant(self._catalog.tenants, index)]
        routing = asyncio.create_task(self._routing(index))
        try:
            registered = await self._catalog.shards.list(index)
            sizes = await sizes_of(self._pool, registered, ANSWER_S)
            held = Counter(one.route.place.shard for one in tenants)
            claims = await self._catalog.tenants.claims(index)
            shards = [
                _shard(
                    shard,
                    sizes.shards[shard.name],
                    readings.shards.get(shard.name) or Reading(readings.seconds),
                    claims.get(shard.name, Claim()),
                    self._limits,
                    held[shard.name],
                )
                for shard in registered
            ]
            found = await routing
        finally:
            routing.cancel()
        return HealthView(
            index=index,
            at=self._clock.now(),
            window_s=readings.seconds,
            gateways=readings.gateways,
            shards=tuple(shards),
            tenants=tuple(
                _tenant(tenant, sizes.of(tenant)[0], readings.tenants.get(tenant.name)) for tenant in tenants
            ),
            searches=readings.searches,
            partial_searches=readings.partial_searches,
            questions=readings.searches + sum(one.queries for one in readings.shards.values()),
            cross_tenant_share=readings.cross_tenant_share,
            cache_hit_rate=readings.cache_hit_rate,
            write_share=_write_share(readings),
            routing=found,
        )

    async def moves(self, index: str) -> dict[str, int]:
        """Phase to how many of the last moves are in it."""
        return dict(Counter(move.phase.value for move in await self._catalog.moves.list(index, limit=MOST_MOVES)))

    async def _routing(self, index: str) -> tuple[RoutingProblem, ...] | None:
        """What is wrong with the routing; what is not there at a second look was on its way. None: it took too long."""
        try:
            async with asyncio.timeout(ROUTING_S):
                first = await self._wrong(index)
                if not first:
                    return ()
                second = await self._wrong(index)
        except (TimeoutError, TenantryError):
            return None
        return tuple(
            RoutingProblem(one.kind, one.name, one.shard, one.detail) for key, one in second.items() if key in first
        )

    async def _wrong(self, index: str) -> dict[tuple[str, str, str], Problem]:
        found = (await self._verifier.verify(index, heal=False)).problems
        # A shard that does not answer is a finding of its own.
        wrong = (one for one in found if one.kind not in HARMLESS and one.kind != "shard-unreachable")
        return {(one.kind, one.name, one.shard): one for one in wrong}


def _shard(
    shard: Shard,
    size: ShardSize,
    reading: Reading,
    claim: Claim,
    limits: Thresholds,
    tenants: int,
) -> ShardHealth:
    stats = size.whole
    p50, p95, p99 = reading.latencies_ms() if reading.bins else (0.0, 0.0, 0.0)
    return ShardHealth(
        name=shard.name,
        state=str(shard.state),
        tenants=tenants,
        vectors=stats.vectors,
        bytes=stats.bytes,
        max_tenants=shard.max_tenants,
        max_vectors=shard.max_vectors,
        weight=shard.weight,
        dedicated_to=claim.dedicated_to,
        utilisation=max(
            _part(tenants, shard.max_tenants, limits.shard_tenants),
            _part(stats.vectors, shard.max_vectors, limits.shard_vectors),
        ),
        operations=reading.operations,
        per_second=reading.per_second,
        queries=reading.queries,
        queries_per_second=reading.queries_per_second,
        error_rate=reading.error_rate,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        error=size.error,
        backend=shard.backend,
        created_at=shard.created_at,
    )


def _write_share(readings: Readings) -> float:
    queries = sum(each.queries for each in readings.shards.values())
    writes = sum(each.writes for each in readings.shards.values())
    return writes / (queries + writes) if queries + writes else 0.0


def _part(used: int, limit: int | None, without: int) -> float:
    most = without if limit is None else limit
    return used / most if most > 0 else 0.0


def _tenant(tenant: Tenant, size: NamespaceStats, reading: Reading | None) -> TenantHealth:
    return TenantHealth(
        name=tenant.name,
        shard=tenant.route.place.shard,
        vectors=size.vectors,
        bytes=size.bytes,
        operations=0 if reading is None else reading.operations,
        per_second=0.0 if reading is None else reading.per_second,
        error_rate=0.0 if reading is None else reading.error_rate,
        own_per_second=0.0 if reading is None else reading.own_per_second,
    )
