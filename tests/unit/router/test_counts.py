"""Counts of shards that placement uses: anew only as often as counting is cheap."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tenantry.errors import Unavailable
from tenantry.model.records import NamespaceStats
from tenantry.router.counts import GOOD_FOR, MOST_S, ShardCounts
from tenantry.testing.clock import ManualClock


class Counted:
    """A backend that takes its time to count."""

    def __init__(self, clock: ManualClock, takes_s: float) -> None:
        self.clock, self.takes_s = clock, takes_s
        self.vectors = self.asked = 0
        self.broken = False

    async def stats(self, namespace: str | None = None) -> NamespaceStats:
        self.asked += 1
        await asyncio.sleep(0)
        self.clock.advance(self.takes_s)
        if self.broken:
            raise Unavailable("away")
        return NamespaceStats(self.vectors)


async def counted(counts: ShardCounts, backend: Any) -> int:
    return await counts.vectors("default", "s", backend)


async def test_a_count_is_good_for_twenty_times_what_it_took():
    clock = ManualClock()
    counts, backend = ShardCounts(clock), Counted(clock, takes_s=0.5)
    assert await counted(counts, backend) == 0
    backend.vectors = 7
    clock.advance(GOOD_FOR * 0.5 - 0.01)
    assert await counted(counts, backend) == 0
    clock.advance(0.02)
    assert await counted(counts, backend) == 7
    assert backend.asked == 2


async def test_what_costs_nothing_is_counted_each_time():
    clock = ManualClock()
    counts, backend = ShardCounts(clock), Counted(clock, takes_s=0.0)
    for vectors in range(5):
        backend.vectors = vectors
        assert await counted(counts, backend) == vectors


async def test_no_count_is_older_than_a_minute():
    clock = ManualClock()
    counts, backend = ShardCounts(clock), Counted(clock, takes_s=30.0)
    await counted(counts, backend)
    backend.vectors = 7
    clock.advance(MOST_S)
    assert await counted(counts, backend) == 7


async def test_many_at_once_wait_for_one_count():
    clock = ManualClock()
    counts, backend = ShardCounts(clock), Counted(clock, takes_s=1.0)
    assert await asyncio.gather(*(counted(counts, backend) for _ in range(50))) == [0] * 50
    assert backend.asked == 1


async def test_another_backend_of_the_name_is_counted():
    clock = ManualClock()
    counts = ShardCounts(clock)
    await counted(counts, Counted(clock, takes_s=1.0))
    other = Counted(clock, takes_s=1.0)
    other.vectors = 3
    assert await counted(counts, other) == 3


async def test_trouble_is_raised_and_not_kept():
    clock = ManualClock()
    counts, backend = ShardCounts(clock), Counted(clock, takes_s=1.0)
    backend.broken = True
    with pytest.raises(Unavailable):
        await counted(counts, backend)
    backend.broken = False
    assert await counted(counts, backend) == 0
