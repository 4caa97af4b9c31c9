"""A shard's manifest: which namespaces there are, in which files, and how many vectors each holds.

The life of a row::

    (none) --create--> EMPTY --first write--> WRITTEN --drop--> DROPPING --files gone--> (none)

``EMPTY`` promises that the namespace never held data, so its file may be missing; a ``WRITTEN`` one whose file is
missing is damage. Before the first write after opening, a namespace is durably marked dirty; closing in good order
stores the exact counts and clears the mark. So only what was being written at a crash has to be counted again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path

import msgspec

from tenantry.backends.embedded.connections import ConnectionPool, Role, transaction, translated
from tenantry.errors import Corrupt, InvalidArgument
from tenantry.model.records import Metric

MANIFEST_NAME = "manifest.db"
FORMAT = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS namespaces (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    state INTEGER NOT NULL,
    dirty INTEGER NOT NULL,
    vectors INTEGER NOT NULL,
    bytes INTEGER NOT NULL
);
"""


class State(IntEnum):
    """The life of a namespace; see the module's docstring."""

    EMPTY = 0
    WRITTEN = 1
    DROPPING = 2


class Entry(msgspec.Struct, frozen=True):
    """One namespace as the manifest knows it. ``vectors`` and ``bytes`` are stale while ``dirty``."""

    number: int
    name: str
    state: State
    dirty: bool
    vectors: int
    bytes: int


class Manifest:
    """The manifest file of one shard folder. Every method blocks on disk: call it from a worker."""

    def __init__(self, pool: ConnectionPool, folder: Path) -> None:
        self._pool = pool
        self._path = folder / MANIFEST_NAME
        self._lock = threading.Lock()

    def open(self, dimension: int, metric: Metric) -> list[Entry]:
        """Make the file if it is not there, check what it was made for, and list the namespaces.

        Raises:
            InvalidArgument: the shard was made for another dimension or metric.
            Corrupt: the file is damaged, of an unknown format, or missing although data files are there.
        """
        folder = self._path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise translated(error, folder) from error
        if not self._path.exists() and any(folder.glob("ns-*.db")):
            raise Corrupt(f"{self._path} is missing, yet {folder} holds data; restore it from a backup")
        with self._lock, self._pool.use(self._path, Role.WRITER, create=True) as connection:
            connection.executescript(_SCHEMA)
            with transaction(connection):
                about = dict(connection.execute("SELECT key, value FROM about"))
                wanted = {"format": str(FORMAT), "dimension": str(dimension), "metric": str(metric)}
                self._check("format", about.get("format", wanted["format"]), wanted["format"])
                if connection.execute("SELECT 1 FROM namespaces LIMIT 1").fetchone() is not None:
                    for key, value in wanted.items():
                        self._check(key, about.get(key, value), value)
                # An empty shard may begin anew with another dimension, as when an index is deleted and made again.
                connection.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", wanted.items())
            rows = connection.execute("SELECT number, name, state, dirty, vectors, bytes FROM namespaces").fetchall()
        return [Entry(n, name, State(state), bool(dirty), v, b) for n, name, state, dirty, v, b in rows]

    def add(self, name: str) -> int:
        """Record a new namespace, durably; returns its number, which is never used again."""
        with self._lock, self._pool.use(self._path, Role.WRITER) as connection, transaction(connection):
            cursor = connection.execute(
                "INSERT INTO namespaces (name, state, dirty, vectors, bytes) VALUES (?, ?, 0, 0, 0)",
                (name, int(State.EMPTY)),
            )
            return int(cursor.lastrowid or 0)

    def mark_dirty(self, number: int) -> None:
        """Record, durably, that the namespace is about to be written."""
        self._execute("UPDATE namespaces SET state = ?, dirty = 1 WHERE number = ?", (int(State.WRITTEN), number))

    def mark_dropping(self, number: int) -> None:
        """Record, durably, that the namespace is gone and its files are to be removed."""
        self._execute("UPDATE namespaces SET state = ? WHERE number = ?", (int(State.DROPPING), number))

    def remove(self, number: int) -> None:
        """Forget a namespace whose files are gone."""
        self._execute("DELETE FROM namespaces WHERE number = ?", (number,))

    def store_counts(self, counts: Iterable[tuple[int, int, int]]) -> None:
        """Store exact ``(number, vectors, bytes)`` of namespaces that nobody writes any more; clears their marks."""
        rows = [(vectors, size, number) for number, vectors, size in counts]
        with self._lock, self._pool.use(self._path, Role.WRITER) as connection, transaction(connection):
            connection.executemany("UPDATE namespaces SET dirty = 0, vectors = ?, bytes = ? WHERE number = ?", rows)

    def close(self) -> None:
        """Close the connection."""
        self._pool.forget(self._path)

    def _execute(self, statement: str, values: tuple[int, ...]) -> None:
        with self._lock, self._pool.use(self._path, Role.WRITER) as connection, transaction(connection):
            connection.execute(statement, values)

    def _check(self, key: str, found: str, wanted: str) -> None:
        if found == wanted:
            return
        if key == "format":
            raise Corrupt(f"{self._path} has format {found}, this version reads {wanted}; upgrade Tenantry")
        raise InvalidArgument(key, wanted, f"{found}, for which {self._path.parent} was made")
