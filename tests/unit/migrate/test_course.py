"""Whole migrations in virtual time: waves a day apart, gates that hold, ways back, processes that die."""

import asyncio

import pytest

from tenantry.errors import AlreadyExists, InvalidArgument, NotFound, Refused
from tenantry.model.migration import ItemState, State
from tenantry.model.topology import ShardState, TenantSpec

DAY_S = 86_400.0


def test_waves_begin_as_far_apart_as_they_should_and_empty_the_shard(convoy):
    async def course(lab):
        await lab.filled()
        load = asyncio.create_task(lab.load(every_s=60.0))
        plan = await lab.cluster.migrations.plan(sources=["old"])
        assert [len(wave.tenants) for wave in plan.waves] == [1, 2, 2, 2, 1]
        assert plan.options.every_s == DAY_S  # which takes long to simulate
        assert (plan.blockers, plan.targets) == ([], ["new-0", "new-1"])
        migration = await lab.cluster.migrations.start(sources=["old"], every_s=1_000)
        done = await lab.until(migration.id, State.DONE)
        lab.over = True
        await load
        for number, wave in enumerate(done.waves):
            assert wave.began_at - done.waves[0].began_at == pytest.approx(number * 1_000, abs=60)
            assert wave.passed_at - wave.moved_at >= done.options.soak_s
        assert set((await lab.homes()).values()) == {"new-0", "new-1"}
        await lab.all_there()
        assert lab.problems == []
        assert {one.shard.name: str(one.shard.state) for one in await lab.cluster.shards.list()}["old"] == "draining"
        report = await lab.cluster.migrations.report(migration.id)
        assert (report.moved, report.failed) == (8, 0)
        assert report.records >= sum(3 + n for n in range(8))
        assert report.pause_max_ms < 5_000
        assert (report.before.monthly is None) == (report.after.monthly is None)
        finished = await lab.cluster.migrations.finish(migration.id)
        assert finished == await lab.cluster.migrations.finish(migration.id)
        assert finished.state is State.FINISHED
        with pytest.raises(Refused, match="finished and cannot be rolled back"):
            await lab.cluster.migrations.rollback(migration.id)

    convoy(course)


@pytest.mark.parametrize("trouble", ["slow", "failing"])
def test_a_regression_pauses_by_itself_and_says_why(convoy, trouble):
    async def course(lab):
        await lab.filled(tenants=12)
        asyncio.create_task(lab.load(every_s=1.0))  # noqa: RUF006  the loop cancels what is left
        await asyncio.sleep(60)
        migration = await lab.cluster.migrations.start(sources=["old"], every_s=0, soak_s=120)
        while (await lab.cluster.migrations.get(migration.id)).waves[1].began_at is None:
            await asyncio.sleep(1)
        for store in (lab.store("new-0"), lab.store("new-1")):
            if trouble == "slow":
                store.query_s = 0.3
            else:
                store.failing = ("query",)
        held = await lab.until(migration.id, State.PAUSED)
        assert held.held
        assert ("P95 of queries is" if trouble == "slow" else "operations failed") in held.reason
        assert held.waves[1].verdict.regressions
        assert held.waves[2].began_at is None
        moved = await lab.homes()
        await asyncio.sleep(600)
        assert await lab.homes() == moved  # nothing begins while it is paused
        for store in (lab.store("new-0"), lab.store("new-1")):
            store.query_s, store.failing = 0.002, ()
        lab.problems.clear()
        assert (await lab.cluster.migrations.resume(migration.id)).state is State.RUNNING
        await lab.until(migration.id, State.DONE)
        lab.over = True
        assert set((await lab.homes()).values()) == {"new-0", "new-1"}
        assert lab.problems == []
        await lab.all_there()

    convoy(course)


def test_a_rollback_takes_everybody_back_with_every_write(convoy):
    async def course(lab):
        await lab.filled()
        load = asyncio.create_task(lab.load())
        migration = await lab.cluster.migrations.start(sources=["old"], every_s=300, soak_s=60)
        while (await lab.cluster.migrations.get(migration.id)).waves[2].passed_at is None:
            await asyncio.sleep(10)
        assert set((await lab.homes()).values()) == {"old", "new-0", "new-1"}
        await lab.cluster.migrations.rollback(migration.id)
        again = await lab.cluster.migrations.rollback(migration.id)
        assert again.state in (State.ROLLING_BACK, State.ROLLED_BACK)
        await lab.until(migration.id, State.ROLLED_BACK)
        lab.over = True
        await load
        assert set((await lab.homes()).values()) == {"old"}
        await lab.all_there()
        assert lab.problems == []
        states = {one.shard.name: one.shard.state for one in await lab.cluster.shards.list()}
        assert states["old"] is ShardState.ACTIVE
        await lab.cluster.migrations.start(sources=["old"])  # another one may begin

    convoy(course)


