"""Tenants and their routes in SQL.

A route is columns of its tenant's row, so one compare-and-set on the epoch covers all of it. Two counts
live on the shards and follow every change of a route in the same transaction:

- ``shards.tenants``: live tenants whose authoritative place is that shard;
- ``shards.dedicated_to``: the dedicated tenant whose route names that shard, as ``place`` or as ``other``.

Locks are taken in one order, the tenant's row and then shards by name, so transactions cannot deadlock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from tenantry.catalogs import rows, schema
from tenantry.catalogs.store import Store
from tenantry.errors import AlreadyExists, Conflict, InvalidArgument, NotFound, Refused
from tenantry.model.topology import (
    Claim,
    Place,
    Route,
    ShardState,
    Tenant,
    TenantSpec,
    TenantState,
    namespace_of,
)

_t = schema.tenants
_s = schema.shards
_LIVE = _t.c.state != TenantState.DELETED.value

#: ``CREATING -> ACTIVE <-> SUSPENDED``, each ``-> DELETING -> DELETED``. Staying is allowed: a repeated call is
#: harmless. `place` records CREATING; the router activates once the namespace exists.
NEXT: Mapping[TenantState, frozenset[TenantState]] = {
    TenantState.CREATING: frozenset({TenantState.CREATING, TenantState.ACTIVE, TenantState.DELETING}),
    TenantState.ACTIVE: frozenset({TenantState.ACTIVE, TenantState.SUSPENDED, TenantState.DELETING}),
    TenantState.SUSPENDED: frozenset({TenantState.SUSPENDED, TenantState.ACTIVE, TenantState.DELETING}),
    TenantState.DELETING: frozenset({TenantState.DELETING, TenantState.DELETED}),
    TenantState.DELETED: frozenset(),  # only `place` revives
}


class SqlTenants:
    """`tenantry.ports.TenantCatalog` in SQL."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def place(self, index: str, name: str, spec: TenantSpec, shard: str, created_at: float) -> Tenant:
        """Record a new tenant on ``shard``, state CREATING, in one transaction with the shard's count: of any number of
        placements at once, in any number of processes, only as many succeed as there is room for.

        A tombstone of the same name is revived with a higher epoch and generation.

        Raises:
            AlreadyExists: a live tenant of that name is there.
            Conflict: the shard is full, not active, dedicated to another or gone: look again, choose again.
        """
        async with self._store.write() as connection:
            old = await self._lock(connection, index, name)
            if old is not None and old.state is not TenantState.DELETED:
                raise AlreadyExists("tenant", name, f"it is {old.state} on shard {old.route.place.shard!r}")
            epoch, generation = (1, 1) if old is None else (old.route.epoch + 1, old.generation + 1)
            place = Place(shard, namespace_of(name, generation))
            route = Route(epoch, place, state=TenantState.CREATING)
            tenant = Tenant(index, name, route, spec, generation, created_at)
            if old is not None:
                await self._save(connection, tenant)
            elif not await self._store.insert_if_absent(connection, _t, rows.tenant_values(tenant)):
                raise AlreadyExists("tenant", name)  # another process made it since `_lock` looked
            await self._take_room(connection, tenant)
        return tenant

    async def get(self, index: str, name: str) -> Tenant:
        """Live tenants (all but deleted). Raises NotFound."""
        async with self._store.read() as connection:
            query = sa.select(_t).where(_t.c.index_name == index, _t.c.name == name, _LIVE)
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound("tenant", name)
        return self._tenant_of(row)

    async def list(
        self, index: str, after: str | None = None, limit: int = 100, prefix: str = "", shard: str | None = None
    ) -> list[Tenant]:
        """At most ``limit`` live tenants by name (code point order), after ``after``, whose names start with
        ``prefix``, literally; with ``shard``, only those whose authoritative place is there.

        A tenant that lives throughout a whole paging is seen exactly once, whatever is written meanwhile.
        """
        if limit < 1:
            raise InvalidArgument("limit", limit, "1 or more")
        query = sa.select(_t).where(_t.c.index_name == index, _LIVE).order_by(_t.c.name).limit(limit)
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
        return [self._tenant_of(row) for row in found]

    async def set_state(self, index: str, name: str, state: TenantState, expected_epoch: int) -> Tenant:
        """Compare-and-set on the epoch; DELETED also frees the tenant's room on its shard.

        Raises:
            NotFound: no live tenant of that name.
            Conflict: the route has another epoch.
            Refused: the tenant's life does not go that way (see `NEXT`).
        """
        async with self._store.write() as connection:
            old = await self._expect(connection, index, name, expected_epoch)
            route = msgspec.structs.replace(old.route, epoch=expected_epoch + 1, state=state)
            return await self._change(connection, old, route)

    async def set_route(self, index: str, name: str, route: Route, expected_epoch: int) -> Tenant:
        """Compare-and-set of the whole route; its epoch must be ``expected_epoch + 1``.

        Counts of shards follow. Room on the target is not checked: who moves a tenant has done so.
        A namespace of a newer generation than the tenant's raises its generation.

        Raises:
            InvalidArgument: the route's epoch is not the next one.
            NotFound: no live tenant of that name.
            Conflict: the route has another epoch; or a shard it would newly name is gone, retired, dedicated to
                another, or not empty while the tenant is dedicated.
            Refused: the tenant's life does not go that way (see `NEXT`).
        """
        if route.epoch != expected_epoch + 1:
            raise InvalidArgument("route.epoch", route.epoch, f"{expected_epoch + 1}, one over the expected epoch")
        async with self._store.write() as connection:
            old = await self._expect(connection, index, name, expected_epoch)
            return await self._change(connection, old, route)

    async def claims(self, index: str) -> dict[str, Claim]:
        """What is spoken for on each shard, besides what it holds; shards without a claim are left out."""
        planned = _planned(index).group_by(_t.c.shard).add_columns(_t.c.shard).where(_t.c.expected_vectors > 0)
        owned = sa.select(_s.c.name, _s.c.dedicated_to).where(_s.c.index_name == index, _s.c.dedicated_to.is_not(None))
        async with self._store.read() as connection:
            expected = {row.shard: int(row[0]) for row in await connection.execute(planned)}
            owners: dict[str, str] = {row.name: row.dedicated_to for row in await connection.execute(owned)}
        return {
            shard: Claim(owners.get(shard), expected.get(shard, 0)) for shard in sorted(expected.keys() | owners.keys())
        }

    # ---------------------------------------------------------------------- inside a transaction

    async def _lock(self, connection: AsyncConnection, index: str, name: str) -> Tenant | None:
        query = sa.select(_t).where(_t.c.index_name == index, _t.c.name == name).with_for_update()
        row = (await connection.execute(query)).one_or_none()
        return None if row is None else self._tenant_of(row)

    async def _expect(self, connection: AsyncConnection, index: str, name: str, epoch: int) -> Tenant:
        tenant = await self._lock(connection, index, name)
        if tenant is None or tenant.state is TenantState.DELETED:
            raise NotFound("tenant", name)
        if tenant.route.epoch != epoch:
            raise Conflict(f"tenant {name!r} is at epoch {tenant.route.epoch}, not {epoch}: somebody changed it")
        return tenant

    async def _change(self, connection: AsyncConnection, old: Tenant, route: Route) -> Tenant:
        if route.state not in NEXT[old.state]:
            ways = ", ".join(sorted(NEXT[old.state] - {old.state}))
            raise Refused(f"tenant {old.name!r} is {old.state} and cannot become {route.state}, only {ways}")
        generation = max(old.generation, *(generation_of(old.name, place.namespace) for place in _places(route)))
        new = msgspec.structs.replace(old, route=route, generation=generation)
        await self._save(connection, new)
        for shard in sorted(_named(old) | _named(new)):
            await self._follow(connection, shard, old, new)
        return new

    async def _save(self, connection: AsyncConnection, tenant: Tenant) -> None:
        await connection.execute(
            sa.update(_t)
            .where(_t.c.index_name == tenant.index, _t.c.name == tenant.name)
            .values(**rows.tenant_values(tenant))
        )

    async def _take_room(self, connection: AsyncConnection, tenant: Tenant) -> None:
        """Count a new tenant on its shard, unless the shard must not take it."""
        shard = tenant.route.place.shard
        taken = sa.update(_s).where(
            _s.c.index_name == tenant.index,
            _s.c.name == shard,
            _s.c.state == ShardState.ACTIVE.value,
            sa.or_(_s.c.max_tenants.is_(None), _s.c.tenants < _s.c.max_tenants),
            # The tenant's own row is written already, so its plan is among those summed here.
            sa.or_(
                _s.c.max_vectors.is_(None),
                _planned(tenant.index).where(_t.c.shard == shard).scalar_subquery() <= _s.c.max_vectors,
            ),
            _s.c.dedicated_to.is_(None),
        )
        if tenant.spec.dedicated:
            taken = taken.where(_s.c.tenants == 0).values(tenants=1, dedicated_to=tenant.name)
        else:
            taken = taken.values(tenants=_s.c.tenants + 1)
        if (await connection.execute(taken)).rowcount == 0:
            raise Conflict(await self._why_not(connection, tenant))

    async def _why_not(self, connection: AsyncConnection, tenant: Tenant) -> str:
        shard = tenant.route.place.shard
        query = sa.select(_s).where(_s.c.index_name == tenant.index, _s.c.name == shard)
        row = (await connection.execute(query)).one_or_none()
        if row is None:
            return f"shard {shard!r} of index {tenant.index!r} is gone"
        if row.state != ShardState.ACTIVE.value:
            return f"shard {shard!r} is {row.state} and takes no new tenants"
        if row.dedicated_to is not None:
            return f"shard {shard!r} is dedicated to tenant {row.dedicated_to!r}"
        if tenant.spec.dedicated and row.tenants:
            return f"shard {shard!r} holds {row.tenants} tenants, so it cannot be dedicated to {tenant.name!r}"
        if row.max_tenants is not None and row.tenants >= row.max_tenants:
            return f"shard {shard!r} is full: {row.tenants} of {row.max_tenants} tenants"
        return (
            f"shard {shard!r} has no room for what its tenants are expected to hold: at most {row.max_vectors} vectors"
        )

    async def _follow(self, connection: AsyncConnection, shard: str, old: Tenant, new: Tenant) -> None:
        """Make the counts of one shard follow a change of route."""
        change = (_home(new) == shard) - (_home(old) == shard)
        arrives, leaves = shard in _named(new) - _named(old), shard in _named(old) - _named(new)
        if not (change or arrives or leaves):
            return
        this = sa.and_(_s.c.index_name == new.index, _s.c.name == shard)
        if arrives:
            row = (await connection.execute(sa.select(_s).where(this).with_for_update())).one_or_none()
            if row is None or row.state == ShardState.RETIRED.value:
                raise Conflict(f"shard {shard!r} of index {new.index!r} is {'gone' if row is None else row.state}")
            if row.dedicated_to is not None:
                raise Conflict(f"shard {shard!r} is dedicated to tenant {row.dedicated_to!r}")
            if new.spec.dedicated and row.tenants:
                raise Conflict(f"shard {shard!r} holds {row.tenants} tenants, and {new.name!r} wants one for itself")
        owner: sa.ColumnElement[Any] = _s.c.dedicated_to
        if new.spec.dedicated and arrives:
            owner = sa.literal(new.name)
        elif new.spec.dedicated and leaves:
            owner = sa.null()
        await connection.execute(sa.update(_s).where(this).values(tenants=_s.c.tenants + change, dedicated_to=owner))

    def _tenant_of(self, row: rows.Row) -> Tenant:
        with rows.checked(self._store.where, self._store.recovery, f"tenant {row.name!r}"):
            return rows.tenant_of(row)


