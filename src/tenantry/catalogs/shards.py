"""The shard registry in SQL."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from tenantry.catalogs import rows, schema
from tenantry.catalogs.copies import copies_on
from tenantry.catalogs.moves import open_on
from tenantry.catalogs.rollup_due import rollup_on
from tenantry.catalogs.rules import check_limits, has_part, has_retired, holds_rollup
from tenantry.catalogs.store import Store
from tenantry.errors import AlreadyExists, NotFound, Refused
from tenantry.model.topology import Shard, ShardState, TenantState

_t = schema.shards


class SqlShards:
    """`tenantry.ports.ShardCatalog` in SQL."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(self, shard: Shard) -> None:
        """Register a shard, holding no tenants whatever ``shard.tenants`` says.

        Raises:
            InvalidArgument: the weight is not over 0, or a limit is negative.
            NotFound: there is no such index.
            AlreadyExists: the index has a shard of that name.
        """
        check_limits(shard)
        async with self._store.write() as connection:
            index = schema.indexes
            # The lock makes a concurrent deletion of the index wait, or this one find it gone.
            known = await connection.execute(
                sa.select(index.c.name).where(index.c.name == shard.index).with_for_update(key_share=True, read=True)
            )
            if known.first() is None:
                raise NotFound("index", shard.index)
            if not await self._store.insert_if_absent(connection, _t, rows.shard_values(shard)):
                raise AlreadyExists("shard", shard.name)

    async def list(self, index: str) -> list[Shard]:
        """All shards of a logical index, by name, with their exact number of tenants."""
        async with self._store.read() as connection:
            found = (await connection.execute(sa.select(_t).where(_t.c.index_name == index).order_by(_t.c.name))).all()
        return [self._shard_of(row) for row in found]

    async def update(self, shard: Shard) -> None:
        """Replace limits, weight, region, tier and state. A limit below what the shard holds only means no room.

        Raises:
            InvalidArgument: as `add`.
            NotFound: there is no such shard.
            Refused: it is to be retired and still has tenants, a part in a move, or retired copies.
        """
        check_limits(shard)
        async with self._store.write() as connection:
            await self._may_become(connection, shard.index, shard.name, shard.state)
            await self._change(connection, shard.index, shard.name, rows.mutable_shard_values(shard))

    async def set_state(self, index: str, name: str, state: ShardState) -> None:
        """Raises NotFound; Refused when it is to be retired and still has tenants, a part in a move, or copies."""
        async with self._store.write() as connection:
            await self._may_become(connection, index, name, state)
            await self._change(connection, index, name, {"state": state.value})

    async def remove(self, index: str, name: str) -> None:
        """Forget the shard. Raises NotFound; Refused while a live tenant's route names it, a move that has not ended
        has a side there, or it holds retired copies."""
        async with self._store.write() as connection:
            await self._must_be_empty(connection, index, name, "removed")
            await connection.execute(sa.delete(_t).where(_t.c.index_name == index, _t.c.name == name))

    async def _may_become(self, connection: AsyncConnection, index: str, name: str, state: ShardState) -> None:
        if state is ShardState.RETIRED:
            await self._must_be_empty(connection, index, name, "retired")
        elif state is not ShardState.ROLLUP and await rollup_on(connection, index, name):
            raise holds_rollup(name, state.value)

    async def _change(self, connection: AsyncConnection, index: str, name: str, values: dict[str, Any]) -> None:
        changed = await connection.execute(
            sa.update(_t).where(_t.c.index_name == index, _t.c.name == name).values(**values)
        )
        if changed.rowcount == 0:
            raise NotFound("shard", name)

    async def _must_be_empty(self, connection: AsyncConnection, index: str, name: str, verb: str) -> None:
        # Lock first, look afterwards: every change that makes a route name this shard holds this lock. Moves are looked
        # at before copies, for a move that ends leaves its copy in the same moment.
        found = await connection.execute(
            sa.select(_t.c.tenants, _t.c.copies).where(_t.c.index_name == index, _t.c.name == name).with_for_update()
        )
        row = found.one_or_none()
        if row is None:
            raise NotFound("shard", name)
        if await rollup_on(connection, index, name):
            raise holds_rollup(name, verb)
        if row.tenants:
            raise Refused(f"shard {name!r} holds {row.tenants} tenants: move or delete them before it is {verb}")
        if (moving := await open_on(connection, index, name)) is not None:
            raise has_part(name, moving, verb)
        if row.copies:
            raise has_part(name, await self._moving(connection, index, name), verb)
        if retired := await copies_on(connection, index, name):
            raise has_retired(f"shard {name!r}", retired, verb)

    async def _moving(self, connection: AsyncConnection, index: str, name: str) -> str:
        """A tenant whose second copy is on the shard."""
        tenants = schema.tenants
        query = sa.select(tenants.c.name).where(
            tenants.c.index_name == index,
            tenants.c.other_shard == name,
            tenants.c.state != TenantState.DELETED.value,
        )
        return str(await connection.scalar(query.limit(1)))

    def _shard_of(self, row: rows.Row) -> Shard:
        with rows.checked(self._store.where, self._store.recovery, f"shard {row.name!r}"):
            return rows.shard_of(row)
