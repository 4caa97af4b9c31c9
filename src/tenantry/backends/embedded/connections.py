"""SQLite connections: opened on demand, bounded in number, and every failure turned into one of our errors."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

from tenantry.errors import Corrupt, StorageFailed, TenantryError, Unavailable

PAGE_BYTES = 8192
WAL_PAGES = 2000
"""Pages in the write-ahead log before it is folded into the database: 16 MB, four times SQLite's own.
Long bulk loads sync the database less often; a reopened file has at most this much to replay."""
WAL_KEPT_BYTES = 2 * PAGE_BYTES * WAL_PAGES

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT})


class Role(StrEnum):
    """Readers have a connection of their own, so that a page of a scan never waits for a commit."""

    WRITER = "writer"
    READER = "reader"


def translated(error: Exception, path: Path) -> TenantryError:
    """Our error for a failure of SQLite or of the file system on ``path``."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    if primary in _DAMAGED or (primary is None and type(error) is sqlite3.DatabaseError):
        return Corrupt(
            f"{path} is damaged ({error}); stop the process, restore the file from a backup, "
            f"or salvage what it holds with: sqlite3 {path.name} .recover"
        )
    if primary in _BUSY:
        return Unavailable(f"{path} is busy: {error}")
    return StorageFailed(f"the store failed on {path}: {error}; nothing of this was acknowledged")


class ConnectionPool:
    """At most ``most_open`` idle connections are kept; the least recently used one is closed first.

    Used from worker threads. A connection is in one thread's hands at a time, so those in use are at most as
    many as there are workers.
    """

    def __init__(self, most_open: int) -> None:
        self._most_open = max(1, most_open)
        self._idle: OrderedDict[tuple[Path, Role], sqlite3.Connection] = OrderedDict()
        self._in_use = 0
        self._lock = threading.Lock()

    @property
    def open_count(self) -> int:
        """Connections open at this moment, idle and in use."""
        with self._lock:
            return len(self._idle) + self._in_use

    @contextlib.contextmanager
    def use(self, path: Path, role: Role, create: bool = False) -> Iterator[sqlite3.Connection]:
        """A connection in autocommit mode. A failure closes it, so that the next user starts from a clean one.

        Without ``create``, a file that is not there is Corrupt: SQLite would make an empty one in its place.

        Raises:
            StorageFailed, Corrupt, Unavailable: as `translated`.
        """
        key = (path, role)
        with self._lock:
            connection = self._idle.pop(key, None)
            self._in_use += 1
            surplus = self._surplus()
        try:
            for other in surplus:
                close(other)
            if connection is None:
                if not create and not path.exists():
                    raise Corrupt(f"{path} is missing; stop the process and restore it from a backup")
                connection = _opened(path, create)
            yield connection
        except BaseException as error:
            with self._lock:
                self._in_use -= 1
            if connection is not None:
                close(connection)
            if isinstance(error, sqlite3.Error | OSError):
                raise translated(error, path) from error
            raise
        with self._lock:
            self._in_use -= 1
            replaced = self._idle.pop(key, None)
            self._idle[key] = connection
            surplus = self._surplus()
        if replaced is not None:
            surplus.append(replaced)
        for other in surplus:
            close(other)

    def forget(self, path: Path) -> None:
        """Close the idle connections to ``path``, which folds its log into the file."""
        with self._lock:
            gone = [self._idle.pop((path, role), None) for role in Role]
        for connection in gone:
            if connection is not None:
                close(connection)

    def close(self) -> None:
        """Close every idle connection."""
        with self._lock:
            gone = list(self._idle.values())
            self._idle.clear()
        for connection in gone:
            close(connection)

    def _surplus(self) -> list[sqlite3.Connection]:
        surplus = []
        while self._idle and len(self._idle) + self._in_use > self._most_open:
            surplus.append(self._idle.popitem(last=False)[1])
        return surplus


def file_uri(path: Path, create: bool = False) -> str:
    """The file as SQLite is to open it: without ``create`` one that is not there is an error."""
    return f"file:{quote(str(path))}?mode={'rwc' if create else 'rw'}"


def _opened(path: Path, create: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(
        file_uri(path, create), uri=True, isolation_level=None, check_same_thread=False, cached_statements=32
    )
    try:
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint={WAL_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit={WAL_KEPT_BYTES}")
        connection.execute("PRAGMA busy_timeout=5000")
    except BaseException:
        connection.close()
        raise
    return connection


def close(connection: sqlite3.Connection) -> None:
    """Close; what was committed is durable already, so a failing checkpoint at this point loses nothing."""
    with contextlib.suppress(sqlite3.Error):
        connection.close()


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A write transaction: committed (and synced) at the end, rolled back on any failure."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise
