"""Filters on collections of others as expressions of Milvus that are true of every record which matches, at least.

Milvus and its smaller kin differ in what they make of missing fields, of lists, and of booleans beside numbers; so an
expression says no more than what they agree on, without negations, and whoever asks looks at what is found himself
(`tenantry.model.filters.matches`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, cast

from pymilvus import DataType

from tenantry.backends.milvus.filters import quoted
from tenantry.backends.milvus.layout import NUMBERS, WHOLE, Field, Layout
from tenantry.model.filters import RANGE_OPS, And, Compare, Filter, Op, Scalar

#: What a record has to be looked at for: nothing, all the same.
EVERY = ""
NONE = None
#: Alternatives that an expression spells out; of more, whether the field is there.
MOST_VALUES = 200
#: Whole numbers up to here are float64 too.
EXACT = 2**53
_ORDER = {Op.GT: ">", Op.GTE: ">=", Op.LT: "<", Op.LTE: "<="}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = frozenset(
    ["and", "or", "not", "in", "like", "is", "null", "exists", "true", "false", "between", "match", "text_match"]
)


def expression_of(layout: Layout, condition: Filter) -> str | None:
    """The expression; `EVERY`: all records have to be looked at; `NONE`: no record matches."""
    if isinstance(condition, Compare):
        return _compared(layout, condition)
    parts = [expression_of(layout, part) for part in condition.parts]
    if isinstance(condition, And):
        return NONE if NONE in parts else _joined("and", [part for part in parts if part])
    some = [part for part in parts if part is not None]
    if not some:
        return NONE
    return EVERY if EVERY in some else _joined("or", some)


def _compared(layout: Layout, term: Compare) -> str | None:
    field = layout.field(term.field)
    if field is None and not layout.dynamic:
        missing = term.op in (Op.NE, Op.NIN) or (term.op is Op.EXISTS and not term.value)
        return EVERY if missing else NONE
    if term.op in (Op.NE, Op.NIN, Op.EXISTS):
        return EVERY
    if field is not None:
        return _of_schema(field, term)
    place = f"$meta[{quoted(term.field)}]"
    if term.op in RANGE_OPS:
        bound = cast(float, term.value)
        return EVERY if abs(bound) >= EXACT else f"({place} {_ORDER[term.op]} {_literal(bound)})"
    values = term.value if isinstance(term.value, tuple) else (term.value,)
    if not values:
        return NONE
    large = any(not isinstance(value, str) and abs(value) >= EXACT for value in values)
    if large or len(values) > MOST_VALUES:
        return f"exists {place}"
    texts = [value for value in values if isinstance(value, str)]
    parts = [f"{place} == {_literal(value)}" for value in values]
    if texts and not _is_name(term.field):  # json_contains takes no other on Milvus Lite
        return f"exists {place}"
    if texts:
        parts.append(f"json_contains_any({term.field}, [{', '.join(map(quoted, texts))}])")
    return _joined("or", parts)


def _of_schema(field: Field, term: Compare) -> str | None:
    if not _is_name(field.name):
        return EVERY
    values = term.value if isinstance(term.value, tuple) else (term.value,)
    if field.kind in WHOLE:
        return _of_whole(field, term.op, values)
    if field.kind == DataType.DOUBLE:
        return _of_double(field, term.op, values)
    if field.kind in NUMBERS or field.kind == DataType.JSON or field.element in NUMBERS | {DataType.BOOL}:
        return EVERY  # float32 beside a number of the expression's is not compared alike everywhere
    if term.op in RANGE_OPS:
        return NONE
    if field.kind == DataType.BOOL:
        flags = [value for value in values if isinstance(value, bool)]
        return _joined("or", [f"{field.name} == {_literal(flag)}" for flag in flags]) if flags else NONE
    texts = ", ".join(quoted(value) for value in values if isinstance(value, str))
    if not texts:
        return NONE
    return (
        f"array_contains_any({field.name}, [{texts}])" if field.kind == DataType.ARRAY else f"{field.name} in [{texts}]"
    )


def _of_whole(field: Field, op: Op, values: Sequence[Scalar]) -> str | None:
    """With whole numbers only, which are within the field's bounds."""
    most = WHOLE[field.kind]
    numbers = [value for value in values if not isinstance(value, str | bool)]
    if op not in RANGE_OPS:
        whole = [int(value) for value in numbers if value == math.floor(value) and -most < value < most]
        return f"{field.name} in [{', '.join(map(str, whole))}]" if whole else _edge(numbers, most)
    bound = numbers[0]
    least = math.floor(bound) if op in (Op.GT, Op.LTE) else math.ceil(bound)
    return f"{field.name} {_ORDER[op]} {least}" if -most < least < most else EVERY


def _edge(numbers: Sequence[float], most: int) -> str | None:
    """The lowest number has no literal: Milvus reads it as minus of one that is too large."""
    return EVERY if -most in numbers else NONE


def _of_double(field: Field, op: Op, values: Sequence[Scalar]) -> str | None:
    numbers = [value for value in values if not isinstance(value, str | bool)]
    if not numbers:
        return NONE
    if any(abs(value) >= EXACT for value in numbers):
        return EVERY
    if op in RANGE_OPS:
        return f"{field.name} {_ORDER[op]} {float(numbers[0])!r}"
    return (
        _joined("or", [f"{field.name} == {float(value)!r}" for value in numbers])
        if len(numbers) <= MOST_VALUES
        else EVERY
    )


def _joined(word: str, parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({f' {word} '.join(parts)})" if parts else EVERY


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if value == math.floor(value) else repr(float(value))


def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None and text.lower() not in _WORDS
