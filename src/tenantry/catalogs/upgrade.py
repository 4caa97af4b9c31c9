"""Brings a catalog to the schema of this code: makes a fresh one, migrates an older one, refuses a newer one."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from tenantry.catalogs import schema
from tenantry.catalogs.store import Store
from tenantry.errors import Corrupt, Refused, StorageFailed, TenantryError, Unavailable
from tenantry.version import __version__

MIGRATIONS = Path(__file__).parent / "migrations"
#: Any fixed number; processes that upgrade the same PostgreSQL database wait for each other on it.
_LOCK = 7_411_016_120_250_117
_WAL_TRIES = 20
#: A file up to this size is checked whole when it is opened: a few milliseconds.
_CHECKED_BYTES = 8 * 2**20

_version = sa.table(schema.VERSION_TABLE, sa.column("version_num"))


async def prepare(store: Store) -> None:
    """Make the catalog ready for use; safe when several processes do it at once.

    Raises:
        Refused: the catalog is newer than this code.
        Corrupt: the SQLite file is damaged, or no database at all.
        Unavailable, StorageFailed: it cannot be reached, or not written.
    """
    if store.file is not None:
        await _check_file(store)
        await _use_wal(store)
    async with store.read() as connection:
        found = await _version_of(connection)
    if found == schema.VERSION:
        return
    async with store.write() as connection:
        if store.file is None:
            await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        found = await _version_of(connection)  # another process may have been first
        if found != schema.VERSION:
            await connection.run_sync(_upgrade, found, store.where)


async def _check_file(store: Store) -> None:
    async with store.read() as connection:
        pages = await connection.scalar(sa.text("PRAGMA page_count"))
        page_bytes = await connection.scalar(sa.text("PRAGMA page_size"))
        if pages * page_bytes > _CHECKED_BYTES:
            return
        verdict = await connection.scalar(sa.text("PRAGMA quick_check(1)"))
    if verdict != "ok":
        raise Corrupt(f"catalog {store.where} is damaged ({verdict}); {store.recovery}")


async def _use_wal(store: Store) -> None:
    """Write-ahead logging, so that readers and the writer do not wait for each other. The file remembers it.

    Turning it on can fail at once instead of waiting while another process has the file; a write
    transaction does wait, so after a failure one is had and the next try finds the other done.
    """
    for left in reversed(range(_WAL_TRIES)):
        try:
            async with store.read() as connection:
                mode = await connection.scalar(sa.text("PRAGMA journal_mode = WAL"))
        except Unavailable:
            if not left:
                raise
            async with store.write():
                continue
        if mode != "wal":
            raise StorageFailed(
                f"catalog {store.where}: its file system cannot hold a write-ahead log; use a local disk"
            )
        return


async def _version_of(connection: AsyncConnection) -> str | None:
    """The newest migration that the catalog has had; None for a fresh one."""
    if not await connection.run_sync(lambda sync: sa.inspect(sync).has_table(schema.VERSION_TABLE)):
        return None
    return await connection.scalar(sa.select(_version.c.version_num))


def _upgrade(connection: sa.Connection, found: str | None, where: str) -> None:
    from alembic import command  # slow to import, and seldom needed
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = {revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise newer(found, where)
    command.upgrade(config, schema.VERSION)


def newer(found: str, where: str) -> TenantryError:
    """The refusal of a catalog that newer code has written."""
    return Refused(
        f"catalog {where} has schema version {found}, which Tenantry {__version__} does not know "
        f"(it knows up to {schema.VERSION}): use the newer Tenantry that wrote it"
    )
