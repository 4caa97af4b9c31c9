"""The record of the auto-pilot in SQL."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from tenantry.catalogs import rows, schema
from tenantry.catalogs.store import Store
from tenantry.errors import Conflict, InvalidArgument, NotFound
from tenantry.model.autopilot import PilotEntry

_t = schema.autopilot
_decode = msgspec.json.Decoder(PilotEntry).decode


class SqlAutopilot:
    """`tenantry.ports.AutopilotCatalog` in SQL. The number of an entry is its key, so of two processes that go on from
    the same entry one gets Conflict."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def append(self, entry: PilotEntry) -> None:
        """Raises Conflict."""
        async with self._store.write() as connection:
            newest = await connection.scalar(sa.select(sa.func.max(_t.c.seq)))
            taken = Conflict(f"the record of the auto-pilot goes on from entry {newest or 0}, not {entry.seq - 1}")
            if (newest or 0) != entry.seq - 1:
                raise taken
            if not await self._store.insert_if_absent(connection, _t, _values(entry)):
                raise taken

    async def settle(self, entry: PilotEntry) -> None:
        """Raises NotFound."""
        async with self._store.write() as connection:
            done = await connection.execute(sa.update(_t).where(_t.c.seq == entry.seq).values(_values(entry)))
            if done.rowcount == 0:
                raise NotFound("entry of the auto-pilot", str(entry.seq))

    async def list(
        self, *, limit: int, before: int | None = None, index: str | None = None, since: float | None = None
    ) -> list[PilotEntry]:
        """Raises InvalidArgument (limit)."""
        if limit < 1:
            raise InvalidArgument("limit", limit, "1 or more")
        query = sa.select(_t).order_by(_t.c.seq.desc()).limit(limit)
        if before is not None:
            query = query.where(_t.c.seq < before)
        if index is not None:
            query = query.where(_t.c.index_name == index)
        if since is not None:
            query = query.where(_t.c.at >= since)
        async with self._store.read() as connection:
            found = (await connection.execute(query)).all()
        return [self._entry_of(row) for row in found]

    async def prune(self, keep: int, since: float) -> int:
        """How many went."""
        async with self._store.write() as connection:
            newest = await connection.scalar(sa.select(sa.func.max(_t.c.seq))) or 0
            old = sa.or_(_t.c.seq <= newest - keep, _t.c.at < since)
            # The newest stays, so that numbers go on growing.
            done = await connection.execute(sa.delete(_t).where(old, _t.c.seq < newest))
            return done.rowcount

    def _entry_of(self, row: rows.Row) -> PilotEntry:
        with rows.checked(self._store.where, self._store.recovery, f"entry {row.seq} of the auto-pilot"):
            return _decode(row.body)


def _values(entry: PilotEntry) -> dict[str, object]:
    return {"seq": entry.seq, "at": entry.at, "index_name": entry.index, "body": rows.encode(entry)}
