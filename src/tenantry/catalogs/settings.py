"""Shared settings in SQL: small JSON values by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from tenantry.catalogs import rows, schema
from tenantry.catalogs.store import Store
from tenantry.errors import Bug

_t = schema.settings


class SqlSettings:
    """`tenantry.ports.SettingCatalog` in SQL."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, name: str) -> Any:
        """None when it was never set."""
        async with self._store.read() as connection:
            text = await connection.scalar(sa.select(_t.c.value).where(_t.c.name == name))
        return None if text is None else self._value(name, text)

    async def put(self, name: str, value: Any) -> None:
        """Set or replace."""
        row = rows.setting_values(name, value)
        async with self._store.write() as connection:
            if not await self._store.insert_if_absent(connection, _t, row):
                await connection.execute(sa.update(_t).where(_t.c.name == name).values(row))

    async def put_if_absent(self, name: str, value: Any) -> Any:
        """Set unless there; returns what is there afterwards. Of several at once, one value wins for all."""
        async with self._store.write() as connection:
            await self._store.insert_if_absent(connection, _t, rows.setting_values(name, value))
            text = await connection.scalar(sa.select(_t.c.value).where(_t.c.name == name))
        if text is None:
            raise Bug(f"setting {name!r} is not there after it was put")
        return self._value(name, text)

    async def all(self) -> Mapping[str, Any]:
        """Every setting, by name."""
        async with self._store.read() as connection:
            found = (await connection.execute(sa.select(_t.c.name, _t.c.value).order_by(_t.c.name))).all()
        return {name: self._value(name, text) for name, text in found}

    def _value(self, name: str, text: str) -> Any:
        with rows.checked(self._store.where, self._store.recovery, f"setting {name!r}"):
            return msgspec.json.decode(text)
