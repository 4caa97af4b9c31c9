"""The auto-pilot on a running cluster whose clock is moved by hand."""

import asyncio

import pytest

from tenantry.control.runs import RunState
from tenantry.errors import InvalidArgument, Unavailable
from tenantry.model.autopilot import Kind, Outcome, Stance
from tenantry.model.moves import Phase, Wish

EVERY_S = 60.0
#: Midnight of a Saturday after the clock's start, UTC.
SATURDAY = 1_800_057_600.0 + 86_400.0


async def settle(ward, done, what):
    """Let the movers work until something is so."""
    for _ in range(2_000):
        if await done():
            return
        ward.clock.advance(0.05)
        await asyncio.sleep(0.001)
    raise AssertionError(f"never: {what}")


async def check(ward, times=1):
    for _ in range(times):
        ward.clock.advance(EVERY_S)
        await ward.cluster.health_checks.check()


async def uneven(ward):
    """20 tenants where 10 are fair, and the warning of it stands."""
    for number in range(20):
        await ward.cluster.tenants.create(f"t{number:02}")
        await ward.cluster.tenant(f"t{number:02}").upsert([("r", [1.0, 2.0])])
    await ward.cluster.shards.add("shard-1")
    await check(ward, 5)
    assert [one.kind for one in (await ward.cluster.health()).warnings] == ["uneven-tenants"]


async def look(ward):
    await ward.cluster.autopilot.look()


async def record(ward, **asked):
    """Oldest first."""
    return list(reversed(await ward.cluster.autopilot.history(**asked)))


async def moves(ward):
    return await ward.catalog.moves.list("default", limit=1_000)


async def none_open(ward):
    return all(one.phase in (Phase.SOAK, Phase.DONE) or one.ended for one in await moves(ward))


async def carried_out(ward, count):
    async def done():
        return len(await moves(ward)) == count and await none_open(ward)

    await settle(ward, done, f"{count} moves")


@pytest.fixture
async def pilot(opened):
    async with opened(shards=1, health_every_s=EVERY_S) as ward:
        await uneven(ward)
        yield ward


async def audited(ward):
    found = [one async for one in ward.cluster.audit.export()]
    return [(one.actor, one.action, one.result) for one in found if one.action.startswith("autopilot")]


async def test_it_is_off_until_somebody_says_otherwise(pilot):
    await look(pilot)
    assert (await pilot.cluster.autopilot.status()).policy.stance is Stance.OFF
    assert (await record(pilot), await moves(pilot), await audited(pilot)) == ([], [], [])


async def test_it_observes_what_it_would_do_once_and_does_nothing(pilot):
    await pilot.cluster.autopilot.set("observe", moves_per_hour=3)
    for _ in range(3):
        await look(pilot)
    told = await record(pilot)
    assert [one.kind for one in told] == [Kind.WOULD]  # one at a time until the speed of copying is known
    (one,) = told
    assert (one.warning, one.source, one.outcome, one.move) == ("uneven-tenants/shard-0", "shard-0", None, None)
    assert "20 tenants, its fair part is 10" in one.why
    assert await moves(pilot) == []
    status = await pilot.cluster.autopilot.status()
    assert (status.moves_last_hour, status.open_moves) == (0, 0)


async def test_it_acts_within_its_budget_and_what_it_did_is_on_both_records(pilot):
    await pilot.cluster.autopilot.set("on", windows=["always"], moves_per_hour=2, shard_cool_down_s=60)
    await look(pilot)
    begun = await record(pilot)
    assert [(one.kind, one.outcome) for one in begun] == [(Kind.MOVE, Outcome.BEGUN)]
    await carried_out(pilot, 1)
    await check(pilot, 2)
    await look(pilot)  # sees that one come through, and begins the next
    first, second = await record(pilot)
    assert (first.outcome, second.outcome) == (Outcome.MOVED, Outcome.BEGUN)
    assert first.move in {one.id for one in await moves(pilot)}
    place = (await pilot.cluster.tenants.get(first.tenant)).tenant.route.place.shard
    assert place == first.target == "shard-1"
    await carried_out(pilot, 2)
    await check(pilot, 2)
    await look(pilot)
    last = (await record(pilot))[-1]
    assert (last.kind, last.why) == (Kind.WAIT, "the budget of moves per hour is used")
    assert len(await moves(pilot)) == 2
    pilot.clock.advance(3_600)
    await check(pilot)
    await look(pilot)
    assert (await record(pilot))[-1].kind is Kind.MOVE
    told = await audited(pilot)
    assert told[:2] == [("library", "autopilot.set", "begun"), ("library", "autopilot.set", "ok")]
    assert told[2:] == [("autopilot", "autopilot.moves", "begun"), ("autopilot", "autopilot.moves", "ok")] * 3


