"""A namespace in memory: what queries and fetches read, derived from its file and disposable.

Rows are only ever appended. An overwrite appends a new row and notes in ``died_at`` the version at which the old one
ended; a reader takes a `Snapshot` (how many rows, which version) and sees the rows that were alive then. So a read
beside a write sees the state before or after it, never one between, and no reader ever waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tenantry.backends.embedded.columns import Columns
from tenantry.model.records import Metric

if TYPE_CHECKING:
    from tenantry.backends.embedded.ann import Attached

ALIVE = np.iinfo(np.int64).max
FIRST_ROWS = 16
SAFE_NORM = 1e15
"""Norms from 1e-15 to 1e15 can be multiplied in float32 without overflow; others take the float64 path."""
ROW_OVERHEAD_BYTES = 240
"""What Python keeps for a row besides its vector and texts: list slots, a dict entry, object headers, arrays."""


class Change(msgspec.Struct):
    """What one committed write did: ids that were removed (also those overwritten), then records that were added.

    ``matrix`` has shape ``(len(ids), dimension)``, float32; ``first_seq`` belongs to its first row.
    """

    removed: list[str] = []
    ids: list[str] = []
    first_seq: int = 0
    matrix: NDArray[np.float32] | None = None
    metadata: list[bytes | None] = []
    cleared: bool = False


class Snapshot(NamedTuple):
    """The state at one moment. Arrays may be longer than ``n`` and may change beyond it or later than ``version``."""

    n: int
    version: int
    dead: int
    metric: Metric
    matrix: NDArray[np.float32]
    norms: NDArray[np.float64]
    scale: NDArray[np.float32]
    died_at: NDArray[np.int64]
    ids: list[str]
    metadata: list[bytes | None]
    columns: Columns
    max_norm: float
    wild: bool
    ann: Attached | None

    def alive(self) -> NDArray[np.bool_]:
        """Which of the ``n`` rows are alive; shape ``(n,)``."""
        return self.died_at[: self.n] > self.version


class Resident:
    """The rows of one namespace. `stage` may run in a worker; all else belongs to the event loop's thread."""

    def __init__(self, dimension: int, metric: Metric, rows: int = FIRST_ROWS) -> None:
        self.dimension = dimension
        self.metric = metric
        self.n = 0
        self.version = 0
        self.dead = 0
        self.ids: list[str] = []
        self.metadata: list[bytes | None] = []
        self.row_of: dict[str, int] = {}
        self.columns = Columns(self.metadata)
        self.max_norm = 0.0
        self.wild = False
        self.ann: Attached | None = None
        rows = max(rows, FIRST_ROWS)
        self.matrix: NDArray[np.float32] = np.empty((rows, dimension), np.float32)
        self.norms: NDArray[np.float64] = np.empty(rows, np.float64)
        self.scale: NDArray[np.float32] = np.empty(rows, np.float32)
        self.seqs: NDArray[np.int64] = np.empty(rows, np.int64)
        self.died_at: NDArray[np.int64] = np.empty(rows, np.int64)
        self._text_bytes = 0

    @property
    def live(self) -> int:
        """Records alive now."""
        return self.n - self.dead

    @property
    def nbytes(self) -> int:
        """Bytes of memory it takes, nearly; capacity that no row has touched yet is not counted."""
        rows = self.n * (4 * self.dimension + ROW_OVERHEAD_BYTES)
        index = self.ann.index.nbytes if self.ann else 0
        return rows + self._text_bytes + self.columns.nbytes + index

    def snapshot(self) -> Snapshot:
        """The state now."""
        return Snapshot(
            self.n,
            self.version,
            self.dead,
            self.metric,
            self.matrix,
            self.norms,
            self.scale,
            self.died_at,
            self.ids,
            self.metadata,
            self.columns,
            self.max_norm,
            self.wild,
            self.ann,
        )

    def stage(self, matrices: Iterable[tuple[NDArray[np.float32], Any]]) -> None:
        """Put ``(matrix, seqs)`` of coming rows behind the last row, where no reader looks yet.

        May run in a worker, for one writer at a time; `apply` then makes the rows visible.
        """
        row = self.n
        for matrix, seqs in matrices:
            end = row + len(matrix)
            self._reserve(end, row)
            self.matrix[row:end] = matrix
            self.seqs[row:end] = seqs
            self.died_at[row:end] = ALIVE
            wide = matrix.astype(np.float64)
            squares = np.vecdot(wide, wide)
            norms = np.sqrt(squares)
            self.norms[row:end] = norms
            self._note_norms(norms)
            if self.metric is Metric.COSINE:
                with np.errstate(divide="ignore", over="ignore"):
                    self.scale[row:end] = 1.0 / norms
            elif self.metric is Metric.EUCLIDEAN:
                with np.errstate(over="ignore"):
                    self.scale[row:end] = squares
            row = end

    def apply(self, changes: Sequence[Change]) -> None:
        """Make staged changes visible, all at once. Event loop's thread only."""
        for change in changes:
            self.version += 1
            if change.removed:
                rows = [self.row_of.pop(id) for id in change.removed]
                self.died_at[rows] = self.version
                self.dead += len(rows)
            if change.ids:
                self.append(change.ids, change.metadata)

    def append(self, ids: list[str], metadata: list[bytes | None]) -> None:
        """Make the next ``len(ids)`` staged rows visible."""
        self.row_of.update(zip(ids, range(self.n, self.n + len(ids)), strict=True))
        self.ids.extend(ids)
        self.metadata.extend(metadata)
        self.n += len(ids)
        self._text_bytes += sum(map(len, ids)) + sum(map(len, filter(None, metadata)))

    def compacted(self) -> Resident:
        """A copy without the dead rows. May run in a worker, while no write is applied."""
        rows = np.flatnonzero(self.died_at[: self.n] == ALIVE)
        copy = Resident(self.dimension, self.metric, len(rows) + len(rows) // 4)
        step = max(1, (1 << 22) // self.dimension)
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            copy.stage([(self.matrix[part], self.seqs[part])])
            listed = part.tolist()
            copy.append([self.ids[row] for row in listed], [self.metadata[row] for row in listed])
        return copy

    def _note_norms(self, norms: NDArray[np.float64]) -> None:
        if not len(norms):
            return
        most = float(norms.max())
        self.max_norm = max(self.max_norm, most)
        if most > SAFE_NORM or (norms[norms > 0] < 1 / SAFE_NORM).any():
            self.wild = True

    def _reserve(self, rows: int, kept: int) -> None:
        capacity = len(self.norms)
        if rows <= capacity:
            return
        capacity = max(rows, 2 * capacity)
        self.matrix = _grown(self.matrix, kept, capacity)
        self.norms = _grown(self.norms, kept, capacity)
        self.scale = _grown(self.scale, kept, capacity)
        self.seqs = _grown(self.seqs, kept, capacity)
        self.died_at = _grown(self.died_at, kept, capacity)


def _grown(array: NDArray[Any], rows: int, capacity: int) -> NDArray[Any]:
    grown = np.empty((capacity, *array.shape[1:]), array.dtype)
    grown[:rows] = array[:rows]
    return grown
