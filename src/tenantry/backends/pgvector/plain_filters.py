"""Filters as SQL over a table's own columns and its document, in the meaning of `tenantry.model.filters`.

A field is what its column holds, and where that is NULL, or there is no such column, what the document has under its
name. Both are looked at as jsonb, as in `tenantry.backends.pgvector.filters`; only where a column is asked for texts,
UUIDs or whole numbers is it compared itself, so that an index on it serves. Values are parameters, never text.
"""

from __future__ import annotations

from typing import Any

import msgspec
from psycopg import sql

from tenantry.backends.common.columns import UNSET, may_be_unset
from tenantry.backends.pgvector.fields import document_of, held, json_of, own
from tenantry.backends.pgvector.layout import WHOLE, Column, Table
from tenantry.backends.pgvector.numbers import spelled
from tenantry.model.filters import And, Compare, Filter, Op

_ORDER = {Op.GT: ">", Op.GTE: ">=", Op.LT: "<", Op.LTE: "<="}
_CASTS = {"text": "text", "varchar": "text", "uuid": "uuid", **dict.fromkeys(WHOLE, "int8")}
_encode = msgspec.json.encode
Condition = tuple[sql.Composable, list[Any]]


def where_of(table: Table, condition: Filter) -> Condition:
    """An SQL condition and its parameters (``%s``); never NULL."""
    if isinstance(condition, Compare):
        return _compared(table, condition)
    parts = [where_of(table, part) for part in condition.parts]
    if not parts:
        return sql.SQL("true" if isinstance(condition, And) else "false"), []
    joined = sql.SQL(" AND " if isinstance(condition, And) else " OR ").join(text for text, _ in parts)
    return sql.SQL("({})").format(joined), [value for _, values in parts for value in values]


def field_of(table: Table, name: str) -> Condition:
    """A field's value as jsonb; NULL where it is missing."""
    column = table.field(name)
    if column is None:
        return _in_document(table, name)
    shown, values = json_of(column), []
    if may_be_unset(column, table.document is not None):
        shown = sql.SQL("CASE WHEN {} THEN {} END").format(_is_set(table), shown)
        values = [_json(name)]
    if table.document is None:
        return sql.SQL("({})").format(shown), values
    kept, more = _in_document(table, name)
    return sql.SQL("coalesce({}, {})").format(shown, kept), values + more


def _in_document(table: Table, name: str) -> Condition:
    if table.document is None or "\x00" in name:
        return sql.SQL("NULL::jsonb"), []
    return sql.SQL("nullif({} -> %s::text, 'null'::jsonb)").format(document_of(table)), [name]


def _is_set(table: Table) -> sql.Composable:
    return sql.SQL("NOT coalesce({} -> {} @> %s::jsonb, false)").format(document_of(table), sql.Literal(UNSET))


def _compared(table: Table, term: Compare) -> Condition:
    field, given = field_of(table, term.field)
    if term.op is Op.EXISTS:
        return sql.SQL("({} IS NOT NULL)" if term.value else "({} IS NULL)").format(field), given
    if term.op in _ORDER:
        order = sql.SQL(_ORDER[term.op])
        held_ = sql.SQL("(coalesce(jsonb_typeof({}), '') = 'number' AND {} {} %s::jsonb)")
        return held_.format(field, field, order), [*given, *given, _json(term.value)]
    values = term.value if isinstance(term.value, tuple) else (term.value,)
    column = table.field(term.field)
    if term.op in (Op.EQ, Op.IN) and column is not None and column.kind in _CASTS and column.bytewise:
        return _equal(table, column, values)
    among = sql.SQL("coalesce({} @> ANY(%s::jsonb[]), false)").format(field)
    if term.op in (Op.NE, Op.NIN):
        among = sql.SQL("(NOT {})").format(among)
    return among, [*given, [_json(value) for value in values]]


def _equal(table: Table, column: Column, values: tuple[Any, ...]) -> Condition:
    """By the column itself; where it is NULL, by the document."""
    wanted = [fit for value in values if (fit := held(_any_size(column), value)) is not None]
    text = sql.SQL("coalesce({} = ANY(%s::" + _CASTS[column.kind] + "[]), false)").format(own(column))
    if column.required:
        text = sql.SQL("({} = ANY(%s::" + _CASTS[column.kind] + "[]))").format(own(column))
    given: list[Any] = [wanted]
    if table.document is None:
        return text, given
    kept, more = _in_document(table, column.name)
    beside = sql.SQL("coalesce({} @> ANY(%s::jsonb[]), false)").format(kept)
    more = [*more, [_json(value) for value in values]]
    if may_be_unset(column, table.document is not None):
        parts = sql.SQL("({} AND {} OR NOT ({}) AND {})").format(text, _is_set(table), _is_set(table), beside)
        return parts, [*given, _json(column.name), _json(column.name), *more]
    if column.required:
        return text, given
    return sql.SQL("({} OR {} IS NULL AND {})").format(text, own(column), beside), given + more


def _any_size(column: Column) -> Column:
    """Whatever is longer than the column equals nothing in it, so it may be asked for."""
    return msgspec.structs.replace(column, size=-1)


def _json(value: Any) -> str:
    return _encode(spelled(value)).decode()
