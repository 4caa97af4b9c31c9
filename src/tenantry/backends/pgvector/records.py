"""The rows of one table of others as records."""

from __future__ import annotations

import hashlib
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from psycopg import sql
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from tenantry.backends.common.columns import ID, NOTES, UNSET, Columns
from tenantry.backends.common.index import MOST_HITS
from tenantry.backends.common.names import HASH_CHARS, hashed
from tenantry.backends.pgvector.backend import CONFLICTS, INDEXED_TOP_K, TRIES
from tenantry.backends.pgvector.fields import (
    ROW,
    allowed,
    bare,
    cast,
    document_of,
    held,
    is_uuid,
    json_of,
    kind_of,
    own,
)
from tenantry.backends.pgvector.layout import ANY_SIZE, WHOLE, Column, Table
from tenantry.backends.pgvector.numbers import read, spelled
from tenantry.backends.pgvector.plain_filters import field_of, where_of
from tenantry.backends.pgvector.rows import OPERATORS, score_of, vector_of
from tenantry.errors import InvalidArgument, Refused
from tenantry.model.filters import Filter
from tenantry.model.records import ByFilter, ByIds, Hit, Metadata, Query, Record, Selector

if TYPE_CHECKING:
    from tenantry.backends.pgvector.adopted import AdoptedPgvector

#: Rows of one page of ids or of values.
PAGE = 5_000
#: Bytes of the vectors of one batch.
REQUEST_BYTES = 16 * 2**20


class Row(msgspec.Struct, frozen=True):
    """A record as it is written.

    Attributes:
        key: for the column of ids.
        columns, values: fields; the other ones of the table are left as they are, or get their default.
    """

    id: str
    key: Any
    record: Record
    document: dict[str, Any] | None
    columns: tuple[Column, ...]
    values: tuple[Any, ...]


