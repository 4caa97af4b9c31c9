"""The writes of a namespace: what each does inside a transaction, and the change that it leaves for the memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from tenantry.backends.embedded.resident import Change, Snapshot
from tenantry.backends.embedded.store import Transaction, decoded
from tenantry.errors import InvalidArgument
from tenantry.model.blocks import Block
from tenantry.model.filters import Filter, matches
from tenantry.model.records import CopiedPage, Record, Update, Vector

encode_metadata = msgspec.json.Encoder().encode


class Write(Protocol):
    """One caller's write. Both methods run in a worker."""

    @property
    def rows(self) -> int:
        """How many records it touches, about; bounds what is committed together."""

    def prepare(self, dimension: int) -> None:
        """Check and encode, before any transaction. Raises InvalidArgument."""

    def run(self, tx: Transaction, view: Snapshot | None) -> Change:
        """Write. ``view`` is the namespace in memory, if it is there and nothing precedes this write in ``tx``."""


class Upsert:
    """Write records, replacing those of the same id."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records
        self._ids: list[str] = []
        self._matrix: NDArray[np.float32] | None = None
        self._metadata: list[bytes | None] = []

    @property
    def rows(self) -> int:
        """How many records it writes."""
        return len(self._records)

    def prepare(self, dimension: int) -> None:
        """Encode the records; refuses ids that repeat, vectors of another dimension and texts that are no Unicode."""
        self._ids = [record.id for record in self._records]
        _check_ids(self._ids)
        self._matrix = _matrix([record.values for record in self._records], dimension)
        self._metadata = [
            None if record.metadata is None else encoded_metadata(record.metadata) for record in self._records
        ]

    def run(self, tx: Transaction, view: Snapshot | None) -> Change:
        """Write them."""
        if not self._ids:
            return Change()
        assert self._matrix is not None  # noqa: S101  prepared before it runs
        first, replaced = tx.put(self._ids, list(self._matrix), self._metadata)
        return Change(replaced, self._ids, first, self._matrix, self._metadata)


class Load(Upsert):
    """Write records that come in columns, metadata as the JSON that they are stored as."""

    def __init__(self, block: Block) -> None:
        super().__init__(())
        self._block = block

    @property
    def rows(self) -> int:
        """How many records it writes."""
        return len(self._block)

    def prepare(self, dimension: int) -> None:
        """Take the columns as they are; refuses what `Upsert` refuses."""
        block = self._block
        if block and block.matrix.shape != (len(block), dimension):
            raise InvalidArgument("block", f"shape {block.matrix.shape}", f"{dimension} numbers in each row")
        _check_ids(block.ids)
        self._ids, self._metadata = block.ids, block.metadata
        self._matrix = np.ascontiguousarray(block.matrix, dtype=np.float32)


class Patch:
    """Change one record in place: read, merge and write in one transaction. ``found`` is the answer."""

    rows = 1

    def __init__(self, update: Update) -> None:
        self._update = update
        self.found = False

    def prepare(self, dimension: int) -> None:
        """Check what is to be set."""
        check_text("id", self._update.id)
        if self._update.values is not None:
            _matrix([self._update.values], dimension)
        if self._update.set_metadata is not None:
            encoded_metadata(self._update.set_metadata)

    def run(self, tx: Transaction, view: Snapshot | None) -> Change:
        """Apply it, if the record is there."""
        stored = tx.get(self._update.id)
        self.found = stored is not None
        if stored is None:
            return Change()
        id, blob, metadata = stored
        values: Vector = np.frombuffer(blob, np.float32)
        if self._update.values is not None:
            values = np.ascontiguousarray(self._update.values, np.float32)
        if self._update.set_metadata is not None:
            metadata = encoded_metadata({**(decoded(metadata) or {}), **self._update.set_metadata})
        first, replaced = tx.put([id], [values], [metadata])
        return Change(replaced, [id], first, values.reshape(1, -1), [metadata])


class DeleteIds:
    """Delete records by id; absent ids are passed over."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = list(dict.fromkeys(ids))

    @property
    def rows(self) -> int:
        """How many records it may delete."""
        return len(self._ids)

    def prepare(self, dimension: int) -> None:
        """An id that is no Unicode cannot be stored, so it cannot be deleted either."""
        self._ids = [id for id in self._ids if is_text(id)]

    def run(self, tx: Transaction, view: Snapshot | None) -> Change:
        """Delete them."""
        return Change(removed=tx.remove(self._ids))


