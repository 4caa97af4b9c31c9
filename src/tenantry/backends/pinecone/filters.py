"""Filters as Pinecone takes them.

The grammar is Pinecone's own. What its documentation leaves open is spelled out: that ``$ne`` and ``$nin`` hold where
the field is missing, and what becomes of booleans in lists.
"""

from __future__ import annotations

from typing import Any

from tenantry.errors import Unsupported
from tenantry.model.filters import And, Compare, Filter, Op

EXACT = 2**53
NOTHING = {"$and": [{"a": {"$exists": True}}, {"a": {"$exists": False}}]}


def raw_of(condition: Filter) -> dict[str, Any]:
    """The filter as JSON. Raises Unsupported: a whole number that float64 does not hold."""
    if isinstance(condition, Compare):
        return _compared(condition)
    parts = [raw_of(part) for part in condition.parts]
    if len(parts) == 1:
        return parts[0]
    if isinstance(condition, And):
        return {"$and": parts} if parts else {"$or": [{"a": {"$exists": True}}, {"a": {"$exists": False}}]}
    return {"$or": parts} if parts else NOTHING


def _compared(term: Compare) -> dict[str, Any]:
    values = term.value if isinstance(term.value, tuple) else (term.value,)
    for value in values:
        check_number(value, str(term.op))
    if term.op in (Op.EQ, Op.IN):
        return _any(term.field, values)
    if term.op in (Op.NE, Op.NIN):
        return {"$or": [{"$and": _none(term.field, values)}, {term.field: {"$exists": False}}]}
    return {term.field: {term.op.value: term.value}}


def check_number(value: Any, where: str) -> None:
    """Raises Unsupported when it is a whole number that Pinecone would change."""
    if isinstance(value, int) and abs(value) > EXACT and float(value) != value:
        raise Unsupported(f"{where} {value}: Pinecone keeps numbers as float64, which does not hold this one")


def _any(field: str, values: tuple[Any, ...]) -> dict[str, Any]:
    if len(values) == 1:
        return {field: {"$eq": values[0]}}
    plain, booleans = _split(values)
    parts: list[dict[str, Any]] = [{field: {"$in": plain}}] if plain else []
    parts += [{field: {"$eq": value}} for value in booleans]
    return NOTHING if not parts else parts[0] if len(parts) == 1 else {"$or": parts}


def _none(field: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
    plain, booleans = _split(values)
    parts: list[dict[str, Any]] = [{field: {"$nin": plain}}] if plain else []
    return parts + [{field: {"$ne": value}} for value in booleans] or [{field: {"$exists": True}}]


def _split(values: tuple[Any, ...]) -> tuple[list[Any], list[bool]]:
    booleans = [value for value in values if isinstance(value, bool)]
    return [value for value in values if not isinstance(value, bool)], booleans
