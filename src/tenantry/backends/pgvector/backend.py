"""`VectorBackend` on PostgreSQL with pgvector.

A shard is a schema. It has a table ``namespaces`` and, for each namespace, a table named by a hash of its name, alone
or as a partition of the shard's table ``records``; either way statements name that table itself. Ids are in the
collation ``C``, whose order is that of code points. Vectors are stored as given; pgvector computes in float32.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from msgspec.structs import replace
from psycopg import sql
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from tenantry.backends.common.counting import total
from tenantry.backends.pgvector.connections import Connections
from tenantry.backends.pgvector.errors import translated
from tenantry.backends.pgvector.filters import where_of
from tenantry.backends.pgvector.indexing import Indexer
from tenantry.backends.pgvector.many import MOST_TABLES, hit_of, statement_of
from tenantry.backends.pgvector.names import table_of
from tenantry.backends.pgvector.numbers import encoded
from tenantry.backends.pgvector.options import PgvectorOptions
from tenantry.backends.pgvector.rows import COLUMNS, OPERATORS, Put, copy_in, put_few, record_of, score_of, vector_of
from tenantry.backends.pgvector.snapshots import HeldTable, held
from tenantry.errors import NotFound, Unavailable
from tenantry.model.records import (
    ByFilter,
    ByIds,
    Found,
    FoundIn,
    Hit,
    IdPage,
    Metric,
    NamespaceStats,
    Page,
    Query,
    Record,
    Selector,
    Update,
)
from tenantry.ports import Features

FEATURES = Features(
    filters=True,
    atomic_update=True,
    read_your_writes=True,
    exact_counts=True,
    warms=True,
    snapshots=True,
    many_namespace_query=True,
)
#: Records from which an upsert goes by COPY.
COPY_FROM = 100
#: Times that a write is tried which another one of the same ids got in the way of.
TRIES = 5
#: With more hits than that an index is no help.
INDEXED_TOP_K = 1_000
CONFLICTS = (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)


class PgvectorBackend:
    """Implements `VectorBackend`. Its schema is made on first use.

    Args:
        schema: name of the shard's schema.
    """

    def __init__(
        self, url: str, schema: str, dimension: int, metric: Metric, options: PgvectorOptions = PgvectorOptions()
    ) -> None:
        self.dimension = dimension
        self.metric = metric
        self.schema = schema
        self.options = options
        # More reads than connections would wait in the pool in order of arrival, whatever share a tenant has.
        self.features = replace(FEATURES, reads_at_once=options.connections)
        self.connections = Connections(url, options)
        self.indexer = Indexer(self.connections, schema, dimension, metric, options.index_from)

    async def probe(self) -> Features:
        """Connect, make the schema, and say what the store can do. Raises Unavailable, Unsupported, Refused."""
        await self.ready()
        return self.features

    async def create(self, namespace: str) -> None:
        """A row and a table, in one transaction."""
        await self.ready()
        table = self.table(namespace)
        if self.options.layout == "partitions":
            make = sql.SQL(
                "CREATE TABLE IF NOT EXISTS {} PARTITION OF {} (namespace DEFAULT {}, PRIMARY KEY (id)) "
                "FOR VALUES IN ({})"
            ).format(table, self._named("records"), sql.Literal(namespace), sql.Literal(namespace))
        else:
            make = sql.SQL("CREATE TABLE IF NOT EXISTS {} ({}, PRIMARY KEY (id))").format(table, self._columns())
        note = sql.SQL("INSERT INTO {} (name) VALUES ({}) ON CONFLICT DO NOTHING").format(
            self._named("namespaces"), sql.Literal(namespace)
        )
        await self._define(note, make)

    async def drop(self, namespace: str) -> None:
        """Row and table, in one transaction."""
        await self.ready()
        await self.indexer.give_up(namespace)
        name = sql.Literal(namespace)
        await self._define(
            sql.SQL("DELETE FROM {} WHERE name = {}").format(self._named("namespaces"), name),
            sql.SQL("DROP TABLE IF EXISTS {}").format(self.table(namespace)),
        )

    def index(self, namespace: str) -> PgvectorIndex:
        """A handle."""
        return PgvectorIndex(self, namespace)

    async def namespaces(self, after: str | None, limit: int) -> list[str]:
        """From the shard's own table."""
        await self.ready()
        query = sql.SQL("SELECT name FROM {} WHERE name > %s ORDER BY name LIMIT %s").format(self._named("namespaces"))
        async with self.connections.use() as connection:
            cursor = await connection.execute(query, [after or "", limit])
            return [row[0] for row in await cursor.fetchall()]

    async def query_many(self, namespaces: Sequence[str], query: Query, per_namespace: int | None = None) -> Found:
        """Namespaces without an index in one statement for each `MOST_TABLES` of them; those with one each for itself,
        as they are large and few."""
        await self.ready()
        indexed = await self.indexer.indexed(namespaces)
        plain = [place for place, name in enumerate(namespaces) if name not in indexed]
        work = [self._together(namespaces, plain[i : i + MOST_TABLES], query, per_namespace) for i in _steps(plain)]
        work += [
            self._alone(namespaces, place, query, per_namespace)
            for place, name in enumerate(namespaces)
            if name in indexed
        ]
        hits: list[tuple[int, Hit]] = []
        missing: list[int] = []
        for found, gone in await asyncio.gather(*work):
            hits += found
            missing += gone
        hits.sort(key=lambda one: (-one[1].score, one[0], one[1].id))
        return Found(
            [FoundIn(namespaces[place], hit) for place, hit in hits[: query.top_k]],
            tuple(namespaces[place] for place in sorted(missing)),
        )

    async def _together(
        self, namespaces: Sequence[str], places: Sequence[int], query: Query, per_namespace: int | None
    ) -> tuple[list[tuple[int, Hit]], list[int]]:
        """Hits by place in the list, and the places of namespaces that are not there: then those that are, are asked
        again."""
        most = query.top_k if per_namespace is None else min(query.top_k, per_namespace)
        tables = [self.table(namespaces[place]) for place in places]
        statement, values = statement_of(tables, self.metric, query, most)
        async with self.connections.use() as connection:
            try:
                rows = await (await connection.execute(statement, values, binary=True)).fetchall()
            except psycopg.errors.UndefinedTable:
                rows = None
        if rows is not None:
            return [(places[row[0]], hit_of(row, self.metric, query)) for row in rows], []
        there = await self._present([namespaces[place] for place in places])
        kept = [place for place in places if namespaces[place] in there]
        if len(kept) == len(places):
            raise Unavailable(f"{self.connections.where}: namespaces were dropped meanwhile; try again")
        gone = [place for place in places if namespaces[place] not in there]
        if not kept:
            return [], gone
        found, more = await self._together(namespaces, kept, query, per_namespace)
        return found, gone + more

    async def _alone(
        self, namespaces: Sequence[str], place: int, query: Query, per_namespace: int | None
    ) -> tuple[list[tuple[int, Hit]], list[int]]:
        try:
            hits = await self.index(namespaces[place]).query(query)
        except NotFound:
            return [], [place]
        return [(place, hit) for hit in hits[:per_namespace]], []

    async def _present(self, namespaces: list[str]) -> set[str]:
        query = sql.SQL("SELECT name FROM {} WHERE name = ANY(%s)").format(self._named("namespaces"))
        async with self.connections.use() as connection:
            return {row[0] for row in await (await connection.execute(query, [namespaces])).fetchall()}

    async def stats(self, namespace: str | None = None) -> NamespaceStats:
        """Counted; bytes with indexes."""
        if namespace is None:
            return total(await self.sizes())
        await self.ready()
        table = self.table(namespace)
        query = sql.SQL("SELECT count(*), pg_total_relation_size({}) FROM {}").format(
            sql.Literal(table.as_string()), table
        )
        async with self.connections.use() as connection:
            with translated(self.connections.where, namespace):
                row = await (await connection.execute(query)).fetchone()
        assert row is not None  # noqa: S101  an aggregate has one row
        return NamespaceStats(int(row[0]), int(row[1]))

    async def sizes(self) -> dict[str, NamespaceStats]:
        """Counted in one statement."""
        await self.ready()
        names = sql.SQL("SELECT name FROM {}").format(self._named("namespaces"))
        sizes = sql.SQL("SELECT leaf, vectors, bytes FROM {}()").format(self._named("sizes"))
        async with self.connections.use() as connection:
            with translated(self.connections.where):
                present = [row[0] for row in await (await connection.execute(names)).fetchall()]
                found = {row[0]: row[1:] for row in await (await connection.execute(sizes)).fetchall()}
        return {name: NamespaceStats(*found[table]) for name in present if (table := table_of(name)) in found}

    async def aclose(self) -> None:
        """Give up builds of indexes, close connections."""
        await self.indexer.aclose()
        await self.connections.aclose()

    async def ready(self) -> None:
        """Have the schema, if it is not known to be there."""
        if self.connections.is_open:
            return
        statements = [
            sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(self.schema)),
            sql.SQL('CREATE TABLE IF NOT EXISTS {} (name text COLLATE "C" PRIMARY KEY)').format(
                self._named("namespaces")
            ),
            _SIZES.format(self._named("sizes"), sql.Literal(self.schema)),
        ]
        if self.options.layout == "partitions":
            statements.append(
                sql.SQL(
                    'CREATE TABLE IF NOT EXISTS {} (namespace text COLLATE "C" NOT NULL, {}) '
                    "PARTITION BY LIST (namespace)"
                ).format(self._named("records"), self._columns())
            )
        await self.connections.open([statement.as_string() for statement in statements])

    async def _define(self, *statements: sql.Composed) -> None:
        """Run statements in one transaction, one such transaction at a time; again when an index that another process
        builds got in the way."""
        async with self.connections.use() as connection:
            for left in reversed(range(TRIES)):
                try:
                    async with connection.transaction():
                        await connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [self.schema])
                        for statement in statements:
                            await connection.execute(statement)
                except CONFLICTS:
                    if not left:
                        raise
                else:
                    return

    def table(self, namespace: str) -> sql.Identifier:
        """The table of a namespace."""
        return sql.Identifier(self.schema, table_of(namespace))

    def _named(self, name: str) -> sql.Identifier:
        return sql.Identifier(self.schema, name)

    def _columns(self) -> sql.Composed:
        return sql.SQL('id text COLLATE "C" NOT NULL, vector vector({}) NOT NULL, metadata jsonb').format(
            sql.Literal(self.dimension)
        )