class DeleteMatching:
    """Delete the records that a filter matches."""

    rows = 0

    def __init__(self, condition: Filter) -> None:
        self._condition = condition

    def prepare(self, dimension: int) -> None:
        """Nothing to prepare."""

    def run(self, tx: Transaction, view: Snapshot | None) -> Change:
        """Delete them: found through the columns in memory, or by reading the file when it is not there."""
        if view is not None:
            mask = view.columns.mask(self._condition, view.n) & view.alive()
            ids = [view.ids[row] for row in np.flatnonzero(mask).tolist()]
        else:
            ids = [id for id, raw in tx.every_metadata() if matches(self._condition, decoded(raw))]
        return Change(removed=tx.remove(ids))


class Pull:
    """Take over a page of another namespace's records. ``page`` is the answer.

    Args:
        source: the other namespace's file.
        spared: ids to leave alone.
    """

    def __init__(self, source: Path, cursor: str | None, limit: int, spared: Collection[str]) -> None:
        self.source = source
        self.rows = limit
        self.page = CopiedPage()
        self._cursor = cursor
        self._spared = spared
        self._dimension = 0

    def prepare(self, dimension: int) -> None:
        """Nothing to prepare: the other namespace has checked its records."""
        self._dimension = dimension

    def run(self, tx: Transaction, view: Snapshot | None) -> Change:
        """Write them; read them back only if they are to be in memory too."""
        pulled = tx.pull(self._cursor, self.rows, self._spared)
        size = 4 * self._dimension * len(pulled.ids) + sum(map(len, pulled.ids))
        self.page = CopiedPage(pulled.cursor, len(pulled.ids), size)
        change = Change(pulled.replaced, pulled.ids, pulled.first)
        if view is not None and pulled.ids:
            rows = tx.since(pulled.first)
            change.matrix = np.frombuffer(b"".join(blob for blob, _ in rows), np.float32).reshape(-1, self._dimension)
            change.metadata = [metadata for _, metadata in rows]
        return change


class Clear:
    """Delete every record."""

    rows = 0

    def prepare(self, dimension: int) -> None:
        """Nothing to prepare."""

    def run(self, tx: Transaction, view: Snapshot | None) -> Change:
        """Delete them."""
        tx.clear()
        return Change(cleared=True)


def is_text(value: str) -> bool:
    """Whether the string is storable: Python allows lone surrogates, UTF-8 does not."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_text(field: str, value: str) -> None:
    """Raises InvalidArgument for a string that has no UTF-8 form."""
    if not value.isascii() and not is_text(value):
        raise InvalidArgument(field, value, "valid Unicode, without lone surrogates")


def encoded_metadata(metadata: dict[str, Any]) -> bytes:
    """Metadata as JSON; raises InvalidArgument for what JSON cannot hold."""
    try:
        return encode_metadata(metadata)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgument("metadata", metadata, f"what JSON can hold ({error})") from error


def _check_ids(ids: list[str]) -> None:
    if len(set(ids)) != len(ids):
        raise InvalidArgument("vectors", "an id twice", "ids that are unique within the batch")
    for id in ids:
        check_text("id", id)


def _matrix(values: Sequence[Vector], dimension: int) -> NDArray[np.float32]:
    if not values:
        return np.empty((0, dimension), np.float32)
    for i, vector in enumerate(values):
        if vector.shape != (dimension,):
            raise InvalidArgument(f"vectors[{i}].values", f"shape {vector.shape}", f"exactly {dimension} numbers")
    return np.ascontiguousarray(np.stack(values), dtype=np.float32)
