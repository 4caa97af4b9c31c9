"""Tables of PostgreSQL that others laid out, with a column of type ``vector``; their rows are records.

A record's metadata are the table's columns of simple types and the keys of its document (`layout`, `fields`,
`plain_filters`). What a column cannot hold is kept in the document under the column's name, where the column may be
NULL; an id that the column cannot hold is kept there too, and its row has a hash of it as its key. Rows without a
vector of the shard's dimension are no records, and are left alone.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import psycopg
from msgspec.structs import replace
from psycopg import sql

from tenantry.backends.pgvector.backend import FEATURES
from tenantry.backends.pgvector.connections import Connection, Connections
from tenantry.backends.pgvector.errors import translated
from tenantry.backends.pgvector.fields import bare
from tenantry.backends.pgvector.layout import Found, Table, find, fitted, page
from tenantry.backends.pgvector.options import PgvectorOptions
from tenantry.backends.pgvector.records import PgvectorTable
from tenantry.errors import NotFound, Refused, Unavailable
from tenantry.model.records import Metric
from tenantry.ports import Features

#: Tables that one look at the catalogs tells of.
PAGE = 500
#: For how long a table is taken to be as it was, seconds.
KNOWN_S = 60.0
MOST_KNOWN = 10_000
NAME_BYTES = 63
#: What Tenantry's own tables are called.
_OURS = ("n_", 42)


class AdoptedPgvector:
    """Implements `tenantry.backends.common.collection.Engine`: the tables of a schema."""

    def __init__(self, url: str, dimension: int, metric: Metric, options: PgvectorOptions) -> None:
        self.dimension = dimension
        self.metric = metric
        self.options = options
        self.features: Features = replace(
            FEATURES,
            atomic_update=False,
            warms=False,
            snapshots=False,
            many_namespace_query=False,
            reads_at_once=options.connections,
        )
        self.connections = Connections(url, options)
        self.where = self.connections.where
        self._known: dict[str, tuple[float, Table]] = {}

    async def probe(self) -> object:
        """Connect; hold the table that was named to the shard's dimension. Raises Refused."""
        name = self.options.collection
        if not name:
            async with self.use() as connection:
                found = await connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [self._schema])
                if await found.fetchone() is None:
                    raise Refused(f"{self.where} has no schema {self._schema!r}; name one by the option schema")
            return None
        try:
            table = await self.table(name)
        except NotFound:
            schema, plain = self.place(name)
            raise Refused(f"{self.where} has no table {plain!r} in schema {schema!r}") from None
        self._check_field(table)
        return None

    async def names(self) -> list[str]:
        """Tables of the schema with vectors as the shard has them, and not made by Tenantry for a shard of its own."""
        names: list[str] = []
        after = ""
        while True:
            async with self.use() as connection:
                some = await page(connection, self._schema, after, PAGE)
                names += [one.name for one in some if await self._suits(connection, one)]
            if len(some) < PAGE:
                return names
            after = some[-1].name

    def collection(self, name: str) -> PgvectorTable:
        """A handle."""
        return PgvectorTable(self, name)

    async def make(self, name: str) -> None:
        """A table with a text as id, vectors as the shard has them, and a document. Raises Refused: no name for one."""
        if len(name.encode()) > NAME_BYTES or "\x00" in name:
            raise Refused(f"{self.where}: no table can be called {name!r}; its name has {NAME_BYTES} bytes at most")
        schema, plain = self.place(name)
        options = self.options
        statement = sql.SQL(
            'CREATE TABLE IF NOT EXISTS {} ({} text COLLATE "C" PRIMARY KEY, {} vector({}) NOT NULL, {} jsonb)'
        ).format(
            bare(schema, plain),
            bare(options.id or "id"),
            bare(options.vector or "embedding"),
            sql.Literal(self.dimension),
            bare(options.metadata or "metadata"),
        )
        async with self.use() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [schema])
            await connection.execute(statement, [])

    async def drop(self, name: str) -> None:
        """The table and all in it. Raises Refused: others of the database need it."""
        self._known.pop(name, None)
        async with self.use() as connection:
            await connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(bare(*self.place(name))), [])

    async def aclose(self) -> None:
        """Close connections."""
        await self.connections.aclose()

    def place(self, name: str) -> tuple[str, str]:
        """Schema and table of a name. The table of tenants that share one may be named with its schema."""
        if name == self.options.collection and not self.options.schema and "." in name:
            schema, _, plain = name.partition(".")
            return schema, plain
        return self._schema, name

    async def table(self, name: str) -> Table:
        """How a table is laid out. Raises NotFound (kind ``namespace``), Refused."""
        until, known = self._known.get(name, (0.0, None))
        if known is not None and time.monotonic() < until:
            return known
        async with self.use() as connection:
            found = await find(connection, *self.place(name))
            if found is None:
                raise NotFound("namespace", name)
            table = fitted(found, self.options, self.dimension)
            await self._check_vectors(connection, table)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[name] = time.monotonic() + KNOWN_S, table
        return table

    @asynccontextmanager
    async def use(self, name: str = "") -> AsyncIterator[Connection]:
        """A connection, for statements on a table."""
        await self.connections.open([])
        async with self.connections.use() as connection:
            with translated(self.where, name), self._bound(name):
                yield connection

    @contextmanager
    def _bound(self, name: str) -> Iterator[None]:
        """What the table's owners forbid, or have changed, is no bug."""
        try:
            yield
        except (psycopg.errors.IntegrityError, psycopg.errors.RaiseException) as error:
            raise Refused(f"{self.where} refuses what its own rules forbid: {_first_line(error)}") from error
        except psycopg.errors.DependentObjectsStillExist as error:
            raise Refused(f"{self.where}: other objects need that table: {_first_line(error)}") from error
        except (psycopg.errors.UndefinedColumn, psycopg.errors.DatatypeMismatch) as error:
            self._known.pop(name, None)
            raise Unavailable(f"{self.where}: the table was changed meanwhile ({_first_line(error)})") from error

    @property
    def _schema(self) -> str:
        return self.options.schema or "public"

    async def _suits(self, connection: Connection, found: Found) -> bool:
        prefix, length = _OURS
        if found.name.startswith(prefix) and len(found.name) == length:
            return False
        try:
            await self._check_vectors(connection, fitted(found, self.options, self.dimension))
        except Refused:
            return False
        return True

    async def _check_vectors(self, connection: Connection, table: Table) -> None:
        """A column of vectors of any dimension is held to the first of them. Raises Refused."""
        if table.vector.size == self.dimension:
            return
        vector = bare(table.vector.name)
        statement = sql.SQL("SELECT vector_dims({}) FROM {} WHERE {} IS NOT NULL LIMIT 1")
        cursor = await connection.execute(statement.format(vector, bare(table.schema, table.name), vector), [])
        row = await cursor.fetchone()
        if row is not None and row[0] != self.dimension:
            raise Refused(
                f"table {table.schema}.{table.name}: vectors in {table.vector.name!r} have {row[0]} dimensions, "
                f"and the index has {self.dimension}"
            )

    def _check_field(self, table: Table) -> None:
        field = self.options.tenant_field
        if table.field(field) is not None:
            return
        where = f"{self.where}, table {table.schema}.{table.name}"
        fields = ", ".join(column.name for column in table.fields) or "none"
        if table.document is None:
            raise Refused(f"{where}: no column {field!r} can be a field, and there is no jsonb; fields are: {fields}")
        if field in (table.id.name, table.vector.name, table.document.name):
            raise Refused(f"{where}: column {field!r} is the record's own; fields are: {fields}")


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
