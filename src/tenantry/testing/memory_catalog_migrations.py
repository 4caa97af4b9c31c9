"""Migrations of a `MemoryCatalog`."""

from __future__ import annotations

from collections.abc import Sequence

from tenantry.errors import AlreadyExists, Conflict, NotFound
from tenantry.model.migration import Item, Migration
from tenantry.testing.memory_catalog_tables import Enter, Tables, at_least_one, storable


class MemoryMigrations:
    """`tenantry.ports.MigrationCatalog` in memory."""

    def __init__(self, tables: Tables, enter: Enter) -> None:
        self._all, self._enter = tables, enter

    async def begin(self, migration: Migration, items: Sequence[Item]) -> None:
        """Raises NotFound, AlreadyExists."""
        await self._enter("migrations.begin")
        storable(id=migration.id, index=migration.index)
        if migration.index not in self._all.indexes:
            raise NotFound("index", migration.index)
        for known in self._all.migrations.values():
            if known.index == migration.index and not known.ended and known.id != migration.id:
                raise AlreadyExists("migration of index", migration.index, f"see `tenantry migrate status {known.id}`")
        if migration.id in self._all.migrations:
            raise AlreadyExists("migration", migration.id)
        self._all.migrations[migration.id] = migration
        self._all.migration_items[migration.id] = {each.tenant: each for each in items}

    async def get(self, id: str) -> Migration:
        """Raises NotFound."""
        await self._enter("migrations.get")
        found = self._all.migrations.get(id)
        if found is None:
            raise NotFound("migration", id, "see `tenantry migrate status`")
        return found

    async def items(self, id: str) -> list[Item]:
        """In the order of waves, then of risk, then by name."""
        await self._enter("migrations.items")
        found = self._all.migration_items.get(id, {}).values()
        return sorted(found, key=lambda each: (each.wave, each.risk, each.tenant))

    async def list(self, index: str | None = None, *, open_only: bool = False, limit: int = 100) -> list[Migration]:
        """Newest first. Raises InvalidArgument."""
        await self._enter("migrations.list")
        at_least_one(limit)
        found = [
            each
            for each in self._all.migrations.values()
            if index in (None, each.index) and not (open_only and each.ended)
        ]
        return sorted(found, key=lambda each: (each.created_at, each.id), reverse=True)[:limit]

    async def save(self, migration: Migration, items: Sequence[Item]) -> None:
        """Raises NotFound, Conflict."""
        await self._enter("migrations.save")
        stored = self._all.migrations.get(migration.id)
        if stored is None:
            raise NotFound("migration", migration.id)
        if stored.revision != migration.revision - 1:
            raise Conflict(f"migration {migration.id} is at revision {stored.revision}")
        self._all.migrations[migration.id] = migration
        self._all.migration_items[migration.id] |= {each.tenant: each for each in items}
