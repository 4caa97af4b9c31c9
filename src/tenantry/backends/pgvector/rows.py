"""Rows in, rows out, distances as scores."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pgvector
from psycopg import sql
from psycopg.types.json import Jsonb

from tenantry.backends.pgvector.connections import INCOMING, Connection
from tenantry.backends.pgvector.numbers import encoded
from tenantry.model.records import Metric, Record, Vector

COLUMNS = sql.SQL("id, vector, metadata")
#: Distances; the inner product is negative.
OPERATORS = {Metric.COSINE: "<=>", Metric.DOTPRODUCT: "<#>", Metric.EUCLIDEAN: "<->"}
_REPLACE = "ON CONFLICT (id) DO UPDATE SET vector = excluded.vector, metadata = excluded.metadata"
_PUT = sql.SQL("INSERT INTO {} (id, vector, metadata) VALUES (%s, %b, %b) " + _REPLACE)  # noqa: S608
_MERGE = sql.SQL("INSERT INTO {} (id, vector, metadata) SELECT id, vector, metadata FROM {} ORDER BY id " + _REPLACE)  # noqa: S608
Put = Callable[[Connection, sql.Identifier, Sequence[Record]], Awaitable[None]]


def score_of(metric: Metric, distance: float) -> float:
    """The score that `Metric` defines."""
    if metric is Metric.COSINE:
        return 1.0 - distance
    if metric is Metric.DOTPRODUCT:
        return -distance
    return -distance * distance


def record_of(row: Sequence[Any]) -> Record:
    """A row of `COLUMNS`."""
    return Record(row[0], vector_of(row[1]), row[2])


def vector_of(value: pgvector.Vector) -> Vector:
    """A column's value."""
    return value.to_numpy()


async def put_few(connection: Connection, table: sql.Identifier, records: Sequence[Record]) -> None:
    """Insert or replace, each by a statement; all are sent at once."""
    async with connection.cursor() as cursor:
        await cursor.executemany(_PUT.format(table), [_row(record) for record in records])


async def copy_in(connection: Connection, table: sql.Identifier, records: Sequence[Record]) -> None:
    """COPY into the connection's own table `INCOMING`, and from there insert or replace in the order of ids."""
    async with connection.cursor() as cursor:
        async with cursor.copy(f"COPY {INCOMING} (id, vector, metadata) FROM STDIN (FORMAT BINARY)".encode()) as copy:
            copy.set_types(["text", "vector", "jsonb"])
            for record in records:
                await copy.write_row(_row(record))
        await cursor.execute(_MERGE.format(table, sql.SQL(INCOMING)))


def _row(record: Record) -> tuple[Any, ...]:
    return record.id, record.values, None if record.metadata is None else Jsonb(record.metadata, dumps=encoded)
