"""The gate of a shard in this process: those within their share go at once, one over it lets the others come first."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.errors import Unavailable
from tenantry.ports import Features
from tenantry.router.admission import Admission
from tenantry.router.gate import Gate, GateOptions
from tenantry.router.loop_gate import FULL, QUEUE_S, TURNS, LoopGate
from tenantry.testing.clock import ManualClock


def gate(width=4, **options):
    clock = ManualClock()
    return LoopGate("shard-0", GateOptions(width, **options), clock), clock


async def turns(count=4 * TURNS):
    for _ in range(count):
        await asyncio.sleep(0)


def waiting(way, tenant):
    return asyncio.ensure_future(way.wait(tenant, 1, 1))


async def operate(way, clock, tenant, seconds):
    await way.wait(tenant, 1, 1)
    since = clock.monotonic()
    clock.advance(seconds)
    way.leave(tenant, 1, since)


async def with_noise(way, clock):
    """Let one use eight times as much as another, long enough ago that the time that is kept free is there again."""
    await operate(way, clock, "noisy", 0.08)
    await operate(way, clock, "quiet", 0.01)
    clock.advance(0.05)


async def given_up(*held):
    for one in held:
        one.cancel()
    await asyncio.gather(*held, return_exceptions=True)


async def test_nobody_waits_while_none_is_over_its_share():
    way, _ = gate(2)
    assert way.enter("a")
    assert way.enter("b")
    assert not way.enter("c")
    held = waiting(way, "c")
    await turns()
    assert not held.done()
    way.leave("a", 1, 0.0)
    await turns(1)
    assert held.done()


async def test_one_that_is_alone_never_waits():
    way, clock = gate()
    for _ in range(20):
        assert way.enter("noisy")
        clock.advance(0.01)
        way.leave("noisy", 1, clock.monotonic() - 0.01)


async def test_one_over_its_share_goes_one_at_a_time_and_lets_others_come_first():
    way, clock = gate()
    await with_noise(way, clock)
    noisy = [waiting(way, "noisy") for _ in range(3)]
    await turns(1)
    assert [one.done() for one in noisy] == [False] * 3
    assert way.enter("quiet")  # though others came first
    way.leave("quiet", 1, clock.monotonic())
    await turns(TURNS + 1)
    assert [one.done() for one in noisy] == [True, False, False]
    assert way.enter("quiet")
    way.leave("quiet", 1, clock.monotonic())
    await turns()
    assert [one.done() for one in noisy] == [True, True, True]  # three places of four, while the fourth is free


async def test_the_last_place_is_kept_from_one_over_its_share():
    way, clock = gate(2)
    await with_noise(way, clock)
    noisy = [waiting(way, "noisy") for _ in range(3)]
    await turns()
    assert sum(one.done() for one in noisy) == 1
    assert way.enter("quiet")
    way.leave("quiet", 1, clock.monotonic())
    await turns()
    assert sum(one.done() for one in noisy) == 1
    way.leave("noisy", 1, clock.monotonic())
    await turns()
    assert sum(one.done() for one in noisy) == 2
    await given_up(*noisy)


async def test_the_last_place_is_kept_also_when_the_others_are_taken_meanwhile():
    way, clock = gate(2)
    await with_noise(way, clock)
    noisy = waiting(way, "noisy")
    await turns(1)
    assert way.enter("quiet")
    await turns()
    assert not noisy.done()
    way.leave("quiet", 1, clock.monotonic())
    await asyncio.wait_for(noisy, 30)


async def test_some_of_the_time_is_kept_from_one_over_its_share():
    way, clock = gate()
    await with_noise(way, clock)
    since = clock.monotonic()
    await operate(way, clock, "quiet", 0.007)
    noisy = waiting(way, "noisy")
    await turns()
    assert not noisy.done()  # 7 ms of 7: the eighth is free
    assert way.enter("quiet")
    way.leave("quiet", 1, clock.monotonic())
    clock.advance(since + 0.007 / FULL - clock.monotonic() + 1e-6)
    await asyncio.wait_for(noisy, 30)


async def test_what_is_done_at_once_counts_once():
    way, clock = gate()
    await with_noise(way, clock)
    since = clock.monotonic()
    assert way.enter("a")
    assert way.enter("b")
    clock.advance(0.007)
    way.leave("a", 1, since)
    way.leave("b", 1, since)
    assert way._begins - since == pytest.approx(0.007 / FULL, abs=1e-5)


async def test_long_work_of_others_does_not_keep_it_waiting_long():
    way, clock = gate()
    for _ in range(100):
        await operate(way, clock, "quiet", 10)
    assert way._begins - clock.monotonic() <= QUEUE_S


async def test_nobody_overtakes_their_own():
    way, clock = gate(target_s=10)
    await with_noise(way, clock)
    held = waiting(way, "noisy")
    await turns(1)
    clock.advance(2)  # what was used is forgotten
    assert not way._over("noisy")
    assert not way.enter("noisy")
    await asyncio.wait_for(held, 30)


async def test_what_waits_too_long_is_turned_away():
    way, clock = gate(1, target_s=0.1)
    assert way.enter("quiet")
    held = waiting(way, "quiet")
    await turns(1)
    clock.advance(60)
    way.leave("quiet", 1, clock.monotonic())
    with pytest.raises(Unavailable, match="waited 60000 ms"):
        await held


async def test_a_place_that_came_just_before_the_cancellation_is_given_back():
    way, _ = gate(1)
    assert way.enter("a")
    late = waiting(way, "b")
    await turns(1)
    way.leave("a", 1, 0.0)  # the place is given ...
    late.cancel()  # ... and not taken up yet
    with pytest.raises(asyncio.CancelledError):
        await late
    assert way.enter("c")


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.sampled_from("abc")),
        st.tuples(st.just("leave"), st.integers(0, 3)),
        st.tuples(st.just("cancel"), st.integers(0, 5)),
        st.tuples(st.just("step"), st.floats(0, 0.05)),
        st.tuples(st.just("turn"), st.integers(1, 4)),
    ),
    max_size=60,
)


class Crowd:
    """Tenants that come, are let in, leave or give up."""

    def __init__(self, width):
        self.way, self.clock = gate(width, target_s=1_000)
        self.pending, self.inside = [], []

    def come(self, tenant):
        self.pending.append((tenant, waiting(self.way, tenant)))

    def leave(self, which):
        if which < len(self.inside):
            tenant, since = self.inside.pop(which)
            self.way.leave(tenant, 1, since)

    def cancel(self, which):
        if which < len(self.pending):
            self.pending[which][1].cancel()

    def step(self, seconds):
        self.clock.advance(seconds)

    async def turn(self, count):
        await turns(count)
        done = [(tenant, one) for tenant, one in self.pending if one.done()]
        self.pending = [(tenant, one) for tenant, one in self.pending if not one.done()]
        self.inside += [(tenant, self.clock.monotonic()) for tenant, one in done if not one.cancelled()]

    async def end(self):
        """Let all who are inside leave, until nobody comes any more."""
        for _ in range(100):
            while self.inside:
                self.leave(0)
            self.step(10)
            if self.way._timer is not None:  # the loop's time is not the clock's
                self.way._timer.cancel()
                self.way._emptied()
            await self.turn(4 * TURNS)


@given(st.integers(1, 4), STEPS)
def test_no_place_is_lost_and_everybody_gets_one(width, steps):
    async def play():
        crowd = Crowd(width)
        for what, which in steps:
            acted = getattr(crowd, what)(which)
            if acted is not None:
                await acted
            assert len(crowd.inside) <= width
        await crowd.end()
        assert crowd.pending == []
        assert crowd.way.waiting == 0
        assert crowd.way._free == width

    asyncio.run(play())


@pytest.mark.parametrize(
    ("in_process", "write", "kind"), [(True, False, LoopGate), (True, True, Gate), (False, False, Gate)]
)
async def test_reads_of_a_shard_in_this_process_pass_one(in_process, write, kind):
    async def features_of(index, shard):
        return Features(in_process=in_process, reads_at_once=3)

    admission = Admission(None, None, GateOptions(16), ManualClock(), None, features_of)
    made = await admission._new_gate("default", "shard-0", write)
    assert type(made) is kind
    assert made._free == (16 if write else 3)
