"""The part of the catalog's contract about roll-ups; see `catalog_contract`."""

# ruff: noqa: D102, S101  (a test says in its name what holds, and asserts it)

from __future__ import annotations

import asyncio

import pytest

from tenantry.errors import Conflict, InvalidArgument, NotFound, Refused
from tenantry.model.moves import Phase
from tenantry.model.rollup import BARRIER, Due, Mark, Rollup, RollupState
from tenantry.model.topology import Place, ShardState, TenantState
from tenantry.ports import Catalog
from tenantry.testing.catalog_samples import INDEX, PLAIN, TO_SOAK, Run, buried, placed, prepared


async def begun(catalog: Catalog, shard: str = "s2") -> Rollup:
    """An index with a roll-up."""
    await prepared(catalog)
    return await catalog.rollups.begin(INDEX, shard, 5.0)


async def whole(catalog: Catalog) -> list[str]:
    """Tenants that are due as a whole, in order."""
    return [one.tenant for one in await catalog.rollups.due(INDEX, 0, 1_000) if one.ids is None]


class RollupsContract:
    """Roll-ups, what is marked and what is due."""

    async def test_a_rollup_begins_on_an_empty_shard_that_then_takes_no_tenants(self, catalog: Catalog) -> None:
        rollup = await begun(catalog)
        assert rollup == Rollup(INDEX, "s2", "rollup-5000000", 5_000_000, 5.0)
        assert await catalog.rollups.list() == [rollup]
        assert (await catalog.shards.list(INDEX))[2].state is ShardState.ROLLUP
        with pytest.raises(Conflict, match="rollup"):
            await catalog.tenants.place(INDEX, "t", PLAIN, "s2", 0.0)
        for state in (ShardState.ACTIVE, ShardState.DRAINING, ShardState.RETIRED):
            with pytest.raises(Refused, match="rollup off"):
                await catalog.shards.set_state(INDEX, "s2", state)
        with pytest.raises(Refused, match="rollup off"):
            await catalog.shards.remove(INDEX, "s2")
        await catalog.shards.set_state(INDEX, "s2", ShardState.ROLLUP)

    async def test_it_needs_a_shard_for_itself(self, catalog: Catalog) -> None:
        await prepared(catalog)
        tenant = await placed(catalog, "t", "s0")
        with pytest.raises(Refused, match="not empty"):
            await catalog.rollups.begin(INDEX, "s0", 5.0)
        with pytest.raises(NotFound, match="shard"):
            await catalog.rollups.begin(INDEX, "none", 5.0)
        with pytest.raises(NotFound, match="index"):
            await catalog.rollups.begin("none", "s0", 5.0)
        await catalog.shards.set_state(INDEX, "s1", ShardState.DRAINING)
        with pytest.raises(Refused, match="draining"):
            await catalog.rollups.begin(INDEX, "s1", 5.0)
        run = await Run.begin(catalog, "t", "s2")
        with pytest.raises(Refused, match="not empty"):
            await catalog.rollups.begin(INDEX, "s2", 5.0)
        assert run.tenant.name == tenant.name
        assert await catalog.rollups.list() == []

    async def test_beginning_anew_forgets_everything(self, catalog: Catalog) -> None:
        first = await begun(catalog)
        await catalog.rollups.mark(INDEX, first.generation, "g", ["t"])
        await catalog.rollups.note(INDEX, first.generation, "g", 0, {"t": ["a"]})
        await catalog.barriers.acknowledge("router/g", INDEX, BARRIER, first.generation)
        with pytest.raises(Refused, match="s2"):
            await catalog.rollups.begin(INDEX, "s1", 6.0)
        again = await catalog.rollups.begin(INDEX, "s2", 1.0)
        assert again.generation == first.generation + 1
        assert again.state is RollupState.STARTING
        assert again.namespace != first.namespace
        look = await catalog.rollups.look(INDEX)
        assert look is not None
        assert look.idle
        assert await catalog.barriers.acknowledged(INDEX, BARRIER) == {}
        for call in (
            catalog.rollups.mark(INDEX, first.generation, "g", ["t"]),
            catalog.rollups.note(INDEX, first.generation, "g", 0, {"t": None}),
            catalog.rollups.note(INDEX, first.generation, "g", 0, {}),
            catalog.rollups.done(INDEX, first.generation, [1]),
            catalog.rollups.fill(INDEX, first.generation),
            catalog.rollups.abandon(INDEX, first.generation, "g"),
            catalog.rollups.begin_round(INDEX, first.generation),
            catalog.rollups.end_round(INDEX, first.generation, 1),
            catalog.rollups.report(INDEX, first.generation, "x"),
        ):
            with pytest.raises(Conflict):
                await call
        assert await catalog.rollups.look(INDEX) == look

    async def test_ending_gives_the_shard_back(self, catalog: Catalog) -> None:
        rollup = await begun(catalog)
        await catalog.rollups.mark(INDEX, rollup.generation, "g", ["t"])
        await catalog.rollups.demand(INDEX, ["t"])
        assert await catalog.rollups.end(INDEX) is not None
        assert await catalog.rollups.end(INDEX) is None
        assert await catalog.rollups.look(INDEX) is None
        assert await catalog.rollups.list() == []
        assert await catalog.rollups.marks(INDEX) == []
        assert await catalog.rollups.due(INDEX, 0, 10) == []
        await placed(catalog, "t", "s2")
        with pytest.raises(Conflict):
            await catalog.rollups.mark(INDEX, rollup.generation, "g", ["t"])

    async def test_filling_makes_every_live_tenant_due_once(self, catalog: Catalog) -> None:
        rollup = await begun(catalog)
        for name in ("b", "a", "gone"):
            tenant = await placed(catalog, name)
        await buried(catalog, tenant)
        before = (await catalog.rollups.list())[0].head
        filling = await catalog.rollups.fill(INDEX, rollup.generation)
        assert (filling.state, filling.head) == (RollupState.FILLING, before + 2)
        assert await catalog.rollups.fill(INDEX, rollup.generation) == filling
        assert [one.tenant for one in await catalog.rollups.due(INDEX, before, 10)] == ["a", "b"]

    async def test_what_was_written_becomes_due_in_order(self, catalog: Catalog) -> None:
        rollup = await begun(catalog)
        generation = rollup.generation
        await catalog.rollups.mark(INDEX, generation, "g", ["t", "u"])
        await catalog.rollups.mark(INDEX, generation, "h", ["t"])
        assert await catalog.rollups.begin_round(INDEX, generation) == 1
        await catalog.rollups.mark(INDEX, generation, "h", ["t", "late"])
        await catalog.rollups.note(INDEX, generation, "g", 1, {"t": ["b", "a\x01'"], "u": None}, ["u"])
        assert await catalog.rollups.marks(INDEX) == [Mark("late", "h", 1), Mark("t", "g", 1), Mark("t", "h", 0)]
        first, second = await catalog.rollups.due(INDEX, 0, 10)
        assert (first, second) == (Due(first.seq, "t", ("b", "a\x01'")), Due(first.seq + 1, "u", None))
        assert await catalog.rollups.due(INDEX, first.seq, 10) == [second]
        assert await catalog.rollups.due(INDEX, 0, 1) == [first]
        assert await catalog.rollups.count_due(INDEX) == (2, 1)
        await catalog.rollups.note(INDEX, generation, "g", 0, {"t": []})
        assert Mark("t", "g", 1) in await catalog.rollups.marks(INDEX)  # a round never goes back
        await catalog.rollups.done(INDEX, generation, [first.seq, 999])
        assert [one.seq for one in await catalog.rollups.due(INDEX, 0, 10)] == [second.seq, second.seq + 1]
        with pytest.raises(InvalidArgument):
            await catalog.rollups.due(INDEX, 0, 0)

    async def test_a_note_that_was_overtaken_takes_no_mark_away(self, catalog: Catalog) -> None:
        generation = (await begun(catalog)).generation
        await catalog.rollups.mark(INDEX, generation, "g", ["t", "u"], 1)
        await catalog.rollups.mark(INDEX, generation, "g", ["t"], 3)
        await catalog.rollups.mark(INDEX, generation, "g", ["t"], 2)
        await catalog.rollups.note(INDEX, generation, "g", 0, {"t": ["a"]}, ["t", "u"], 2)
        assert [mark.tenant for mark in await catalog.rollups.marks(INDEX)] == ["t"]
        await catalog.rollups.note(INDEX, generation, "g", 0, {}, ["t"], 3)
        assert await catalog.rollups.marks(INDEX) == []

    async def test_a_look_tells_what_is_outstanding(self, catalog: Catalog) -> None:
        rollup = await begun(catalog)
        generation = rollup.generation

        async def look() -> tuple[int | None, bool]:
            found = await catalog.rollups.look(INDEX)
            assert found is not None
            return found.oldest, found.idle

        assert await look() == (None, True)
        await catalog.rollups.mark(INDEX, generation, "g", ["t"])
        await catalog.rollups.begin_round(INDEX, generation)
        await catalog.rollups.mark(INDEX, generation, "h", ["t"])
        assert await look() == (0, False)
        await catalog.rollups.note(INDEX, generation, "g", 1, {"t": ["a"]}, ["t"])
        assert await look() == (1, False)
        await catalog.rollups.note(INDEX, generation, "h", 1, {}, ["t"])
        assert await look() == (None, False)
        (due,) = await catalog.rollups.due(INDEX, 0, 10)
        await catalog.rollups.done(INDEX, generation, [due.seq])
        assert await look() == (None, True)

    async def test_a_process_that_is_gone_leaves_its_tenants_due(self, catalog: Catalog) -> None:
        rollup = await begun(catalog)
        await catalog.rollups.mark(INDEX, rollup.generation, "dead", ["b", "a"])
        await catalog.rollups.mark(INDEX, rollup.generation, "alive", ["a"])
        assert await catalog.rollups.abandon(INDEX, rollup.generation, "dead") == 2
        assert await catalog.rollups.abandon(INDEX, rollup.generation, "dead") == 0
        assert await whole(catalog) == ["a", "b"]
        assert await catalog.rollups.marks(INDEX) == [Mark("a", "alive", 0)]

    async def test_a_round_of_filling_switches_it_on(self, catalog: Catalog) -> None:
        rollup = await begun(catalog)
        generation = rollup.generation
        await catalog.rollups.fill(INDEX, generation)
        assert await catalog.rollups.begin_round(INDEX, generation) == 1
        assert await catalog.rollups.begin_round(INDEX, generation) == 2
        done = await catalog.rollups.end_round(INDEX, generation, 2)
        assert (done.state, done.round, done.complete) == (RollupState.ON, 2, 2)
        late = await catalog.rollups.end_round(INDEX, generation, 1)
        assert (late.state, late.complete) == (RollupState.ON, 2)
        await catalog.rollups.report(INDEX, generation, "the shard is away")
        assert (await catalog.rollups.list())[0].error == "the shard is away"

    async def test_what_changes_a_tenant_makes_it_due(self, catalog: Catalog) -> None:
        await begun(catalog)
        tenant = await placed(catalog, "t")
        assert await whole(catalog) == ["t"]  # it became active
        states = (TenantState.SUSPENDED, TenantState.SUSPENDED, TenantState.ACTIVE, TenantState.DELETING)
        seen = []
        for state in states:
            tenant = await catalog.tenants.set_state(INDEX, "t", state, tenant.route.epoch)
            seen.append(len(await whole(catalog)))
        assert seen == [2, 2, 3, 4]
        await buried(catalog, tenant)
        assert len(await whole(catalog)) == 4

    async def test_the_end_of_a_move_makes_its_tenant_due(self, catalog: Catalog) -> None:
        await begun(catalog)
        await placed(catalog, "t", "s0")
        run = await Run.begin(catalog, "t", "s1")
        for phase in (*TO_SOAK, Phase.CLOSE):
            await run.to(phase, s0=0, outcome=Phase.DONE if phase is Phase.CLOSE else None)
        before = len(await whole(catalog))
        await run.to(Phase.DONE)
        assert run.tenant.route.place == Place("s1", "t~2")
        assert len(await whole(catalog)) == 2
        assert before <= 2

    async def test_an_index_takes_its_rollup_with_it(self, catalog: Catalog) -> None:
        rollup = await begun(catalog)
        await catalog.rollups.mark(INDEX, rollup.generation, "g", ["t"])
        await catalog.rollups.demand(INDEX, ["t"])
        await catalog.indexes.delete(INDEX)
        await prepared(catalog)
        assert await catalog.rollups.look(INDEX) is None
        assert await catalog.rollups.marks(INDEX) == []
        assert await catalog.rollups.due(INDEX, 0, 10) == []
        await catalog.rollups.demand(INDEX, ["t"])
        assert await catalog.rollups.due(INDEX, 0, 10) == []

    async def test_many_at_once_get_places_of_their_own(self, catalog: Catalog) -> None:
        rollup = await begun(catalog)
        generation = rollup.generation
        owners = [f"g{i}" for i in range(6)]
        await asyncio.gather(*(catalog.rollups.mark(INDEX, generation, owner, ["t", owner]) for owner in owners))
        await asyncio.gather(
            *(catalog.rollups.note(INDEX, generation, owner, 0, {"t": [owner], owner: None}) for owner in owners)
        )
        due = await catalog.rollups.due(INDEX, 0, 100)
        assert [one.seq for one in due] == list(range(1, 13))
        assert sorted(one.ids[0] for one in due if one.ids) == owners
        assert len(await catalog.rollups.marks(INDEX)) == 12
