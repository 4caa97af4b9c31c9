"""Filters as SQL over a column ``metadata`` of type jsonb, in the meaning of `tenantry.model.filters`.

``jsonb @> jsonb`` is that meaning already: numbers compare by value, never with strings or booleans, and an array
contains a string of its own. Missing fields make it NULL, which counts as false. Values are parameters, never text.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tenantry.backends.pgvector.numbers import spelled
from tenantry.model.filters import And, Compare, Filter, Op

_ORDER = {Op.GT: ">", Op.GTE: ">=", Op.LT: "<", Op.LTE: "<="}
_encode = msgspec.json.encode


def where_of(condition: Filter) -> tuple[str, list[Any]]:
    """An SQL condition and its parameters (``%s``)."""
    if isinstance(condition, Compare):
        return _compared(condition)
    parts = [where_of(part) for part in condition.parts]
    if not parts:
        return ("true" if isinstance(condition, And) else "false"), []
    joined = (" AND " if isinstance(condition, And) else " OR ").join(text for text, _ in parts)
    return f"({joined})", [value for _, values in parts for value in values]


def _compared(term: Compare) -> tuple[str, list[Any]]:
    field = "(metadata -> %s)"
    if term.op is Op.EXISTS:
        return f"({field} IS {'NOT ' if term.value else ''}NULL)", [term.field]
    if term.op in _ORDER:
        held = f"(coalesce(jsonb_typeof{field}, '') = 'number' AND {field} {_ORDER[term.op]} %s::jsonb)"
        return held, [term.field, term.field, _json(term.value)]
    if isinstance(term.value, tuple):
        held = f"coalesce({field} @> ANY(%s::jsonb[]), false)"
        values = [term.field, [_json(value) for value in term.value]]
    else:
        held = f"coalesce({field} @> %s::jsonb, false)"
        values = [term.field, _json(term.value)]
    return (held if term.op in (Op.EQ, Op.IN) else f"(NOT {held})"), values


def _json(value: Any) -> str:
    return _encode(spelled(value)).decode()
