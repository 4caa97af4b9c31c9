"""What is known of an import that was interrupted, and where its rejects go.

Two files: the rejects, a JSON object a line, and beside it a small state that says how far it came. Rejects are on disk
before the state that counts them, and that only after every record before it was acknowledged. So what the state
passes over was written, and what comes after it can be written again without harm.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tenantry.errors import Corrupt, Refused
from tenantry.files.rows import Problem, Row
from tenantry.files.sources import Mark
from tenantry.model.records import Record

FORMAT = 1
_encode = msgspec.json.Encoder(enc_hook=str).encode


class Reject(msgspec.Struct, frozen=True):
    """A line of the file of rejects.

    Attributes:
        row: line of JSON lines, else number of the record in its file; from 1.
        field, reason: what is wrong.
        record: as it was in the file.
    """

    file: str
    row: int
    id: Any
    tenant: str | None
    field: str
    reason: str
    record: Any


class State(msgspec.Struct, frozen=True):
    """How far an import has come.

    Attributes:
        options: what it was asked for; a resumed one must be asked for the same.
        file, row: so many rows of the file of that number (from 0) are done with, and all files before it.
        written, rejected: records so far; tenants: written, by tenant.
        rejects_bytes: length of the file of rejects then.
    """

    format: int
    options: dict[str, Any]
    files: list[Mark]
    file: int = 0
    row: int = 0
    written: int = 0
    rejected: int = 0
    tenants: dict[str, int] = {}
    rejects_bytes: int = 0


class Journal:
    """The file of rejects and the state beside it.

    Args:
        rejects: where rejects go; the file is made with the first of them.
    """

    def __init__(self, rejects: Path) -> None:
        self.rejects = rejects
        self.state_file = rejects.with_name(rejects.name + ".state")
        self._length = 0

    def found(self) -> State | None:
        """What an interrupted import left. Raises Corrupt."""
        try:
            data = self.state_file.read_bytes()
        except FileNotFoundError:
            return None
        try:
            state = msgspec.json.decode(data, type=State)
        except msgspec.DecodeError as error:
            raise Corrupt(f"{self.state_file} cannot be read ({error}); remove it to begin anew") from error
        if state.format != FORMAT:
            raise Refused(f"{self.state_file} is of another version; remove it to begin anew")
        return state

    def begin(self, state: State, *, resumed: bool) -> None:
        """Take up an import, or begin one: rejects that the state does not count are forgotten."""
        if not resumed:
            self.rejects.unlink(missing_ok=True)
        elif self.rejects.exists():
            os.truncate(self.rejects, state.rejects_bytes)
        self._length = state.rejects_bytes if resumed else 0
        self.save(state)

    def reject(self, found: Sequence[Reject]) -> int:
        """Put rejects on disk; the length of their file after it."""
        if found:
            data = b"".join(_encode(one) + b"\n" for one in found)
            with self.rejects.open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            self._length += len(data)
        return self._length

    def save(self, state: State) -> None:
        """Note how far it is, whole or not at all."""
        aside = self.state_file.with_name(self.state_file.name + ".new")
        with aside.open("wb") as file:
            file.write(_encode(state))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.state_file)

    def done(self) -> None:
        """It came to its end."""
        self.state_file.unlink(missing_ok=True)


def reject_of(file: str, row: Row, problem: Problem) -> Reject:
    """What is said of a row that fails its checks."""
    record = row.raw
    if record is None:
        values = row.values.tolist() if hasattr(row.values, "tolist") else row.values
        record = {"id": row.id, "values": values, "metadata": row.metadata}
    return Reject(file, row.number, row.id, row.tenant, problem.field, problem.reason, record)


def refused_of(file: str, number: int, record: Record, problem: Problem, tenant: str) -> Reject:
    """What is said of a record that the cluster did not take."""
    shown = {"id": record.id, "values": record.values.tolist(), "metadata": record.metadata}
    return Reject(file, number, record.id, tenant, problem.field, problem.reason, shown)
