"""The whole catalog as of one moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from tenantry.catalogs import rows, schema
from tenantry.catalogs.occupancy import LIVE
from tenantry.catalogs.store import Store
from tenantry.model.image import CatalogImage

T = TypeVar("T")


async def image(store: Store) -> CatalogImage:
    """Every table that says what exists and where, read in one transaction. Raises Corrupt."""
    tables = schema.indexes, schema.shards, schema.tenants, schema.keys, schema.settings
    indexes, shards, tenants, keys, settings = tables
    async with store.snapshot() as connection:

        async def found(query: sa.Select[Any], of: Callable[[rows.Row], T], what: str) -> list[T]:
            return await _read(store, connection, query, of, what)

        return CatalogImage(
            indexes=await found(sa.select(indexes).order_by(indexes.c.name), rows.index_of, "an index"),
            shards=await found(
                sa.select(shards).order_by(shards.c.index_name, shards.c.name), rows.shard_of, "a shard"
            ),
            tenants=await found(
                sa.select(tenants).where(LIVE).order_by(tenants.c.index_name, tenants.c.name),
                rows.tenant_of,
                "a tenant",
            ),
            keys=await found(sa.select(keys).order_by(keys.c.id), rows.key_of, "a key"),
            settings=dict(await found(sa.select(settings).order_by(settings.c.name), _setting_of, "a setting")),
        )


async def _read(
    store: Store, connection: AsyncConnection, query: sa.Select[Any], of: Callable[[rows.Row], T], what: str
) -> list[T]:
    found = (await connection.execute(query)).all()
    with rows.checked(store.where, store.recovery, what):
        return [of(row) for row in found]


def _setting_of(row: rows.Row) -> tuple[str, Any]:
    return row.name, msgspec.json.decode(row.value)
