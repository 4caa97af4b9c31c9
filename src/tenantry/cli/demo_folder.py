"""The demo's folder: made, found again or removed, and never anybody else's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tenantry.cli.failures import Failure

if TYPE_CHECKING:
    from tenantry.cluster import Cluster
    from tenantry.settings import Settings

MARKER = "tenantry-demo.json"
#: What a demo makes in its folder; nothing else is ever removed.
OWN = ("catalog.db", "catalog.db-wal", "catalog.db-shm", "shards")


class Marker(msgspec.Struct, frozen=True):
    """Says that a folder is a demo's. ``complete``: all documents of ``source`` were loaded once."""

    source: str = ""
    complete: bool = False


async def prepare(settings: Settings, rebuild: bool) -> Marker | None:
    """Make the folder a demo's, or find out that it is one: then what is known of it.

    Raises Failure for any other folder that is not empty; Locked when it is to be rebuilt while it is served.
    """
    folder = settings.data
    marker = _read(folder)
    if marker is not None and not rebuild:
        return marker
    if marker is not None:
        await _check_free(settings)
        mark(folder, "", complete=False)
        _clear(folder)
        return None
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()) or (folder.is_dir() and any(folder.iterdir())):
        raise Failure(
            f"{folder} is there already and is not a demo's folder, so it is left alone",
            "name another with --data DIR",
        )
    folder.mkdir(parents=True, exist_ok=True)
    mark(folder, "", complete=False)
    return None


def mark(folder: Path, source: str, *, complete: bool) -> None:
    """Leave a note in the folder that it is a demo's; before anything else is in it."""
    new = folder / f"{MARKER}.new"
    new.write_bytes(msgspec.json.encode(Marker(source, complete)))
    new.replace(folder / MARKER)


async def open_demo(settings: Settings, shards: int) -> Cluster:
    """The demo's cluster, with so many shards; made, or completed where an earlier run was interrupted."""
    from tenantry.errors import AlreadyExists
    from tenantry.wiring import init_cluster, open_cluster

    try:
        cluster = await init_cluster(settings, shards=shards)
    except AlreadyExists:
        cluster = await open_cluster(settings)
    try:
        cluster.announce()
        present = {status.shard.name for status in await cluster.shards.list()}
        for name in (f"shard-{number}" for number in range(shards)):
            if name not in present:
                await cluster.shards.add(name)
    except BaseException:
        await cluster.aclose()
        raise
    return cluster


def remove(folder: Path) -> None:
    """Remove what a demo made, the marker last; what is not a demo's stays, and so does the folder then.

    Raises Failure when the folder has no marker.
    """
    if _read(folder) is None:
        raise Failure(f"{folder} is not a demo's folder, so it is left alone")
    _clear(folder)
    (folder / MARKER).unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def _clear(folder: Path) -> None:
    for name in OWN:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


async def _check_free(settings: Settings) -> None:
    """Raises Locked when another process has the folder."""
    from tenantry.wiring import open_cluster

    if (settings.data / "catalog.db").is_file():
        async with await open_cluster(settings) as cluster:
            cluster.announce()


def _read(folder: Path) -> Marker | None:
    path = folder / MARKER
    if folder.is_symlink() or not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Marker)
    except msgspec.DecodeError:
        return None
