"""One namespace's file: the store of record. Every function here blocks on disk: call it from a worker.

A record's ``seq`` is its place in the order of writes. An overwrite takes a new one and none is ever used twice, so
what was derived from the file (the index checkpoint) can tell a record it knows from one it does not.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tenantry.backends.embedded.connections import ConnectionPool, Role, file_uri, transaction
from tenantry.backends.embedded.stretches import STRETCH_ROWS, Stretch, read_stretch
from tenantry.errors import Corrupt, TenantryError
from tenantry.model.records import Record, Vector

VACUUM_OVER_BYTES = 1 << 20
IDS_PER_STATEMENT = 500
ATTACHED = "source"

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


class Pulled(msgspec.Struct):
    """What `Transaction.pull` took over: ids that were here before, ids in order of ``seq`` from ``first`` on, and
    where the next page begins."""

    replaced: list[str] = []
    ids: list[str] = []
    first: int = 0
    cursor: str | None = None


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

    def pull(self, cursor: str | None, limit: int, spared: Collection[str]) -> Pulled:
        """Take over the next records of the attached file, apart from those ids, replacing those of the same id.

        A few statements whatever the number of records: while one runs the interpreter is free for other threads.
        """
        where, values = _range(cursor, "")
        count, end = self._connection.execute(
            f"SELECT count(*), max(id) FROM (SELECT id FROM {ATTACHED}.records {where} ORDER BY id LIMIT ?)",  # noqa: S608
            (*values, limit),
        ).fetchone()
        if not count:
            return Pulled()
        left = [id for id in spared if id <= end and (cursor is None or id > cursor)]
        page = f"{where or 'WHERE true'} AND id <= ? AND id NOT IN ({','.join('?' * len(left))})"
        values = [*values, end, *left]
        replaced: list[str] = []
        if not self._is_empty:
            known = f"FROM records WHERE id IN (SELECT id FROM {ATTACHED}.records {page})"  # noqa: S608
            replaced = self._ids(known, values)
            if replaced:
                self._connection.execute(f"DELETE {known}", values)
        first = self._last_seq + 1
        done = self._connection.execute(
            f"INSERT INTO records (id, vector, metadata) "  # noqa: S608
            f"SELECT id, vector, metadata FROM {ATTACHED}.records {page} ORDER BY id",
            values,
        )
        self._last_seq += done.rowcount
        self._is_empty = False
        ids = self._ids("FROM records WHERE seq >= ? ORDER BY seq", [first])
        return Pulled(replaced, ids, first, end if count == limit else None)

    def since(self, seq: int) -> list[tuple[bytes, bytes | None]]:
        """Vector and metadata of the records from that ``seq`` on, in its order."""
        return self._connection.execute(
            "SELECT vector, metadata FROM records WHERE seq >= ? ORDER BY seq", (seq,)
        ).fetchall()

    def _ids(self, chosen: str, values: Sequence[Any]) -> list[str]:
        row = self._connection.execute(
            f"SELECT json_group_array(id) FROM (SELECT id {chosen})",  # noqa: S608
            tuple(values),
        ).fetchone()
        return msgspec.json.decode(row[0], type=list[str])

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
        self.pool = pool
        self._dimension = dimension

    def create(self, namespace: str) -> None:
        """Make the file with its tables; does no harm to one that is there.

        It holds the namespace's name, so that a lost manifest can be rebuilt by hand.
        """
        with self.pool.use(self.path, Role.WRITER, create=True) as connection, transaction(connection):
            for statement in _SCHEMA:  # in one transaction: one sync, not three
                connection.execute(statement)
            connection.execute("INSERT OR IGNORE INTO about VALUES ('namespace', ?)", (namespace,))
            connection.execute("INSERT OR IGNORE INTO about VALUES ('uid', lower(hex(randomblob(8))))")

    def version(self, connection: sqlite3.Connection) -> str | None:
        """Words for the records that the connection sees: the file, the last ``seq`` given out, and how many there
        are. None is ever given out twice, and a record never changes under its own, so between two states with the
        same last ``seq`` records can only have been deleted; with the same number too, none was. None for a file
        that an older version made, without a name of its own."""
        uid, seq, count = connection.execute(
            "SELECT (SELECT value FROM about WHERE key = 'uid'), "
            "(SELECT seq FROM sqlite_sequence WHERE name = 'records'), (SELECT count(*) FROM records)"
        ).fetchone()
        return None if uid is None else f"{uid}:{seq or 0}:{count}"

    @contextlib.contextmanager
    def writing(self, source: Path | None = None) -> Iterator[Transaction]:
        """A transaction, durable when it ends without an exception and undone when it ends with one; with the file
        ``source`` attached to it, to `Transaction.pull` from."""
        with self.pool.use(self.path, Role.WRITER) as connection:
            if source is not None:
                connection.execute(f"ATTACH ? AS {ATTACHED}", (file_uri(source),))
            with transaction(connection):
                yield Transaction(connection)
            if source is not None:
                connection.execute(f"DETACH {ATTACHED}")

    def count(self) -> int:
        """Exact number of records; reads the whole id index."""
        with self.pool.use(self.path, Role.READER) as connection:
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
        with contextlib.suppress(TenantryError), self.pool.use(self.path, Role.WRITER) as connection:
            connection.execute("VACUUM")

    def stretches(self) -> Iterator[Stretch]:
        """Every record in order of ``seq``, as of one moment."""
        after = 0
        with self._reading() as connection:
            while True:
                part = read_stretch(connection, "WHERE seq > ?", (after,), "seq", STRETCH_ROWS, self._dimension)
                if not part.ids:
                    return
                yield part
                after = part.seqs[-1]

    def fetch(self, ids: Sequence[str]) -> list[Stored]:
        """The records with these ids, in no particular order."""
        found: list[Stored] = []
        with self.pool.use(self.path, Role.READER) as connection:
            for start in range(0, len(ids), IDS_PER_STATEMENT):
                part = ids[start : start + IDS_PER_STATEMENT]
                marks = ",".join("?" * len(part))
                found += connection.execute(
                    f"SELECT id, vector, metadata FROM records WHERE id IN ({marks})",  # noqa: S608
                    tuple(part),
                )
        return found

    def page(self, cursor: str | None, limit: int, prefix: str) -> list[Record]:
        """At most ``limit`` records with ids after ``cursor`` that start with ``prefix``, ascending by code point; as
        of one moment. Values share the memory of their neighbours': copy what is to be kept for long."""
        found: list[Record] = []
        with self._reading() as connection:
            while len(found) < limit:
                where, values = _range(cursor, prefix)
                wanted = min(STRETCH_ROWS, limit - len(found))
                part = read_stretch(connection, where, values, "id", wanted, self._dimension)
                found += map(Record, part.ids, part.matrix, map(decoded, part.metadata))
                if len(part.ids) < wanted:
                    break
                cursor = part.ids[-1]
        return found

    def id_page(self, cursor: str | None, limit: int, prefix: str) -> list[str]:
        """As `page`, ids only."""
        where, values = _range(cursor, prefix)
        with self.pool.use(self.path, Role.READER) as connection:
            rows = connection.execute(f"SELECT id FROM records {where} ORDER BY id LIMIT ?", (*values, limit))  # noqa: S608
            return [row[0] for row in rows]

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees the file as of one moment."""
        with self.pool.use(self.path, Role.READER) as connection:
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")

    def close(self) -> None:
        """Close its connections; the log is folded into the file."""
        self.pool.forget(self.path)

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