class PgvectorTable:
    """Implements `tenantry.backends.common.collection.Collection`."""

    most_hits = MOST_HITS

    def __init__(self, engine: AdoptedPgvector, name: str) -> None:
        self._engine = engine
        self._name = name
        self.at_once = max(2, min(1_000, REQUEST_BYTES // (4 * engine.dimension)))

    def takes(self, id: str) -> bool:
        """Any may be there: of one that the column of ids cannot hold the document tells."""
        return True

    async def kind_of(self, field: str) -> type[str] | type[int] | None:
        """As the column has it."""
        column = (await self._table()).field(field)
        return None if column is None else kind_of(column)

    async def put(self, records: Sequence[Record]) -> None:
        """One transaction."""
        table = await self._table()
        groups: dict[tuple[Column, ...], list[Row]] = defaultdict(list)
        # In one order, so that two writers of the same columns cannot deadlock.
        for row in sorted((row_of(table, record) for record in records), key=lambda row: str(row.key)):
            groups[row.columns].append(row)
        async with self._engine.use(self._name) as connection:
            for left in reversed(range(TRIES)):
                try:
                    async with connection.transaction(), connection.cursor() as cursor:
                        for columns, rows in groups.items():
                            await cursor.executemany(
                                self._put_of(table, columns), [_values(row) for row in rows], returning=True
                            )
                            _check_written(table, rows, cursor)
                except CONFLICTS as error:
                    if not left or getattr(error.diag, "constraint_name", None):
                        raise
                else:
                    return

    async def remove(self, selector: Selector) -> None:
        """By ids in batches, else in one statement."""
        table = await self._table()
        if isinstance(selector, ByIds):
            for start in range(0, len(selector.ids), self.at_once):
                text, values = self._among(table, selector.ids[start : start + self.at_once])
                await self._run(sql.SQL("DELETE FROM {} WHERE {}").format(_from(table), text), values)
            return
        text, values = self._where(table, selector.filter if isinstance(selector, ByFilter) else None)
        await self._run(sql.SQL("DELETE FROM {} WHERE {}").format(_from(table), text), values)

    async def get(self, ids: Sequence[str]) -> list[Record]:
        """By the column of ids."""
        table = await self._table()
        text, values = self._among(table, ids)
        statement = sql.SQL("SELECT {}, {}, {} FROM {} WHERE {}").format(
            _shown(table), own(table.vector), _metadata(table), _from(table), text
        )
        rows = await self._rows(statement, values)
        return [Record(row[0], vector_of(row[1]), metadata_of(table, row[2:])) for row in rows]

    async def metadata_of(self, ids: Sequence[str]) -> dict[str, Metadata | None]:
        """By the column of ids."""
        table = await self._table()
        text, values = self._among(table, ids)
        statement = sql.SQL("SELECT {}, {} FROM {} WHERE {}").format(
            _shown(table), _metadata(table), _from(table), text
        )
        return {row[0]: metadata_of(table, row[1:]) for row in await self._rows(statement, values)}

    async def nearest(self, query: Query, top_k: int) -> list[Hit]:
        """Exactly, or through an index that is there; exactly if that has not found enough."""
        table = await self._table()
        indexed = table.indexed and top_k <= INDEXED_TOP_K
        hits = await self._nearest(table, query, top_k, not indexed)
        if indexed and len(hits) < top_k:
            hits = await self._nearest(table, query, top_k, True)
        return hits

    async def ids_where(self, condition: Filter | None) -> list[str]:
        """Page by page."""
        table = await self._table()
        where, values = self._where(table, condition)
        return [row[1] async for page in self._pages(table, _shown(table), [], where, values) for row in page]

    async def values_of(self, field: str) -> AsyncIterator[list[tuple[str, Any]]]:
        """Page by page."""
        table = await self._table()
        found, values = field_of(table, field)
        where = sql.SQL("{} AND {} IS NOT NULL").format(_visible(table, self._engine.dimension), found)
        wanted = sql.SQL("{}, {}").format(_shown(table), found)
        async for page in self._pages(table, wanted, values, where, values):
            yield [(row[1], row[2]) for row in page]

    async def count(self) -> int:
        """By the server."""
        table = await self._table()
        where, values = self._where(table, None)
        rows = await self._rows(sql.SQL("SELECT count(*) FROM {} WHERE {}").format(_from(table), where), values)
        return int(rows[0][0])

    async def _nearest(self, table: Table, query: Query, top_k: int, exactly: bool) -> list[Hit]:
        where, values = self._where(table, query.filter)
        wanted = [own(table.vector)] * query.include_values + [_metadata(table)] * query.include_metadata
        statement = sql.SQL("SELECT {}, ({} {} %b){} AS distance{} FROM {} WHERE {} ORDER BY distance LIMIT {}").format(
            _shown(table),
            own(table.vector),
            sql.SQL(OPERATORS[self._engine.metric]),
            sql.SQL(" + 0" if exactly else ""),  # no index knows that expression
            sql.SQL("").join(sql.SQL(", {}").format(column) for column in wanted),
            _from(table),
            where,
            sql.Literal(top_k),
        )
        rows = await self._rows(statement, [query.vector, *values])
        return [
            Hit(
                row[0],
                score_of(self._engine.metric, row[1]),
                vector_of(row[2]) if query.include_values else None,
                metadata_of(table, row[2 + query.include_values :]) if query.include_metadata else None,
            )
            for row in rows
            if row[1] == row[1]  # under cosine a vector of others may be zero, which has no angle; it comes last
        ]

    async def _pages(
        self, table: Table, wanted: sql.Composable, given: list[Any], where: sql.Composable, values: list[Any]
    ) -> AsyncIterator[list[TupleRow]]:
        """By the column of ids, whose value comes first in each row."""
        key = own(table.id)
        whole = sql.SQL("SELECT {}, {} FROM {} WHERE {}{} ORDER BY {} LIMIT {}")
        last: list[Any] = []
        while True:
            beyond = sql.SQL(" AND {} > {}").format(key, cast(table.id)) if last else sql.SQL("")
            rows = await self._rows(
                whole.format(key, wanted, _from(table), where, beyond, key, sql.Literal(PAGE)), [*given, *values, *last]
            )
            yield rows
            if len(rows) < PAGE:
                return
            last = [rows[-1][0]]

    def _where(self, table: Table, condition: Filter | None) -> tuple[sql.Composable, list[Any]]:
        """The table's records, or those that match."""
        visible = _visible(table, self._engine.dimension)
        if condition is None:
            return visible, []
        text, values = where_of(table, condition)
        return sql.SQL("{} AND {}").format(visible, text), values

    def _among(self, table: Table, ids: Sequence[str]) -> tuple[sql.Composable, list[Any]]:
        """The records of these ids."""
        keys = sorted({key for id in ids if (key := key_of(table, id)) is not None})
        kind = "int8" if table.id.kind in WHOLE else "uuid" if table.id.kind == "uuid" else "text"
        text = sql.SQL("{} = ANY(%s::" + kind + "[]) AND {} = ANY(%s::text[]) AND {}").format(
            own(table.id), _shown(table), _visible(table, self._engine.dimension)
        )
        return text, [keys, list(ids)]

    def _put_of(self, table: Table, columns: tuple[Column, ...]) -> sql.Composed:
        """Insert or replace. A row of the same key that is no record, or another one's, is not touched."""
        document = [table.document] if table.document else []
        into = [table.vector, *document, *columns]
        return sql.SQL(
            "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {} "
            "WHERE {} AND {} = %s RETURNING 1"
        ).format(
            sql.SQL("{} AS {}").format(bare(table.schema, table.name), sql.Identifier(ROW)),
            sql.SQL(", ").join(bare(column.name) for column in (table.id, *into)),
            sql.SQL(", ").join(
                [cast(table.id), sql.SQL("%b"), *(sql.SQL("%s::jsonb::") + sql.SQL(one.kind) for one in document)]
                + [cast(column) for column in columns]
            ),
            bare(table.id.name),
            sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(bare(column.name)) for column in into),
            _visible(table, self._engine.dimension),
            _shown(table),
        )

    async def _table(self) -> Table:
        return await self._engine.table(self._name)

    async def _rows(self, statement: sql.Composed, values: Sequence[Any]) -> list[TupleRow]:
        async with self._engine.use(self._name) as connection:
            return await (await connection.execute(statement, values, binary=True)).fetchall()

    async def _run(self, statement: sql.Composed, values: Sequence[Any]) -> None:
        async with self._engine.use(self._name) as connection:
            await connection.execute(statement, values)


def row_of(table: Table, record: Record) -> Row:
    """A record as it is written. Raises InvalidArgument: the table cannot hold it."""
    parts = _places(table).parts(record.metadata, table.fields)
    document = {name: spelled(value) for name, value in parts.rest.items()}
    key = key_of(table, record.id)
    if key is None:
        raise InvalidArgument("id", record.id, f"{allowed(table.id)} of {_where(table)}")
    if not _is_direct(table.id, record.id):
        document[ID] = record.id
    if parts.unset:
        document[UNSET] = parts.unset
    columns = tuple(column for column in table.fields if column.name in parts.held)
    values = tuple(parts.held[column.name] for column in columns)
    return Row(record.id, key, record, document if table.document else None, columns, values)


def _places(table: Table) -> Columns:
    has = table.document is not None
    return Columns(_where(table), held, allowed, rest=has, aside=has)


def metadata_of(table: Table, row: Sequence[Any]) -> Metadata | None:
    """From the columns of `_metadata`."""
    document = row[0] if isinstance(row[0], dict) else {}
    unset = document.get(UNSET, ())
    found = {key: read(value) for key, value in document.items() if value is not None and key not in NOTES}
    for column, value in zip(table.fields, row[1:], strict=True):
        if value is not None and column.name not in unset:
            found[column.name] = read(value)
    return found or None


def key_of(table: Table, id: str) -> Any:
    """What the column of ids has for an id; None: nothing can stand for it there."""
    column = table.id
    if _is_direct(column, id):
        return int(id) if column.kind in WHOLE else id
    if table.document is None or "\x00" in id:
        return None
    digest = hashlib.sha256(id.encode()).digest()
    if column.kind == "uuid":
        return str(uuid.UUID(bytes=digest[:16], version=5))
    if column.kind == "int8":  # below zero, where no sequence counts
        return -1 - (int.from_bytes(digest[:8]) >> 1)
    fits = column.kind in ("text", "varchar") and (column.size == ANY_SIZE or column.size - 4 >= HASH_CHARS)
    return hashed(id) if fits else None


def _is_direct(column: Column, id: str) -> bool:
    if column.kind in WHOLE:
        most = WHOLE[column.kind]
        digits = id.removeprefix("-")
        return id.isascii() and digits.isdigit() and len(digits) < 20 and id == str(int(id)) and -most <= int(id) < most
    return is_uuid(id) if column.kind == "uuid" else held(column, id) is not None


def _where(table: Table) -> str:
    return f"table {table.schema}.{table.name}"


def _from(table: Table) -> sql.Composed:
    return sql.SQL("{} AS {}").format(bare(table.schema, table.name), sql.Identifier(ROW))


def _shown(table: Table) -> sql.Composable:
    """A record's id, as text."""
    plain = sql.SQL("{}::text").format(own(table.id))
    if table.document is None:
        return plain
    return sql.SQL("coalesce({} ->> {}, {})").format(document_of(table), sql.Literal(ID), plain)


def _metadata(table: Table) -> sql.Composable:
    return sql.SQL(", ").join([document_of(table), *map(json_of, table.fields)])


def _visible(table: Table, dimension: int) -> sql.Composable:
    if table.vector.size == ANY_SIZE:
        return sql.SQL("coalesce(vector_dims({}) = {}, false)").format(own(table.vector), sql.Literal(dimension))
    return sql.SQL("true" if table.vector.required else "{} IS NOT NULL").format(own(table.vector))


def _values(row: Row) -> list[Any]:
    document = [] if row.document is None else [Jsonb(row.document)]
    return [row.key, row.record.values, *document, *row.values, row.id]


def _check_written(table: Table, rows: Sequence[Row], cursor: Any) -> None:
    for row in rows:
        if cursor.rowcount == 0:
            raise Refused(
                f"{_where(table)}: the row of id {row.id!r} is no record of this index, or of "
                "another id with the same key; choose another id"
            )
        cursor.nextset()
