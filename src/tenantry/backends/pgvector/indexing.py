"""When a namespace gets an HNSW index, and the building of it, beside reads and writes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from psycopg import sql

from tenantry.backends.pgvector.connections import Connection, Connections
from tenantry.backends.pgvector.names import index_of, table_of
from tenantry.errors import TenantryError
from tenantry.model.records import Metric

log = logging.getLogger(__name__)

#: pgvector indexes no longer vectors; such namespaces are searched exactly.
MOST_DIMENSIONS = 2_000
CLASSES = {
    Metric.COSINE: "vector_cosine_ops",
    Metric.DOTPRODUCT: "vector_ip_ops",
    Metric.EUCLIDEAN: "vector_l2_ops",
}
#: Memory that one build may take before it gets slow.
BUILD_MEMORY = "512MB"
#: Of `index_from`, the rows written here after which the namespace is looked at again.
LOOK_EVERY = 0.1
#: How long an answer to "is it indexed?" is believed, seconds.
BELIEVED_S = 5.0


class Indexer:
    """Builds one index at a time in this process, and never the same one in two (by an advisory lock)."""

    def __init__(self, connections: Connections, schema: str, dimension: int, metric: Metric, index_from: int) -> None:
        self._connections = connections
        self._schema = schema
        self._metric = metric
        self._from = index_from if dimension <= MOST_DIMENSIONS else None
        self._written: dict[str, int] = {}
        self._known: dict[str, tuple[float, bool]] = {}
        self._indexed: tuple[float, frozenset[str]] = (float("-inf"), frozenset())
        self._slot = asyncio.Lock()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def note(self, namespace: str, rows: int) -> None:
        """Rows were written."""
        if self._from is None:
            return
        written = self._written.get(namespace, 0) + rows
        if written >= max(1, LOOK_EVERY * self._from):
            written = 0
            self.look(namespace)
        self._written[namespace] = written

    def look(self, namespace: str) -> None:
        """Build the index in the background, if the namespace is to have one and has none."""
        if self._from is None or namespace in self._tasks:
            return
        task = asyncio.create_task(self._build(namespace))
        self._tasks[namespace] = task
        task.add_done_callback(lambda _: self._tasks.pop(namespace, None))

    def works_on(self, namespace: str) -> bool:
        """Whether its index is being built, or is about to be."""
        return namespace in self._tasks

    async def is_indexed(self, namespace: str) -> bool:
        """Whether searches may go through an index; asks the database now and then."""
        if self._from is None:
            return False
        now = time.monotonic()
        asked, known = self._known.get(namespace, (float("-inf"), False))
        if now - asked > BELIEVED_S:
            async with self._connections.use() as connection:
                known = await self._state(connection, namespace) is not None
            self._known[namespace] = (now, known)
        return known

    async def indexed(self, namespaces: Sequence[str]) -> set[str]:
        """Those that searches may go through an index of; asks the database now and then, once for all."""
        if self._from is None:
            return set()
        now = time.monotonic()
        if now - self._indexed[0] > BELIEVED_S:
            query = (
                "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
                "WHERE c.relnamespace = to_regnamespace(%s) AND i.indisvalid AND NOT i.indisprimary"
            )
            schema = sql.Identifier(self._schema).as_string()
            async with self._connections.use() as connection:
                rows = await (await connection.execute(query, [schema])).fetchall()
            self._indexed = (now, frozenset(row[0] for row in rows))
        names = self._indexed[1]
        return {namespace for namespace in namespaces if index_of(namespace) in names} if names else set()

    async def give_up(self, namespace: str) -> None:
        """The namespace is about to go."""
        task = self._tasks.get(namespace)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._written.pop(namespace, None)
        self._known.pop(namespace, None)

    async def settled(self) -> None:
        """Wait for all that is being built."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def aclose(self) -> None:
        """Give up."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _build(self, namespace: str) -> None:
        try:
            async with self._slot:
                if await self._is_large(namespace):
                    async with self._connections.apart() as connection:
                        await self._build_on(connection, namespace)
        except TenantryError as error:
            log.warning("no index for namespace %r: it is searched exactly (%s)", namespace, error)

    async def _is_large(self, namespace: str) -> bool:
        few = sql.SQL("SELECT count(*) FROM (SELECT 1 FROM {} LIMIT %s) AS counted").format(self._table(namespace))
        async with self._connections.use() as connection:
            row = await (await connection.execute(few, [self._from])).fetchone()
        return row is not None and self._from is not None and int(row[0]) >= self._from

    async def _build_on(self, connection: Connection, namespace: str) -> None:
        got = await (
            await connection.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [self._key(namespace)])
        ).fetchone()
        if not (got and got[0]):
            return  # another process builds it
        valid = await self._state(connection, namespace)
        if valid:
            return
        if valid is False:  # what a build that was cut off left behind
            await connection.execute(sql.SQL("DROP INDEX CONCURRENTLY {}").format(self._index(namespace)))
        await connection.execute(sql.SQL("SET maintenance_work_mem = {}").format(sql.Literal(BUILD_MEMORY)))
        await connection.execute(
            sql.SQL("CREATE INDEX CONCURRENTLY IF NOT EXISTS {} ON {} USING hnsw (vector {})").format(
                sql.Identifier(index_of(namespace)), self._table(namespace), sql.SQL(CLASSES[self._metric])
            )
        )
        self._known.pop(namespace, None)

    async def _state(self, connection: Connection, namespace: str) -> bool | None:
        """Whether the index is valid; None when there is none."""
        query = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"
        row = await (await connection.execute(query, [self._index(namespace).as_string()])).fetchone()
        return None if row is None else bool(row[0])

    def _table(self, namespace: str) -> sql.Identifier:
        return sql.Identifier(self._schema, table_of(namespace))

    def _index(self, namespace: str) -> sql.Identifier:
        return sql.Identifier(self._schema, index_of(namespace))

    def _key(self, namespace: str) -> str:
        return f"tenantry {self._schema} {namespace}"
