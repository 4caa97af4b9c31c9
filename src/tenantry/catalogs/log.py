"""Write logs in SQL. The one statement that gives out a place in the log also refuses a stale writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from tenantry.catalogs import rows, schema
from tenantry.catalogs.grouping import Grouped
from tenantry.catalogs.leases import hold
from tenantry.catalogs.rules import not_appendable
from tenantry.catalogs.store import Store
from tenantry.errors import InvalidArgument, NotFound
from tenantry.model.changes import Change, LogEntry, Resolved, decode, encode
from tenantry.model.moves import Move
from tenantry.model.topology import Mode, TenantState

_t = schema.log
_tenants = schema.tenants

_ALLOCATE = (
    sa.update(_tenants)
    .where(
        _tenants.c.index_name == sa.bindparam("index"),
        _tenants.c.name == sa.bindparam("tenant"),
        _tenants.c.epoch == sa.bindparam("at"),
        _tenants.c.mode == Mode.LOGGED.value,
        _tenants.c.state == TenantState.ACTIVE.value,
    )
    .values(log_head=_tenants.c.log_head + 1)
    .returning(_tenants.c.log_head)
)
_INSERT = sa.insert(_t)
_SQLITE_ALLOCATE = _ALLOCATE.compile(dialect=sqlite.dialect(paramstyle="named"))
_SQLITE_INSERT = _INSERT.compile(dialect=sqlite.dialect(paramstyle="named"))


class SqlLog:
    """`tenantry.ports.WriteLog` in SQL."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def aclose(self) -> None:
        """Nothing is under way that its caller does not wait for."""

    async def append(self, index: str, tenant: str, epoch: int, change: Change) -> int:
        """Add a change, durably; returns its place in the tenant's log.

        Raises:
            Conflict: the tenant's route is not at this epoch, or its mode is not LOGGED: look again.
            NotFound: no such tenant.
            Refused: it is suspended or being deleted.
        """
        body = encode(change)
        async with self._store.write() as connection:
            seq: int | None = await connection.scalar(_ALLOCATE, {"index": index, "tenant": tenant, "at": epoch})
            if seq is not None:
                entry = {"index_name": index, "tenant": tenant, "seq": seq, "body": body}
                await connection.execute(_INSERT, entry)
                return seq
            found = await connection.execute(
                sa.select(_tenants).where(_tenants.c.index_name == index, _tenants.c.name == tenant)
            )
            row = found.one_or_none()
            with rows.checked(self._store.where, self._store.recovery, f"tenant {tenant!r}"):
                raise not_appendable(None if row is None else rows.tenant_of(row), tenant, epoch)

    async def read(self, index: str, tenant: str, after: int, limit: int) -> list[LogEntry]:
        """At most ``limit`` entries after ``after``, in order. Raises InvalidArgument (limit)."""
        if limit < 1:
            raise InvalidArgument("limit", limit, "1 or more")
        query = sa.select(_t.c.seq, _t.c.body).where(_t.c.index_name == index, _t.c.tenant == tenant, _t.c.seq > after)
        async with self._store.read() as connection:
            found = (await connection.execute(query.order_by(_t.c.seq).limit(limit))).all()
        with rows.checked(self._store.where, self._store.recovery, f"the write log of tenant {tenant!r}"):
            return [LogEntry(row.seq, decode(row.body)) for row in found]

    async def head(self, index: str, tenant: str) -> int:
        """The last place given out; 0 when there was none. It outlives the tenant."""
        query = sa.select(_tenants.c.log_head).where(_tenants.c.index_name == index, _tenants.c.name == tenant)
        async with self._store.read() as connection:
            return int(await connection.scalar(query) or 0)

    async def resolve(self, move: Move, fence: int, seq: int, change: Resolved) -> None:
        """Store what an entry came to, in its place. Raises Conflict (fence), NotFound (entry)."""
        this = (_t.c.index_name == move.index, _t.c.tenant == move.tenant, _t.c.seq == seq)
        async with self._store.write() as connection:
            await hold(connection, move.lease, fence)
            done = await connection.execute(sa.update(_t).where(*this).values(body=encode(change)))
            if done.rowcount == 0:
                raise NotFound("log entry", f"{move.tenant}/{seq}")

    async def trim(self, move: Move, fence: int, through: int) -> None:
        """Drop entries up to and including ``through``. Raises Conflict (fence)."""
        this = (_t.c.index_name == move.index, _t.c.tenant == move.tenant, _t.c.seq <= through)
        async with self._store.write() as connection:
            await hold(connection, move.lease, fence)
            await connection.execute(sa.delete(_t).where(*this))

    async def bytes(self, index: str, tenant: str) -> int:
        """Size of what the log holds: its changes as bytes, without what the database adds."""
        total = sa.func.coalesce(sa.func.sum(sa.func.length(_t.c.body)), 0)
        query = sa.select(total).where(_t.c.index_name == index, _t.c.tenant == tenant)
        async with self._store.read() as connection:
            return int(await connection.scalar(query) or 0)


class _Append(msgspec.Struct, frozen=True):
    index: str
    tenant: str
    epoch: int
    body: bytes


class SqliteLog(SqlLog):
    """On SQLite, where each transaction is a sync of the disk and one follows the other: appends that come while one
    is committed wait, and are committed together."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._appends = Grouped(self._commit)

    async def append(self, index: str, tenant: str, epoch: int, change: Change) -> int:
        """See `SqlLog.append`, which also finds the words for what is refused."""
        seq = await self._appends.add(_Append(index, tenant, epoch, encode(change)))
        return await super().append(index, tenant, epoch, change) if seq is None else seq

    async def aclose(self) -> None:
        """Wait until all is written that was given."""
        await self._appends.aclose()

    async def _commit(self, group: Sequence[_Append]) -> list[int | None]:
        return await self._store.write_at_once(lambda connection: [_appended(connection, one) for one in group])


def _appended(connection: sqlite3.Connection, one: _Append) -> int | None:
    values = {"index": one.index, "tenant": one.tenant, "at": one.epoch}
    row = connection.execute(_SQLITE_ALLOCATE.string, _SQLITE_ALLOCATE.construct_params(values)).fetchone()
    if row is None:
        return None
    entry = {"index_name": one.index, "tenant": one.tenant, "seq": row[0], "body": one.body}
    connection.execute(_SQLITE_INSERT.string, entry)
    return int(row[0])
