"""A namespace as it is at one moment: a repeatable-read transaction on a connection of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import sql

from tenantry.backends.pgvector.connections import Connection, Connections
from tenantry.backends.pgvector.errors import translated
from tenantry.backends.pgvector.rows import COLUMNS, record_of
from tenantry.model.blocks import Block, block_of


class HeldTable:
    """Implements `tenantry.ports.Snapshot`. PostgreSQL keeps no number that tells whether a table has changed."""

    version: str | None = None

    def __init__(
        self, connection: Connection, table: sql.Identifier, where: str, namespace: str, dimension: int
    ) -> None:
        self._connection = connection
        self._table = table
        self._where = where
        self._namespace = namespace
        self._dimension = dimension

    async def page(self, cursor: str | None, limit: int) -> Block:
        """By primary key."""
        query = sql.SQL("SELECT {} FROM {} WHERE id > %s ORDER BY id LIMIT %s").format(COLUMNS, self._table)
        with translated(self._where, self._namespace):
            found = await self._connection.execute(query, [cursor or "", limit + 1], binary=True)
            rows = await found.fetchall()
        records = [record_of(row) for row in rows[:limit]]
        return block_of(records, self._dimension, records[-1].id if len(rows) > limit else None)


@asynccontextmanager
async def held(
    connections: Connections, table: sql.Identifier, namespace: str, dimension: int
) -> AsyncIterator[HeldTable]:
    """Hold a table as it is now. Its vacuum waits for the end of this; so does its drop."""
    async with connections.apart() as connection:
        await connections.configure(connection)
        with translated(connections.where, namespace):
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            # The snapshot is taken by the first statement, not by BEGIN.
            await connection.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(table))
        yield HeldTable(connection, table, connections.where, namespace, dimension)
        await connection.execute("COMMIT")
