"""The database under the catalog: its URL, its connections, and how it reads and writes."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar
from weakref import WeakSet

import aiosqlite
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from tenantry.catalogs.vendor_errors import POSTGRES_RECOVERY, SQLITE_RECOVERY, translated
from tenantry.errors import InvalidArgument, Unsupported

#: Longest wait for a lock that another process holds.
LOCK_WAIT_S = 10
#: Longest run of one statement on PostgreSQL.
STATEMENT_S = 20
#: Longest wait for a connection of the pool, and for the turn among this process's own writers.
QUEUE_WAIT_S = 30
CONNECT_S = 5
CONNECTIONS = 5

T = TypeVar("T")

_WRITES = "tenantry_writes"
_PRAGMAS = ("foreign_keys = ON", "synchronous = FULL")
_ALLOWED = "sqlite:////path/to/catalog.db or postgresql://user@host:port/database"


class Store:
    """Connections to one database, bounded in number and in waiting.

    Attributes:
        where: the database as people know it; never holds a password.
        recovery: what to do when it is damaged.
        file: the SQLite file; None on PostgreSQL.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        where: str,
        recovery: str,
        file: Path | None,
        lock_wait_s: float = LOCK_WAIT_S,
        threads: AbstractSet[Thread] = frozenset(),
    ) -> None:
        self.where, self.recovery, self.file = where, recovery, file
        self._engine = engine
        self._lock_wait_s = lock_wait_s
        self._worker: ThreadPoolExecutor | None = None
        self._own: sqlite3.Connection | None = None
        # SQLite has one writer at a time: those of this process queue here, in order, instead of polling the file.
        self._turn = asyncio.Lock() if file else None
        #: Of aiosqlite's connections, while they run.
        self._threads = threads
        # A read is one statement, and one statement sees one state: it needs no transaction around it.
        self._reader = engine if file else engine.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for one SELECT."""
        with translated(self.where, self.recovery):
            async with self._reader.connect() as connection:
                yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """A connection for several SELECTs that all see the same moment."""
        with translated(self.where, self.recovery):
            if self.file is None:
                held = self._engine.execution_options(isolation_level="REPEATABLE READ")
                async with held.begin() as connection:
                    yield connection
                return
            async with self._engine.connect() as connection:
                await connection.exec_driver_sql("BEGIN")
                try:
                    yield connection
                finally:
                    await connection.exec_driver_sql("COMMIT")

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A write transaction: commits at the end of the body, rolls back when it raises.

        On SQLite it holds the write lock from its start (``BEGIN IMMEDIATE``), so what it reads stays true
        until it commits. On PostgreSQL (READ COMMITTED) the body locks the rows that it decides upon.
        Durable when it returns.
        """
        with translated(self.where, self.recovery):
            if self._turn is None:
                async with self._engine.begin() as connection:
                    yield connection
                return
            async with _held(self._turn), self._engine.connect() as connection:
                await connection.execution_options(**{_WRITES: True})
                async with connection.begin():
                    yield connection

    async def write_at_once(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """As `write`, on SQLite only: the transaction is a function, run in a worker. To go there and back once, and
        not at every statement, takes a tenth of the event loop's time. Do not cancel it."""
        assert self._turn is not None  # noqa: S101  callers look at `file`
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="tenantry-catalog")
        with translated(self.where, self.recovery):
            async with _held(self._turn):
                return await asyncio.get_running_loop().run_in_executor(self._worker, self._transact, job)

    def _transact(self, job: Callable[[sqlite3.Connection], T]) -> T:
        if self._own is None:
            self._own = sqlite3.connect(
                str(self.file), isolation_level=None, timeout=self._lock_wait_s, check_same_thread=False
            )
            for pragma in _PRAGMAS:
                self._own.execute(f"PRAGMA {pragma}")
        self._own.execute("BEGIN IMMEDIATE")
        try:
            result = job(self._own)
            self._own.execute("COMMIT")
        except BaseException:
            if self._own.in_transaction:
                self._own.execute("ROLLBACK")
            raise
        return result

    async def insert_if_absent(self, connection: AsyncConnection, table: sa.Table, values: Mapping[str, Any]) -> bool:
        """Insert a row; False, and nothing changed, when one with its primary key is there."""
        insert = sqlite.insert if self.file else postgresql.insert
        statement = insert(table).values(**values).on_conflict_do_nothing()
        # Without the option, psycopg's count is gone with its cursor.
        done = await connection.execute(statement.execution_options(preserve_rowcount=True))
        return done.rowcount == 1

    async def aclose(self) -> None:
        """Close every connection; safe to call twice."""
        await self._engine.dispose()
        # A connection whose caller was cancelled is closed by its thread when that gets to it, which then tells the
        # event loop; so the loop must still be there.
        for thread in list(self._threads):
            await asyncio.to_thread(thread.join, QUEUE_WAIT_S)
        worker, own = self._worker, self._own
        self._worker = self._own = None
        if worker is not None:
            worker.shutdown()
        if own is not None:
            own.close()


