"""Conditions on terms as Qdrant's filters."""

from __future__ import annotations

from qdrant_client import models

from tenantry.backends.common.terms import And, Condition, Has, Lacks, Within
from tenantry.model.filters import Op

TERMS = "terms"
NUMBERS = "numbers"
_ORDER = {Op.GT: "gt", Op.GTE: "gte", Op.LT: "lt", Op.LTE: "lte"}


def filter_of(condition: Condition) -> models.Filter:
    """The filter that says the same."""
    if isinstance(condition, Has):
        return models.Filter(must=[_any(condition.terms)])
    if isinstance(condition, Lacks):
        return models.Filter(must_not=[_any(condition.terms)])
    if isinstance(condition, Within):
        bound = models.Range(**{_ORDER[condition.op]: condition.bound})
        number = models.FieldCondition(key=f"{NUMBERS}.{condition.number}", range=bound)
        return models.Filter(must=[_any((condition.term,)), number])
    parts: list[models.Condition] = [filter_of(part) for part in condition.parts]
    return models.Filter(must=parts) if isinstance(condition, And) else models.Filter(should=parts)


def _any(terms: tuple[str, ...]) -> models.FieldCondition:
    return models.FieldCondition(key=TERMS, match=models.MatchAny(any=list(terms)))
