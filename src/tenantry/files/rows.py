"""What readers give: one row for each record of a file, whatever its form."""

from __future__ import annotations

from typing import Any

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with a row: the field, and why."""

    field: str
    reason: str


class Row(msgspec.Struct, frozen=True, eq=False):
    """A record as a file has it, not checked yet.

    Attributes:
        number: of the line (JSON lines), or of the record in its file; from 1.
        tenant: whose it is, where the file says so.
        problem: why it cannot be read any further.
        raw: the record as it was, for those who are to mend it; None: put together from the other fields.
    """

    number: int
    id: Any = None
    values: Any = None
    metadata: Any = None
    tenant: str | None = None
    problem: Problem | None = None
    raw: Any = None


def broken(number: int, field: str, reason: str, raw: Any) -> Row:
    """A row that cannot be read."""
    return Row(number, problem=Problem(field, reason), raw=raw)
