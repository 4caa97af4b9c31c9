"""In-flight requests, leases, and news of logs: the parts with which a router takes part in moves."""

import asyncio

import pytest

from tenantry.model.changes import Nothing, put
from tenantry.router.inflight import Inflight
from tenantry.router.member import Member
from tenantry.router.news import News
from tenantry.testing.clock import ManualClock
from tenantry.testing.memory_catalog import MemoryCatalog

KEY = ("default", "acme")


async def test_draining_waits_for_older_requests_only():
    inflight = Inflight()
    assert inflight.enter(*KEY, 1)
    assert inflight.enter(*KEY, 1)
    assert inflight.enter(*KEY, 2)
    assert inflight.enter("default", "other", 1)
    drained = asyncio.ensure_future(inflight.drain(*KEY, 2))
    await asyncio.sleep(0)
    inflight.leave(*KEY, 1)
    await asyncio.sleep(0)
    assert not drained.done()
    inflight.leave(*KEY, 1)
    await asyncio.wait_for(drained, 30)


async def test_nothing_enters_under_an_epoch_that_was_drained():
    inflight = Inflight()
    await inflight.drain(*KEY, 5)
    assert not inflight.enter(*KEY, 4)
    assert inflight.enter(*KEY, 5)
    await inflight.drain(*KEY, 3)
    assert not inflight.enter(*KEY, 4)
    assert inflight.enter("default", "other", 1)


class Fleet:
    def __init__(self):
        self.clock = ManualClock()
        self.catalog = MemoryCatalog()
        self.lapses = []

    def member(self, name):
        return Member(self.catalog.leases, self.clock, name, 3.0, sole=False, lapsed=lambda: self.lapses.append(name))


@pytest.fixture
def fleet():
    return Fleet()


async def test_a_lease_holds_from_before_it_was_renewed_until_it_is_over(fleet):
    member = fleet.member("one")
    assert not member.holds()
    term = await member.join()
    assert member.still(term)
    fleet.clock.advance(2.9)
    assert member.still(term)
    fleet.clock.advance(0.2)
    assert not member.holds()
    await member.aclose()


async def test_a_lease_that_ran_out_here_but_was_not_taken_away_goes_on(fleet):
    member = fleet.member("one")
    term = await member.join()
    fleet.clock.advance(10)
    assert await member.join() == term  # nobody went by its absence
    assert fleet.lapses == ["one"]  # at the very first claim there was nothing cached to forget either
    await member.aclose()


async def test_who_was_expelled_starts_a_new_term_with_nothing_cached(fleet):
    member = fleet.member("one")
    term = await member.join()
    (lease,) = await fleet.catalog.leases.list("router/")
    assert await fleet.catalog.leases.expel(lease)
    assert member.still(term)  # it cannot know yet; whoever expelled it has waited until this must be false
    fleet.clock.advance(10)
    assert await member.join() == term + 1
    assert not member.still(term)
    assert fleet.lapses == ["one", "one"]
    await member.aclose()


async def test_a_lease_of_a_move_is_lost_when_another_has_claimed_it(fleet):
    one, two = fleet.member("one"), fleet.member("two")
    await one.join()
    await two.join()
    mine = await fleet.catalog.leases.claim("move/m", "one", None)
    one.claimed("move/m", mine.fence)
    assert one.owns("move/m", mine.fence)
    await one.renew()
    assert one.owns("move/m", mine.fence)
    theirs = await fleet.catalog.leases.claim("move/m", "two", await fleet.catalog.leases.get("move/m"))
    two.claimed("move/m", theirs.fence)
    await one.renew()
    assert not one.owns("move/m", mine.fence)
    assert two.owns("move/m", theirs.fence)
    await one.aclose()
    await two.aclose()
    assert await fleet.catalog.leases.list("router/") == []


async def test_writers_are_told_in_order_and_with_what_their_change_came_to():
    news = News()
    taken = []
    news.attend(KEY, lambda seq, change: taken.append(seq), grew=lambda: None)
    first, second, third = (news.wait(KEY, seq) for seq in (1, 2, 3))
    news.appended(KEY, 1, put([]))
    news.acknowledge(KEY, 2, {2: Nothing("no")})
    assert taken == [1]
    assert (first.result(), second.result()) == (None, Nothing("no"))
    assert not third.done()
    assert news.wait(KEY, 2).done()  # who comes late need not wait
    news.leave(KEY)
    assert third.cancelled()
    assert not news.attended(KEY)


async def test_an_entry_that_nobody_here_applies_wakes_whoever_could():
    news = News()
    woken = []
    news.unattended = lambda: woken.append(True)
    news.appended(KEY, 1, put([]))
    assert woken == [True]
