"""Compare the routes that processes keep for each other with the catalog. Heal and report."""

from __future__ import annotations

from collections.abc import Sequence

from tenantry.errors import NotFound, TenantryError
from tenantry.model.topology import DatedRoute, Tenant, TenantState, bucket_of
from tenantry.ports import Damaged, TenantCatalog
from tenantry.router.problems import Problem
from tenantry.router.shared import Shared

DROPPED_AT_ONCE = 500


class SharedVerifier:
    """Does nothing where nothing is shared; and stops at the first trouble, which is a problem of its own."""

    def __init__(self, shared: Shared, tenants: TenantCatalog) -> None:
        self._shared = shared
        self._tenants = tenants

    async def check(self, page: Sequence[Tenant], moment: int | None, heal: bool, problems: list[Problem]) -> int:
        """Check the entries of tenants of one index that were read after that moment. Returns how many active ones had
        none; they have one now."""
        store = self._shared.store
        if store is None or moment is None or not page:
            return 0
        index, missing = page[0].index, 0
        try:
            entries = await store.check(index, [tenant.name for tenant in page])
            for tenant, entry in zip(page, entries, strict=True):
                active = tenant.state is TenantState.ACTIVE
                if entry is None:
                    missing += active
                    if active and heal:
                        await store.put(index, tenant.name, DatedRoute(moment, tenant.route))
                elif isinstance(entry, Damaged) or entry.route != tenant.route:
                    problem = await self._looked_at_again(tenant, heal)
                    problems.extend([] if problem is None else [problem])
        except TenantryError as error:
            problems.append(Problem("shared-routes-unreachable", "", "", str(error)))
        return missing

    async def conclude(self, index: str, known: set[str], missing: int, heal: bool, problems: list[Problem]) -> None:
        """Report missing entries, and find those of tenants that are not ``known``."""
        store = self._shared.store
        if store is None or any(problem.kind == "shared-routes-unreachable" for problem in problems):
            return
        if missing:
            detail = f"{missing:,} tenants had no route there" + ("; they have now" if heal else "")
            problems.append(Problem("missing-shared-routes", "", "", detail, heal))
        try:
            orphans = 0
            async for names in store.tenants(index):
                unknown = [name for name in names if name not in known and not await self._lives(index, name)]
                orphans += len(unknown)
                if heal:
                    for start in range(0, len(unknown), DROPPED_AT_ONCE):
                        await store.drop(index, unknown[start : start + DROPPED_AT_ONCE])
        except TenantryError as error:
            problems.append(Problem("shared-routes-unreachable", "", "", str(error)))
            return
        if orphans:
            detail = f"{orphans:,} routes of tenants that do not exist" + ("; removed" if heal else "")
            problems.append(Problem("orphan-shared-routes", "", "", detail, heal))

    async def _lives(self, index: str, name: str) -> bool:
        try:
            await self._tenants.get(index, name)
        except NotFound:
            return False
        return True

    async def _would_be_used(self, tenant: Tenant, entry: DatedRoute) -> bool:
        """Whether its date says that it shows all changes there were, as `Shared.find` asks."""
        changes = await self._tenants.changes() or {}
        return entry.moment > changes.get(bucket_of(tenant.index, tenant.name), 0)

    async def _looked_at_again(self, tenant: Tenant, heal: bool) -> Problem | None:
        """The tenant may have changed since it was read: what it says now counts."""
        store = self._shared.store
        if store is None:
            return None
        try:
            dated = await self._tenants.get_dated(tenant.index, tenant.name)
        except NotFound:
            return None
        (entry,) = await store.check(tenant.index, [tenant.name])
        route = dated.tenant.route
        if entry is None or (isinstance(entry, DatedRoute) and entry.route == route):
            return None
        if isinstance(entry, Damaged):
            kind, detail = "damaged-shared-route", "the entry in Redis cannot be read"
        elif entry.route.epoch < route.epoch and not await self._would_be_used(tenant, entry):
            kind, detail = "old-shared-route", f"Redis says epoch {entry.route.epoch}, the catalog {route.epoch}"
        else:
            kind = "wrong-shared-route"
            detail = (
                f"Redis says epoch {entry.route.epoch} on {entry.route.place.shard!r}, "
                f"the catalog {route.epoch} on {route.place.shard!r}"
            )
        if heal:
            await store.drop(tenant.index, [tenant.name])
            if dated.moment is not None and dated.tenant.state is TenantState.ACTIVE:
                await store.put(tenant.index, tenant.name, DatedRoute(dated.moment, route))
        return Problem(kind, tenant.name, route.place.shard, detail, heal)