def test_one_wave_is_taken_back_within_its_soak_and_moved_again(convoy):
    async def course(lab):
        await lab.filled()
        migration = await lab.cluster.migrations.start(sources=["old"], every_s=1_200, soak_s=600)
        while (await lab.cluster.migrations.get(migration.id)).waves[1].moved_at is None:
            await asyncio.sleep(5)
        await lab.cluster.migrations.rollback(migration.id, wave=2)
        paused = await lab.until(migration.id, State.PAUSED)
        assert "wave 2 was rolled back" in paused.reason
        items = {one.tenant: one for one in await lab.cluster.migrations.items(migration.id)}
        homes = await lab.homes()
        for one in items.values():
            assert homes[one.tenant] == (one.target if one.wave == 1 else "old")
            if one.wave == 2:
                assert one.state is ItemState.RETURNED
                assert one.back == one.move  # by the move itself, not by another one
        assert not paused.held
        await lab.cluster.migrations.resume(migration.id, now=True)
        await lab.until(migration.id, State.DONE)
        assert set((await lab.homes()).values()) == {"new-0", "new-1"}

    convoy(course)


def test_a_pause_lets_running_moves_end_and_begins_none(convoy):
    async def course(lab):
        await lab.filled(tenants=12)
        migration = await lab.cluster.migrations.start(sources=["old"], share=1.0, canaries=0, at_once=2, soak_s=0)
        while not await lab.cluster.moves.list():
            await asyncio.sleep(0.01)
        paused = await lab.cluster.migrations.pause(migration.id)
        assert paused == await lab.cluster.migrations.pause(migration.id)
        await asyncio.sleep(120)
        moves = await lab.cluster.moves.list()
        assert 0 < len(moves) < 12
        assert all(one.ended and one.phase == "done" for one in moves)
        items = await lab.cluster.migrations.items(migration.id)
        assert sum(one.state is ItemState.MOVED for one in items) == len(moves)
        with pytest.raises(Refused, match="not moved"):
            await lab.cluster.migrations.finish(migration.id)
        await lab.cluster.migrations.finish(migration.id, partial=True)
        left = {one.shard.name: one.shard for one in await lab.cluster.shards.list()}["old"]
        assert (left.state, left.tenants) == (ShardState.ACTIVE, 12 - len(moves))

    convoy(course)


def test_another_process_goes_on_where_the_owner_was_killed(convoy):
    async def course(lab):
        await lab.filled(tenants=12)
        other, second = lab.opened()
        load = asyncio.create_task(lab.load(every_s=2.0, cluster=second))
        async with second:
            migration = await lab.cluster.migrations.start(sources=["old"], every_s=0, soak_s=5, at_once=2)
            while (await second.migrations.get(migration.id)).waves[1].began_at is None:
                await asyncio.sleep(0.1)
            lab.process.kill()
            await lab.until(migration.id, State.DONE, cluster=second)
            lab.over = True
            await load
            assert set((await lab.homes(second)).values()) == {"new-0", "new-1"}
            moves = await second.moves.list(limit=100)
            assert len(moves) == 12  # none was moved twice
            await lab.all_there(second)
        assert not other.killed

    convoy(course, sole=False)


def test_moves_that_an_owner_could_not_note_any_more_are_taken_back_too(convoy):
    async def course(lab):
        await lab.filled()
        migration = await lab.cluster.migrations.start(sources=["old"], canaries=0, soak_s=3_600)
        while len([one for one in (await lab.homes()).values() if one != "old"]) < 2:
            await asyncio.sleep(0.05)
        await lab.cluster._migrating.aclose()
        for id, items in lab.tables.migration_items.items():  # as if it had been killed before it saved them
            lab.tables.migration_items[id] = {
                name: type(one)(*[getattr(one, field) for field in one.__struct_fields__[:8]])
                for name, one in items.items()
            }
        await lab.cluster.aclose()
        _, lab.cluster = lab.opened()
        async with lab.cluster:
            await lab.cluster.migrations.rollback(migration.id)
            await lab.until(migration.id, State.ROLLED_BACK)
            assert set((await lab.homes()).values()) == {"old"}

    convoy(course)


