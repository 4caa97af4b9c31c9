"""The catalog in an SQL database: SQLite for one machine, PostgreSQL for many."""

from __future__ import annotations

from typing import Self

from tenantry.catalogs.audit import SqlAudit
from tenantry.catalogs.autopilot import SqlAutopilot
from tenantry.catalogs.barriers import SqlBarriers
from tenantry.catalogs.copies import SqlCopies
from tenantry.catalogs.image import image
from tenantry.catalogs.indexes import SqlIndexes
from tenantry.catalogs.keys import SqlKeys
from tenantry.catalogs.leases import SqlLeases
from tenantry.catalogs.log import SqliteLog, SqlLog
from tenantry.catalogs.measures import SqlMeasures
from tenantry.catalogs.moments import history_of
from tenantry.catalogs.moves import SqlMoves
from tenantry.catalogs.rollups import SqlRollups
from tenantry.catalogs.settings import SqlSettings
from tenantry.catalogs.shards import SqlShards
from tenantry.catalogs.store import LOCK_WAIT_S, Store, open_store
from tenantry.catalogs.tenant_migrations import SqlMigrations
from tenantry.catalogs.tenants import SqlTenants
from tenantry.catalogs.upgrade import prepare
from tenantry.catalogs.usage import SqlUsage
from tenantry.model.image import CatalogImage


class SqlCatalog:
    """`tenantry.ports.Catalog` in SQL. One method is one transaction, durable when it returns.

    Any number of processes may use one catalog at once. Every method may be cancelled: the transaction
    is rolled back, or, when it was committing at that moment, has happened whole. After a restart of the
    database the next call works again.

    Every method may also raise, besides its own errors: Unavailable (server away, a lock held too long,
    every connection in use), StorageFailed (disk full or not writable), Corrupt (damaged data; the
    message names the file and the way to recover), InvalidArgument (text that the database cannot hold).
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.indexes = SqlIndexes(store)
        self.shards = SqlShards(store)
        self.tenants = SqlTenants(store)
        self.keys = SqlKeys(store)
        self.audit = SqlAudit(store)
        self.settings = SqlSettings(store)
        self.moves = SqlMoves(store)
        self.leases = SqlLeases(store)
        self.barriers = SqlBarriers(store)
        self.log = SqliteLog(store) if store.file else SqlLog(store)
        self.copies = SqlCopies(store)
        self.measures = SqlMeasures(store)
        self.rollups = SqlRollups(store)
        self.autopilot = SqlAutopilot(store)
        self.usage = SqlUsage(store)
        self.migrations = SqlMigrations(store)

    async def image(self) -> CatalogImage:
        """What exists and where, in one transaction."""
        return await image(self._store)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def history(self) -> str:
        """What sets names in a shared Redis apart from those of other catalogs, and of this one's past before a restore
        or a fail-over. Begins with ten characters that are the catalog's for good (``1f0c8a2b-``)."""
        return await history_of(self._store)

    async def aclose(self) -> None:
        """Close connections; safe to call twice."""
        await self.audit.aclose()
        await self.log.aclose()
        await self._store.aclose()


async def open_catalog(url: str, *, lock_wait_s: float = LOCK_WAIT_S) -> SqlCatalog:
    """Open a catalog; make it when the database is empty, migrate it when it is of an older Tenantry.

    Args:
        url: ``sqlite:////path/to/catalog.db`` (its folder must exist) or ``postgresql://user@host:port/database``.
        lock_wait_s: longest wait for a lock that another process holds; then Unavailable.

    Raises:
        InvalidArgument: not such a URL, or the folder is missing.
        Unsupported: PostgreSQL without the extra ``tenantry[postgres]`` installed.
        Refused: the catalog is newer than this code.
        Corrupt: the SQLite file is damaged, or no database at all.
        Unavailable: the server does not answer, refuses the login, or another process holds the file too long.
        StorageFailed: the disk is full, or not writable.
    """
    store = open_store(url, lock_wait_s)
    try:
        await prepare(store)
    except BaseException:
        await store.aclose()
        raise
    return SqlCatalog(store)
