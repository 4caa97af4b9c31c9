"""The audit log in SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from tenantry.catalogs import schema
from tenantry.catalogs.audited import pruned
from tenantry.catalogs.grouping import Grouped
from tenantry.catalogs.store import Store
from tenantry.errors import InvalidArgument
from tenantry.model.audit import Chain, Deed, Entry, Wanted, chained, extended

_t = schema.audit
_c = schema.audit_chain
_ONLY = 1


class SqlAudit:
    """`tenantry.ports.AuditCatalog` in SQL. Those who append wait for each other: on SQLite at the start of the
    transaction, on PostgreSQL at the row of the chain. What this process appends meanwhile goes into the next
    transaction together: searches across tenants wait for their entries."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._appends = Grouped(self._commit_at_once if store.file else self._commit)

    async def append(self, deed: Deed) -> Entry:
        """Durable when it returns. Who is cancelled does not know whether it was written."""
        return await self._appends.add(deed)

    async def aclose(self) -> None:
        """Wait until all is written that was given."""
        await self._appends.aclose()

    async def _commit(self, deeds: Sequence[Deed]) -> list[Entry]:
        async with self._store.write() as connection:
            entries, chain = _linked(await self._held(connection), deeds)
            await self._add(connection, entries, chain)
        return entries

    async def _commit_at_once(self, deeds: Sequence[Deed]) -> list[Entry]:
        def job(connection: sqlite3.Connection) -> list[Entry]:
            row = connection.execute(_SQLITE_CHAIN).fetchone()
            entries, chain = _linked(Chain() if row is None else Chain(*row), deeds)
            connection.executemany(_SQLITE_ADD, [_row_of(entry) for entry in entries])
            connection.execute(_SQLITE_EXTEND, {"id": _ONLY, **msgspec.structs.asdict(chain)})
            return entries

        return await self._store.write_at_once(job)

    async def list(self, wanted: Wanted) -> list[Entry]:
        """Raises InvalidArgument (limit)."""
        if wanted.limit < 1:
            raise InvalidArgument("limit", wanted.limit, "1 or more")
        upwards = wanted.after is not None
        query = sa.select(_t).order_by(_t.c.seq if upwards else _t.c.seq.desc()).limit(wanted.limit)
        for column, value in (
            (_t.c.index_name, wanted.index),
            (_t.c.tenant, wanted.tenant),
            (_t.c.actor, wanted.actor),
            (_t.c.action, wanted.action),
        ):
            if value is not None:
                query = query.where(column == value)
        if wanted.after is not None:
            query = query.where(_t.c.seq > wanted.after)
        if wanted.before is not None:
            query = query.where(_t.c.seq < wanted.before)
        if wanted.since_us is not None:
            query = query.where(_t.c.at_us >= wanted.since_us)
        if wanted.until_us is not None:
            query = query.where(_t.c.at_us < wanted.until_us)
        async with self._store.read() as connection:
            found = (await connection.execute(query)).all()
        return [Entry(*row) for row in found]

    async def chain(self) -> Chain:
        """Where the log begins and ends."""
        async with self._store.read() as connection:
            row = (await connection.execute(_chain)).one_or_none()
        return Chain() if row is None else Chain(*row)

    async def prune(self, through: int, deed: Deed) -> Entry:
        """Raises InvalidArgument."""
        async with self._store.write() as connection:
            chain = await self._held(connection)
            row = (await connection.execute(sa.select(_t).where(_t.c.seq == through))).one_or_none()
            shorter, entry = pruned(chain, None if row is None else Entry(*row), through, deed)
            await connection.execute(sa.delete(_t).where(_t.c.seq <= through))
            await self._add(connection, [entry], shorter)
        return entry

    async def _held(self, connection: AsyncConnection) -> Chain:
        held = _chain.with_for_update()
        row = (await connection.execute(held)).one_or_none()
        if row is None:
            await self._store.insert_if_absent(connection, _c, {"id": _ONLY, **msgspec.structs.asdict(Chain())})
            row = (await connection.execute(held)).one()
        return Chain(*row)

    async def _add(self, connection: AsyncConnection, entries: Sequence[Entry], chain: Chain) -> None:
        await connection.execute(sa.insert(_t), [_row_of(entry) for entry in entries])
        await connection.execute(sa.update(_c).where(_c.c.id == _ONLY).values(msgspec.structs.asdict(chain)))


_chain = sa.select(_c.c.base_seq, _c.c.base_hash, _c.c.seq, _c.c.hash).where(_c.c.id == _ONLY)
_dialect = sqlite.dialect(paramstyle="named")
_SQLITE_CHAIN = "SELECT base_seq, base_hash, seq, hash FROM tenantry_audit_chain WHERE id = 1"
_SQLITE_ADD = str(sa.insert(_t).compile(dialect=_dialect))
_SQLITE_EXTEND = str(sa.insert(_c).prefix_with("OR REPLACE").compile(dialect=_dialect))


def _linked(chain: Chain, deeds: Sequence[Deed]) -> tuple[list[Entry], Chain]:
    """The entries of some deeds at the end of a chain, and the chain with them."""
    entries: list[Entry] = []
    for deed in deeds:
        entries.append(chained(chain, deed))
        chain = extended(chain, entries[-1])
    return entries, chain


def _row_of(entry: Entry) -> dict[str, Any]:
    row = msgspec.structs.asdict(entry)
    row["index_name"] = row.pop("index")
    return row
