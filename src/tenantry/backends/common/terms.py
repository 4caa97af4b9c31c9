"""Metadata as terms: a form in which filters mean the same on engines whose own filters differ in what equals what.

Each record carries a set of strings, its terms, and a few numbers. A field ``color: "red"`` gives the terms
``["color"]`` (there is such a field) and ``["color","red"]``; a list gives one for each element; ``n: 1.0`` gives
``["n"]``, ``["n",1]``, ``["n",null]`` (it is a number) and the number ``n``. Then equality, ``$in`` and ``$exists`` ask
whether a term is there, and ranges compare a number that is known to be one; nothing is left to an engine's notions of
types, lists and missing fields.
"""

from __future__ import annotations

import hashlib
from typing import Any, TypeAlias

import msgspec

from tenantry.errors import Unsupported
from tenantry.model.filters import RANGE_OPS, Compare, Filter, Op
from tenantry.model.filters import And as AllOf
from tenantry.model.records import Metadata

#: Terms longer than that are kept as a hash.
LONGEST_TERM = 120
#: On every record, and on none.
ALWAYS = "*"
NEVER = "!"
#: Numbers of less than that compare alike as they are and as float64.
EXACT = 2**53
_LARGEST = 1.7e308
_encode = msgspec.json.encode


class Has(msgspec.Struct, frozen=True):
    """At least one of these terms (there is at least one)."""

    terms: tuple[str, ...]


class Lacks(msgspec.Struct, frozen=True):
    """None of these terms (there is at least one)."""

    terms: tuple[str, ...]


class Within(msgspec.Struct, frozen=True):
    """``number op bound``, of a record that has `term`: without it the number may be another record's leavings."""

    number: str
    op: Op
    bound: float
    term: str


class And(msgspec.Struct, frozen=True):
    """All of at least two."""

    parts: tuple[Condition, ...]


class Or(msgspec.Struct, frozen=True):
    """One of at least two."""

    parts: tuple[Condition, ...]


Condition: TypeAlias = Has | Lacks | Within | And | Or


def terms_of(metadata: Metadata | None) -> list[str]:
    """A record's terms; never none."""
    found = [ALWAYS]
    for field, value in (metadata or {}).items():
        found.append(_term(field))
        if isinstance(value, list):
            found += [_term(field, item) for item in dict.fromkeys(value)]
        else:
            found.append(_term(field, _plain(value)))
            if _is_number(value):
                found.append(_term(field, None))
    return found


def numbers_of(metadata: Metadata | None) -> dict[str, float]:
    """A record's numbers, under `number_of` their field."""
    return {number_of(field): _float(value) for field, value in (metadata or {}).items() if _is_number(value)}


def number_of(field: str) -> str:
    """The name of a field's number: of letters and digits, as every engine takes them."""
    return "n" + hashlib.blake2b(field.encode(), digest_size=12).hexdigest()


def in_terms(condition: Filter) -> Condition:
    """A filter in terms.

    Raises:
        Unsupported: a range whose bound is 2**53 or more: such numbers are compared as float64, which cannot tell
            them apart.
    """
    if isinstance(condition, Compare):
        return _compared(condition)
    parts = tuple(in_terms(part) for part in condition.parts)
    if len(parts) == 1:
        return parts[0]
    if isinstance(condition, AllOf):
        return And(parts) if parts else Has((ALWAYS,))
    return Or(parts) if parts else Has((NEVER,))


def _compared(term: Compare) -> Condition:
    if term.op is Op.EXISTS:
        return (Has if term.value else Lacks)((_term(term.field),))
    if term.op in RANGE_OPS:
        bound = term.value
        if not _is_number(bound) or abs(bound) >= EXACT:  # type: ignore[arg-type]  # the parser lets numbers in only
            raise Unsupported(f"{term.op} {bound}: this backend compares numbers of less than 2**53 only")
        return Within(number_of(term.field), term.op, float(bound), _term(term.field, None))  # type: ignore[arg-type]
    values = term.value if isinstance(term.value, tuple) else (term.value,)
    wanted = tuple(dict.fromkeys(_term(term.field, _plain(value)) for value in values)) or (NEVER,)
    return (Has if term.op in (Op.EQ, Op.IN) else Lacks)(wanted)


def _term(field: str, *value: Any) -> str:
    text = _encode([field, *value]).decode()
    return text if len(text) <= LONGEST_TERM else "#" + hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _plain(value: Any) -> Any:
    """Equal numbers are written alike."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _float(value: Any) -> float:
    return max(-_LARGEST, min(_LARGEST, value)) if abs(value) > _LARGEST else float(value)