def end_of_prefix(prefix: str) -> str | None:
    """The least string after every string that starts with ``prefix``; None when there is none."""
    for i in range(len(prefix) - 1, -1, -1):
        point = ord(prefix[i])
        if point < 0x10FFFF:
            following = 0xE000 if 0xD7FF <= point < 0xE000 else point + 1  # UTF-8 has no surrogates
            return prefix[:i] + chr(following)
    return None


def generation_of(tenant: str, namespace: str) -> int:
    """The generation that `namespace_of` wrote into a namespace; 0 when it is of other making."""
    if namespace == tenant:
        return 1
    digits = namespace[len(tenant) + 1 :]
    if namespace.startswith(f"{tenant}~") and digits.isascii() and digits.isdigit():
        return int(digits)
    return 0


def _planned(index: str) -> sa.Select[Any]:
    """The vectors that live tenants are expected to hold, summed."""
    total = sa.func.coalesce(sa.func.sum(_t.c.expected_vectors), 0)
    return sa.select(total).where(_t.c.index_name == index, _LIVE)


def _places(route: Route) -> tuple[Place, ...]:
    return (route.place,) if route.other is None else (route.place, route.other)


def _named(tenant: Tenant) -> frozenset[str]:
    """Shards that the route names; a deleted tenant's route names none."""
    if tenant.state is TenantState.DELETED:
        return frozenset()
    return frozenset(place.shard for place in _places(tenant.route))


def _home(tenant: Tenant) -> str | None:
    """The shard that counts this tenant."""
    return None if tenant.state is TenantState.DELETED else tenant.route.place.shard
