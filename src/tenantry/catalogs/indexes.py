"""Logical indexes in SQL."""

from __future__ import annotations

import sqlalchemy as sa

from tenantry.catalogs import rows, schema
from tenantry.catalogs.copies import copies_on
from tenantry.catalogs.moves import open_on
from tenantry.catalogs.rollups import ROLLUP_TABLES
from tenantry.catalogs.rules import has_retired
from tenantry.catalogs.store import Store
from tenantry.errors import AlreadyExists, NotFound, Refused
from tenantry.model.topology import LogicalIndex, TenantState

_t = schema.indexes


class SqlIndexes:
    """`tenantry.ports.IndexCatalog` in SQL."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def create(self, index: LogicalIndex) -> None:
        """Raises AlreadyExists."""
        async with self._store.write() as connection:
            if not await self._store.insert_if_absent(connection, _t, rows.index_values(index)):
                raise AlreadyExists("index", index.name)

    async def get(self, name: str) -> LogicalIndex:
        """Raises NotFound."""
        async with self._store.read() as connection:
            row = (await connection.execute(sa.select(_t).where(_t.c.name == name))).one_or_none()
        if row is None:
            raise NotFound("index", name)
        return self._index_of(row)

    async def list(self) -> list[LogicalIndex]:
        """All, by name."""
        async with self._store.read() as connection:
            found = (await connection.execute(sa.select(_t).order_by(_t.c.name))).all()
        return [self._index_of(row) for row in found]

    async def update(self, index: LogicalIndex) -> None:
        """Replace policy, auto_create, embedder, deletion_protection and tags. Raises NotFound."""
        async with self._store.write() as connection:
            changed = await connection.execute(
                sa.update(_t).where(_t.c.name == index.name).values(**rows.mutable_index_values(index))
            )
            if changed.rowcount == 0:
                raise NotFound("index", index.name)

    async def delete(self, name: str) -> None:
        """Remove the index with its shards and the records of its moves. Tombstones of its tenants stay, so that epochs
        and generations go on growing when an index of that name is made again.

        Raises:
            NotFound: there is no such index.
            Refused: it is protected, or has live tenants, open moves or retired copies.
        """
        tenants, shards = schema.tenants, schema.shards
        async with self._store.write() as connection:
            # The row lock keeps new shards out; the locks of the shards, which every placement and move takes, keep
            # tenants out.
            row = (await connection.execute(sa.select(_t).where(_t.c.name == name).with_for_update())).one_or_none()
            if row is None:
                raise NotFound("index", name)
            if row.deletion_protection:
                raise Refused(f"index {name!r} is protected: turn its deletion_protection off first")
            of_it = shards.c.index_name == name
            found = await connection.execute(
                sa.select(shards.c.tenants, shards.c.copies).where(of_it).order_by(shards.c.name).with_for_update()
            )
            kept = sum(shard.tenants + shard.copies for shard in found)
            held = await connection.scalar(
                sa.select(sa.func.count())
                .select_from(tenants)
                .where(tenants.c.index_name == name, tenants.c.state != TenantState.DELETED.value)
            )
            if held or kept:
                raise Refused(f"index {name!r} still has {held or 'live'} tenants: delete them first")
            if (moving := await open_on(connection, name)) is not None:
                raise Refused(
                    f"index {name!r} has a move of tenant {moving!r} that has not ended: see `tenantry moves list`"
                )
            if retired := await copies_on(connection, name):
                raise has_retired(f"index {name!r}", retired, "deleted")
            mine = sa.select(schema.tenant_migrations.c.id).where(schema.tenant_migrations.c.index_name == name)
            items = schema.migration_items
            await connection.execute(sa.delete(items).where(items.c.migration.in_(mine)))
            for table in (
                schema.moves,
                schema.tenant_migrations,
                schema.log,
                schema.barriers,
                *ROLLUP_TABLES,
                shards,
            ):
                await connection.execute(sa.delete(table).where(table.c.index_name == name))
            await connection.execute(sa.delete(_t).where(_t.c.name == name))

    def _index_of(self, row: rows.Row) -> LogicalIndex:
        with rows.checked(self._store.where, self._store.recovery, f"index {row.name!r}"):
            return rows.index_of(row)
