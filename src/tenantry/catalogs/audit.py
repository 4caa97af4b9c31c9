"""The audit log in SQL."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from tenantry.catalogs import schema
from tenantry.catalogs.audited import pruned
from tenantry.catalogs.store import Store
from tenantry.errors import InvalidArgument
from tenantry.model.audit import Chain, Deed, Entry, Wanted, chained, extended

_t = schema.audit
_c = schema.audit_chain
_ONLY = 1


class SqlAudit:
    """`tenantry.ports.AuditCatalog` in SQL. Those who append wait for each other: on SQLite at the start of the
    transaction, on PostgreSQL at the row of the chain."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def append(self, deed: Deed) -> Entry:
        """Durable when it returns."""
        async with self._store.write() as connection:
            chain = await self._held(connection)
            entry = chained(chain, deed)
            await self._add(connection, entry, extended(chain, entry))
        return entry

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
            await self._add(connection, entry, shorter)
        return entry

    async def _held(self, connection: AsyncConnection) -> Chain:
        values = {"id": _ONLY, **msgspec.structs.asdict(Chain())}
        await self._store.insert_if_absent(connection, _c, values)
        return Chain(*(await connection.execute(_chain.with_for_update())).one())

    async def _add(self, connection: AsyncConnection, entry: Entry, chain: Chain) -> None:
        values = msgspec.structs.asdict(entry)
        values["index_name"] = values.pop("index")
        await connection.execute(sa.insert(_t).values(values))
        await connection.execute(sa.update(_c).where(_c.c.id == _ONLY).values(msgspec.structs.asdict(chain)))


_chain = sa.select(_c.c.base_seq, _c.c.base_hash, _c.c.seq, _c.c.hash).where(_c.c.id == _ONLY)
