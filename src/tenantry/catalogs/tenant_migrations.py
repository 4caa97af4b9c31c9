"""Migrations of tenants between shards, in SQL. Those of the schema are in the folder `migrations`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from tenantry.catalogs import rows, schema
from tenantry.catalogs.store import Store
from tenantry.errors import AlreadyExists, Conflict, InvalidArgument, NotFound
from tenantry.model.migration import ENDED, Item, Migration

_t = schema.tenant_migrations
_i = schema.migration_items
_OPEN = _t.c.state.not_in([state.value for state in ENDED])
_migration = msgspec.json.Decoder(Migration)
_item = msgspec.json.Decoder(Item)


class SqlMigrations:
    """`tenantry.ports.MigrationCatalog` in SQL."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def begin(self, migration: Migration, items: Sequence[Item]) -> None:
        """Record a new migration with its tenants. Raises NotFound (index), AlreadyExists."""
        async with self._store.write() as connection:
            index = schema.indexes
            # The lock makes others that begin one of the same index wait for this one.
            known = await connection.execute(
                sa.select(index.c.name).where(index.c.name == migration.index).with_for_update()
            )
            if known.first() is None:
                raise NotFound("index", migration.index)
            going = await connection.scalar(sa.select(_t.c.id).where(_t.c.index_name == migration.index, _OPEN))
            if going is not None and going != migration.id:
                raise AlreadyExists("migration of index", migration.index, f"see `tenantry migrate status {going}`")
            row = {"id": migration.id, "index_name": migration.index, "created_at": migration.created_at}
            if not await self._store.insert_if_absent(connection, _t, row | _changing(migration)):
                raise AlreadyExists("migration", migration.id)
            if items:
                await connection.execute(sa.insert(_i), [_item_values(migration.id, each) for each in items])

    async def get(self, id: str) -> Migration:
        """Raises NotFound."""
        async with self._store.read() as connection:
            row = (await connection.execute(sa.select(_t).where(_t.c.id == id))).one_or_none()
        if row is None:
            raise NotFound("migration", id, "see `tenantry migrate status`")
        return self._migration_of(row)

    async def items(self, id: str) -> list[Item]:
        """Its tenants, in the order of waves, then of risk, then by name."""
        query = sa.select(_i).where(_i.c.migration == id).order_by(_i.c.wave, _i.c.risk, _i.c.tenant)
        async with self._store.read() as connection:
            found = (await connection.execute(query)).all()
        with rows.checked(self._store.where, self._store.recovery, f"migration {id!r}"):
            return [_item.decode(row.body) for row in found]

    async def list(self, index: str | None = None, *, open_only: bool = False, limit: int = 100) -> list[Migration]:
        """Newest first (created_at, then id, both descending). Raises InvalidArgument (limit)."""
        if limit < 1:
            raise InvalidArgument("limit", limit, "1 or more")
        query = sa.select(_t).order_by(_t.c.created_at.desc(), _t.c.id.desc()).limit(limit)
        if index is not None:
            query = query.where(_t.c.index_name == index)
        if open_only:
            query = query.where(_OPEN)
        async with self._store.read() as connection:
            found = (await connection.execute(query)).all()
        return [self._migration_of(row) for row in found]

    async def save(self, migration: Migration, items: Sequence[Item]) -> None:
        """Compare-and-set on the revision. Raises NotFound, Conflict."""
        async with self._store.write() as connection:
            query = sa.select(_t.c.revision).where(_t.c.id == migration.id).with_for_update()
            stored = await connection.scalar(query)
            if stored is None:
                raise NotFound("migration", migration.id)
            if stored != migration.revision - 1:
                raise Conflict(f"migration {migration.id} is at revision {stored}, not at {migration.revision - 1}")
            await connection.execute(sa.update(_t).where(_t.c.id == migration.id).values(_changing(migration)))
            await self._write_items(connection, migration.id, items)

    async def _write_items(self, connection: AsyncConnection, id: str, items: Sequence[Item]) -> None:
        if items:
            changed = (
                sa.update(_i)
                .where(_i.c.migration == sa.bindparam("of"), _i.c.tenant == sa.bindparam("named"))
                .values(body=sa.bindparam("new"))
            )
            await connection.execute(
                changed, [{"of": id, "named": each.tenant, "new": rows.encode(each)} for each in items]
            )

    def _migration_of(self, row: rows.Row) -> Migration:
        with rows.checked(self._store.where, self._store.recovery, f"migration {row.id!r}"):
            return msgspec.structs.replace(_migration.decode(row.body), revision=row.revision)


def _changing(migration: Migration) -> dict[str, Any]:
    """Columns that change."""
    return {"state": migration.state.value, "revision": migration.revision, "body": rows.encode(migration)}


def _item_values(id: str, item: Item) -> dict[str, Any]:
    return {"migration": id, "tenant": item.tenant, "wave": item.wave, "risk": item.risk, "body": rows.encode(item)}
