"""Filters on payload as others put it there.

Qdrant compares a list by its elements, one by one: a range holds where any number of a list is in it, which
`tenantry.model.filters` has no lists of numbers to say anything about.
"""

from __future__ import annotations

from typing import cast

from qdrant_client import models

from tenantry.backends.common.collection import OURS
from tenantry.errors import Unsupported
from tenantry.model.filters import And, Compare, Filter, Op, Scalar

#: The key of payload with the names of fields that hold an empty list.
EMPTY = f"{OURS}-empty"
_ORDER = {Op.GT: "gt", Op.GTE: "gte", Op.LT: "lt", Op.LTE: "lte"}
#: Whole numbers up to here are float64 too, which ranges are compared in.
EXACT = 2**53


def payload_filter(condition: Filter) -> models.Filter:
    """The filter that says the same."""
    if isinstance(condition, Compare):
        return _compared(condition)
    parts: list[models.Condition] = [payload_filter(part) for part in condition.parts]
    if isinstance(condition, And):
        return models.Filter(must=parts)
    return models.Filter(should=parts) if parts else models.Filter(must=[models.HasIdCondition(has_id=[])])


def _compared(term: Compare) -> models.Filter:
    if term.op is Op.EXISTS:
        nothing = models.IsEmptyCondition(is_empty=models.PayloadField(key=payload_key(term.field)))
        empty = models.FieldCondition(key=EMPTY, match=models.MatchValue(value=term.field))
        missing = models.Filter(must=[nothing], must_not=[empty])
        return models.Filter(must_not=[missing]) if term.value else missing
    if term.op in _ORDER:
        bound = models.Range(**{_ORDER[term.op]: cast(float, term.value)})
        return models.Filter(must=[models.FieldCondition(key=payload_key(term.field), range=bound)])
    values = term.value if isinstance(term.value, tuple) else (term.value,)
    parts: list[models.Condition] = [_equal(term.field, value) for value in values]
    if term.op in (Op.NE, Op.NIN):
        return models.Filter(must_not=parts)
    return models.Filter(should=parts) if parts else models.Filter(must=[models.HasIdCondition(has_id=[])])


def _equal(field: str, value: Scalar) -> models.FieldCondition:
    if isinstance(value, bool | str) or (abs(value) > EXACT and value == int(value)):
        match = models.MatchValue(value=value if isinstance(value, bool | str) else int(value))
        return models.FieldCondition(key=payload_key(field), match=match)
    return models.FieldCondition(key=payload_key(field), range=models.Range(gte=value, lte=value))


def payload_key(field: str) -> str:
    """A key of the payload itself, not a path into it. Raises Unsupported."""
    if '"' in field:
        raise Unsupported(f"field {field!r}: Qdrant has no way to name one with a quotation mark")
    plain = field.replace("_", "").replace("-", "")
    return field if plain.isalnum() and plain.isascii() else f'"{field}"'
