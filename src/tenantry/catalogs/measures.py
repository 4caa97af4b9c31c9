"""What processes counted, in SQL: a slice of a window a row, as bytes."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from tenantry.catalogs import schema
from tenantry.catalogs.store import Store

_t = schema.measures


class SqlMeasures:
    """`tenantry.ports.MeasureCatalog` in SQL."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def put(self, owner: str, slices: Mapping[int, bytes], oldest: int) -> None:
        """Store slices of a process by number, in place of what is there; drop its older ones."""
        async with self._store.write() as connection:
            await connection.execute(sa.delete(_t).where(_t.c.owner == owner, _t.c.number < oldest))
            for number, body in sorted(slices.items()):
                row = {"owner": owner, "number": number, "body": body}
                if not await self._store.insert_if_absent(connection, _t, row):
                    this = (_t.c.owner == owner, _t.c.number == number)
                    await connection.execute(sa.update(_t).where(*this).values(body=body))

    async def read(self, after: Mapping[str, int]) -> dict[str, dict[int, bytes]]:
        """Of each process its slices by number: those over ``after``, of processes that it does not name all."""
        known = [sa.and_(_t.c.owner == owner, _t.c.number <= number) for owner, number in after.items()]
        query = sa.select(_t).order_by(_t.c.owner, _t.c.number)
        if known:
            query = query.where(~sa.or_(*known))
        found: dict[str, dict[int, bytes]] = {}
        async with self._store.read() as connection:
            for row in (await connection.execute(query)).all():
                found.setdefault(row.owner, {})[row.number] = bytes(row.body)
        return found

    async def forget(self, owner: str) -> None:
        """Drop all of a process. Nothing there is success."""
        async with self._store.write() as connection:
            await connection.execute(sa.delete(_t).where(_t.c.owner == owner))
