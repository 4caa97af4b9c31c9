"""Columns of others as fields of metadata: what each can hold, and its value as JSON.

A value is held when it comes back equal. A number is compared, and comes back, as JSON has it: of ``numeric`` whole
numbers of 64 bits as they are and others as float64. What is not finite counts as missing. Times are texts such as
``2025-01-31T12:00:00.5``, with a ``Z`` behind them (UTC) for ``timestamptz``.
"""

from __future__ import annotations

import uuid
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
from psycopg import sql

from tenantry.backends.pgvector.layout import ANY_SIZE, LISTS, NUMBERS, WHOLE, Column, Table

#: What rows are called in statements.
ROW = "r"
_ALLOWED = {
    "text": "a text without NUL characters",
    "varchar": "a text without NUL characters, no longer than the column",
    "uuid": "a UUID in lower case, with its hyphens",
    "date": "a date such as 2025-01-31",
    "timestamp": "a time such as 2025-01-31T12:00:00.5, of no more digits than the column has",
    "timestamptz": "a time of UTC such as 2025-01-31T12:00:00.5Z, of no more digits than the column has",
    "bool": "true or false",
    "_text": "a list of texts",
    "_varchar": "a list of texts, none longer than the column",
    **dict.fromkeys(WHOLE, "a whole number that it holds"),
    **dict.fromkeys(("float4", "float8", "numeric"), "a number that it holds as it is"),
}
#: Large whole numbers digit by digit: of 17 digits of a float64 others are another number, as JSON.
_FLOAT = (
    "CASE WHEN NOT abs({0}) < 'Infinity' THEN NULL "
    "WHEN {0} = trunc({0}) AND abs({0}) < 9223372036854775808 THEN to_jsonb({0}::int8) ELSE to_jsonb({0}) END"
)
_JSON = {
    "float4": _FLOAT,
    "float8": _FLOAT,
    "numeric": (
        "CASE WHEN abs({0}) >= 1e308 OR {0} <> 0 AND abs({0}) < 1e-300 THEN NULL "
        "WHEN {0} = trunc({0}) AND abs({0}) < 9223372036854775808 THEN to_jsonb(trunc({0})) "
        "ELSE to_jsonb({0}::float8) END"
    ),
    "date": "CASE WHEN isfinite({0}) THEN to_jsonb({0}) END",
    "timestamp": "CASE WHEN isfinite({0}) THEN to_jsonb({0}) END",
    "timestamptz": ("CASE WHEN isfinite({0}) THEN to_jsonb((to_jsonb({0} AT TIME ZONE 'UTC') #>> '{{}}') || 'Z') END"),
}


def own(column: Column) -> sql.Composable:
    """The column of a row, in a statement with parameters (where ``%`` stands twice)."""
    return sql.Identifier(ROW, column.name.replace("%", "%%"))


def bare(*names: str) -> sql.Identifier:
    """A name, likewise."""
    return sql.Identifier(*(name.replace("%", "%%") for name in names))


def json_of(column: Column) -> sql.Composed:
    """The column's value as jsonb; NULL where it is missing."""
    return sql.SQL(_JSON.get(column.kind, "to_jsonb({0})")).format(own(column))


def document_of(table: Table) -> sql.Composable:
    """The document as jsonb; NULL where the table has none."""
    if table.document is None:
        return sql.SQL("NULL::jsonb")
    return sql.SQL("{}::jsonb").format(own(table.document))


def cast(column: Column) -> sql.SQL:
    """A parameter of the column's type."""
    kind = column.kind[1:] + "[]" if column.kind in LISTS else column.kind
    return sql.SQL("%s::" + kind)


def allowed(column: Column) -> str:
    """What it holds, in words."""
    return f"{_ALLOWED[column.kind]} (column {column.name!r} is {column.kind.removeprefix('_')})"


def kind_of(column: Column) -> type[str] | type[int]:
    """What its values are that can name a tenant."""
    return int if column.kind in NUMBERS else str


def held(column: Column, value: Any) -> Any:
    """The value as a parameter, if it comes back equal; else None."""
    kind = column.kind
    if kind in NUMBERS:
        return _number(column, value)
    if kind == "bool":
        return value if isinstance(value, bool) else None
    if kind in LISTS:
        good = isinstance(value, list) and all(_text(column, item) for item in value)
        return list(value) if good else None
    if not isinstance(value, str):
        return None
    if kind in ("text", "varchar"):
        return value if _text(column, value) else None
    if kind == "uuid":
        return value if is_uuid(value) else None
    return value if _moment(column, value) else None


def is_uuid(text: str) -> bool:
    """Whether it is one, spelled as PostgreSQL spells it."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _text(column: Column, value: Any) -> bool:
    return isinstance(value, str) and "\x00" not in value and (column.size == ANY_SIZE or len(value) <= column.size - 4)


def _number(column: Column, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    whole = int(value) if isinstance(value, int) or value.is_integer() else None
    if column.kind in WHOLE:
        most = WHOLE[column.kind]
        return whole if whole is not None and -most <= whole < most else None
    if column.kind == "float8":
        return float(value) if float(value) == value else None
    if column.kind == "float4":
        with np.errstate(over="ignore"):
            near = np.float32(value)
            digits = whole is not None and abs(whole) < 2**63
            return value if (float(near) if digits else float(str(near))) == value else None
    exact = Decimal(repr(value) if whole is None else whole)
    if abs(exact) >= Decimal("1e308") or (exact and abs(exact) < Decimal("1e-300")):
        return None
    if column.size == ANY_SIZE:
        return exact
    precision, scale = (column.size - 4) >> 16 & 0xFFFF, ((column.size - 4 & 0x7FF) ^ 1024) - 1024
    shortest = exact.normalize().as_tuple()
    exponent = int(shortest.exponent)
    fits = exponent >= -scale and len(shortest.digits) + exponent <= precision - scale
    return exact if fits or not exact else None


def _moment(column: Column, text: str) -> bool:
    kind = column.kind
    try:
        if kind == "date":
            return date.fromisoformat(text).isoformat() == text
        if kind == "timestamptz" and not text.endswith("Z"):
            return False
        plain = text.removesuffix("Z") if kind == "timestamptz" else text
        spelled = datetime.fromisoformat(plain).isoformat()
    except ValueError:
        return False
    if "." in spelled:
        spelled = spelled.rstrip("0")
    return spelled == plain and (column.size == ANY_SIZE or len(plain.partition(".")[2]) <= column.size)
