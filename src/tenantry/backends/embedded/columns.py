"""Filters over resident rows: metadata fields as columns, made when a filter first names them.

A mask has exactly the meaning of `tenantry.model.filters.matches`. Numbers are where that takes care: a float64
cannot hold every integer, so an integer that it would round is kept aside (int64, or a Python int beyond that), and
bounds are compared without rounding either.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tenantry.model.filters import RANGE_OPS, And, Compare, Filter, Op, Or, Scalar, matches

Mask = NDArray[np.bool_]
MOST_COLUMNS = 64
"""Fields kept as columns per namespace; the least recently asked for goes first. Bounds memory against callers who
filter on ever new names."""
INT64 = np.iinfo(np.int64)


class Kind(IntEnum):
    """What a row holds in a field."""

    MISSING = 0
    NUMBER = 1
    """A number that float64 holds exactly."""
    WIDE = 2
    """An integer that float64 would round, within int64."""
    FALSE = 3
    TRUE = 4
    TEXT = 5
    LIST = 6
    ODD = 7
    """Anything else; compared one by one by the reference."""


class Columns:
    """The columns of one namespace. Safe to use from several threads; rows that are there never change."""

    def __init__(self, metadata: list[bytes | None]) -> None:
        self._metadata = metadata
        self._columns: OrderedDict[str, Column] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes of memory, nearly."""
        return sum(column.nbytes for column in tuple(self._columns.values()))

    def mask(self, condition: Filter, n: int) -> Mask:
        """Which of the first ``n`` rows match; shape ``(n,)``. Dead rows are not left out."""
        match condition:
            case And(parts):
                mask = np.ones(n, np.bool_)
                for part in parts:
                    mask &= self.mask(part, n)
                return mask
            case Or(parts):
                mask = np.zeros(n, np.bool_)
                for part in parts:
                    mask |= self.mask(part, n)
                return mask
            case _:
                with self._lock:
                    column = self._column(condition.field)
                    column.extend(self._metadata, n)
                    return column.mask(condition, n)

    def unread_rows(self, condition: Filter, n: int) -> int:
        """How many metadata would have to be decoded to answer ``condition``: what the call will cost."""
        if isinstance(condition, Compare):
            column = self._columns.get(condition.field)
            return n - min(n, column.n) if column else n
        return sum(self.unread_rows(part, n) for part in condition.parts)

    def _column(self, field: str) -> Column:
        column = self._columns.get(field)
        if column is None:
            column = self._columns[field] = Column(field)
            if len(self._columns) > MOST_COLUMNS:
                self._columns.popitem(last=False)
        self._columns.move_to_end(field)
        return column


class Column:
    """One field over the first ``n`` rows."""

    def __init__(self, field: str) -> None:
        self.n = 0
        self._field = field
        self._read = _reader_of(field)
        self._kinds = np.empty(0, np.int8)
        self._numbers = np.empty(0, np.float64)
        self._codes = np.empty(0, np.int32)
        self._wide: NDArray[np.int64] | None = None
        self._code_of: dict[str, int] = {}
        self._item_rows: list[NDArray[np.int32]] = []
        self._item_codes: list[NDArray[np.int32]] = []
        self._odd: dict[int, Any] = {}
        self._text_bytes = 0

    @property
    def nbytes(self) -> int:
        """Bytes of memory, nearly."""
        wide = 8 if self._wide is not None else 0
        items = sum(8 * len(rows) for rows in self._item_rows)
        return self.n * (13 + wide) + items + self._text_bytes + 200 * len(self._odd)

    def extend(self, metadata: list[bytes | None], n: int) -> None:
        """Read the rows from the last one read up to ``n``."""
        if n <= self.n:
            return
        start = self.n
        read = self._read
        values = [None if raw is None else read(raw) for raw in metadata[start:n]]
        self._reserve(n)
        kinds, numbers, codes = self._kinds, self._numbers, self._codes
        numbers[start:n] = np.nan
        codes[start:n] = -1
        item_rows: list[int] = []
        item_codes: list[int] = []
        for row, value in enumerate(values, start):
            match value:
                case None:
                    kinds[row] = Kind.MISSING
                case str():
                    kinds[row] = Kind.TEXT
                    codes[row] = self._code(value)
                case bool():
                    kinds[row] = Kind.TRUE if value else Kind.FALSE
                case int() | float():
                    kinds[row] = self._number(row, value)
                case list() if all(isinstance(item, str) for item in value):
                    kinds[row] = Kind.LIST
                    item_rows.extend([row] * len(value))
                    item_codes.extend(map(self._code, value))
                case _:
                    kinds[row] = Kind.ODD
                    self._odd[row] = value
        if item_rows:
            self._item_rows.append(np.array(item_rows, np.int32))
            self._item_codes.append(np.array(item_codes, np.int32))
        self.n = n

    def mask(self, term: Compare, n: int) -> Mask:
        """Which of the first ``n`` rows satisfy ``term``, which must be about this field."""
        kinds = self._kinds[:n]
        if term.op is Op.EXISTS:
            missing: Mask = kinds == Kind.MISSING
            return ~missing if term.value else missing
        if term.op in RANGE_OPS:
            found = self._in_range(term.op, term.value, n)
        else:
            wanted = term.value if isinstance(term.value, tuple) else (term.value,)
            found = self._any_of(wanted, n)
            if term.op in (Op.NE, Op.NIN):
                np.logical_not(found, out=found)
        for row, value in self._odd.items():
            if row < n:
                found[row] = matches(term, {self._field: value})
        return found

    def _any_of(self, wanted: tuple[Scalar, ...], n: int) -> Mask:
        kinds = self._kinds[:n]
        found: Mask = np.zeros(n, np.bool_)
        if any(value is True for value in wanted):
            found |= kinds == Kind.TRUE
        if any(value is False for value in wanted):
            found |= kinds == Kind.FALSE
        self._add_texts(found, [self._code_of[text] for text in wanted if text in self._code_of], n)
        exact, wide = _split(wanted)
        if exact:
            found |= _is_any(self._numbers[:n], exact)
        if wide and self._wide is not None:
            found |= (kinds == Kind.WIDE) & _is_any(self._wide[:n], wide)
        return found

    def _add_texts(self, found: Mask, codes: list[int], n: int) -> None:
        if not codes:
            return
        found |= _is_any(self._codes[:n], codes)
        for rows, items in zip(self._item_rows, self._item_codes, strict=True):
            hit = rows[_is_any(items, codes)]
            found[hit[hit < n]] = True

    def _in_range(self, op: Op, bound: Any, n: int) -> Mask:
        found = _floats_in_range(self._numbers[:n], op, bound)
        if self._wide is not None:
            found |= (self._kinds[:n] == Kind.WIDE) & _ints_in_range(self._wide[:n], op, bound)
        return found

    def _code(self, text: str) -> int:
        code = self._code_of.get(text)
        if code is None:
            code = self._code_of[text] = len(self._code_of)
            self._text_bytes += 150 + len(text)
        return code

    def _number(self, row: int, value: float) -> Kind:
        exact = _exact_float(value)
        if exact is not None:
            self._numbers[row] = exact
            return Kind.NUMBER
        if INT64.min <= value <= INT64.max:
            if self._wide is None:
                self._wide = np.zeros(len(self._kinds), np.int64)
            self._wide[row] = value
            return Kind.WIDE
        self._odd[row] = value
        return Kind.ODD

    def _reserve(self, rows: int) -> None:
        if rows <= len(self._kinds):
            return
        capacity = rows + rows // 4
        self._kinds = _longer(self._kinds, capacity)
        self._numbers = _longer(self._numbers, capacity)
        self._codes = _longer(self._codes, capacity)
        if self._wide is not None:
            self._wide = _longer(self._wide, capacity)


