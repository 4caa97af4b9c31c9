"""Who is to be asked: the tenants of an index with their routes, by shard."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence

import msgspec

from tenantry.errors import TooLarge
from tenantry.model.topology import LogicalIndex, Route, TenantState
from tenantry.ports import Catalog
from tenantry.router.listing import every_tenant
from tenantry.router.router import Router

#: Tenants whose embedders are kept at hand.
MOST_KNOWN = 100_000


class Placed(msgspec.Struct, frozen=True):
    """A tenant with its route, and its embedder, if it has one of its own."""

    tenant: str
    route: Route
    embedder: str | None


class _Listing(msgspec.Struct, eq=False):
    """All tenants of an index. ``current``: no route was changed since in a way that it does not show."""

    logical: LogicalIndex
    by_name: dict[str, Placed]
    current: bool = True


class Places:
    """Lists tenants.

    A process that has the cluster to itself keeps the list of all tenants and follows every change of a route, so a
    search over all makes no catalog round trip. In a fleet others make tenants too, so the list is read anew each time.
    """

    def __init__(self, catalog: Catalog, router: Router) -> None:
        self._catalog = catalog
        self._router = router
        self._lists: dict[str, _Listing] = {}
        #: Of each index how often a route was read or changed here.
        self.versions: Counter[str] = Counter()
        self._embedders: OrderedDict[tuple[str, str], tuple[int, str | None]] = OrderedDict()
        router.resolver.on_learned.append(self._learned)

    async def all(self, index: str) -> list[Placed]:
        """The active tenants of an index. Raises NotFound."""
        logical = await self._router.pool.index(index)
        kept = self._lists.get(index)
        if kept is None or not kept.current or kept.logical is not logical:
            kept = await self._read(logical)
        return [one for one in kept.by_name.values() if one.route.state is TenantState.ACTIVE]

    async def chosen(self, index: str, tenants: Sequence[str]) -> list[Placed]:
        """These tenants, each once. Raises TooLarge, NotFound; Refused for one that is suspended or being deleted."""
        most = self._router.limits.cross_tenant_tenants
        if len(tenants) > most:
            raise TooLarge("tenants", f"{len(tenants)} names", f"at most {most}")
        found = []
        for tenant in dict.fromkeys(tenants):
            route = await self._router.resolver.route(index, tenant)
            found.append(Placed(tenant, route, await self._embedder(index, tenant, route)))
        return found

    async def _read(self, logical: LogicalIndex) -> _Listing:
        index = logical.name
        listing = _Listing(logical, {})
        if self._router.member.sole:
            self._lists[index] = listing
        async for row in every_tenant(self._catalog.tenants, index):
            listing.by_name[row.name] = Placed(row.name, row.route, row.spec.embedder)
        return listing

    async def _embedder(self, index: str, tenant: str, route: Route) -> str | None:
        """A tenant's own embedder, which never changes in its life; a new life has another epoch."""
        kept = self._lists.get(index)
        if kept is not None and kept.current and tenant in kept.by_name:
            return kept.by_name[tenant].embedder
        known = self._embedders.get((index, tenant))
        if known is not None and known[0] == route.epoch:
            return known[1]
        embedder = (await self._catalog.tenants.get(index, tenant)).spec.embedder
        self._embedders[index, tenant] = (route.epoch, embedder)
        if len(self._embedders) > MOST_KNOWN:
            self._embedders.popitem(last=False)
        return embedder

    def _learned(self, index: str, tenant: str, route: Route) -> None:
        """A route was changed or read here. What the list cannot take over as it is makes it old."""
        self.versions[index] += 1
        kept = self._lists.get(index)
        if kept is None:
            return
        known = kept.by_name.get(tenant)
        if known is not None and known.route.epoch >= route.epoch:
            return
        if known is None or TenantState.ACTIVE is not known.route.state:
            kept.current = False  # a new life, perhaps with another embedder; or the list is still being read
            return
        kept.by_name[tenant] = Placed(tenant, route, known.embedder)


def by_shard(placed: Iterable[Placed]) -> dict[str, list[Placed]]:
    """Grouped by where they are."""
    found: dict[str, list[Placed]] = {}
    for one in placed:
        found.setdefault(one.route.place.shard, []).append(one)
    return found
