"""Roll-ups of a `MemoryCatalog`."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from tenantry.catalogs.rules import begun_rollup, check_rollup_shard, no_such_rollup
from tenantry.errors import NotFound
from tenantry.model.rollup import BARRIER, Due, Look, Mark, Rollup, RollupState
from tenantry.model.topology import ShardState
from tenantry.testing.memory_catalog_tables import Enter, Tables, at_least_one, storable


class MemoryRollups:
    """`tenantry.ports.RollupCatalog` in memory."""

    def __init__(self, tables: Tables, enter: Enter) -> None:
        self._all, self._enter = tables, enter

    async def begin(self, index: str, shard: str, now: float) -> Rollup:
        """Raises NotFound, Refused."""
        await self._enter("rollups.begin")
        tables = self._all
        if index not in tables.indexes:
            raise NotFound("index", index)
        found = tables.shards.get((index, shard))
        if found is None:
            raise NotFound("shard", shard)
        new = begun_rollup(tables.rollups.get(index), index, shard, now)
        moving = tables.open_move(index, shard=shard)
        check_rollup_shard(found, None if moving is None else moving.tenant, tables.retired_on(index, shard))
        self._clear(index)
        tables.rollups[index] = new
        tables.shards[index, shard] = msgspec.structs.replace(found, state=ShardState.ROLLUP)
        return new

    async def end(self, index: str) -> Rollup | None:
        """None when there was none."""
        await self._enter("rollups.end")
        old = self._all.rollups.get(index)
        if old is not None:
            self._clear(index)
            shard = self._all.shards[index, old.shard]
            self._all.shards[index, old.shard] = msgspec.structs.replace(shard, state=ShardState.ACTIVE)
        return old

    async def fill(self, index: str, generation: int) -> Rollup:
        """Raises Conflict."""
        await self._enter("rollups.fill")
        if self._expect(index, generation).state is RollupState.STARTING:
            self._set(index, state=RollupState.FILLING)
            self._all.append_due(index, dict.fromkeys(sorted(one.name for one in self._all.living(index))))
        return self._all.rollups[index]

    async def mark(self, index: str, generation: int, owner: str, tenants: Collection[str], stamp: int = 0) -> None:
        """Raises Conflict."""
        await self._enter("rollups.mark")
        rollup = self._expect(index, generation)
        for tenant in tenants:
            storable(tenant=tenant)
        for tenant in tenants:
            key = (index, tenant, owner)
            self._all.rollup_marks.setdefault(key, rollup.round)
            self._all.rollup_stamps[key] = max(stamp, self._all.rollup_stamps.get(key, stamp))

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
        await self._enter("rollups.note")
        self._expect(index, generation)
        self._all.append_due(index, changed)
        marks = self._all.rollup_marks
        for tenant in release:
            key = (index, tenant, owner)
            if self._all.rollup_stamps.get(key, 0) <= until:
                marks.pop(key, None)
                self._all.rollup_stamps.pop(key, None)
        for key, round in marks.items():
            if key[0] == index and key[2] == owner:
                marks[key] = max(round, through)

    async def marks(self, index: str) -> list[Mark]:
        """By tenant and owner."""
        await self._enter("rollups.marks")
        return [
            Mark(tenant, owner, round)
            for (of, tenant, owner), round in sorted(self._all.rollup_marks.items())
            if of == index
        ]

    async def abandon(self, index: str, generation: int, owner: str) -> int:
        """Raises Conflict."""
        await self._enter("rollups.abandon")
        self._expect(index, generation)
        gone = [key for key in self._all.rollup_marks if key[0] == index and key[2] == owner]
        for key in gone:
            del self._all.rollup_marks[key]
            self._all.rollup_stamps.pop(key, None)
        self._all.append_due(index, dict.fromkeys(sorted(key[1] for key in gone)))
        return len(gone)

    async def look(self, index: str) -> Look | None:
        """As of this moment."""
        await self._enter("rollups.look")
        rollup = self._all.rollups.get(index)
        if rollup is None:
            return None
        rounds = [round for (of, _, _), round in self._all.rollup_marks.items() if of == index]
        return Look(rollup, min(rounds, default=None), not rounds and not self._all.rollup_due.get(index))

    async def due(self, index: str, after: int, limit: int) -> list[Due]:
        """Raises InvalidArgument (limit)."""
        await self._enter("rollups.due")
        at_least_one(limit)
        found = self._all.rollup_due.get(index, {})
        return [found[seq] for seq in sorted(found) if seq > after][:limit]

    async def count_due(self, index: str) -> tuple[int, int]:
        """All, and tenants as a whole."""
        await self._enter("rollups.count_due")
        found = self._all.rollup_due.get(index, {}).values()
        return len(found), len({one.tenant for one in found if one.ids is None})

    async def demand(self, index: str, tenants: Collection[str]) -> None:
        """Nothing without a roll-up."""
        await self._enter("rollups.demand")
        self._all.append_due(index, dict.fromkeys(sorted(tenants)))

    async def done(self, index: str, generation: int, places: Collection[int]) -> None:
        """Raises Conflict."""
        await self._enter("rollups.done")
        self._expect(index, generation)
        for seq in places:
            self._all.rollup_due.get(index, {}).pop(seq, None)

    async def begin_round(self, index: str, generation: int) -> int:
        """Raises Conflict."""
        await self._enter("rollups.begin_round")
        self._set(index, round=self._expect(index, generation).round + 1)
        return self._all.rollups[index].round

    async def end_round(self, index: str, generation: int, round: int) -> Rollup:
        """Raises Conflict."""
        await self._enter("rollups.end_round")
        rollup = self._expect(index, generation)
        state = RollupState.ON if rollup.state is RollupState.FILLING else rollup.state
        self._set(index, complete=max(rollup.complete, round), state=state)
        return self._all.rollups[index]

    async def report(self, index: str, generation: int, error: str) -> None:
        """Raises Conflict."""
        await self._enter("rollups.report")
        self._expect(index, generation)
        self._set(index, error=error)

    async def list(self) -> list[Rollup]:
        """By index."""
        await self._enter("rollups.list")
        return [self._all.rollups[index] for index in sorted(self._all.rollups)]

    def _expect(self, index: str, generation: int) -> Rollup:
        rollup = self._all.rollups.get(index)
        if rollup is None or rollup.generation != generation:
            raise no_such_rollup(index, generation)
        return rollup

    def _set(self, index: str, **values: object) -> None:
        self._all.rollups[index] = msgspec.structs.replace(self._all.rollups[index], **values)

    def _clear(self, index: str) -> None:
        self._all.forget_rollup(index)
        self._all.acknowledged.pop((index, BARRIER), None)
