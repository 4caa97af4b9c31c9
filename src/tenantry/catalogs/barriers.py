"""Acknowledged epochs in SQL."""

from __future__ import annotations

import sqlalchemy as sa

from tenantry.catalogs import schema
from tenantry.catalogs.store import Store

_t = schema.barriers


class SqlBarriers:
    """`tenantry.ports.BarrierCatalog` in SQL."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def acknowledge(self, router: str, index: str, tenant: str, epoch: int) -> None:
        """Note that this router will not use an older route of the tenant any more; a lower epoch changes nothing."""
        row = {"index_name": index, "tenant": tenant, "router": router, "epoch": epoch}
        this = sa.and_(_t.c.index_name == index, _t.c.tenant == tenant, _t.c.router == router)
        async with self._store.write() as connection:
            if not await self._store.insert_if_absent(connection, _t, row):
                await connection.execute(sa.update(_t).where(this, _t.c.epoch < epoch).values(epoch=epoch))

    async def acknowledged(self, index: str, tenant: str) -> dict[str, int]:
        """Router to the highest epoch that it acknowledged, by name."""
        query = sa.select(_t.c.router, _t.c.epoch).where(_t.c.index_name == index, _t.c.tenant == tenant)
        async with self._store.read() as connection:
            found = (await connection.execute(query.order_by(_t.c.router))).all()
        return {row.router: row.epoch for row in found}

    async def forget(self, index: str, tenant: str, through: int) -> None:
        """Drop a tenant's acknowledgements up to an epoch."""
        this = (_t.c.index_name == index, _t.c.tenant == tenant, _t.c.epoch <= through)
        async with self._store.write() as connection:
            await connection.execute(sa.delete(_t).where(*this))
