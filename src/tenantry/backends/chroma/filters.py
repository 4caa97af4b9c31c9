"""Conditions on terms as Chroma's ``where``."""

from __future__ import annotations

from typing import Any

from tenantry.backends.common.terms import And, Condition, Has, Lacks, Within

TERMS = "terms"
#: SQLite, in which Chroma looks, nests at most 1,000 deep; a list of alternatives nests as deep as it is long.
WIDEST = 100


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
    return _joined("$and" if isinstance(condition, And) else "$or", parts)


def _joined(word: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    while len(parts) > WIDEST:
        parts = [_joined(word, parts[start : start + WIDEST]) for start in range(0, len(parts), WIDEST)]
    return parts[0] if len(parts) == 1 else {word: parts}
