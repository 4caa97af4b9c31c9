"""Conditions on terms, and filters on metadata of others, as Chroma's ``where``."""

from __future__ import annotations

from typing import Any

from tenantry.backends.common import terms
from tenantry.backends.common.terms import Condition, Has, Lacks, Within
from tenantry.errors import Unsupported
from tenantry.model.filters import RANGE_OPS, And, Compare, Filter, Op, Scalar

TERMS = "terms"
#: SQLite, in which Chroma looks, nests at most 1,000 deep; a list of alternatives nests as deep as it is long.
WIDEST = 100
#: Of a field that no record has.
ALWAYS: dict[str, Any] = {"_tenantry-none": {"$ne": True}}
NEVER: dict[str, Any] = {"_tenantry-none": {"$eq": True}}


def where_of(condition: Condition) -> dict[str, Any]:
    """The ``where`` that says the same."""
    if isinstance(condition, Has):
        return _joined("$or", [{TERMS: {"$contains": term}} for term in condition.terms])
    if isinstance(condition, Lacks):
        return _joined("$and", [{TERMS: {"$not_contains": term}} for term in condition.terms])
    if isinstance(condition, Within):
        bound = {condition.number: {condition.op.value: condition.bound}}
        return _joined("$and", [{TERMS: {"$contains": condition.term}}, bound])
    parts = [where_of(part) for part in condition.parts]
    return _joined("$and" if isinstance(condition, terms.And) else "$or", parts)


def plain_where_of(condition: Filter, apart: frozenset[str]) -> dict[str, Any]:
    """A filter that looks at metadata as they are. Raises Unsupported: ``$exists``, which Chroma has no word for, and
    fields that are kept ``apart`` from the metadata."""
    if not isinstance(condition, Compare):
        parts = [plain_where_of(part, apart) for part in condition.parts]
        if not parts:
            return ALWAYS if isinstance(condition, And) else NEVER
        return _joined("$and" if isinstance(condition, And) else "$or", parts)
    if condition.field in apart or condition.op is Op.EXISTS:
        what = "$exists" if condition.op is Op.EXISTS else f"filters on {condition.field!r}, which is no metadata there"
        raise Unsupported(f"{what}: Chroma cannot tell in a collection that was adopted")
    if condition.op in RANGE_OPS:
        return {condition.field: {condition.op.value: condition.value}}
    values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    if condition.op in (Op.EQ, Op.IN):
        return (
            _joined("$or", [each for value in values for each in _equal(condition.field, value)]) if values else NEVER
        )
    unequal = [each for value in values for each in _unequal(condition.field, value)]
    return _joined("$and", unequal) if unequal else ALWAYS


def _equal(field: str, value: Scalar) -> list[dict[str, Any]]:
    """Alternatives: the value itself, and where it is a text a list that has it."""
    own: dict[str, Any] = {field: {"$eq": value}}
    return [own, {field: {"$contains": value}}] if isinstance(value, str) else [own]


def _unequal(field: str, value: Scalar) -> list[dict[str, Any]]:
    own: dict[str, Any] = {field: {"$ne": value}}
    return [own, {field: {"$not_contains": value}}] if isinstance(value, str) else [own]


def _joined(word: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    while len(parts) > WIDEST:
        parts = [_joined(word, parts[start : start + WIDEST]) for start in range(0, len(parts), WIDEST)]
    return parts[0] if len(parts) == 1 else {word: parts}
