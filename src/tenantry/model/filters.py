"""Metadata filters: one grammar and one meaning for every backend.

The grammar is Pinecone's: ``$eq $ne $gt $gte $lt $lte $in $nin $exists`` on a field, ``$and $or`` over
lists of filters, ``{"field": value}`` for equality, several fields or several operators meaning *and*.

The meaning, which adapters must keep or refuse to translate (`matches` is the reference):

* Equality compares like with like: numbers with numbers (``1`` equals ``1.0``), strings with strings,
  booleans with booleans. A boolean never equals a number.
* A list of strings is equal to a string that it contains; ``$in`` asks for any common element.
* ``$ne`` and ``$nin`` are the negations of ``$eq`` and ``$in``; so they hold where the field is missing.
* ``$gt $gte $lt $lte`` compare numbers only; they are false for anything else and for a missing field.
* ``$exists`` asks whether the field is there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

from tenantry.errors import InvalidArgument, TooLarge

MAX_DEPTH = 16
MAX_TERMS = 1_000
MAX_LIST = 10_000

Scalar: TypeAlias = str | int | float | bool


class Op(StrEnum):
    """A comparison of one field."""

    EQ = "$eq"
    NE = "$ne"
    GT = "$gt"
    GTE = "$gte"
    LT = "$lt"
    LTE = "$lte"
    IN = "$in"
    NIN = "$nin"
    EXISTS = "$exists"


RANGE_OPS = frozenset({Op.GT, Op.GTE, Op.LT, Op.LTE})
LIST_OPS = frozenset({Op.IN, Op.NIN})
_OPS: dict[Any, Op] = {op.value: op for op in Op}


class Compare(msgspec.Struct, frozen=True, tag=True):
    """``field op value``; ``value`` is a tuple for ``$in`` and ``$nin``, a bool for ``$exists``."""

    field: str
    op: Op
    value: Scalar | tuple[Scalar, ...]


class And(msgspec.Struct, frozen=True, tag=True):
    """All of the parts hold; true when there are none."""

    parts: tuple[Filter, ...]


class Or(msgspec.Struct, frozen=True, tag=True):
    """At least one part holds."""

    parts: tuple[Filter, ...]


Filter: TypeAlias = Compare | And | Or


def parse_filter(raw: Any, field: str = "filter") -> Filter | None:
    """The filter that ``raw`` (decoded JSON) spells; None for None and for ``{}``.

    Raises:
        InvalidArgument: an unknown operator, a value of the wrong type, a malformed ``$and``/``$or``.
        TooLarge: nested deeper than 16, over 1,000 comparisons, or over 10,000 values in one list.
    """
    if raw is None or raw == {}:
        return None
    budget = [MAX_TERMS]
    return _parse(raw, field, 1, budget)


def matches(condition: Filter, metadata: Mapping[str, Any] | None) -> bool:
    """Whether a record with this metadata satisfies the filter. The reference for every adapter."""
    if isinstance(condition, And):
        return all(matches(part, metadata) for part in condition.parts)
    if isinstance(condition, Or):
        return any(matches(part, metadata) for part in condition.parts)
    return _compare(condition, metadata or {})


def same(stored: Any, wanted: Scalar) -> bool:
    """Equality of a stored scalar with a filter's: of like types only, and a bool is no number."""
    if isinstance(stored, bool) or isinstance(wanted, bool):
        return stored is wanted
    if isinstance(stored, str) or isinstance(wanted, str):
        return type(stored) is type(wanted) and stored == wanted
    return bool(stored == wanted)


def _compare(term: Compare, metadata: Mapping[str, Any]) -> bool:
    stored = metadata.get(term.field)
    if term.op is Op.EXISTS:
        return (stored is not None) is term.value
    if term.op in RANGE_OPS:
        return _in_range(term.op, stored, term.value)
    wanted = term.value if isinstance(term.value, tuple) else (term.value,)
    held = stored if isinstance(stored, list) else () if stored is None else (stored,)
    found = any(same(have, want) for have in held for want in wanted)
    return found is (term.op in (Op.EQ, Op.IN))


def _in_range(op: Op, stored: Any, bound: Any) -> bool:
    if isinstance(stored, bool) or not isinstance(stored, int | float):
        return False
    match op:
        case Op.GT:
            return bool(stored > bound)
        case Op.GTE:
            return bool(stored >= bound)
        case Op.LT:
            return bool(stored < bound)
        case _:
            return bool(stored <= bound)


def _parse(raw: Any, where: str, depth: int, budget: list[int]) -> Filter:
    if depth > MAX_DEPTH:
        raise TooLarge(where, f"nesting of {depth}", f"at most {MAX_DEPTH} levels")
    if not isinstance(raw, Mapping):
        raise InvalidArgument(where, raw, "an object of fields and operators")
    parts: list[Filter] = []
    for key, value in raw.items():
        if key in ("$and", "$or"):
            parts.append(_parse_group(key, value, where, depth, budget))
        elif not isinstance(key, str) or key.startswith("$"):
            raise InvalidArgument(where, key, "a field name, $and or $or at this place")
        elif isinstance(value, Mapping):
            parts.extend(_parse_operators(key, value, where, budget))
        else:
            parts.append(_term(key, Op.EQ, value, where, budget))
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _parse_group(key: str, value: Any, where: str, depth: int, budget: list[int]) -> Filter:
    place = f"{where}.{key}"
    if not isinstance(value, list | tuple) or not value:
        raise InvalidArgument(place, value, "a non-empty list of filters")
    parts = tuple(_parse(part, f"{place}[{i}]", depth + 1, budget) for i, part in enumerate(value))
    return And(parts) if key == "$and" else Or(parts)


def _parse_operators(name: str, raw: Mapping[Any, Any], where: str, budget: list[int]) -> list[Filter]:
    place = f"{where}.{name}"
    if not raw:
        raise InvalidArgument(place, raw, "an operator such as {'$eq': value}")
    terms: list[Filter] = []
    for key, value in raw.items():
        op = _OPS.get(key)
        if op is None:
            raise InvalidArgument(place, key, "one of " + " ".join(Op))
        terms.append(_term(name, op, value, where, budget))
    return terms


def _term(name: str, op: Op, value: Any, where: str, budget: list[int]) -> Compare:
    place = f"{where}.{name}.{op}"
    budget[0] -= 1
    if budget[0] < 0:
        raise TooLarge(where, f"over {MAX_TERMS} comparisons", f"at most {MAX_TERMS}")
    if op in LIST_OPS:
        if not isinstance(value, list | tuple):
            raise InvalidArgument(place, value, "a list of strings, numbers or booleans")
        if len(value) > MAX_LIST:
            raise TooLarge(place, f"{len(value)} values", f"at most {MAX_LIST}")
        return Compare(name, op, tuple(_scalar(item, place) for item in value))
    if op is Op.EXISTS:
        if not isinstance(value, bool):
            raise InvalidArgument(place, value, "true or false")
        return Compare(name, op, value)
    if op in RANGE_OPS and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise InvalidArgument(place, value, "a number")
    return Compare(name, op, _scalar(value, place))


def _scalar(value: Any, place: str) -> Scalar:
    if isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise InvalidArgument(place, value, "a string, a finite number or a boolean")
