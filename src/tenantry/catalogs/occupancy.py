"""Tenants' rows, and the counts on shards that follow them.

A route is columns of its tenant's row, so one compare-and-set on the epoch covers all of it. Three counts live on the
shards and follow every change of a route in the same transaction:

- ``shards.tenants``: live tenants whose authoritative place is that shard;
- ``shards.copies``: live tenants whose other place is that shard, which have room kept for them;
- ``shards.dedicated_to``: the dedicated tenant whose route names that shard, as ``place`` or as ``other``.

Locks are taken in one order, so that transactions cannot deadlock: the lease, the tenant's row, the move, then shards
by name, then the roll-up of the index, then the bucket of route changes. Whoever needs only some of them keeps to the
same order.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from tenantry.catalogs import rows, schema
from tenantry.catalogs.moments import note_change
from tenantry.catalogs.rollup_due import append_due
from tenantry.catalogs.rules import (
    check_epoch,
    counted,
    named,
    owner_after,
    rerouted,
    to_copy_again,
    why_no_room,
    why_not_named,
)
from tenantry.catalogs.store import Store
from tenantry.errors import Conflict, NotFound
from tenantry.model.topology import Route, Tenant, TenantState

_t = schema.tenants
_s = schema.shards
LIVE = _t.c.state != TenantState.DELETED.value


class Occupancy:
    """Rows of tenants, inside a transaction that the caller has begun."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def tenant_of(self, row: rows.Row) -> Tenant:
        """The tenant in a row. Raises Corrupt."""
        with rows.checked(self._store.where, self._store.recovery, f"tenant {row.name!r}"):
            return rows.tenant_of(row)

    async def find(self, connection: AsyncConnection, index: str, name: str) -> Tenant | None:
        """The tenant, or its tombstone, locked until the transaction ends."""
        row = await self.row(connection, index, name)
        return None if row is None else self.tenant_of(row)

    async def row(self, connection: AsyncConnection, index: str, name: str) -> rows.Row | None:
        """As `find`, as a row."""
        query = sa.select(_t).where(_t.c.index_name == index, _t.c.name == name).with_for_update()
        return (await connection.execute(query)).one_or_none()

    async def expect(self, connection: AsyncConnection, index: str, name: str, epoch: int) -> Tenant:
        """The live tenant at this epoch, locked. Raises NotFound, Conflict."""
        tenant = await self.find(connection, index, name)
        if tenant is None or tenant.state is TenantState.DELETED:
            raise NotFound("tenant", name)
        check_epoch(tenant, epoch)
        return tenant

    async def reroute(self, connection: AsyncConnection, old: Tenant, route: Route) -> Tenant:
        """Give a locked tenant another route. Raises Refused, Conflict."""
        new = rerouted(old, route)
        await self.save(connection, new)
        await self.follow(connection, old, new)
        return new

    async def save(self, connection: AsyncConnection, tenant: Tenant) -> None:
        """Write a tenant's row anew."""
        await connection.execute(
            sa.update(_t)
            .where(_t.c.index_name == tenant.index, _t.c.name == tenant.name)
            .values(**rows.tenant_values(tenant))
        )

    async def follow(
        self, connection: AsyncConnection, old: Tenant | None, new: Tenant, room_on: str | None = None
    ) -> None:
        """Make the counts follow a change of route that is written already.

        Args:
            room_on: the shard that must be active and have room for the tenant. Elsewhere room is not asked for.

        Raises:
            Conflict: a shard must not take the tenant.
        """
        for shard in sorted(named(old) | named(new)):
            before, after = counted(old, shard), counted(new, shard)
            if before == after and shard != room_on:
                continue
            this = sa.and_(_s.c.index_name == new.index, _s.c.name == shard)
            # Locked before what is planned there is summed: of two that come at once, the second counts the first.
            row = (await connection.execute(sa.select(_s).where(this).with_for_update())).one_or_none()
            if reason := await self._against(connection, row, shard, old, new, room_on):
                raise Conflict(reason)
            changes: dict[Any, Any] = {
                "tenants": _s.c.tenants + (after[0] - before[0]),
                "copies": _s.c.copies + (after[1] - before[1]),
                "dedicated_to": owner_after(None if row is None else row.dedicated_to, old, new, shard),
            }
            await connection.execute(sa.update(_s).where(this).values(**changes))
        if to_copy_again(old, new):
            await append_due(connection, new.index, {new.name: None})
        if not self._store.file:
            await note_change(connection, old, new)

    async def _against(
        self,
        connection: AsyncConnection,
        row: rows.Row | None,
        name: str,
        old: Tenant | None,
        new: Tenant,
        room: str | None,
    ) -> str | None:
        arrives = name in named(new) - named(old)
        if name != room and not arrives:
            return None
        owner = None if row is None else row.dedicated_to
        shard = None
        if row is not None:
            with rows.checked(self._store.where, self._store.recovery, f"shard {name!r}"):
                shard = rows.shard_of(row)
        if name != room:
            return why_not_named(shard, name, owner, new)
        limited = shard is not None and shard.max_vectors is not None
        planned = await connection.scalar(planned_on(new.index, name)) if limited else 0
        return why_no_room(shard, name, owner, new, int(planned))


def planned_on(index: str, shard: str) -> sa.Select[Any]:
    """The vectors that live tenants with a place on the shard are expected to hold, summed."""
    total = sa.func.coalesce(sa.func.sum(_t.c.expected_vectors), 0)
    return sa.select(total).where(
        _t.c.index_name == index, LIVE, sa.or_(_t.c.shard == shard, _t.c.other_shard == shard)
    )