#: Counts each table of a shard in one statement of the caller's.
_SIZES = sql.SQL("""CREATE OR REPLACE FUNCTION {}() RETURNS TABLE (leaf text, vectors bigint, bytes bigint)
LANGUAGE plpgsql AS $$
DECLARE
    place regclass;
BEGIN
    FOR place, leaf IN SELECT oid, relname FROM pg_class
        WHERE relnamespace = {}::regnamespace AND relkind = 'r' AND relname LIKE 'n\\_%' LOOP
        EXECUTE 'SELECT count(*) FROM ' || place INTO vectors;
        bytes := pg_total_relation_size(place);
        RETURN NEXT;
    END LOOP;
END $$""")


def _steps(plain: Sequence[int]) -> range:
    return range(0, len(plain), MOST_TABLES)


class PgvectorIndex:
    """Implements `Index` and `Warming`."""

    def __init__(self, backend: PgvectorBackend, namespace: str) -> None:
        self._backend = backend
        self._namespace = namespace
        self._table = backend.table(namespace)

    async def upsert(self, records: Sequence[Record]) -> None:
        """One transaction: by COPY when there are many."""
        if not records:
            return
        rows = sorted(records, key=lambda record: record.id)  # in one order, so that two writers cannot deadlock
        await self._write(copy_in if len(rows) >= COPY_FROM else put_few, rows)
        self._backend.indexer.note(self._namespace, len(rows))

    async def update(self, update: Update) -> bool:
        """One statement."""
        query = sql.SQL(
            "UPDATE {} SET vector = coalesce(%b, vector), metadata = CASE WHEN %s::jsonb IS NULL THEN metadata "
            "ELSE coalesce(metadata, '{{}}') || %s::jsonb END WHERE id = %s"
        ).format(self._table)
        metadata = None if update.set_metadata is None else Jsonb(update.set_metadata, dumps=encoded)
        return await self._changed(query, [update.values, metadata, metadata, update.id]) == 1

    async def delete(self, selector: Selector) -> None:
        """One statement."""
        if isinstance(selector, ByIds):
            where, values = "id = ANY(%s)", [sorted(selector.ids)]
        elif isinstance(selector, ByFilter):
            where, values = where_of(selector.filter)
        else:
            where, values = "true", []
        condition = sql.SQL(where)  # made of our own words and %s
        await self._changed(sql.SQL("DELETE FROM {} WHERE {}").format(self._table, condition), values)

    async def fetch(self, ids: Sequence[str]) -> dict[str, Record]:
        """By primary key."""
        query = sql.SQL("SELECT {} FROM {} WHERE id = ANY(%s)").format(COLUMNS, self._table)
        found = {row[0]: record_of(row) for row in await self._rows(query, [list(ids)])}
        return {id: found[id] for id in ids if id in found}

    async def query(self, query: Query) -> list[Hit]:
        """Through the index if there is one; exactly if that has not found enough."""
        hits = await self._nearest(query, exactly=query.top_k > INDEXED_TOP_K)
        if len(hits) < query.top_k <= INDEXED_TOP_K and await self._backend.indexer.is_indexed(self._namespace):
            hits = await self._nearest(query, exactly=True)
        return hits

    async def scan(self, cursor: str | None, limit: int, prefix: str = "") -> Page:
        """By primary key."""
        rows = await self._page(COLUMNS, cursor, limit, prefix)
        records = [record_of(row) for row in rows[:limit]]
        return Page(records, records[-1].id if len(rows) > limit else None)

    async def list_ids(self, cursor: str | None, limit: int, prefix: str = "") -> IdPage:
        """By primary key."""
        rows = await self._page(sql.SQL("id"), cursor, limit, prefix)
        ids = [row[0] for row in rows[:limit]]
        return IdPage(ids, ids[-1] if len(rows) > limit else None)

    async def warm(self, like: object = None) -> None:
        """Build the index, if it is to have one."""
        await self._backend.ready()
        self._backend.indexer.look(self._namespace)

    async def is_warm(self) -> bool:
        """Whether no index of it is being built."""
        return not self._backend.indexer.works_on(self._namespace)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[HeldTable]:
        """Hold the namespace as it is now, in a repeatable-read transaction."""
        backend = self._backend
        await backend.ready()
        async with held(backend.connections, self._table, self._namespace, backend.dimension) as found:
            yield found

    async def version(self) -> str | None:
        """PostgreSQL cannot tell."""
        return None

    async def _nearest(self, query: Query, exactly: bool) -> list[Hit]:
        metric = self._backend.metric
        where, values = ("true", []) if query.filter is None else where_of(query.filter)
        wanted = [sql.SQL("vector")] * query.include_values + [sql.SQL("metadata")] * query.include_metadata
        statement = sql.SQL("SELECT id, (vector {} %b){} AS distance{} FROM {} WHERE {} ORDER BY distance, id LIMIT {}")
        rows = await self._rows(
            statement.format(
                sql.SQL(OPERATORS[metric]),
                sql.SQL(" + 0" if exactly else ""),  # no index knows that expression
                sql.SQL("").join(sql.SQL(", {}").format(column) for column in wanted),
                self._table,
                sql.SQL(where),  # made of our own words and %s
                sql.Literal(query.top_k),
            ),
            [query.vector, *values],
        )
        return [
            Hit(
                row[0],
                score_of(metric, row[1]),
                vector_of(row[2]) if query.include_values else None,
                row[-1] if query.include_metadata else None,
            )
            for row in rows
        ]

    async def _page(self, columns: sql.Composable, cursor: str | None, limit: int, prefix: str) -> list[TupleRow]:
        query = sql.SQL("SELECT {} FROM {} WHERE id > %s AND id >= %s AND starts_with(id, %s) ORDER BY id LIMIT %s")
        return await self._rows(query.format(columns, self._table), [cursor or "", prefix, prefix, limit + 1])

    async def _rows(self, statement: sql.Composed, values: Sequence[Any]) -> list[TupleRow]:
        await self._backend.ready()
        async with self._backend.connections.use() as connection:
            with translated(self._backend.connections.where, self._namespace):
                return await (await connection.execute(statement, values, binary=True)).fetchall()

    async def _changed(self, statement: sql.Composed, values: Sequence[Any]) -> int:
        """How many rows a statement changed."""
        await self._backend.ready()
        async with self._backend.connections.use() as connection:
            with translated(self._backend.connections.where, self._namespace):
                return (await connection.execute(statement, values)).rowcount

    async def _write(self, put: Put, rows: Sequence[Record]) -> None:
        await self._backend.ready()
        async with self._backend.connections.use() as connection:
            with translated(self._backend.connections.where, self._namespace):
                for left in reversed(range(TRIES)):
                    try:
                        async with connection.transaction():
                            await put(connection, self._table, rows)
                    except CONFLICTS:
                        if not left:
                            raise
                    else:
                        return
