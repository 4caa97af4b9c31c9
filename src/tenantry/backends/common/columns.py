"""Metadata in columns that others laid out, and in a place for what is in none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from tenantry.backends.common.collection import OURS
from tenantry.errors import InvalidArgument
from tenantry.model.records import Metadata

#: Keys beside a record's own: an id that the column of ids cannot hold, and the names of columns that hold a default
#: which the record did not give.
ID = f"{OURS}-id"
UNSET = f"{OURS}-unset"
NOTES = (ID, UNSET)


class Column(Protocol):
    """A field that is a column."""

    @property
    def name(self) -> str:
        """The field's name."""

    @property
    def required(self) -> bool:
        """It is never null."""

    @property
    def filled(self) -> bool:
        """It has a default."""


C = TypeVar("C", bound=Column)


def may_be_unset(column: Column, rest: bool) -> bool:
    """Whether it may hold what no record gave: a default in place of null, of which a note in ``rest`` tells."""
    return column.required and column.filled and rest


class Parts(msgspec.Struct, frozen=True):
    """A record's metadata as they are kept.

    Attributes:
        held: of columns; None is null. A column that is not here gets its default, or stays as it is.
        unset: names of the columns that are not here.
        rest: what is in no column.
    """

    held: dict[str, Any]
    unset: list[str]
    rest: dict[str, Any]


class Columns(msgspec.Struct, frozen=True):
    """How a place keeps metadata.

    Attributes:
        where: the place, for messages.
        held: a value as a column takes it, when it comes back equal; else None.
        allowed: what a column takes, in words.
        rest: whether there is a place for what is in no column.
        aside: whether that is a place, too, for values that their column cannot hold.
    """

    where: str
    held: Callable[[Any, Any], Any]
    allowed: Callable[[Any], str]
    rest: bool
    aside: bool

    def parts(self, metadata: Metadata | None, columns: Sequence[C]) -> Parts:
        """Raises InvalidArgument: there is no place for a field."""
        given: dict[str, Any] = dict(metadata or {})
        for note in NOTES:
            if note in given:
                raise InvalidArgument(f"metadata.{note}", given[note], "any other name: that one is Tenantry's own")
        parts = Parts({}, [], {})
        for column in columns:
            value = given.pop(column.name, None)
            fit = self._fit(column, value)
            if fit is None and value is not None:
                parts.rest[column.name] = value
            if fit is None and column.required:
                parts.unset.append(column.name)
            else:
                parts.held[column.name] = fit
        parts.rest.update(given)
        if given and not self.rest:
            self._refuse(given, columns)
        return parts

    def _fit(self, column: Column, value: Any) -> Any:
        fit = None if value is None else self.held(column, value)
        missing = fit is None and column.required and not may_be_unset(column, self.rest)
        if missing or (fit is None and value is not None and not self.aside):
            always = " in every record, since it is never null" if value is None else ""
            allowed = f"{self.allowed(column)} of {self.where}{always}"
            raise InvalidArgument(f"metadata.{column.name}", value, allowed)
        return fit

    def _refuse(self, given: dict[str, Any], columns: Sequence[C]) -> None:
        name, value = next(iter(given.items()))
        if name.startswith(OURS):  # a tenant's own spelling of the field that tells tenants apart
            allowed = f"the tenant itself in each record's tenant field: {self.where} has no place for notes"
            raise InvalidArgument("metadata", name, allowed)
        names = ", ".join(column.name for column in columns) or "none"
        raise InvalidArgument(f"metadata.{name}", value, f"the fields of {self.where}, which takes no others: {names}")
