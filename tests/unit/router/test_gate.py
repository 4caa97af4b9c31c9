"""The gate of a shard: nobody waits while there is room, turns are fair, and what waits too long is turned away."""

import asyncio

import pytest

from tenantry.errors import RateLimited, Unavailable
from tenantry.router.gate import BURST, Gate, GateOptions
from tenantry.testing.clock import ManualClock


def gate(width=2, **options):
    clock = ManualClock()
    return Gate("shard-0", GateOptions(width, **options), clock), clock


async def turns():
    for _ in range(5):
        await asyncio.sleep(0)


def leave(way, tenant="first", since=None, weight=1):
    way.leave(tenant, weight, way._clock.monotonic() if since is None else since)


def waiting(gate, tenant, weight=1, cost=1, **more):
    return asyncio.ensure_future(gate.wait(tenant, weight, cost, **more))


async def test_one_at_which_nobody_waits_is_there_all_the_same():
    way, _ = gate()
    assert way.waiting == 0
    assert way  # else admission makes it anew for each operation


async def test_nobody_waits_while_there_is_room():
    way, _ = gate(2)
    assert way.enter("first")
    assert way.enter("first")
    assert not way.enter("first")
    leave(way)
    assert not way.enter("first")  # in the next turn of the loop
    await turns()
    assert way.enter("first")


async def test_a_place_goes_to_whoever_waits():
    way, _ = gate(1)
    assert way.enter("first")
    first, second = waiting(way, "a"), waiting(way, "a")
    await turns()
    assert way.waiting == 2
    leave(way)
    await turns()
    assert first.done()
    assert not second.done()
    assert not way.enter("first")  # it would go before the second
    leave(way)
    await second
    leave(way)
    await turns()
    assert way.enter("first")


async def test_one_that_floods_does_not_keep_others_waiting():
    way, _ = gate(1)
    assert way.enter("first")
    noisy = [waiting(way, "noisy") for _ in range(50)]
    quiet = waiting(way, "quiet")
    await turns()
    for _ in range(3):
        leave(way)
        await turns()
    assert quiet.done()
    assert sum(one.done() for one in noisy) == 2
    for one in noisy:
        one.cancel()
    await asyncio.gather(*noisy, return_exceptions=True)


async def test_one_that_gave_up_takes_no_place():
    way, _ = gate(1)
    assert way.enter("first")
    gone, next_one = waiting(way, "a"), waiting(way, "b")
    await turns()
    gone.cancel()
    await turns()
    leave(way)
    await asyncio.wait_for(next_one, 30)
    leave(way)
    await turns()
    assert way.enter("first")


async def test_a_place_that_came_just_before_the_cancellation_is_given_back():
    way, _ = gate(1)
    assert way.enter("first")
    late = waiting(way, "a")
    await turns()
    leave(way)
    way._give()  # the place is given ...
    late.cancel()  # ... and not taken up yet
    with pytest.raises(asyncio.CancelledError):
        await late
    await turns()
    assert way.enter("first")
    way._free = 0


async def test_one_that_is_patient_waits_however_long():
    way, clock = gate(1)
    assert way.enter("first")
    hasty, patient = waiting(way, "a"), waiting(way, "b", patient=True)
    await turns()
    clock.advance(60)
    leave(way)
    await turns()
    with pytest.raises(Unavailable, match="waited 60000 ms"):
        await hasty
    assert patient.done()
    assert patient.exception() is None


async def test_lines_are_bounded():
    way, _ = gate(1, per_tenant=3, per_shard=5)
    assert way.enter("first")
    held = [waiting(way, "a") for _ in range(3)]
    await turns()
    with pytest.raises(Unavailable, match="'shard-0' is busy: 3 operations wait"):
        await way.wait("a", 1, 1)  # nobody else is there: not its share, the shard
    held += [waiting(way, "b") for _ in range(2)]
    await turns()
    with pytest.raises(RateLimited, match="'a' asks for more than its share") as limited:
        await way.wait("a", 1, 1)
    assert limited.value.retry_after_s > 0
    with pytest.raises(Unavailable, match="5 operations wait"):
        await way.wait("c", 1, 1)
    for one in held:
        one.cancel()
    await asyncio.gather(*held, return_exceptions=True)