def _reader_of(field: str) -> Callable[[bytes], Any]:
    """Reads one field of an encoded object and passes over the others without making them; None if not there."""
    try:
        shape = msgspec.defstruct("OneField", [("value", Any, None)], rename={"value": field}, gc=False)
    except ValueError:  # msgspec takes no quotes and control characters in such names
        whole = msgspec.json.Decoder(dict[str, Any])
        return lambda raw: whole.decode(raw).get(field)
    one: msgspec.json.Decoder[Any] = msgspec.json.Decoder(shape)
    return lambda raw: one.decode(raw).value


def _longer(array: NDArray[Any], capacity: int) -> NDArray[Any]:
    longer = np.zeros(capacity, array.dtype)
    longer[: len(array)] = array
    return longer


def _is_any(array: NDArray[Any], wanted: Iterable[Any]) -> Mask:
    values = list(wanted)
    if len(values) <= 8:
        found: Mask = array == values[0]
        for value in values[1:]:
            found |= array == value
        return found
    return np.isin(array, np.array(values, array.dtype))


def _split(wanted: Iterable[Scalar]) -> tuple[list[float], list[int]]:
    """The numbers among the values: those that are floats exactly, and the other integers of int64."""
    exact: list[float] = []
    wide: list[int] = []
    for value in wanted:
        if isinstance(value, bool | str):
            continue
        number = _exact_float(value)
        if number is not None:
            exact.append(number)
        elif INT64.min <= value <= INT64.max:
            wide.append(int(value))
    return exact, wide


def _exact_float(value: float) -> float | None:
    """The number as a float that equals it, or None when there is none."""
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if number == value else None


def _floats_in_range(numbers: NDArray[np.float64], op: Op, bound: float) -> Mask:
    """Compare float64 values (NaN where there is none: never true) with an exact bound."""
    exact = _exact_float(bound)
    if exact is None:
        # No float equals the bound, so beside the greatest float below it, > and >= mean the same.
        below = _float_below(bound)
        return numbers > below if op in (Op.GT, Op.GTE) else numbers <= below
    match op:
        case Op.GT:
            return numbers > exact
        case Op.GTE:
            return numbers >= exact
        case Op.LT:
            return numbers < exact
        case _:
            return numbers <= exact


def _float_below(bound: float) -> float:
    try:
        nearest = float(bound)
    except OverflowError:
        return math.inf if bound > 0 else -math.inf
    return nearest if nearest < bound else math.nextafter(nearest, -math.inf)


def _ints_in_range(numbers: NDArray[np.int64], op: Op, bound: float) -> Mask:
    """Compare int64 values with a bound that may be a fraction or beyond int64."""
    least: int
    if op in (Op.GT, Op.GTE):
        least = math.floor(bound) + 1 if op is Op.GT else math.ceil(bound)
        if least > INT64.max:
            return np.zeros(len(numbers), np.bool_)
        return numbers >= max(least, INT64.min)
    most = math.ceil(bound) - 1 if op is Op.LT else math.floor(bound)
    if most < INT64.min:
        return np.zeros(len(numbers), np.bool_)
    return numbers <= min(most, INT64.max)
