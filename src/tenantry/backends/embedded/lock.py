"""One process owns a data folder: a kernel lock, with a note saying who holds it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

import msgspec

from tenantry.errors import Locked, StorageFailed

LOCK_NAME = "engine.lock"
NOTE_MOST_BYTES = 4096


class Owner(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the holder of a lock says about itself: process id, and the URL at which it serves, if it does."""

    pid: int
    url: str = ""


class FolderLock:
    """An exclusive lock on a folder.

    The lock is the kernel's, so it ends with the process that holds it, however that ends; the note inside
    the file is only for the message to others, and a stale one never blocks.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._fd = -1

    def acquire(self) -> None:
        """Take the lock, or do nothing when it is held by this object.

        Raises:
            Locked: another process (or another engine of this one) holds it.
            StorageFailed: the folder cannot be made or written.
        """
        if self._fd >= 0:
            return
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            fd = os.open(self._root / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StorageFailed(f"cannot use the data folder {self._root}: {error}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = self._held_message(fd)
            os.close(fd)
            raise Locked(message) from None
        except OSError as error:
            os.close(fd)
            raise StorageFailed(f"cannot lock the data folder {self._root}: {error}") from error
        self._fd = fd
        self.announce("")

    def announce(self, url: str) -> None:
        """Note where this process serves the folder, for the message to others. Best effort."""
        if self._fd < 0:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, msgspec.json.encode(Owner(os.getpid(), url)), 0)

    def release(self) -> None:
        """Give the lock up; safe to call twice."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)
        os.close(fd)

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._fd >= 0

    def _held_message(self, fd: int) -> str:
        try:
            owner = msgspec.json.decode(os.pread(fd, NOTE_MOST_BYTES, 0), type=Owner)
        except (msgspec.MsgspecError, OSError):
            return f"data folder {self._root} is in use by another process; stop it first"
        if owner.pid == os.getpid():
            return f"data folder {self._root} is in use by another engine of this process; share one engine"
        if owner.url:
            return (
                f"data folder {self._root} is in use by process {owner.pid}, which serves it at {owner.url}; "
                f"stop it, or run this command with --url {owner.url}"
            )
        return f"data folder {self._root} is in use by process {owner.pid}; stop it first"
