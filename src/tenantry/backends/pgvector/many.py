"""Many namespaces of a shard in one statement: each gives its nearest, and the database puts them in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from tenantry.backends.pgvector.filters import where_of
from tenantry.backends.pgvector.rows import OPERATORS, score_of, vector_of
from tenantry.model.records import Hit, Metric, Query

#: Tables in one statement: it locks each of them, and their plans take a while to make.
MOST_TABLES = 64


def statement_of(
    tables: Sequence[sql.Identifier], metric: Metric, query: Query, per_table: int
) -> tuple[sql.Composed, dict[str, Any]]:
    """The statement and its parameters. Columns: place of the table, id, distance, then vector and metadata as the
    query wants them. Every table is searched exactly, so it is for those without an index."""
    where, values = ("true", []) if query.filter is None else where_of(query.filter)
    named = {f"f{i}": value for i, value in enumerate(values)}
    # The condition is made of our own words and %s; named parameters are sent once for all tables.
    for name in named:
        where = where.replace("%s", f"%({name})s", 1)
    wanted = [sql.SQL("vector")] * query.include_values + [sql.SQL("metadata")] * query.include_metadata
    more = sql.SQL("").join(sql.SQL(", {}").format(column) for column in wanted)
    one = sql.SQL(
        "(SELECT {} AS place, id, (vector {} %(vector)b) + 0 AS distance{} FROM {} WHERE {} "
        "ORDER BY distance, id LIMIT {})"
    )
    parts = [
        one.format(sql.Literal(place), sql.SQL(OPERATORS[metric]), more, table, sql.SQL(where), sql.Literal(per_table))
        for place, table in enumerate(tables)
    ]
    whole = sql.SQL("SELECT * FROM ({}) AS every ORDER BY distance, place, id LIMIT {}").format(
        sql.SQL(" UNION ALL ").join(parts), sql.Literal(query.top_k)
    )
    return whole, {"vector": query.vector, **named}


def hit_of(row: Sequence[Any], metric: Metric, query: Query) -> Hit:
    """A row of the statement."""
    return Hit(
        row[1],
        score_of(metric, row[2]),
        vector_of(row[3]) if query.include_values else None,
        row[-1] if query.include_metadata else None,
    )
