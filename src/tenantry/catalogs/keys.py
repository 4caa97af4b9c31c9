"""API keys in SQL."""

from __future__ import annotations

import sqlalchemy as sa

from tenantry.catalogs import rows, schema
from tenantry.catalogs.audited import replaced
from tenantry.catalogs.store import Store
from tenantry.errors import AlreadyExists, NotFound
from tenantry.model.keys import ApiKey

_t = schema.keys


class SqlKeys:
    """`tenantry.ports.KeyCatalog` in SQL."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(self, key: ApiKey) -> None:
        """Raises AlreadyExists."""
        async with self._store.write() as connection:
            if not await self._store.insert_if_absent(connection, _t, rows.key_values(key)):
                raise AlreadyExists("key", key.id)

    async def get(self, id: str) -> ApiKey:
        """Raises NotFound."""
        async with self._store.read() as connection:
            row = (await connection.execute(sa.select(_t).where(_t.c.id == id))).one_or_none()
        if row is None:
            raise NotFound("key", id)
        return self._key_of(row)

    async def list(self, index: str | None = None, tenant: str | None = None) -> list[ApiKey]:
        """All, newest first (then by id), or those of one index or tenant."""
        query = sa.select(_t).order_by(_t.c.created_at.desc(), _t.c.id)
        if index is not None:
            query = query.where(_t.c.index_name == index)
        if tenant is not None:
            query = query.where(_t.c.tenant == tenant)
        async with self._store.read() as connection:
            found = (await connection.execute(query)).all()
        return [self._key_of(row) for row in found]

    async def revoke(self, id: str, at: float) -> None:
        """Revoke as of ``at`` (seconds since the Unix epoch); a key revoked before stays as it is.
        Raises NotFound."""
        async with self._store.write() as connection:
            revoked = await connection.execute(
                sa.update(_t).where(_t.c.id == id).values(revoked_at=sa.func.coalesce(_t.c.revoked_at, at))
            )
            if revoked.rowcount == 0:
                raise NotFound("key", id)

    async def replace(self, id: str, new: ApiKey, until: float) -> ApiKey:
        """Add a key in place of another, which ends at ``until`` (or before) and names it. Returns the old one as it is
        now. Raises NotFound, AlreadyExists; Refused for one that opens nothing any more, or was replaced before."""
        async with self._store.write() as connection:
            row = (await connection.execute(sa.select(_t).where(_t.c.id == id).with_for_update())).one_or_none()
            if row is None:
                raise NotFound("key", id)
            old = replaced(self._key_of(row), new, until)
            if not await self._store.insert_if_absent(connection, _t, rows.key_values(new)):
                raise AlreadyExists("key", new.id)
            changed = {"expires_at": old.expires_at, "replaced_by": old.replaced_by}
            await connection.execute(sa.update(_t).where(_t.c.id == id).values(changed))
        return old

    def _key_of(self, row: rows.Row) -> ApiKey:
        with rows.checked(self._store.where, self._store.recovery, f"key {row.id!r}"):
            return rows.key_of(row)
