"""Leases in SQL. A row stays when its lease is given up or taken away, so that the fence goes on growing."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from tenantry.catalogs import rows, schema
from tenantry.catalogs.rules import check_fence, end_of_prefix
from tenantry.catalogs.store import Store
from tenantry.errors import Conflict
from tenantry.model.leases import Lease

_t = schema.leases


class SqlLeases:
    """`tenantry.ports.LeaseCatalog` in SQL."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def claim(self, name: str, owner: str, seen: Lease | None) -> Lease:
        """Take a lease that is free, or that is still exactly as ``seen``. The fence grows by one. Of several claims
        at once, one succeeds. Raises Conflict."""
        async with self._store.write() as connection:
            if seen is None:
                first = {"name": name, "owner": owner, "fence": 1, "beat": 0}
                if await self._store.insert_if_absent(connection, _t, first):
                    return Lease(name, owner, 1, 0)
                as_seen: sa.ColumnElement[bool] = sa.and_(_t.c.name == name, _t.c.owner.is_(None))
            else:
                as_seen = sa.and_(_t.c.name == name, _as(seen))
            taken = await connection.execute(
                sa.update(_t)
                .where(as_seen)
                .values(owner=owner, fence=_t.c.fence + 1, beat=_t.c.beat + 1)
                .returning(_t.c.fence, _t.c.beat)
            )
            row = taken.one_or_none()
        if row is None:
            raise Conflict(f"lease {name!r} is not as it was seen: somebody holds or renewed it")
        return Lease(name, owner, row.fence, row.beat)

    async def beat(self, owner: str) -> dict[str, int]:
        """Renew every lease of the owner; name to fence of those that it still has."""
        async with self._store.write() as connection:
            # Locked by name, so that two beats of one owner at once cannot deadlock.
            mine = sa.select(_t.c.name).where(_t.c.owner == owner).order_by(_t.c.name).with_for_update()
            names = (await connection.scalars(mine)).all()
            if not names:
                return {}
            beaten = await connection.execute(
                sa.update(_t)
                .where(_t.c.name.in_(names), _t.c.owner == owner)
                .values(beat=_t.c.beat + 1)
                .returning(_t.c.name, _t.c.fence)
            )
            fences = {row.name: row.fence for row in beaten}
        return {name: fences[name] for name in names if name in fences}

    async def release(self, name: str, owner: str) -> None:
        """Give a lease up; not holding it is success."""
        async with self._store.write() as connection:
            await connection.execute(sa.update(_t).where(_t.c.name == name, _t.c.owner == owner).values(owner=None))

    async def expel(self, seen: Lease) -> bool:
        """Take a lapsed lease from its owner, if it is still exactly as seen and has one."""
        if seen.owner is None:
            return False
        async with self._store.write() as connection:
            done = await connection.execute(sa.update(_t).where(_t.c.name == seen.name, _as(seen)).values(owner=None))
        return done.rowcount == 1

    async def list(self, prefix: str) -> list[Lease]:
        """Leases that have an owner, by name, whose names start with ``prefix``, literally."""
        query = sa.select(_t).where(_t.c.owner.is_not(None), _t.c.name >= prefix).order_by(_t.c.name)
        if (end := end_of_prefix(prefix)) is not None:
            query = query.where(_t.c.name < end)
        async with self._store.read() as connection:
            return [rows.lease_of(row) for row in (await connection.execute(query)).all()]

    async def get(self, name: str) -> Lease | None:
        """One lease, owned or free; None when there never was one."""
        async with self._store.read() as connection:
            row = (await connection.execute(sa.select(_t).where(_t.c.name == name))).one_or_none()
        return None if row is None else rows.lease_of(row)


async def hold(connection: AsyncConnection, name: str, fence: int) -> None:
    """Make sure that a lease is held under this fence, until the transaction ends. Raises Conflict."""
    query = sa.select(_t).where(_t.c.name == name).with_for_update(read=True)
    row = (await connection.execute(query)).one_or_none()
    check_fence(None if row is None else rows.lease_of(row), name, fence)


def _as(seen: Lease) -> Any:
    return sa.and_(_t.c.owner.is_not_distinct_from(seen.owner), _t.c.fence == seen.fence, _t.c.beat == seen.beat)
