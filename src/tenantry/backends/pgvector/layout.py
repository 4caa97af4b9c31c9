"""Tables that others laid out, as PostgreSQL's catalogs tell of them: which column is what of a record.

A record's fields are the columns of simple types, beside one document of type jsonb or json. Columns of other types,
generated ones and those of an identity are no fields: they are neither shown nor written.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec

from tenantry.backends.pgvector.connections import Connection
from tenantry.backends.pgvector.options import PgvectorOptions
from tenantry.errors import Refused

TEXTS = frozenset({"text", "varchar", "uuid", "date", "timestamp", "timestamptz"})
#: To the first number that does not fit.
WHOLE = {"int2": 2**15, "int4": 2**31, "int8": 2**63}
NUMBERS = frozenset({*WHOLE, "float4", "float8", "numeric"})
LISTS = frozenset({"_text", "_varchar"})
SIMPLE = TEXTS | NUMBERS | LISTS | {"bool"}
IDS = frozenset({"text", "varchar", "uuid", *WHOLE})
DOCUMENTS = frozenset({"jsonb", "json"})
ANY_SIZE = -1


class Column(msgspec.Struct, frozen=True):
    """One column.

    Attributes:
        kind: of its type, PostgreSQL's own name (``int8``, ``_text``).
        size: the type's modifier: the dimension of a ``vector``; `ANY_SIZE` for none.
        required: NOT NULL.
        filled: it has a default.
        derived: it is generated, or counts up by itself.
        bytewise: whether equal texts are the same texts, as not all collations have it.
        unique, primary: alone, by an index.
    """

    name: str
    kind: str
    size: int
    required: bool
    filled: bool
    derived: bool
    bytewise: bool
    unique: bool
    primary: bool


class Table(msgspec.Struct, frozen=True):
    """A table as records are kept in it.

    Attributes:
        document: the column of jsonb or json for fields that are no columns; None: there is none.
        indexed: whether a search may go through an index, approximately.
    """

    schema: str
    name: str
    id: Column
    vector: Column
    document: Column | None
    fields: tuple[Column, ...]
    indexed: bool

    def field(self, name: str) -> Column | None:
        """The column that is a field."""
        return next((column for column in self.fields if column.name == name), None)


class Found(msgspec.Struct, frozen=True):
    """A table's columns, whether or not they suit."""

    schema: str
    name: str
    columns: tuple[Column, ...]
    indexed: bool


_ALONE = """EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid AND x.{} AND x.indisvalid AND x.indimmediate
    AND x.indnkeyatts = 1 AND x.indkey[0] = a.attnum AND x.indpred IS NULL)"""
_COLUMNS = f"""SELECT c.relname, a.attname, t.typname, a.atttypmod, a.attnotnull, a.atthasdef,
    a.attgenerated <> '' OR a.attidentity <> '', coalesce(l.collisdeterministic, true),
    {_ALONE.format("indisunique")}, {_ALONE.format("indisprimary")}, c.ann
FROM (
    SELECT c.oid, c.relname, EXISTS (SELECT FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
        JOIN pg_am m ON m.oid = i.relam WHERE x.indrelid = c.oid AND m.amname IN ('hnsw', 'ivfflat')) AS ann
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND CASE WHEN %s::text IS NULL THEN c.relname COLLATE "C" > %s ELSE c.relname = %s END
        AND (%s::text IS NOT NULL OR EXISTS (SELECT FROM pg_attribute v JOIN pg_type t ON t.oid = v.atttypid
            WHERE v.attrelid = c.oid AND v.attnum > 0 AND t.typname = 'vector'))
    ORDER BY c.relname COLLATE "C" LIMIT %s
) c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_collation l ON l.oid = a.attcollation
ORDER BY c.relname COLLATE "C", a.attnum"""  # noqa: S608  # our own words


async def find(connection: Connection, schema: str, name: str) -> Found | None:
    """One table of a schema; None: there is none of the name."""
    found = await _read(connection, schema, name, "", 1)
    return found[0] if found else None


async def page(connection: Connection, schema: str, after: str, limit: int) -> list[Found]:
    """Tables with a column of type vector, by name (in the order of code points), after one."""
    return await _read(connection, schema, None, after, limit)


async def _read(connection: Connection, schema: str, name: str | None, after: str, limit: int) -> list[Found]:
    cursor = await connection.execute(_COLUMNS.encode(), [schema, name, after, name, name, limit])
    rows = await cursor.fetchall()
    return [
        Found(schema, table, tuple(Column(*row[1:10]) for row in own), own[0][10])
        for table, own in ((key, list(group)) for key, group in groupby(rows, itemgetter(0)))
    ]


def fitted(found: Found, options: PgvectorOptions, dimension: int) -> Table:
    """Which column is what. Raises Refused: it cannot be told, or the vectors are of another dimension."""
    where = f"table {found.schema}.{found.name}"
    key, vector = _id_of(found, options.id, where), _vector_of(found, options.vector, where)
    if vector.size not in (ANY_SIZE, dimension):
        raise Refused(f"{where}: {vector.name!r} is vector({vector.size}), and the index has {dimension} dimensions")
    document = _document_of(found, options.metadata, where)
    taken = {key.name, vector.name, document.name if document else ""}
    fields = tuple(
        column for column in found.columns if column.name not in taken and column.kind in SIMPLE and not column.derived
    )
    return Table(found.schema, found.name, key, vector, document, fields, found.indexed)


def _id_of(found: Found, wanted: str, where: str) -> Column:
    if wanted:
        column = _named(found, "id", wanted, where)
        if not (column.unique and column.required):
            raise Refused(f"{where}: {wanted!r} is no id: it is not NOT NULL with a unique index of its own")
    else:
        keys = [column for column in found.columns if column.primary]
        if not keys:
            raise Refused(f"{where} has no primary key of one column; name a unique one by the option id")
        column = keys[0]
    if column.kind not in IDS:
        raise Refused(f"{where}: ids in {column.name!r} are {column.kind}; they can be " + ", ".join(sorted(IDS)))
    return column


def _vector_of(found: Found, wanted: str, where: str) -> Column:
    if wanted:
        column = _named(found, "vector", wanted, where)
        if column.kind != "vector":
            raise Refused(f"{where}: {wanted!r} is {column.kind}, not vector: that type alone keeps float32 as it is")
        return column
    columns = [column for column in found.columns if column.kind == "vector"]
    if len(columns) == 1:
        return columns[0]
    if columns:
        raise Refused(f"{where} has several columns of vectors, name one by the option vector: {_names(columns)}")
    raise Refused(f"{where} has no column of type vector (halfvec and bit keep less than float32)")


def _document_of(found: Found, wanted: str, where: str) -> Column | None:
    if wanted:
        column = _named(found, "metadata", wanted, where)
        if column.kind not in DOCUMENTS or column.derived:
            raise Refused(f"{where}: {wanted!r} is not of type jsonb or json, or generated")
        return column
    columns = [column for column in found.columns if column.kind in DOCUMENTS and not column.derived]
    if len(columns) > 1:
        raise Refused(f"{where} has several columns of JSON, name one by the option metadata: {_names(columns)}")
    return columns[0] if columns else None


def _named(found: Found, option: str, wanted: str, where: str) -> Column:
    for column in found.columns:
        if column.name == wanted:
            return column
    raise Refused(f"{where} has no column {wanted!r}, which the option {option} names: {_names(found.columns)}")


def _names(columns: Sequence[Any]) -> str:
    return ", ".join(column.name for column in columns)
