"""Retired copies in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from tenantry.catalogs import rows, schema
from tenantry.catalogs.store import Store
from tenantry.errors import InvalidArgument
from tenantry.model.leases import Copy
from tenantry.model.topology import TenantState

_t = schema.copies
_OLDEST_FIRST = (_t.c.purge_at, _t.c.index_name, _t.c.shard, _t.c.namespace)


class SqlCopies:
    """`tenantry.ports.CopyCatalog` in SQL."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def due(self, now: float, limit: int) -> list[Copy]:
        """Those of any index whose time has come, oldest first; never one that the route of its tenant names (a route
        set by hand may go back to it). Raises InvalidArgument (limit)."""
        if limit < 1:
            raise InvalidArgument("limit", limit, "1 or more")
        tenants = schema.tenants
        named = sa.exists().where(
            tenants.c.index_name == _t.c.index_name,
            tenants.c.name == _t.c.tenant,
            tenants.c.state != TenantState.DELETED.value,
            sa.or_(
                sa.and_(tenants.c.shard == _t.c.shard, tenants.c.namespace == _t.c.namespace),
                sa.and_(tenants.c.other_shard == _t.c.shard, tenants.c.other_namespace == _t.c.namespace),
            ),
        )
        query = sa.select(_t).where(_t.c.purge_at <= now, ~named).order_by(*_OLDEST_FIRST).limit(limit)
        return [*await self._found(query)]

    async def list(self, index: str, *, shard: str | None = None, tenant: str | None = None) -> list[Copy]:
        """Oldest first."""
        query = sa.select(_t).where(_t.c.index_name == index).order_by(*_OLDEST_FIRST)
        if shard is not None:
            query = query.where(_t.c.shard == shard)
        if tenant is not None:
            query = query.where(_t.c.tenant == tenant)
        return [*await self._found(query)]

    async def keep(self, copy: Copy) -> None:
        """Add an entry, or replace it. Raises InvalidArgument (text that cannot be stored)."""
        values = rows.copy_values(copy)
        async with self._store.write() as connection:
            if not await self._store.insert_if_absent(connection, _t, values):
                await connection.execute(sa.update(_t).where(*_this(copy)).values(**values))

    async def forget(self, copy: Copy) -> None:
        """Drop the entry. Not there is success."""
        async with self._store.write() as connection:
            await taken(connection, copy)

    async def _found(self, query: sa.Select[Any]) -> Sequence[Copy]:
        async with self._store.read() as connection:
            return [rows.copy_of(row) for row in (await connection.execute(query)).all()]


async def taken(connection: AsyncConnection, copy: Copy) -> bool:
    """Drop an entry in the caller's transaction; whether it was there."""
    return (await connection.execute(sa.delete(_t).where(*_this(copy)))).rowcount > 0


def _this(copy: Copy) -> tuple[sa.ColumnElement[bool], ...]:
    return _t.c.index_name == copy.index, _t.c.shard == copy.place.shard, _t.c.namespace == copy.place.namespace


async def copies_on(connection: AsyncConnection, index: str, shard: str | None = None) -> int:
    """How many retired copies an index, or one of its shards, holds."""
    query = sa.select(sa.func.count()).select_from(_t).where(_t.c.index_name == index)
    if shard is not None:
        query = query.where(_t.c.shard == shard)
    return int(await connection.scalar(query) or 0)
