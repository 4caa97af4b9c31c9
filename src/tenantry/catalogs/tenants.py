"""Tenants and their routes in SQL."""

from __future__ import annotations

from collections import Counter

import msgspec
import sqlalchemy as sa

from tenantry.catalogs import rows, schema
from tenantry.catalogs.copies import taken
from tenantry.catalogs.moments import SEES, changes
from tenantry.catalogs.occupancy import LIVE, Occupancy
from tenantry.catalogs.rules import end_of_prefix, newly_placed, placed_at, replanned, undeleted
from tenantry.catalogs.store import Store
from tenantry.errors import AlreadyExists, InvalidArgument, NotFound
from tenantry.model.leases import Copy
from tenantry.model.topology import Claim, Dated, Route, Tenant, TenantSpec, TenantState

_t = schema.tenants
_s = schema.shards


class SqlTenants:
    """`tenantry.ports.TenantCatalog` in SQL."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows = Occupancy(store)

    async def place(
        self,
        index: str,
        name: str,
        spec: TenantSpec,
        shard: str,
        created_at: float,
        *,
        state: TenantState = TenantState.CREATING,
        generation: int = 1,
    ) -> Tenant:
        """Record a new tenant on ``shard``, in one transaction with the shard's count: of any number of
        placements at once, in any number of processes, only as many succeed as there is room for.

        A tombstone of the same name is revived with a higher epoch and generation.

        Raises:
            AlreadyExists: a live tenant of that name is there.
            Conflict: the shard is full, not active, dedicated to another or gone: look again, choose again.
        """
        async with self._store.write() as connection:
            old = await self._rows.find(connection, index, name)
            if old is not None and old.state is not TenantState.DELETED:
                raise AlreadyExists("tenant", name, f"it is {old.state} on shard {old.route.place.shard!r}")
            tenant = newly_placed(
                old, Tenant(index, name, placed_at(name, shard, generation, state), spec, generation, created_at)
            )
            if old is not None:
                await self._rows.save(connection, tenant)
            elif not await self._store.insert_if_absent(connection, _t, rows.tenant_values(tenant)):
                raise AlreadyExists("tenant", name)  # another process made it since we looked
            await self._rows.follow(connection, old, tenant, room_on=shard)
        return tenant

    async def get(self, index: str, name: str) -> Tenant:
        """Live tenants (all but deleted). Raises NotFound."""
        async with self._store.read() as connection:
            query = sa.select(_t).where(_t.c.index_name == index, _t.c.name == name, LIVE)
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound("tenant", name)
        return self._rows.tenant_of(row)

    async def get_dated(self, index: str, name: str) -> Dated:
        """Raises NotFound."""
        if self._store.file:
            return Dated(await self.get(index, name), None)
        async with self._store.read() as connection:
            query = sa.select(_t, SEES).where(_t.c.index_name == index, _t.c.name == name, LIVE)
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound("tenant", name)
        return Dated(self._rows.tenant_of(row), int(row.sees))

    async def moment(self) -> int | None:
        """None on SQLite."""
        if self._store.file:
            return None
        async with self._store.read() as connection:
            return int((await connection.execute(sa.select(SEES))).scalar_one())

    async def changes(self) -> dict[int, int] | None:
        """None on SQLite."""
        if self._store.file:
            return None
        async with self._store.read() as connection:
            return await changes(connection)

    async def list(
        self, index: str, after: str | None = None, limit: int = 100, prefix: str = "", shard: str | None = None
    ) -> list[Tenant]:
        """At most ``limit`` live tenants by name (code point order), after ``after``, whose names start with
        ``prefix``, literally; with ``shard``, only those whose authoritative place is there.

        A tenant that lives throughout a whole paging is seen exactly once, whatever is written meanwhile.
        """
        if limit < 1:
            raise InvalidArgument("limit", limit, "1 or more")
        query = sa.select(_t).where(_t.c.index_name == index, LIVE).order_by(_t.c.name).limit(limit)
        if after is not None:
            query = query.where(_t.c.name > after)
        if prefix:
            query = query.where(_t.c.name >= prefix)
            if (end := end_of_prefix(prefix)) is not None:
                query = query.where(_t.c.name < end)
        if shard is not None:
            query = query.where(_t.c.shard == shard)
        async with self._store.read() as connection:
            found = (await connection.execute(query)).all()
        return [self._rows.tenant_of(row) for row in found]

    async def set_state(self, index: str, name: str, state: TenantState, expected_epoch: int) -> Tenant:
        """Compare-and-set on the epoch; DELETED also frees the tenant's room on its shard.

        Raises:
            NotFound: no live tenant of that name.
            Conflict: the route has another epoch.
            Refused: the tenant's life does not go that way (see `tenantry.catalogs.rules.NEXT`).
        """
        async with self._store.write() as connection:
            old = await self._rows.expect(connection, index, name, expected_epoch)
            route = msgspec.structs.replace(old.route, epoch=expected_epoch + 1, state=state)
            return await self._rows.reroute(connection, old, route)

    async def set_plan(self, index: str, name: str, plan: str | None, expected_epoch: int) -> Tenant:
        """Raises NotFound, Conflict, Refused (it is being deleted)."""
        async with self._store.write() as connection:
            old = await self._rows.expect(connection, index, name, expected_epoch)
            new = replanned(old, plan)
            await self._rows.save(connection, new)
            await self._rows.follow(connection, old, new)
        return new

    async def set_route(self, index: str, name: str, route: Route, expected_epoch: int) -> Tenant:
        """Compare-and-set of the whole route; its epoch must be ``expected_epoch + 1``.

        Counts of shards follow. Room on the target is not checked: who moves a tenant has done so.
        A namespace of a newer generation than the tenant's raises its generation.

        Raises:
            InvalidArgument: the route's epoch is not the next one.
            NotFound: no live tenant of that name.
            Conflict: the route has another epoch; or a shard it would newly name is gone, retired, dedicated to
                another, or not empty while the tenant is dedicated.
            Refused: the tenant's life does not go that way (see `tenantry.catalogs.rules.NEXT`).
        """
        if route.epoch != expected_epoch + 1:
            raise InvalidArgument("route.epoch", route.epoch, f"{expected_epoch + 1}, one over the expected epoch")
        async with self._store.write() as connection:
            old = await self._rows.expect(connection, index, name, expected_epoch)
            return await self._rows.reroute(connection, old, route)

    async def undelete(self, copy: Copy) -> Tenant:
        """Raises AlreadyExists, NotFound, Conflict."""
        async with self._store.write() as connection:
            old = await self._rows.find(connection, copy.index, copy.tenant)
            new = undeleted(old, copy)
            await self._rows.save(connection, new)
            await self._rows.follow(connection, old, new)
            if not await taken(connection, copy):
                raise NotFound("copy", f"{copy.place.shard}/{copy.place.namespace}")
        return new

    async def claims(self, index: str) -> dict[str, Claim]:
        """What is spoken for on each shard, besides what it holds; shards without a claim are left out. A tenant on the
        move is expected on both of its shards."""
        total, planned = sa.func.sum(_t.c.expected_vectors), sa.and_(_t.c.index_name == index, LIVE)
        here = sa.select(_t.c.shard, total).where(planned, _t.c.expected_vectors > 0).group_by(_t.c.shard)
        coming = (
            sa.select(_t.c.other_shard, total)
            .where(planned, _t.c.expected_vectors > 0, _t.c.other_shard.is_not(None), _t.c.other_shard != _t.c.shard)
            .group_by(_t.c.other_shard)
        )
        owned = sa.select(_s.c.name, _s.c.dedicated_to).where(_s.c.index_name == index, _s.c.dedicated_to.is_not(None))
        async with self._store.read() as connection:
            expected: Counter[str] = Counter()
            for shard, vectors in await connection.execute(here.union_all(coming)):
                expected[shard] += int(vectors)
            owners: dict[str, str] = {row.name: row.dedicated_to for row in await connection.execute(owned)}
        return {
            shard: Claim(owners.get(shard), expected.get(shard, 0)) for shard in sorted(expected.keys() | owners.keys())
        }
