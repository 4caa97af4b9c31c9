"""From a tenant to its route: cache first, then the catalog; makes the tenant on its first write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tenantry.errors import AlreadyExists, CapacityExceeded, Conflict, NotFound, Refused, Unavailable
from tenantry.model.events import RouteChanged
from tenantry.model.leases import Copy
from tenantry.model.limits import Limits, check_tenant_name
from tenantry.model.topology import (
    Claim,
    ClusterView,
    Route,
    ShardState,
    ShardView,
    Tenant,
    TenantSpec,
    TenantState,
)
from tenantry.ports import Catalog, Clock, PlacementPolicy, RouteCache, Telemetry
from tenantry.router.counts import ShardCounts
from tenantry.router.member import Member
from tenantry.router.news import News
from tenantry.router.shards import ShardPool
from tenantry.router.shared import Shared

#: Lost races for room on a shard before giving up; each means that somebody else did place a tenant.
MAX_PLACEMENT_TRIES = 64

#: Instead of the id of a move, in the copy that is left of a deleted tenant.
DELETED = "deleted"

#: How long a route is not looked at again after an empty answer, seconds.
LOOK_AGAIN_S = 10.0
MOST_LOOKED_AT = 100_000


class Resolver:
    """Knows every tenant's route, and places tenants that have none."""

    def __init__(
        self,
        catalog: Catalog,
        cache: RouteCache,
        pool: ShardPool,
        policy: Callable[[str], PlacementPolicy],
        limits: Limits,
        clock: Clock,
        telemetry: Telemetry,
        *,
        member: Member,
        news: News,
        shared: Shared,
    ) -> None:
        self._member = member
        self._news = news
        self._shared = shared
        self._catalog = catalog
        self._cache = cache
        self._pool = pool
        self._policy = policy
        self._limits = limits
        self._clock = clock
        self._telemetry = telemetry
        self._counts = ShardCounts(clock)
        self._looked_at: dict[tuple[str, str], tuple[int, float]] = {}
        self._creating: dict[tuple[str, str], asyncio.Task[Route]] = {}
        #: Called with every route that was read or changed here.
        self.on_learned: list[Callable[[str, str, Route], None]] = []
        news.on_route.append(self._hear)

    def cached(self, index: str, tenant: str) -> Route | None:
        """The route if it is in the cache and usable, without waiting for anything."""
        route = self._cache.get(index, tenant)
        if route is not None and route.state is TenantState.ACTIVE:
            return route
        return None

    def learn(self, index: str, tenant: str, route: Route, term: int) -> None:
        """Use this route from now on, unless a newer one is known, or the lease under which it was read (its `term`)
        was lost meanwhile."""
        if term == self._member.term:
            self._cache.put(index, tenant, route)
            self._news.route_changed((index, tenant))
            for told in self.on_learned:
                told(index, tenant, route)

    def changed(self, tenant: Tenant, term: int, *, moving: bool = False) -> None:
        """As `learn`, of a route that this process has just changed: the others are told."""
        self.learn(tenant.index, tenant.name, tenant.route, term)
        told = RouteChanged(tenant.index, tenant.name, tenant.route.epoch, moving)
        self._shared.changed(told, here=True)
        self._news.tell(told)

    def _hear(self, told: RouteChanged) -> None:
        """Another process has changed a route: the one that is cached here is old, unless it came after that."""
        self._shared.changed(told, here=False)
        route = self._cache.get(told.index, told.tenant)
        if route is not None and route.epoch < told.epoch:
            self._cache.forget(told.index, told.tenant)

    async def route(self, index: str, tenant: str) -> Route:
        """The usable route of an existing tenant.

        Raises:
            NotFound: no such index or tenant.
            Refused: the tenant is suspended or being deleted.
        """
        route = self.cached(index, tenant)
        if route is not None:
            self._telemetry.lookup("cache")
            return route
        return await self._elsewhere(index, tenant)

    async def _elsewhere(self, index: str, tenant: str) -> Route:
        """A route that is not cached here: shared by another process, or from the catalog."""
        term = await self._member.join()
        shared = await self._shared.find(index, tenant)
        if shared is not None:
            await self._pool.index(index)
            self.learn(index, tenant, shared, term)
            known = self.cached(index, tenant)  # not if a newer one was known, or the lease was lost
            if known is not None:
                self._telemetry.lookup("shared")
                return known
        self._telemetry.lookup("catalog")
        return await self.reload(index, tenant)

    async def reload(self, index: str, tenant: str) -> Route:
        """As `route`, from the catalog; what it finds replaces the cached route."""
        term = await self._member.join()
        await self._pool.index(index)
        dated = await self._catalog.tenants.get_dated(index, tenant)
        found = dated.tenant
        if found.state is TenantState.CREATING:
            found = await self._activate(found)
        if found.state is not TenantState.ACTIVE:
            self.learn(index, tenant, found.route, term)
            raise Refused(_unusable(found))
        self.learn(index, tenant, found.route, term)
        if found is dated.tenant:
            self._shared.keep(dated)
        return found.route

    async def is_outdated(self, index: str, tenant: str, route: Route) -> bool:
        """Whether the catalog has another route; asked of one route once in `LOOK_AGAIN_S`. For an answer that is
        empty: the tenant may have nothing, or the route may be wrong. Raises what stands against any use of it."""
        if self._member.sole:
            return False
        key, now = (index, tenant), self._clock.monotonic()
        epoch, until = self._looked_at.get(key, (0, 0.0))
        if epoch == route.epoch and now < until:
            return False
        while len(self._looked_at) >= MOST_LOOKED_AT:
            del self._looked_at[next(iter(self._looked_at))]
        self._looked_at[key] = (route.epoch, now + LOOK_AGAIN_S)
        try:
            return await self.reload(index, tenant) != route
        except Unavailable:
            return False  # under a lease that holds, the route may be used while the catalog is away

    async def route_for_write(self, index: str, tenant: str) -> Route:
        """As `route`; where the index allows it, a tenant that does not exist yet is made."""
        route = self.cached(index, tenant)
        if route is not None:
            self._telemetry.lookup("cache")
        else:
            try:
                route = await self._elsewhere(index, tenant)
            except NotFound as missing:
                logical = await self._pool.index(index)
                if missing.kind != "tenant" or not logical.auto_create:
                    raise
                route = await self._create_once(index, tenant)
        self._pool.check_writable(index, route.place.shard)
        return route

    async def create(self, index: str, tenant: str, spec: TenantSpec) -> Tenant:
        """Place a new tenant and make its namespace.

        Raises:
            AlreadyExists: it is there.
            CapacityExceeded: no eligible shard has room.
        """
        check_tenant_name(tenant, self._limits)
        term = await self._member.join()
        logical = await self._pool.index(index)
        policy = self._policy(logical.policy)
        for _ in range(MAX_PLACEMENT_TRIES):
            view = await self.view(index)
            shard = policy.choose(tenant, spec, view)
            try:
                placed = await self._catalog.tenants.place(index, tenant, spec, shard, self._clock.now())
            except Conflict:
                continue  # the shard filled up or changed since the view was taken
            tenant_made = await self._activate(placed)
            self.learn(index, tenant, tenant_made.route, term)
            return tenant_made
        raise CapacityExceeded(
            f"tenant {tenant!r} lost {MAX_PLACEMENT_TRIES} races for room in {index!r}; try again, or add a shard"
        )

    async def view(self, index: str) -> ClusterView:
        """The shards of an index as placement sees them, from the catalog and the backends' own counts (`ShardCounts`:
        where counting takes long, these may be as old as a minute)."""
        claims = await self._catalog.tenants.claims(index)
        views = []
        for shard in await self._catalog.shards.list(index):
            vectors = 0
            if shard.state is ShardState.ACTIVE:
                backend = await self._pool.backend(index, shard.name)
                vectors = await self._counts.vectors(index, shard.name, backend)
            views.append(ShardView(shard, vectors, claims.get(shard.name, Claim())))
        return ClusterView(index, tuple(views))

    async def delete(self, index: str, tenant: str) -> None:
        """Delete a tenant with its data; continues one that a crash interrupted. Raises NotFound.

        The route is closed first, so that no new request reaches the data while they are being dropped; the
        tombstone keeps epoch and generation, so that a late writer cannot reach a tenant re-created under the name.
        """
        await self._pool.index(index)
        found = await self._catalog.tenants.get(index, tenant)
        for copy in await self._catalog.copies.list(index, tenant=tenant):
            if copy.move == DELETED and copy.place == found.route.place:  # a crash came between two steps of `bury`
                await self._catalog.copies.forget(copy)
        if found.state is not TenantState.DELETING:
            found = await self.set_state(found, TenantState.DELETING)
        await self.finish_delete(found)

    async def bury(self, index: str, tenant: str, keep_until: float) -> None:
        """As `delete`, but its data are kept until then (seconds since the Unix epoch), for `undelete`."""
        await self._pool.index(index)
        found = await self._catalog.tenants.get(index, tenant)
        if found.state in (TenantState.CREATING, TenantState.RESTORING):
            await self.delete(index, tenant)
            return
        if found.state is TenantState.DELETING:
            await self.finish_delete(found)
            return
        # Kept first: a copy is purged only when no live tenant's route names it, and a crash now loses nothing.
        await self._catalog.copies.keep(Copy(index, tenant, found.route.place, DELETED, keep_until))
        gone = await self.set_state(found, TenantState.DELETING)
        await self.finish_delete(gone)

    async def undelete(self, copy: Copy) -> Tenant:
        """A tenant deleted by `bury`, as it was. Raises as `TenantCatalog.undelete`."""
        term = await self._member.join()
        back = await self._catalog.tenants.undelete(copy)
        self.changed(back, term)
        return back

    async def purge_deleted(self, index: str) -> None:
        """Drop what is kept of deleted tenants of an index."""
        for copy in await self._catalog.copies.list(index):
            if copy.move == DELETED:
                await (await self._pool.backend(index, copy.place.shard)).drop(copy.place.namespace)
                await self._catalog.copies.forget(copy)

    async def finish_delete(self, tenant: Tenant) -> None:
        """Drop the data of a tenant in state DELETING and bury it; repeatable."""
        copies = await self._catalog.copies.list(tenant.index, tenant=tenant.name)
        kept = {copy.place for copy in copies if copy.move == DELETED}
        for place in (tenant.route.place, tenant.route.other):
            if place is not None and place not in kept:
                backend = await self._pool.backend(tenant.index, place.shard)
                await backend.drop(place.namespace)
        for copy in copies:
            if copy.place == tenant.route.place and copy.move == DELETED:
                continue
            await (await self._pool.backend(tenant.index, copy.place.shard)).drop(copy.place.namespace)
            await self._catalog.copies.forget(copy)
        await self.set_state(tenant, TenantState.DELETED)
        self._cache.forget(tenant.index, tenant.name)

    async def set_state(self, tenant: Tenant, state: TenantState) -> Tenant:
        """Change a tenant's state in the catalog, then in the cache. While the tenant moves its epoch grows by itself;
        then it is looked at again. Raises NotFound, Refused; Conflict when it never stands still."""
        for _ in range(MAX_PLACEMENT_TRIES):
            term = await self._member.join()
            try:
                changed = await self._catalog.tenants.set_state(tenant.index, tenant.name, state, tenant.route.epoch)
            except Conflict:
                tenant = await self._catalog.tenants.get(tenant.index, tenant.name)
                continue
            self.changed(changed, term)
            return changed
        raise Conflict(f"tenant {tenant.name!r} kept changing; repeat the command")

    async def set_plan(self, tenant: Tenant, plan: str | None) -> Tenant:
        """Change a tenant's plan in the catalog, then in the cache. Raises NotFound, Refused, Conflict."""
        term = await self._member.join()
        changed = await self._catalog.tenants.set_plan(tenant.index, tenant.name, plan, tenant.route.epoch)
        self.changed(changed, term)
        return changed

    async def _create_once(self, index: str, tenant: str) -> Route:
        """Many first writes at once make the tenant once; a cancelled writer does not cancel the others."""
        key = (index, tenant)
        task = self._creating.get(key)
        if task is None:
            task = asyncio.create_task(self._create_or_load(index, tenant))
            self._creating[key] = task
            task.add_done_callback(lambda _: self._creating.pop(key, None))
        return await asyncio.shield(task)

    async def _create_or_load(self, index: str, tenant: str) -> Route:
        try:
            return (await self.create(index, tenant, TenantSpec())).route
        except AlreadyExists:
            return await self.reload(index, tenant)

    async def _activate(self, tenant: Tenant) -> Tenant:
        """Make the namespace of a placed tenant, then open it for use; finishes what a crash left half done."""
        backend = await self._pool.backend(tenant.index, tenant.route.place.shard)
        await backend.create(tenant.route.place.namespace)
        try:
            return await self._catalog.tenants.set_state(
                tenant.index, tenant.name, TenantState.ACTIVE, tenant.route.epoch
            )
        except Conflict:
            return await self._catalog.tenants.get(tenant.index, tenant.name)


def _unusable(tenant: Tenant) -> str:
    if tenant.state is TenantState.SUSPENDED:
        return f"tenant {tenant.name!r} is suspended; `tenantry tenant resume` opens it again"
    if tenant.state is TenantState.RESTORING:
        return f"tenant {tenant.name!r} is being restored from a backup; ask again when that is done"
    return f"tenant {tenant.name!r} is {tenant.state}; finish with `tenantry tenant delete`, then create it again"
