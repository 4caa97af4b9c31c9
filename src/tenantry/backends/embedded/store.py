"""One namespace's file: the store of record. Every function here blocks on disk: call it from a worker.

A record's ``seq`` is its place in the order of writes. An overwrite takes a new one and none is ever used twice, so
what was derived from the file (the index checkpoint) can tell a record it knows from one it does not.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tenantry.backends.embedded.connections import ConnectionPool, Role, transaction
from tenantry.errors import Corrupt, TenantryError
from tenantry.model.records import Record, Vector

LOAD_ROWS = 256
"""A batch and its float64 form stay in the cache: 30,000 rows of 768 load in 130 ms, with 1,000 in 150 to 290."""
VACUUM_OVER_BYTES = 1 << 20
IDS_PER_STATEMENT = 500

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS records (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    vector BLOB NOT NULL,
    metadata BLOB
)""",
)

Stored = tuple[str, bytes, bytes | None]
"""id, float32 values, metadata as JSON."""


class Transaction:
    """What a write may do to the records; exists only inside `Store.writing`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'records'").fetchone()
        self._last_seq: int = row[0] if row else 0
        self._is_empty = self._last_seq == 0

    def put(
        self, ids: Sequence[str], vectors: Sequence[Any], metadata: Sequence[bytes | None]
    ) -> tuple[int, list[str]]:
        """Write records, replacing those of the same id.

        Returns the ``seq`` of the first (the others follow it), and the ids that were there before.
        """
        replaced = [] if self._is_empty else self.remove(ids)
        first = self._last_seq + 1
        self._last_seq += len(ids)
        self._connection.executemany(
            "INSERT INTO records (seq, id, vector, metadata) VALUES (?, ?, ?, ?)",
            zip(range(first, self._last_seq + 1), ids, vectors, metadata, strict=True),
        )
        self._is_empty = False
        return first, replaced

    def remove(self, ids: Sequence[str]) -> list[str]:
        """Delete records; returns the ids that were there."""
        gone: list[str] = []
        for start in range(0, len(ids), IDS_PER_STATEMENT):
            part = ids[start : start + IDS_PER_STATEMENT]
            marks = ",".join("?" * len(part))
            found = self._connection.execute(f"SELECT id FROM records WHERE id IN ({marks})", tuple(part))  # noqa: S608
            gone += [row[0] for row in found]
        if gone:
            self._connection.executemany("DELETE FROM records WHERE id = ?", ((one,) for one in gone))
        return gone

    def clear(self) -> None:
        """Delete every record."""
        self._connection.execute("DELETE FROM records")

    def get(self, id: str) -> Stored | None:
        """One record."""
        row: Stored | None = self._connection.execute(
            "SELECT id, vector, metadata FROM records WHERE id = ?", (id,)
        ).fetchone()
        return row

    def every_metadata(self) -> Iterator[tuple[str, bytes | None]]:
        """``(id, metadata)`` of every record."""
        yield from self._connection.execute("SELECT id, metadata FROM records")


class Store:
    """The file of one namespace."""

    def __init__(self, pool: ConnectionPool, path: Path, dimension: int) -> None:
        self.path = path
        self._pool = pool
        self._dimension = dimension

    def create(self, namespace: str) -> None:
        """Make the file with its tables; does no harm to one that is there.

        It holds the namespace's name, so that a lost manifest can be rebuilt by hand.
        """
        with self._pool.use(self.path, Role.WRITER, create=True) as connection, transaction(connection):
            for statement in _SCHEMA:  # in one transaction: one sync, not three
                connection.execute(statement)
            connection.execute("INSERT OR IGNORE INTO about VALUES ('namespace', ?)", (namespace,))

    @contextlib.contextmanager
    def writing(self) -> Iterator[Transaction]:
        """A transaction, durable when it ends without an exception and undone when it ends with one."""
        with self._pool.use(self.path, Role.WRITER) as connection, transaction(connection):
            yield Transaction(connection)

    def count(self) -> int:
        """Exact number of records; reads the whole id index."""
        with self._pool.use(self.path, Role.READER) as connection:
            return int(connection.execute("SELECT count(*) FROM records").fetchone()[0])

    def size_bytes(self) -> int:
        """Bytes of the file and its log."""
        total = 0
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                total += Path(f"{self.path}{suffix}").stat().st_size
        return total

    def shrink(self) -> None:
        """Give the space of an emptied file back to the file system; failing to is no harm."""
        if self.size_bytes() <= VACUUM_OVER_BYTES:
            return
        with contextlib.suppress(TenantryError), self._pool.use(self.path, Role.WRITER) as connection:
            connection.execute("VACUUM")

    def batches(self) -> Iterator[tuple[list[int], list[str], NDArray[np.float32], list[bytes | None]]]:
        """Every record in order of ``seq``, as of one moment, in batches: seqs, ids, matrix, metadata."""
        with self._pool.use(self.path, Role.READER) as connection:
            cursor = connection.execute("SELECT seq, id, vector, metadata FROM records ORDER BY seq")
            while rows := cursor.fetchmany(LOAD_ROWS):
                seqs, ids, blobs, metadata = (list(part) for part in zip(*rows, strict=True))
                yield seqs, ids, self._matrix(blobs), metadata

    def fetch(self, ids: Sequence[str]) -> list[Stored]:
        """The records with these ids, in no particular order."""
        found: list[Stored] = []
        with self._pool.use(self.path, Role.READER) as connection:
            for start in range(0, len(ids), IDS_PER_STATEMENT):
                part = ids[start : start + IDS_PER_STATEMENT]
                marks = ",".join("?" * len(part))
                found += connection.execute(
                    f"SELECT id, vector, metadata FROM records WHERE id IN ({marks})",  # noqa: S608
                    tuple(part),
                )
        return found

    def page(self, cursor: str | None, limit: int, prefix: str) -> list[Stored]:
        """At most ``limit`` records with ids after ``cursor`` that start with ``prefix``, ascending by code point."""
        where, values = _range(cursor, prefix)
        with self._pool.use(self.path, Role.READER) as connection:
            return connection.execute(
                f"SELECT id, vector, metadata FROM records {where} ORDER BY id LIMIT ?",  # noqa: S608
                (*values, limit),
            ).fetchall()

    def id_page(self, cursor: str | None, limit: int, prefix: str) -> list[str]:
        """As `page`, ids only."""
        where, values = _range(cursor, prefix)
        with self._pool.use(self.path, Role.READER) as connection:
            rows = connection.execute(f"SELECT id FROM records {where} ORDER BY id LIMIT ?", (*values, limit))  # noqa: S608
            return [row[0] for row in rows]

    def close(self) -> None:
        """Close its connections; the log is folded into the file."""
        self._pool.forget(self.path)

    def delete_files(self) -> None:
        """Remove the file and all that belongs to it."""
        self.close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def vector(self, blob: bytes) -> Vector:
        """The stored values, shape ``(dimension,)``, writable."""
        if len(blob) != 4 * self._dimension:
            raise Corrupt(f"{self.path} holds a vector of {len(blob)} bytes, not {4 * self._dimension}; restore it")
        return np.frombuffer(bytearray(blob), dtype=np.float32)

    def record(self, stored: Stored) -> Record:
        """A row as a record."""
        id, blob, metadata = stored
        return Record(id, self.vector(blob), decoded(metadata))

    def _matrix(self, blobs: list[bytes]) -> NDArray[np.float32]:
        joined = b"".join(blobs)
        if len(joined) != 4 * self._dimension * len(blobs):
            raise Corrupt(f"{self.path} holds vectors of another dimension than {self._dimension}; restore it")
        return np.frombuffer(joined, dtype=np.float32).reshape(len(blobs), self._dimension)


def decoded(metadata: bytes | None) -> dict[str, Any] | None:
    """Stored metadata as it was given; None stays None."""
    if metadata is None:
        return None
    value: dict[str, Any] = msgspec.json.decode(metadata)
    return value


def _range(cursor: str | None, prefix: str) -> tuple[str, list[str]]:
    """The WHERE clause of a page. SQLite compares text by its UTF-8 bytes, which is the order of code points."""
    terms, values = [], []
    if cursor is not None:
        terms.append("id > ?")
        values.append(cursor)
    if prefix:
        terms.append("id >= ?")
        values.append(prefix)
        end = _after_prefix(prefix)
        if end is not None:
            terms.append("id < ?")
            values.append(end)
    return ("WHERE " + " AND ".join(terms) if terms else ""), values


def _after_prefix(prefix: str) -> str | None:
    """The least string greater than every string that starts with ``prefix``; None when there is none."""
    for i in range(len(prefix) - 1, -1, -1):
        point = ord(prefix[i]) + 1
        if 0xD800 <= point <= 0xDFFF:
            point = 0xE000
        if point <= 0x10FFFF:
            return prefix[:i] + chr(point)
    return None
