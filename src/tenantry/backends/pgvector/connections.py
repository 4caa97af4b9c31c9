"""Connections to one database, made ready for vectors; whatever goes wrong comes out as an error of Tenantry."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import psycopg_pool
from pgvector.psycopg import register_vector_async
from psycopg.rows import TupleRow
from psycopg.types.json import set_json_loads

from tenantry.backends.pgvector.errors import translated
from tenantry.backends.pgvector.numbers import decoded
from tenantry.backends.pgvector.options import PgvectorOptions
from tenantry.errors import Unavailable, Unsupported

Connection = psycopg.AsyncConnection[TupleRow]
Pool = psycopg_pool.AsyncConnectionPool[Connection]

CONNECT_S = 5
QUEUE_WAIT_S = 10.0
IDLE_S = 300.0
#: After so long the pool gets the usual connection back, and may close it for its age, seconds.
USUAL_S = 300.0
#: The first with iterative index scans, without which a filter can leave an indexed search with too few hits.
LEAST_VERSION = (0, 8)
#: Each connection's own table, where what is copied in waits to be merged.
INCOMING = "pg_temp.tenantry_incoming"


class Connections:
    """Bounded in number and in waiting; ready after a restart of the server by themselves."""

    def __init__(self, url: str, options: PgvectorOptions) -> None:
        self._url = url
        self._options = options
        self._opening = asyncio.Lock()
        self._pool: Pool | None = None
        self._usual: Connection | None = None
        self._usual_until = 0.0
        self._usual_is_busy = False
        parts = psycopg.conninfo.conninfo_to_dict(url)
        self.where = f"database {parts.get('dbname') or parts.get('user')} on {parts.get('host') or 'the local socket'}"

    @property
    def is_open(self) -> bool:
        """Whether `open` is done."""
        return self._pool is not None

    async def open(self, statements: list[str]) -> None:
        """Connect, and run statements, each of which does nothing when it is done already. Raises Unsupported: there
        is no pgvector."""
        async with self._opening:
            if self._pool is not None:
                return
            with translated(self.where):
                await self._prepare(statements)
                pool = psycopg_pool.AsyncConnectionPool(
                    self._url,
                    connection_class=psycopg.AsyncConnection[TupleRow],
                    kwargs=self._settings(),
                    min_size=1,
                    max_size=self._options.connections,
                    timeout=QUEUE_WAIT_S,
                    max_idle=IDLE_S,
                    reconnect_timeout=CONNECT_S,
                    configure=self.configure,
                    open=False,
                )
                await pool.open()
            self._pool = pool

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Connection]:
        """A connection, each statement of which is a transaction of its own.

        One is used as long as it is free, since it knows the tables that were asked for (a server process with cold
        caches takes a millisecond more); the pool would hand out all of its connections in turn.
        """
        if self._pool is None:
            raise Unavailable(f"{self.where}: not open")
        with translated(self.where):
            if self._usual_is_busy:
                async with self._pool.connection() as connection:
                    yield connection
                return
            self._usual_is_busy = True
            try:
                yield await self._usual_one(self._pool)
            finally:
                self._usual_is_busy = False

    async def _usual_one(self, pool: Pool) -> Connection:
        """The one that was used last, unless it is broken or old: then the pool sees to it, and gives another."""
        now = time.monotonic()
        connection = self._usual
        if connection is not None:
            is_idle = connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
            if is_idle and not connection.closed and now < self._usual_until:
                return connection
            self._usual = None
            await pool.putconn(connection)
        connection = await pool.getconn()
        if self._pool is not pool:  # closed meanwhile
            await pool.putconn(connection)
            raise Unavailable(f"{self.where}: closed")
        self._usual, self._usual_until = connection, now + USUAL_S
        return connection

    @asynccontextmanager
    async def apart(self) -> AsyncIterator[Connection]:
        """One beside the others, for what takes long; without a limit of time."""
        with translated(self.where):
            async with await psycopg.AsyncConnection.connect(self._url, **self._settings()) as connection:
                await connection.execute("SET statement_timeout = 0")
                yield connection

    async def aclose(self) -> None:
        """Close them all; safe to call twice."""
        pool, self._pool = self._pool, None
        usual, self._usual = self._usual, None
        if pool is not None:
            if usual is not None:
                await (usual.close() if self._usual_is_busy else pool.putconn(usual))
            await pool.close()

    async def _prepare(self, statements: list[str]) -> None:
        connecting = psycopg.AsyncConnection.connect(self._url, **self._settings())
        async with await connecting as connection, connection.transaction():
            # IF NOT EXISTS alone fails when two do it at once.
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('tenantry'))")
            await self._extend(connection)
            for statement in statements:
                await connection.execute(statement.encode())

    async def _extend(self, connection: Connection) -> None:
        try:
            if not self._options.adopted:  # nothing is made in a database of others
                await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            cursor = await connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
            row = await cursor.fetchone()
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFile):
            row = None
        if row is None:
            raise Unsupported(
                f"{self.where} has no pgvector: install it, then `CREATE EXTENSION vector` as an administrator"
            )
        version = str(row[0])
        if tuple(int(part) for part in version.split(".")[:2]) < LEAST_VERSION:
            raise Unsupported(
                f"{self.where} has pgvector {version}; needed: {'.'.join(map(str, LEAST_VERSION))} or newer "
                "(`ALTER EXTENSION vector UPDATE`)"
            )

    async def configure(self, connection: Connection) -> None:
        """Make a new connection ready for vectors."""
        await register_vector_async(connection)
        set_json_loads(decoded, connection)
        if self._options.adopted:
            return
        await connection.execute(
            'CREATE TEMP TABLE IF NOT EXISTS tenantry_incoming (id text COLLATE "C", vector vector, metadata jsonb) '
            "ON COMMIT DELETE ROWS"
        )

    def _settings(self) -> dict[str, Any]:
        statement_ms = round(self._options.statement_s * 1000)
        settings = {
            "statement_timeout": statement_ms,
            "lock_timeout": statement_ms,
            "hnsw.ef_search": self._options.ef_search,
            "hnsw.iterative_scan": "strict_order",
        }
        return {
            "autocommit": True,
            "connect_timeout": CONNECT_S,
            "application_name": "tenantry",
            "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        }
