"""One question to many tenants: parallel over shards, within a deadline, merged exactly."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Sequence

import msgspec

from tenantry.errors import InvalidArgument, NotFound, TenantryError, TooLarge
from tenantry.model.records import Hit, Query
from tenantry.model.topology import Route, TenantState
from tenantry.ports import Catalog, Clock, Telemetry
from tenantry.router.router import Router

CATALOG_PAGE = 1_000


class TenantHit(msgspec.Struct, frozen=True, eq=False):
    """A hit and the tenant that it belongs to."""

    tenant: str
    hit: Hit


class ScatterResult(msgspec.Struct, frozen=True, eq=False):
    """The answer of a cross-tenant search.

    Attributes:
        hits: at most ``top_k`` over all tenants, by score, then tenant, then id.
        partial: some shard did not answer in time or failed; its tenants are missing from ``hits``.
        missing_shards: which, with the reason.
        shards_asked, tenants_asked: how many.
        took_ms: wall time in milliseconds.
    """

    hits: list[TenantHit]
    partial: bool
    missing_shards: dict[str, str]
    shards_asked: int
    tenants_asked: int
    took_ms: float


class Scatter:
    """Searches over chosen tenants or all of a logical index."""

    def __init__(
        self,
        catalog: Catalog,
        router: Router,
        clock: Clock,
        telemetry: Telemetry,
        deadline_s: float = 3.0,
        per_shard: int = 8,
    ) -> None:
        self._catalog = catalog
        self._router = router
        self._clock = clock
        self._telemetry = telemetry
        self._deadline_s = deadline_s
        self._per_shard = per_shard

    async def search(
        self, index: str, query: Query, tenants: Sequence[str] | None = None, deadline_s: float | None = None
    ) -> ScatterResult:
        """The nearest records over ``tenants`` (None: all active ones), exact where no shard is missing.

        Every tenant is asked for ``top_k``, since in the worst case one tenant holds them all. A shard that
        fails or is late is left out and named. Raises NotFound for an unknown tenant, InvalidArgument for a
        bad query.
        """
        started = self._clock.monotonic()
        term = await self._router.member.join()
        logical = await self._router.pool.index(index)
        checked = self._router.check_query(logical, query)
        by_shard = await self._places(index, tenants)
        limit_s = self._deadline_s if deadline_s is None else deadline_s
        if not 0 < limit_s < math.inf:
            raise InvalidArgument("deadline_s", limit_s, "a number of seconds over 0")
        answers = await asyncio.gather(
            *(self._shard(index, shard, places, checked, limit_s, term) for shard, places in by_shard.items())
        )
        missing = {shard: reason for shard, _, reason in answers if reason}
        best = heapq.nsmallest(
            checked.top_k,
            (found for _, hits, _ in answers for found in hits),
            key=lambda found: (-found.hit.score, found.tenant, found.hit.id),
        )
        took_s = self._clock.monotonic() - started
        self._telemetry.search(index, len(by_shard), took_s, bool(missing))
        return ScatterResult(
            hits=best,
            partial=bool(missing),
            missing_shards=missing,
            shards_asked=len(by_shard),
            tenants_asked=sum(len(places) for places in by_shard.values()),
            took_ms=took_s * 1_000,
        )

    async def _places(self, index: str, tenants: Sequence[str] | None) -> dict[str, list[tuple[str, Route]]]:
        by_shard: dict[str, list[tuple[str, Route]]] = {}
        if tenants is not None:
            most = self._router.limits.cross_tenant_tenants
            if len(tenants) > most:
                raise TooLarge("tenants", f"{len(tenants)} names", f"at most {most}")
            for tenant in dict.fromkeys(tenants):
                route = await self._router.resolver.route(index, tenant)
                by_shard.setdefault(route.place.shard, []).append((tenant, route))
            return by_shard
        after: str | None = None
        while True:
            page = await self._catalog.tenants.list(index, after, CATALOG_PAGE)
            for tenant_row in page:
                if tenant_row.state is TenantState.ACTIVE:
                    route = tenant_row.route
                    by_shard.setdefault(route.place.shard, []).append((tenant_row.name, route))
            if len(page) < CATALOG_PAGE:
                return by_shard
            after = page[-1].name

    async def _shard(
        self, index: str, shard: str, places: list[tuple[str, Route]], query: Query, limit_s: float, term: int
    ) -> tuple[str, list[TenantHit], str]:
        """One shard's best hits, or the reason why there are none. Never raises for a backend's trouble."""
        started = self._clock.monotonic()
        reason = ""
        best: list[TenantHit] = []
        try:
            async with asyncio.timeout(limit_s):
                best = await self._ask(index, places, query, term)
        except* TimeoutError:
            reason = f"no answer within {limit_s:g} s"
        except* TenantryError as trouble:
            reason = str(trouble.exceptions[0])
        self._telemetry.operation("search-all", index, shard, self._clock.monotonic() - started, not reason)
        return shard, best, reason

    async def _ask(self, index: str, places: list[tuple[str, Route]], query: Query, term: int) -> list[TenantHit]:
        waiting = iter(places)
        found: list[TenantHit] = []

        async def worker() -> None:
            for tenant, route in waiting:
                try:
                    hits = await self._router.query_at(index, tenant, route, query, term)
                except NotFound:
                    continue  # deleted since the list was read
                found.extend(TenantHit(tenant, hit) for hit in hits)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._per_shard, len(places))):
                group.create_task(worker())
        return heapq.nsmallest(query.top_k, found, key=lambda one: (-one.hit.score, one.tenant, one.hit.id))
