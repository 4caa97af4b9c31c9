"""Roll-ups in SQL. Locks are taken in the order of `tenantry.catalogs.occupancy`: the shard, then the roll-up."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from tenantry.catalogs import rows, schema
from tenantry.catalogs.copies import copies_on
from tenantry.catalogs.moves import open_on
from tenantry.catalogs.rollup_due import append_due
from tenantry.catalogs.rules import begun_rollup, check_rollup_shard, no_such_rollup
from tenantry.catalogs.store import Store
from tenantry.errors import InvalidArgument, NotFound
from tenantry.model.rollup import BARRIER, Due, Look, Mark, Rollup, RollupState
from tenantry.model.topology import ShardState, TenantState

_t = schema.rollups
_marks = schema.rollup_marks
_due = schema.rollup_due
_shards = schema.shards
ROLLUP_TABLES = (_t, _marks, _due)
_ids = msgspec.json.Decoder(tuple[str, ...] | None)


class SqlRollups:
    """`tenantry.ports.RollupCatalog` in SQL."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def begin(self, index: str, shard: str, now: float) -> Rollup:
        """Raises NotFound, Refused."""
        async with self._store.write() as connection:
            this = (_shards.c.index_name == index, _shards.c.name == shard)
            row = (await connection.execute(sa.select(_shards).where(*this).with_for_update())).one_or_none()
            if row is None:
                known = schema.indexes.c.name
                there = await connection.scalar(sa.select(known).where(known == index))
                raise NotFound("index", index) if there is None else NotFound("shard", shard)
            old = await self._locked(connection, index)
            new = begun_rollup(old, index, shard, now)
            moving, retired = await open_on(connection, index, shard), await copies_on(connection, index, shard)
            with rows.checked(self._store.where, self._store.recovery, f"shard {shard!r}"):
                check_rollup_shard(rows.shard_of(row), moving, retired)
            await self._clear(connection, index)
            await connection.execute(sa.insert(_t).values(_values(new)))
            await connection.execute(sa.update(_shards).where(*this).values(state=ShardState.ROLLUP.value))
        return new

    async def end(self, index: str) -> Rollup | None:
        """None when there was none."""
        async with self._store.write() as connection:
            shard = await connection.scalar(sa.select(_t.c.shard).where(_t.c.index_name == index))
            if shard is None:
                return None
            this = (_shards.c.index_name == index, _shards.c.name == shard)
            await connection.execute(sa.select(_shards.c.name).where(*this).with_for_update())
            old = await self._locked(connection, index)
            if old is None:
                return None
            await self._clear(connection, index)
            await connection.execute(sa.update(_shards).where(*this).values(state=ShardState.ACTIVE.value))
        return old

    async def fill(self, index: str, generation: int) -> Rollup:
        """Raises Conflict."""
        async with self._store.write() as connection:
            rollup = await self._expect(connection, index, generation)
            if rollup.state is not RollupState.STARTING:
                return rollup
            tenants = schema.tenants
            living = sa.select(tenants.c.name).where(
                tenants.c.index_name == index, tenants.c.state != TenantState.DELETED.value
            )
            names = (await connection.scalars(living.order_by(tenants.c.name))).all()
            await self._set(connection, index, state=RollupState.FILLING.value)
            await append_due(connection, index, dict.fromkeys(names))
            return await self._expect(connection, index, generation)

    async def mark(self, index: str, generation: int, owner: str, tenants: Collection[str], stamp: int = 0) -> None:
        """Raises Conflict."""
        async with self._store.write() as connection:
            rollup = await self._expect(connection, index, generation, shared=True)
            for tenant in sorted(tenants):
                mark = {"index_name": index, "tenant": tenant, "owner": owner, "round": rollup.round, "stamp": stamp}
                await self._store.insert_if_absent(connection, _marks, mark)
            mine = (_marks.c.index_name == index, _marks.c.owner == owner, _marks.c.tenant.in_(sorted(tenants)))
            older = sa.update(_marks).where(*mine, _marks.c.stamp < stamp)
            await connection.execute(older.values(stamp=stamp))

    async def note(
        self,
        index: str,
        generation: int,
        owner: str,
        through: int,
        changed: Mapping[str, Collection[str] | None],
        release: Collection[str] = (),
        until: int = 0,
    ) -> None:
        """Raises Conflict."""
        mine = (_marks.c.index_name == index, _marks.c.owner == owner)
        async with self._store.write() as connection:
            if not changed:
                await self._expect(connection, index, generation, shared=True)
            elif not await append_due(connection, index, changed, generation):
                raise no_such_rollup(index, generation)
            names = sorted(release)
            for start in range(0, len(names), 500):
                part = names[start : start + 500]
                await connection.execute(
                    sa.delete(_marks).where(*mine, _marks.c.tenant.in_(part), _marks.c.stamp <= until)
                )
            older = sa.update(_marks).where(*mine, _marks.c.round < through)
            await connection.execute(older.values(round=through))

    async def marks(self, index: str) -> list[Mark]:
        """By tenant and owner."""
        query = sa.select(_marks.c.tenant, _marks.c.owner, _marks.c.round).where(_marks.c.index_name == index)
        async with self._store.read() as connection:
            return [Mark(*row) for row in await connection.execute(query.order_by(_marks.c.tenant, _marks.c.owner))]

    async def abandon(self, index: str, generation: int, owner: str) -> int:
        """Raises Conflict."""
        mine = (_marks.c.index_name == index, _marks.c.owner == owner)
        async with self._store.write() as connection:
            await self._expect(connection, index, generation)
            gone = await connection.scalars(sa.delete(_marks).where(*mine).returning(_marks.c.tenant))
            tenants = sorted(gone.all())
            await append_due(connection, index, dict.fromkeys(tenants))
        return len(tenants)

    async def look(self, index: str) -> Look | None:
        """In one statement, so of one moment."""
        oldest = sa.select(sa.func.min(_marks.c.round)).where(_marks.c.index_name == index).scalar_subquery()
        due = sa.select(_due.c.seq).where(_due.c.index_name == index).exists()
        query = sa.select(_t, oldest.label("oldest"), due.label("due")).where(_t.c.index_name == index)
        async with self._store.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        return Look(self._rollup_of(row), row.oldest, row.oldest is None and not row.due)

    async def due(self, index: str, after: int, limit: int) -> list[Due]:
        """Raises InvalidArgument (limit)."""
        if limit < 1:
            raise InvalidArgument("limit", limit, "1 or more")
        query = sa.select(_due.c.seq, _due.c.tenant, _due.c.body).where(_due.c.index_name == index, _due.c.seq > after)
        async with self._store.read() as connection:
            found = (await connection.execute(query.order_by(_due.c.seq).limit(limit))).all()
        with rows.checked(self._store.where, self._store.recovery, f"what is due of the roll-up of {index!r}"):
            return [Due(row.seq, row.tenant, _ids.decode(row.body)) for row in found]

    async def count_due(self, index: str) -> tuple[int, int]:
        """All, and tenants as a whole."""
        whole = sa.func.count(sa.distinct(sa.case((_due.c.body == b"null", _due.c.tenant))))
        query = sa.select(sa.func.count(), whole).where(_due.c.index_name == index)
        async with self._store.read() as connection:
            count, tenants = (await connection.execute(query)).one()
        return int(count), int(tenants)

    async def demand(self, index: str, tenants: Collection[str]) -> None:
        """Nothing without a roll-up."""
        async with self._store.write() as connection:
            await append_due(connection, index, dict.fromkeys(sorted(tenants)))

    async def done(self, index: str, generation: int, places: Collection[int]) -> None:
        """Raises Conflict."""
        ordered: Sequence[int] = sorted(places)
        async with self._store.write() as connection:
            await self._expect(connection, index, generation, shared=True)
            for start in range(0, len(ordered), 500):
                part = ordered[start : start + 500]
                await connection.execute(sa.delete(_due).where(_due.c.index_name == index, _due.c.seq.in_(part)))

    async def begin_round(self, index: str, generation: int) -> int:
        """Raises Conflict."""
        async with self._store.write() as connection:
            rollup = await self._expect(connection, index, generation)
            await self._set(connection, index, round=rollup.round + 1)
        return rollup.round + 1

    async def end_round(self, index: str, generation: int, round: int) -> Rollup:
        """Raises Conflict."""
        async with self._store.write() as connection:
            rollup = await self._expect(connection, index, generation)
            on = rollup.state is RollupState.FILLING
            state = RollupState.ON if on else rollup.state
            done = msgspec.structs.replace(rollup, complete=max(rollup.complete, round), state=state)
            await self._set(connection, index, complete=done.complete, state=state.value)
        return done

    async def report(self, index: str, generation: int, error: str) -> None:
        """Raises Conflict."""
        async with self._store.write() as connection:
            await self._expect(connection, index, generation)
            await self._set(connection, index, error=error)

    async def list(self) -> list[Rollup]:
        """All, by index."""
        async with self._store.read() as connection:
            return [self._rollup_of(row) for row in await connection.execute(sa.select(_t).order_by(_t.c.index_name))]

    # ---------------------------------------------------------------------- inside a transaction

    async def _locked(self, connection: AsyncConnection, index: str, shared: bool = False) -> Rollup | None:
        query = sa.select(_t).where(_t.c.index_name == index).with_for_update(read=shared)
        row = (await connection.execute(query)).one_or_none()
        return None if row is None else self._rollup_of(row)

    async def _expect(self, connection: AsyncConnection, index: str, generation: int, shared: bool = False) -> Rollup:
        rollup = await self._locked(connection, index, shared)
        if rollup is None or rollup.generation != generation:
            raise no_such_rollup(index, generation)
        return rollup

    async def _set(self, connection: AsyncConnection, index: str, **values: Any) -> None:
        await connection.execute(sa.update(_t).where(_t.c.index_name == index).values(**values))

    async def _clear(self, connection: AsyncConnection, index: str) -> None:
        for table in ROLLUP_TABLES:
            await connection.execute(sa.delete(table).where(table.c.index_name == index))
        told = schema.barriers
        await connection.execute(sa.delete(told).where(told.c.index_name == index, told.c.tenant == BARRIER))

    def _rollup_of(self, row: rows.Row) -> Rollup:
        with rows.checked(self._store.where, self._store.recovery, f"the roll-up of index {row.index_name!r}"):
            values = {name: getattr(row, name) for name in Rollup.__struct_fields__ if name not in ("index", "state")}
            return Rollup(index=row.index_name, state=RollupState(row.state), **values)


def _values(rollup: Rollup) -> dict[str, Any]:
    values = msgspec.structs.asdict(rollup)
    return {"index_name": values.pop("index"), **values, "state": rollup.state.value}
