"""What a tenant's write log holds: the changes of its records, in order, and their form as bytes.

While a tenant moves, every write is a `Change` in the log before it touches a backend. Two kinds depend on what is
stored at the moment of their turn: a partial update (`Patch`) and a delete by filter (`RemoveWhere`). Whoever applies
the log turns them, in their turn, into what they come to (`Put`, `Remove`, `Nothing`) and stores that in their place
before acting on it. So each change means the same on both sides of a move, and however often it is applied.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import msgspec
import numpy as np

from tenantry.model.filters import Filter, matches
from tenantry.model.records import Metadata, Record, Update, as_vector


class Put(msgspec.Struct, frozen=True, eq=False):
    """Write these records whole, replacing those of the same id."""

    records: tuple[Record, ...]


class Remove(msgspec.Struct, frozen=True):
    """Delete these ids. ``where`` is the filter that they came from, if they came from one: a copier must not carry
    over any record that matches it, for such a record can only be an old one."""

    ids: tuple[str, ...]
    where: Filter | None = None


class Clear(msgspec.Struct, frozen=True):
    """Delete everything."""


class Patch(msgspec.Struct, frozen=True, eq=False):
    """A partial update, not yet resolved."""

    update: Update


class RemoveWhere(msgspec.Struct, frozen=True):
    """A delete by filter, not yet resolved."""

    filter: Filter


class Nothing(msgspec.Struct, frozen=True):
    """A change that came to nothing: an update of a record that was not there, or, with ``reason``, one that the
    authoritative backend refused."""

    reason: str = ""


Change: TypeAlias = Put | Remove | Clear | Patch | RemoveWhere | Nothing
#: What is left when a change has had its turn.
Resolved: TypeAlias = Put | Remove | Clear | Nothing


class LogEntry(msgspec.Struct, frozen=True, eq=False):
    """One change with its place in the tenant's log: 1 for the first ever, without gaps."""

    seq: int
    change: Change


class Effect(msgspec.Struct, eq=False):
    """What a run of resolved changes comes to: the last state of each id, so that applying it (again) never shows a
    state older than the run's end.

    Attributes:
        clear: everything else goes first.
        latest: id to its record, or to None where it is deleted.
    """

    clear: bool = False
    latest: dict[str, Record | None] = msgspec.field(default_factory=dict)

    def add(self, change: Change) -> None:
        """Count one more change, later than all before. Raises TypeError for one that is not resolved."""
        if isinstance(change, Put):
            self.latest.update((record.id, record) for record in change.records)
        elif isinstance(change, Remove):
            self.latest.update((key, None) for key in change.ids)
        elif isinstance(change, Clear):
            self.clear = True
            self.latest = {}
        elif not isinstance(change, Nothing):
            raise TypeError(f"{type(change).__name__} is not resolved")

    @property
    def puts(self) -> list[Record]:
        """Records to write."""
        return [record for record in self.latest.values() if record is not None]

    @property
    def removes(self) -> list[str]:
        """Ids to delete."""
        return [key for key, record in self.latest.items() if record is None]


class Touched:
    """Which records the log has a say in since a copy began: the copier must leave those alone."""

    def __init__(self) -> None:
        self._all = False
        self._ids: set[str] = set()
        self._where: list[Filter] = []

    def add(self, change: Change) -> None:
        """Note one resolved change."""
        if isinstance(change, Put):
            self._ids.update(record.id for record in change.records)
        elif isinstance(change, Remove):
            self._ids.update(change.ids)
            if change.where is not None:
                self._where.append(change.where)
        elif isinstance(change, Clear):
            self._all = True  # whatever a copier still sees from before is gone

    def __len__(self) -> int:
        """Ids noted so far."""
        return len(self._ids)

    def ids(self) -> frozenset[str] | None:
        """The ids, when they are all there is to it; None when conditions were noted too, or everything."""
        return None if self._all or self._where else frozenset(self._ids)

    def covers(self, record: Record) -> bool:
        """Whether the log, not the copier, decides about this record."""
        return (
            self._all or record.id in self._ids or any(matches(condition, record.metadata) for condition in self._where)
        )


def patched(old: Record, update: Update) -> Record:
    """The full image of a record after a partial update."""
    values = old.values if update.values is None else as_vector(update.values)
    if update.set_metadata is None:
        return Record(old.id, values, old.metadata)
    return Record(old.id, values, {**(old.metadata or {}), **update.set_metadata})


def put(records: Iterable[Record]) -> Put:
    """A `Put` of records."""
    return Put(tuple(records))


# ------------------------------------------------------------------------------------------- bytes


class _Row(msgspec.Struct, array_like=True):
    id: str
    values: bytes
    metadata: Metadata | None


class _Stored(msgspec.Struct, array_like=True, omit_defaults=True):
    kind: str
    rows: list[_Row] = []
    ids: tuple[str, ...] = ()
    filter: Filter | None = None
    update: tuple[str, bytes | None, Metadata | None] | None = None
    reason: str = ""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Stored)


def encode(change: Change) -> bytes:
    """A change as bytes (MessagePack; vectors as little-endian float32)."""
    match change:
        case Put(records):
            stored = _Stored("put", rows=_rows(records))
        case Remove(ids, where):
            stored = _Stored("remove", ids=ids, filter=where)
        case Clear():
            stored = _Stored("clear")
        case Patch(update):
            values = None if update.values is None else _raw(update.values)
            stored = _Stored("patch", update=(update.id, values, update.set_metadata))
        case RemoveWhere(condition):
            stored = _Stored("remove-where", filter=condition)
        case Nothing(reason):
            stored = _Stored("nothing", reason=reason)
    return _encoder.encode(stored)


def decode(data: bytes) -> Change:
    """The change behind the bytes. Raises ValueError (msgspec's) for others."""
    stored = _decoder.decode(data)
    if stored.kind == "put":
        return Put(tuple(Record(row.id, _vector(row.values), row.metadata) for row in stored.rows))
    if stored.kind == "remove":
        return Remove(stored.ids, stored.filter)
    if stored.kind == "clear":
        return Clear()
    if stored.kind == "patch" and stored.update is not None:
        key, values, metadata = stored.update
        return Patch(Update(key, None if values is None else _vector(values), metadata))
    if stored.kind == "remove-where" and stored.filter is not None:
        return RemoveWhere(stored.filter)
    if stored.kind == "nothing":
        return Nothing(stored.reason)
    raise msgspec.DecodeError(f"no such change: {stored.kind}")


def _rows(records: Sequence[Record]) -> list[_Row]:
    return [_Row(record.id, _raw(record.values), record.metadata) for record in records]


def _raw(values: object) -> bytes:
    return as_vector(values).astype("<f4", copy=False).tobytes()


def _vector(raw: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.frombuffer(raw, dtype="<f4").astype(np.float32, copy=False)