def test_a_tenant_that_is_deleted_meanwhile_is_left_out(convoy):
    async def course(lab):
        await lab.filled()
        migration = await lab.cluster.migrations.start(sources=["old"], every_s=300, soak_s=60)
        last = (await lab.cluster.migrations.items(migration.id))[-1].tenant
        await lab.cluster.tenants.delete(last)
        await lab.until(migration.id, State.DONE)
        states = {one.tenant: one.state for one in await lab.cluster.migrations.items(migration.id)}
        assert states.pop(last) is ItemState.GONE
        assert set(states.values()) == {ItemState.MOVED}

    convoy(course)


def test_a_move_that_fails_holds_the_migration_and_is_tried_again(convoy):
    async def course(lab):
        await lab.filled()
        migration = await lab.cluster.migrations.start(sources=["old"], every_s=0, soak_s=0)
        await lab.cluster.shards.update("new-0", state="read-only")
        await lab.cluster.shards.update("new-1", state="read-only")
        held = await lab.until(migration.id, State.PAUSED)
        assert held.held
        assert "failed" in held.reason
        assert "read-only" in held.reason
        for name in ("new-0", "new-1"):
            await lab.cluster.shards.update(name, state="active")
        await lab.cluster.migrations.resume(migration.id, now=True)
        await lab.until(migration.id, State.DONE)
        assert set((await lab.homes()).values()) == {"new-0", "new-1"}

    convoy(course)


def test_a_move_that_stands_still_holds_the_migration(convoy):
    async def course(lab):
        await lab.filled()
        lab.store("new-0").failing = lab.store("new-1").failing = ("upsert",)
        migration = await lab.cluster.migrations.start(sources=["old"], every_s=300, soak_s=60, stall_s=300)
        held = await lab.until(migration.id, State.PAUSED)
        assert "made no progress for 300 s" in held.reason
        assert "does not upsert" in held.reason
        lab.store("new-0").failing = lab.store("new-1").failing = ()
        await lab.cluster.migrations.resume(migration.id, now=True)
        await lab.until(migration.id, State.DONE)

    convoy(course)


def test_wrong_inputs_are_refused_and_nothing_begins(convoy):
    async def course(lab):
        await lab.filled()
        migrations = lab.cluster.migrations
        await lab.cluster.tenants.create("pinned", spec=TenantSpec(shard="old"))
        for wrong, error, match in [
            ({}, InvalidArgument, "sources"),
            ({"sources": ["old"], "tenants": ["t1"]}, InvalidArgument, "one of the two"),
            ({"tenants": ["t1"]}, InvalidArgument, "targets"),
            ({"sources": ["old"], "targets": ["old"]}, InvalidArgument, "not sources"),
            ({"sources": ["old", "old"]}, InvalidArgument, "once"),
            ({"sources": ["nowhere"]}, NotFound, "nowhere"),
            ({"sources": ["old"], "targets": ["nowhere"]}, NotFound, "nowhere"),
            ({"tenants": ["nobody"], "targets": ["new-0"]}, NotFound, "nobody"),
            ({"sources": ["old"], "share": 0}, InvalidArgument, "share"),
            ({"sources": ["old"], "share": 1.5}, InvalidArgument, "share"),
            ({"sources": ["old"], "share": float("nan")}, InvalidArgument, "share"),
            ({"sources": ["old"], "canaries": 7}, InvalidArgument, "canaries"),
            ({"sources": ["old"], "soak_s": -1}, InvalidArgument, "soak_s"),
            ({"sources": ["old"], "p95_factor": 0.5}, InvalidArgument, "p95_factor"),
            ({"sources": ["old"], "at_once": 0}, InvalidArgument, "at_once"),
            ({"sources": ["old"], "wave": 1}, InvalidArgument, "wave"),
            ({"sources": ["old"]}, Refused, "pinned"),
            ({"tenants": ["t1"], "targets": ["old"]}, Refused, "no tenant to move"),
        ]:
            with pytest.raises(error, match=match):
                await migrations.start(**wrong)
        assert await migrations.list() == []
        await lab.cluster.tenants.delete("pinned")
        one = await migrations.start(sources=["old"])
        assert (await migrations.start(sources=["old"])).id == one.id  # repeated
        with pytest.raises(AlreadyExists, match=one.id):
            await migrations.start(tenants=["t1"], targets=["new-0"])
        with pytest.raises(InvalidArgument, match="1 to 5"):
            await migrations.rollback(one.id, wave=6)
        for call in (migrations.pause, migrations.resume, migrations.rollback, migrations.finish, migrations.report):
            with pytest.raises(NotFound, match="migration"):
                await call("none")

    convoy(course)