async def served(way, clock, pending, each_s, until):
    """Serve one after another, ``each_s`` apart; how many were turned away."""
    away = 0
    for _ in range(until):
        clock.advance(each_s)
        leave(way)
        await turns()
        for one in [one for one in pending if one.done()]:
            pending.remove(one)
            if one.exception() is not None:
                away += 1
    return away


async def test_a_burst_is_served_whole():
    way, clock = gate(1, target_s=0.1)
    assert way.enter("first")
    pending = [waiting(way, "a") for _ in range(40)]
    await turns()
    assert await served(way, clock, pending, 0.02, 40) == 0  # the last waits 0.8 s, within ten times the target
    assert not pending


async def test_a_line_that_stays_long_is_cut_to_the_target():
    way, clock = gate(1, target_s=0.1, per_tenant=10_000)
    assert way.enter("first")
    other = waiting(way, "other")
    pending = []
    waits, away = [], 0
    for step in range(300):  # twice as many come as are served
        for _ in range(2):
            one = waiting(way, "noisy")
            one.came = clock.monotonic()
            pending.append(one)
        await turns()
        clock.advance(0.02)
        leave(way)
        await turns()
        for one in [one for one in pending if one.done()]:
            pending.remove(one)
            if one.exception() is None:
                waits.append((step, clock.monotonic() - one.came))
            else:
                assert isinstance(one.exception(), Unavailable)
                away += 1
    assert await other is None
    assert max(wait for _, wait in waits) <= BURST * 0.1 + 0.05
    assert max(wait for step, wait in waits if step > 150) <= 0.1 + 0.03  # an overload waits no longer than the target
    assert away > 100
    for one in pending:
        one.cancel()
    await asyncio.gather(*pending, return_exceptions=True)


async def used(way, clock, **seconds):
    """Let tenants use the shard, one after another, while nobody else does."""
    for tenant, each in seconds.items():
        assert way.enter(tenant)
        clock.advance(each)
        leave(way, tenant, clock.monotonic() - each)
        await turns()


async def test_the_last_place_is_kept_from_a_tenant_over_its_share():
    way, clock = gate(2)
    await used(way, clock, noisy=0.2, quiet=0.05)
    assert way.enter("noisy")
    assert not way.enter("noisy")
    held = waiting(way, "noisy")
    await turns()
    assert not held.done()
    assert way.enter("quiet")  # at once, though another waits
    leave(way, "quiet")
    await turns()
    assert not held.done()
    leave(way, "noisy")
    await turns()
    assert held.done()


async def test_a_tenant_over_its_share_is_passed_over_for_one_that_is_not():
    way, clock = gate(2)
    await used(way, clock, noisy=0.2, quiet=0.05)
    assert way.enter("quiet")
    assert way.enter("quiet")
    noisy, quiet = waiting(way, "noisy"), waiting(way, "quiet")
    await turns()
    leave(way, "quiet")
    await turns()
    assert quiet.done()
    assert not noisy.done()
    leave(way, "quiet")
    await turns()
    assert not noisy.done()  # one place is free, the last
    leave(way, "quiet")
    await turns()
    assert noisy.done()


async def test_one_that_is_alone_has_all_places():
    way, clock = gate(2)
    await used(way, clock, noisy=0.2)
    assert way.enter("noisy")
    assert way.enter("noisy")


async def test_what_was_used_is_forgotten():
    way, clock = gate(2)
    await used(way, clock, noisy=0.2, quiet=0.05)
    clock.advance(2)
    assert way.enter("noisy")
    assert way.enter("noisy")