@asynccontextmanager
async def _held(turn: asyncio.Lock) -> AsyncIterator[None]:
    """The turn among this process's writers. Raises TimeoutError."""
    async with asyncio.timeout(QUEUE_WAIT_S):
        await turn.acquire()
    try:
        yield
    finally:
        turn.release()


class _LettingGo(sqlite3.Connection):
    """Gives up the lock of the file when it is closed.

    SQLite keeps a closed connection, and the transaction in it, until its last statement is gone. Of a call that was
    cancelled, the exception holds the cursor: every other writer would wait until that is collected.
    """

    def close(self) -> None:
        """Roll back, then close."""
        with suppress(sqlite3.Error):  # it is closed, or there is nothing to roll back
            self.rollback()
        super().close()


def open_store(url: str, lock_wait_s: float = LOCK_WAIT_S) -> Store:
    """A store for the URL; nothing is connected yet.

    Args:
        url: see `tenantry.catalogs.sql.open_catalog`.
        lock_wait_s: longest wait for a lock that another process holds.

    Raises:
        InvalidArgument: the URL is not one of a catalog.
        Unsupported: PostgreSQL without its driver installed.
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise InvalidArgument("catalog", str(url).split(":", 1)[0] + ":...", _ALLOWED) from None
    kind = parsed.drivername.split("+", 1)[0]
    if kind == "sqlite":
        return _sqlite(parsed, lock_wait_s)
    if kind in {"postgresql", "postgres"}:
        return _postgres(parsed, lock_wait_s)
    raise InvalidArgument("catalog", f"{kind}:...", _ALLOWED)


def _sqlite(url: sa.URL, lock_wait_s: float) -> Store:
    if not url.database or url.database.startswith((":memory:", "file:")):
        raise InvalidArgument("catalog", str(url), "a file, which several processes can share: sqlite:////path")
    file = Path(url.database).absolute()
    if not file.parent.is_dir():
        raise InvalidArgument("catalog", str(file), "a file in a folder that exists")
    threads: WeakSet[Thread] = WeakSet()

    async def connect() -> aiosqlite.Connection:
        # No transaction but those that `begin` below starts: the driver's own would be deferred, and a deferred
        # transaction that turns to writing fails at once when another process has written meanwhile.
        made = aiosqlite.connect(str(file), isolation_level=None, timeout=lock_wait_s, factory=_LettingGo)
        made._thread.daemon = True  # a program that forgets to close the catalog ends all the same
        threads.add(made._thread)
        return await made

    engine = create_async_engine(
        sa.URL.create("sqlite+aiosqlite", database=str(file)),
        async_creator=connect,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=QUEUE_WAIT_S,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def settle(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: sa.Connection) -> None:
        if connection.get_execution_options().get(_WRITES):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return Store(engine, str(file), SQLITE_RECOVERY.format(file=file), file, lock_wait_s, threads)


def _postgres(url: sa.URL, lock_wait_s: float) -> Store:
    where = f"{url.database or url.username or '(default)'} on {url.host or 'the local socket'}"
    if url.port:
        where += f":{url.port}"
    limits = {
        "connect_timeout": CONNECT_S,
        "application_name": "tenantry",
        "options": f"-c statement_timeout={STATEMENT_S}s -c lock_timeout={round(lock_wait_s * 1000)}"
        f" -c idle_in_transaction_session_timeout={QUEUE_WAIT_S}s",
    }
    try:
        engine = create_async_engine(
            url.set(drivername="postgresql+psycopg"),
            connect_args={name: value for name, value in limits.items() if name not in url.query},
            pool_size=CONNECTIONS,
            max_overflow=CONNECTIONS,
            pool_timeout=QUEUE_WAIT_S,
            pool_pre_ping=True,  # after a restart of the server, the next call connects anew
            hide_parameters=True,
        )
    except ModuleNotFoundError as error:
        raise Unsupported(
            "a PostgreSQL catalog needs its driver, which is not installed: pip install 'tenantry[postgres]'"
        ) from error
    return Store(engine, where, POSTGRES_RECOVERY, None)
