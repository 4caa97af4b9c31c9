"""Compare every layer that knows where a tenant is: cache, catalog, backend. Heal and report."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from tenantry.errors import NotFound, TenantryError
from tenantry.model.topology import ShardState, Tenant, TenantState
from tenantry.ports import Catalog, RouteCache
from tenantry.router.listing import every_tenant
from tenantry.router.problems import HARMLESS, Problem
from tenantry.router.resolve import Resolver
from tenantry.router.shards import ShardPool
from tenantry.router.verify_shared import SharedVerifier

PAGE = 1_000


class RoutingReport(msgspec.Struct, frozen=True):
    """What `verify_routing` saw."""

    index: str
    tenants: int
    shards: int
    problems: list[Problem]

    @property
    def consistent(self) -> bool:
        """Nothing is wrong, or all that was is mended, or harmless."""
        return all(problem.healed or problem.kind in HARMLESS for problem in self.problems)


class _Seen(msgspec.Struct, frozen=True):
    """Namespaces of each shard that could be asked, those of the shards where an empty one is there, and all shards."""

    present: dict[str, set[str]]
    telling: set[str]
    shards: int


class RoutingVerifier:
    """Checks one logical index at a time; the catalog is the truth."""

    def __init__(
        self, catalog: Catalog, cache: RouteCache, pool: ShardPool, resolver: Resolver, shared: SharedVerifier
    ) -> None:
        self._catalog = catalog
        self._shared = shared
        self._cache = cache
        self._pool = pool
        self._resolver = resolver

    async def verify(self, index: str, heal: bool = True) -> RoutingReport:
        """Check every tenant and every namespace of an index.

        Healed are stale cache entries and tenants that a crash left half created or half deleted. A missing
        namespace (lost data) and an orphan (data without a tenant) are only reported: neither is ours to invent
        or to destroy.
        """
        await self._pool.refresh(index)
        await self._pool.index(index)
        problems: list[Problem] = []
        routed: dict[str, set[str]] = {}
        counts: dict[str, int] = {}
        seen = await self._namespaces(index, problems)
        known: set[str] = set()
        missing = 0
        tenants, after = 0, None
        while True:
            moment = await self._catalog.tenants.moment()
            page = await self._catalog.tenants.list(index, after, PAGE)
            for tenant in page:
                shard = tenant.route.place.shard
                counts[shard] = counts.get(shard, 0) + 1
                for place in (tenant.route.place, tenant.route.other):
                    if place is not None:
                        routed.setdefault(place.shard, set()).add(place.namespace)
                problems.extend(await self._tenant(tenant, seen, heal))
            missing += await self._shared.check(page, moment, heal, problems)
            known.update(tenant.name for tenant in page)
            tenants += len(page)
            if len(page) < PAGE:
                break
            after = page[-1].name
        await self._shared.conclude(index, known, missing, heal, problems)
        for copy in await self._catalog.copies.list(index):
            routed.setdefault(copy.place.shard, set()).add(copy.place.namespace)
        problems.extend(_orphans(seen.present, routed))
        for registered in await self._catalog.shards.list(index):
            found = counts.get(registered.name, 0)
            if found != registered.tenants:
                detail = f"the catalog counts {registered.tenants} tenants, its routes name {found}"
                problems.append(Problem("wrong-count", registered.name, registered.name, detail))
        return RoutingReport(index, tenants, seen.shards, problems)

    async def verify_cache(self, index: str) -> list[Problem]:
        """Compare this process's cached routes with the catalog, and heal them."""
        problems: list[Problem] = []
        async for tenant in every_tenant(self._catalog.tenants, index):
            stale = await self._cached(tenant, heal=True)
            problems.extend([] if stale is None else [stale])
        return problems

    async def _namespaces(self, index: str, problems: list[Problem]) -> _Seen:
        present: dict[str, set[str]] = {}
        telling: set[str] = set()
        shards = await self._catalog.shards.list(index)
        for shard in shards:
            if shard.state is ShardState.ROLLUP:
                continue  # `tenantry rollup verify` compares what is there
            names: set[str] = set()
            after: str | None = None
            try:
                backend = await self._pool.backend(index, shard.name)
                while page := await backend.namespaces(after, PAGE):
                    names.update(page)
                    after = page[-1]
            except TenantryError as error:
                problems.append(Problem("shard-unreachable", shard.name, shard.name, str(error)))
                continue
            present[shard.name] = names
            if backend.features.tells_missing:
                telling.add(shard.name)
        return _Seen(present, telling, len(shards))

    async def _tenant(self, tenant: Tenant, seen: _Seen, heal: bool) -> list[Problem]:
        found: list[Problem] = []
        place = tenant.route.place
        stale = await self._cached(tenant, heal)
        if stale is not None:
            found.append(stale)
        if tenant.state in (TenantState.CREATING, TenantState.DELETING):
            found.append(await self._half_done(tenant, heal))
        elif place.shard in seen.telling and place.namespace not in seen.present[place.shard]:
            detail = f"namespace {place.namespace!r} is not on the shard: restore it from a backup"
            found.append(Problem("missing-namespace", tenant.name, place.shard, detail))
        return found

    async def _cached(self, tenant: Tenant, heal: bool) -> Problem | None:
        """A cached route that is not the catalog's."""
        cached = self._cache.get(tenant.index, tenant.name)
        if cached is None or cached == tenant.route:
            return None
        if cached.epoch > tenant.route.epoch:  # learnt after the tenant was read, unless it is no route at all
            with suppress(NotFound):
                tenant = await self._catalog.tenants.get(tenant.index, tenant.name)
            if cached == tenant.route:
                return None
        detail = f"the cache says epoch {cached.epoch} on {cached.place.shard!r}, the catalog {tenant.route.epoch}"
        if heal:
            self._cache.forget(tenant.index, tenant.name)
            self._cache.put(tenant.index, tenant.name, tenant.route)
        return Problem("stale-cache", tenant.name, tenant.route.place.shard, detail, heal)

    async def _half_done(self, tenant: Tenant, heal: bool) -> Problem:
        place = tenant.route.place
        creating = tenant.state is TenantState.CREATING
        kind = "half-created" if creating else "half-deleted"
        if not heal:
            return Problem(kind, tenant.name, place.shard, f"the tenant is {tenant.state}")
        if creating:
            await self._resolver.reload(tenant.index, tenant.name)
        else:
            await self._resolver.finish_delete(tenant)
        return Problem(kind, tenant.name, place.shard, f"the tenant was {tenant.state}; finished", True)


def _orphans(present: dict[str, set[str]], routed: dict[str, set[str]]) -> list[Problem]:
    return [
        Problem("orphan-namespace", name, shard, f"no tenant's route names namespace {name!r}")
        for shard, names in sorted(present.items())
        for name in sorted(names - routed.get(shard, set()))
    ]
