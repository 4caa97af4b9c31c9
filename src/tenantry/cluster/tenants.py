"""The life of tenants: create, describe, list, suspend, resume, delete."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from tenantry.cluster.embedding import check_embedder
from tenantry.cluster.keys import KeyAdmin
from tenantry.cluster.recording import recorded
from tenantry.errors import InvalidArgument, NotFound, Refused, TenantryError
from tenantry.model.leases import Copy
from tenantry.model.limits import check_count
from tenantry.model.service import UNLIMITED, ServicePlan
from tenantry.model.topology import DEFAULT_INDEX, Tenant, TenantSpec, TenantState
from tenantry.ports import Catalog, Clock, Embedder
from tenantry.router.planbook import PlanBook
from tenantry.router.resolve import DELETED, Resolver
from tenantry.router.shards import ShardPool

LIST_MOST = 1_000
#: What is to be purged within that time is not brought back any more, seconds: it may be going at this moment.
PURGE_MARGIN_S = 60.0


class TenantStatus(msgspec.Struct, frozen=True):
    """A tenant with what its shard measures now, and the plan that holds for it; ``error`` says why when the shard
    could not be asked."""

    tenant: Tenant
    vectors: int
    bytes: int
    error: str | None = None
    plan: ServicePlan = UNLIMITED


class TenantAdmin:
    """Operations on tenants of any logical index.

    Args:
        deleted_retention_s: how long the data of a deleted tenant are kept, seconds; 0: not at all.
    """

    def __init__(
        self,
        catalog: Catalog,
        pool: ShardPool,
        resolver: Resolver,
        keys: KeyAdmin,
        embedder: Callable[[str], Embedder],
        clock: Clock,
        deleted_retention_s: float,
        plans: PlanBook,
    ) -> None:
        self._plans = plans
        self._catalog = catalog
        self._pool = pool
        self._resolver = resolver
        self._keys = keys
        self._embedder = embedder
        self._clock = clock
        self._retention_s = deleted_retention_s

    @recorded("tenant.create", index="index", tenant="name")
    async def create(self, name: str, index: str = DEFAULT_INDEX, spec: TenantSpec | None = None) -> Tenant:
        """Place a new tenant. Raises InvalidArgument, NotFound (index), AlreadyExists, CapacityExceeded."""
        wanted = spec or TenantSpec()
        if wanted.expected_vectors < 0:
            raise InvalidArgument("expected_vectors", wanted.expected_vectors, "0 or more")
        if wanted.plan is not None:
            (await self._plans.all()).get(wanted.plan)
        if wanted.embedder is not None:
            check_embedder(self._embedder, wanted.embedder, (await self._pool.index(index)).dimension)
        return await self._resolver.create(index, name, wanted)

    async def get(self, name: str, index: str = DEFAULT_INDEX) -> TenantStatus:
        """One tenant, measured, whatever its state. Raises NotFound."""
        await self._pool.index(index)
        return await self._status(await self._catalog.tenants.get(index, name))

    async def list(
        self,
        index: str = DEFAULT_INDEX,
        *,
        after: str | None = None,
        limit: int = 100,
        prefix: str = "",
        shard: str | None = None,
    ) -> list[TenantStatus]:
        """One page of tenants by name, measured; go on with ``after`` = the last name. 1 to 1,000 a page."""
        check_count(limit, "limit", 1, LIST_MOST)
        await self._pool.index(index)
        page = await self._catalog.tenants.list(index, after, limit, prefix, shard)
        return [await self._status(tenant) for tenant in page]

    @recorded("tenant.suspend", index="index", tenant="name")
    async def suspend(self, name: str, index: str = DEFAULT_INDEX) -> Tenant:
        """Refuse all reads and writes of a tenant from now on; its data stay. Repeatable."""
        return await self._switch(index, name, TenantState.SUSPENDED)

    @recorded("tenant.resume", index="index", tenant="name")
    async def resume(self, name: str, index: str = DEFAULT_INDEX) -> Tenant:
        """Open a suspended tenant again. Repeatable."""
        return await self._switch(index, name, TenantState.ACTIVE)

    @recorded("tenant.delete", index="index", tenant="name")
    async def delete(self, name: str, index: str = DEFAULT_INDEX, *, now: bool = False) -> float | None:
        """Delete a tenant, and revoke its keys. Its data are kept for a while, until the returned time (seconds since
        the Unix epoch); with ``now``, or where nothing is kept, they go at once (None). Raises NotFound."""
        await self._catalog.tenants.get(index, name)
        await self._keys.revoke_all(index, name)
        if now or self._retention_s <= 0:
            await self._resolver.delete(index, name)
            return None
        until = self._clock.now() + self._retention_s
        await self._resolver.bury(index, name, until)
        return until

    async def deleted(self, index: str = DEFAULT_INDEX) -> Sequence[Copy]:
        """Tenants that were deleted and whose data are still kept, the next to go first. Raises NotFound (index)."""
        await self._catalog.indexes.get(index)
        return [copy for copy in await self._catalog.copies.list(index) if copy.move == DELETED]

    @recorded("tenant.undelete", index="index", tenant="name")
    async def undelete(self, name: str, index: str = DEFAULT_INDEX) -> Tenant:
        """Bring a deleted tenant back with its data, as it was; its keys stay revoked.

        Raises:
            NotFound: nothing of it is kept (any more). AlreadyExists: another tenant has the name now.
            Conflict: its shard is gone, or somebody else's.
        """
        found = [copy for copy in await self.deleted(index) if copy.tenant == name]
        if not found or found[-1].purge_at <= self._clock.now() + PURGE_MARGIN_S:
            raise NotFound("deleted tenant", name, "its data are not kept (any more); restore it from a backup")
        return await self._resolver.undelete(found[-1])

    async def rename(self, name: str, new_name: str, index: str = DEFAULT_INDEX) -> None:
        """Always refused, with the reason."""
        await self._catalog.tenants.get(index, name)
        raise Refused(
            f"tenant {name!r} cannot be renamed to {new_name!r}: its name is in keys, routes and in what applications "
            "send; create the new tenant, copy the records, then delete the old one"
        )

    async def _switch(self, index: str, name: str, state: TenantState) -> Tenant:
        await self._pool.index(index)
        tenant = await self._catalog.tenants.get(index, name)
        if tenant.state is TenantState.CREATING:
            await self._resolver.reload(index, name)
            tenant = await self._catalog.tenants.get(index, name)
        if tenant.state is state:
            return tenant
        if tenant.state in (TenantState.DELETING, TenantState.RESTORING):
            raise Refused(
                f"tenant {name!r} is being {'deleted' if tenant.state is TenantState.DELETING else 'restored'}"
            )
        return await self._resolver.set_state(tenant, state)

    async def _status(self, tenant: Tenant) -> TenantStatus:
        place = tenant.route.place
        await self._plans.ready()
        plan = self._plans.of(tenant.spec.plan)
        try:
            stats = await (await self._pool.backend(tenant.index, place.shard)).stats(place.namespace)
        except TenantryError as error:
            return TenantStatus(tenant, 0, 0, str(error), plan)
        return TenantStatus(tenant, stats.vectors, stats.bytes, None, plan)