async def test_it_begins_nothing_while_its_last_run_is_still_ending(pilot):
    """The last move is seen to be through a moment before the run that carried it out is."""
    await pilot.cluster.autopilot.set("on", windows=["always"], moves_per_hour=2, shard_cool_down_s=60)
    await look(pilot)
    await carried_out(pilot, 1)
    (run,) = pilot.cluster._runs._runs.values()
    await settle(pilot, lambda: ended(run), "the end of the run")
    run.state = RunState.RUNNING
    await check(pilot, 2)
    await look(pilot)
    assert [one.outcome for one in await record(pilot)] == [Outcome.MOVED]
    run.state = RunState.DONE
    await look(pilot)
    assert [one.outcome for one in await record(pilot)] == [Outcome.MOVED, Outcome.BEGUN]
    assert all(result in ("begun", "ok") for _, _, result in await audited(pilot))


async def ended(run):
    return run.state is RunState.DONE


async def test_a_window_that_is_closed_is_waited_for(pilot):
    await pilot.cluster.autopilot.set("on", windows=["Sat 02:00-03:00 UTC"])
    await look(pilot)
    await look(pilot)
    assert [(one.kind, one.why) for one in await record(pilot)] == [
        (Kind.WAIT, "the maintenance window is closed"),
    ]
    status = await pilot.cluster.autopilot.status()
    assert status.open_until is None
    pilot.clock.advance(status.next_opening - pilot.clock.now())
    await check(pilot)
    await look(pilot)
    assert [one.kind for one in await record(pilot)] == [Kind.WAIT, Kind.MOVE]
    assert (await pilot.cluster.autopilot.status()).open_until is not None


async def test_shards_and_tenants_rest_after_a_move(pilot):
    await pilot.cluster.autopilot.set("on", windows=["always"], shard_cool_down_s=3_600)
    await look(pilot)
    await carried_out(pilot, 1)
    await check(pilot, 2)
    await look(pilot)
    moved, waits = await record(pilot)
    assert waits.kind is Kind.WAIT
    assert "shard shard-0 rests after a move" in waits.why
    pilot.clock.advance(3_600)
    await check(pilot, 2)
    await look(pilot)
    again = (await record(pilot))[-1]
    assert again.kind is Kind.MOVE
    assert again.tenant != moved.tenant


async def test_it_waits_while_moves_of_others_run(pilot):
    await pilot.cluster.autopilot.set("on", windows=["always"])
    started = await pilot.cluster.moves.start("t00", "shard-1")
    await pilot.catalog.moves.set_wish(started.id, Wish.PAUSE)
    await look(pilot)
    assert [one.why for one in await record(pilot)] == ["moves that others began are under way"]


async def test_a_move_that_fails_stops_it_until_it_is_set_going_again(pilot):
    await pilot.cluster.autopilot.set("on", windows=["always"], shard_cool_down_s=0)
    await look(pilot)
    (entry,) = await record(pilot)

    async def begun():
        return bool(await moves(pilot))

    await settle(pilot, begun, "a move")
    (move,) = await moves(pilot)
    await pilot.cluster.moves.cancel(move.id)

    async def over():
        return (await moves(pilot))[0].ended

    await settle(pilot, over, "its end")
    assert (await moves(pilot))[0].phase is Phase.CANCELLED
    await check(pilot)
    await look(pilot)
    failed, halt = await record(pilot)
    assert (failed.seq, failed.outcome) == (entry.seq, Outcome.FAILED)
    assert halt.kind is Kind.HALT
    assert f"move {move.id} of tenant {entry.tenant}" in halt.why
    assert "was cancelled" in halt.why
    status = await pilot.cluster.autopilot.status()
    assert status.halt is not None
    assert ("autopilot", "autopilot.halt", "ok") in await audited(pilot)
    await check(pilot)
    await look(pilot)
    assert len(await record(pilot)) == 2  # nothing any more
    await pilot.cluster.autopilot.set("on")
    await look(pilot)
    assert (await record(pilot))[-1].kind is Kind.MOVE
    assert (await pilot.cluster.autopilot.status()).halt is None


