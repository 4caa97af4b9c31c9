"""An archive in a folder: a file for each object."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TypeVar

from tenantry.archives.names import check_name
from tenantry.errors import NotFound, PermissionDenied, StorageFailed, TenantryError
from tenantry.ports import Stored

T = TypeVar("T")

#: Files that are being written; what a crash leaves in it is removed when the archive is next written to.
WRITING = ".writing"
LISTED_AT_ONCE = 1_000
LARGE_BYTES = 2**20


class DirectoryArchive:
    """Implements `tenantry.ports.Archive`. A file is written aside, then linked under its name, which fails when the
    name is taken; so no reader ever sees a part of one.

    Args:
        folder: made when first written to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._unsynced: set[Path] = set()
        self._cleared = False

    @property
    def where(self) -> str:
        """The folder."""
        return str(self._folder)

    async def put(self, name: str, data: bytes | memoryview) -> bool:
        """Durable after `flush`."""
        return await self._in_worker(lambda: self._put(self._path(name), data))

    async def get(self, name: str) -> bytes:
        """Raises NotFound."""
        return await self._in_worker(self._path(name).read_bytes, name)

    async def list(self, prefix: str) -> AsyncIterator[Stored]:
        """Walks the part of the tree in which the prefix lies."""
        walk = self._walk(prefix)
        while found := await self._in_worker(
            lambda: [one for one, _ in zip(walk, range(LISTED_AT_ONCE), strict=False)]
        ):
            for one in found:
                yield one

    async def delete(self, name: str) -> None:
        """Removes the file."""
        await self._in_worker(lambda: self._path(name).unlink(missing_ok=True))

    async def flush(self) -> None:
        """Syncs every file written since, and its folder."""
        files, self._unsynced = self._unsynced, set()
        try:
            await self._in_worker(lambda: _sync(files))
        except BaseException:
            self._unsynced |= files
            raise

    async def aclose(self) -> None:
        """Nothing is held open."""

    def _path(self, name: str) -> Path:
        return self._folder / check_name(name)

    def _put(self, path: Path, data: bytes | memoryview) -> bool:
        if path.exists():
            return False
        aside = self._aside()
        try:
            with aside.open("xb") as file:
                file.write(data)
                file.flush()
                _begin_to_sync(file.fileno(), len(data))
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(aside, path)
        except FileExistsError:
            return False
        finally:
            aside.unlink(missing_ok=True)
        self._unsynced.add(path)
        return True

    def _aside(self) -> Path:
        folder = self._folder / WRITING
        folder.mkdir(parents=True, exist_ok=True)
        if not self._cleared:
            self._cleared = True
            mine = f"{os.getpid()}-"
            for left in folder.iterdir():  # of processes that are gone
                owner = left.name.partition("-")[0]
                if not left.name.startswith(mine) and not (owner.isdigit() and _lives(int(owner))):
                    left.unlink(missing_ok=True)
        return folder / f"{os.getpid()}-{secrets.token_hex(8)}"

    def _walk(self, prefix: str) -> Iterator[Stored]:
        top = self._folder / prefix.rpartition("/")[0]
        for folder, inner, files in os.walk(top):
            inner[:] = [one for one in inner if one != WRITING]
            for file in files:
                path = Path(folder, file)
                name = path.relative_to(self._folder).as_posix()
                if name.startswith(prefix):
                    with contextlib.suppress(FileNotFoundError):  # deleted beside us
                        yield Stored(name, path.stat().st_size)

    async def _in_worker(self, job: Callable[[], T], name: str = "") -> T:
        try:
            return await asyncio.to_thread(job)
        except OSError as error:
            raise self._ours(error, name) from error

    def _ours(self, error: OSError, name: str) -> TenantryError:
        if isinstance(error, FileNotFoundError) and name:
            return NotFound("object", name, f"in {self.where}")
        what = f"archive {error.filename or self._folder}: {error.strerror or error}"
        return PermissionDenied(what) if isinstance(error, PermissionError) else StorageFailed(what)


def _begin_to_sync(file: int, size: int) -> None:
    """Have a large file written to the disk while others are made, so that `_sync` finds little left to wait for; and
    have it make room in the system's cache of pages, which queries have better use for."""
    if size >= LARGE_BYTES and hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)


def _sync(files: set[Path]) -> None:
    for each in [*files, *{folder for file in files for folder in (file.parent, file.parent.parent)}]:
        try:
            handle = os.open(each, os.O_RDONLY)
        except FileNotFoundError:
            continue  # deleted since
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