async def test_it_stops_when_an_index_does_worse_after_its_moves(pilot):
    await pilot.query("t00", 30)
    await check(pilot)
    await pilot.cluster.autopilot.set("on", windows=["always"], shard_cool_down_s=0)
    await look(pilot)
    await carried_out(pilot, 1)
    (moved,) = await record(pilot)
    assert moved.p95_ms is not None
    pilot.backend(moved.target).seconds = 0.4
    await pilot.query(moved.tenant, 60)
    await check(pilot)
    await look(pilot)
    halt = (await record(pilot))[-1]
    assert halt.kind is Kind.HALT
    assert "index default does worse since its moves: the worst P95" in halt.why
    assert len(await moves(pilot)) == 1


async def test_turned_off_it_still_settles_what_it_began(pilot):
    await pilot.cluster.autopilot.set("on", windows=["always"])
    await look(pilot)
    await carried_out(pilot, 1)
    await pilot.cluster.autopilot.set("off")
    await check(pilot)
    await look(pilot)
    assert [one.outcome for one in await record(pilot)] == [Outcome.MOVED]
    await look(pilot)
    assert len(await moves(pilot)) == 1


async def test_what_cannot_be_recorded_is_not_done(pilot):
    await pilot.cluster.autopilot.set("on", windows=["always"])

    async def broken(deed):
        raise Unavailable("the audit log is away")

    pilot.cluster.audit.record = broken
    await look(pilot)
    (entry,) = await record(pilot)
    assert entry.outcome is Outcome.DROPPED
    assert "it was not begun: the audit log is away" in entry.why
    assert await moves(pilot) == []
    assert (await pilot.cluster.autopilot.status()).moves_last_hour == 0


async def test_of_two_gateways_one_acts(opened):
    async with opened(shards=1, sole=False, health_every_s=EVERY_S) as first:
        await uneven(first)
        given = {"catalog": first.catalog, "clock": first.clock, "backends": first.backends}
        second = type(first)(**given, sole=False, health_every_s=EVERY_S)
        try:
            await first.cluster.autopilot.set("on", windows=["always"], moves_per_hour=5)
            await look(first)
            await look(second)
            await asyncio.gather(look(first), look(second))
            assert [one.kind for one in await record(second)] == [Kind.MOVE]
            lease = await first.catalog.leases.get("autopilot")
            assert lease.owner == first.cluster._member.owner
            await carried_out(first, 1)
        finally:
            await second.cluster.aclose()


async def test_two_that_act_on_the_same_state_cannot_both_record_it(opened):
    """Should the lease ever be held by two, the record's numbers decide."""
    async with opened(shards=1, health_every_s=EVERY_S) as first:
        await uneven(first)
        given = {"catalog": first.catalog, "clock": first.clock, "backends": first.backends}
        second = type(first)(**given, health_every_s=EVERY_S)  # both think that they are alone
        try:
            await first.cluster.autopilot.set("on", windows=["always"], moves_per_hour=1)
            await asyncio.gather(look(first), look(second))
            assert [one.kind for one in await record(first)] == [Kind.MOVE]
        finally:
            await second.cluster.aclose()


async def test_what_is_left_out_of_a_policy_stays_and_what_is_wrong_changes_nothing(ward):
    pilot = ward.cluster.autopilot
    await pilot.set("observe", windows=["01:00-02:00"], moves_per_hour=7)
    kept = await pilot.status()
    assert (await pilot.set("on")).policy.moves_per_hour == 7
    for stance, changes, field in (
        ("maybe", {}, "stance"),
        ("on", {"windows": []}, "windows"),
        ("on", {"moves_per_hour": 0}, "moves_per_hour"),
        ("on", {"moves_per_hour": "many"}, "policy"),
        ("on", {"color": "red"}, "color"),
    ):
        with pytest.raises(InvalidArgument) as wrong:
            await pilot.set(stance, **changes)
        assert wrong.value.field == field
    assert (await pilot.status()).policy.windows == kept.policy.windows
    assert (await pilot.status()).policy.stance is Stance.ON
    with pytest.raises(InvalidArgument):
        await pilot.history(limit=1_001)


async def test_it_looks_regularly_and_gets_over_a_failure(opened):
    async with opened(shards=1, health_every_s=EVERY_S, autopilot_every_s=30.0) as ward:
        await uneven(ward)
        await ward.cluster.autopilot.set("observe")
        real, failures = ward.catalog.settings.get, []

        async def get(name):
            if not failures:
                failures.append(name)
                raise Unavailable("the catalog is away")
            return await real(name)

        ward.catalog.settings.get = get
        ward.cluster.autopilot.start()

        async def told():
            return len(await record(ward)) == 1

        await settle(ward, told, "an entry")
        assert failures
