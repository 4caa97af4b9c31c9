"""Requests in hand, by tenant and epoch: what lets a barrier wait until nobody uses an older route."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

#: Tenants whose floors and counts are kept; past that the oldest go.
MOST_KEPT = 100_000
#: Length of the windows over which operations are counted, seconds.
WINDOW_S = 60.0


class Inflight:
    """Counts every data-plane request of this process while it is in hand.

    Entering and leaving cost two dictionary operations each, and nothing waits for anything.

    Attributes:
        activity: requests that were answered, by tenant.
        forgotten: floors that are not known any more.
    """

    __slots__ = ("_floors", "_held", "_waiters", "activity", "forgotten")

    def __init__(self) -> None:
        self.activity = Activity()
        self.forgotten = 0
        self._held: dict[tuple[str, str, int], int] = {}
        self._floors: dict[tuple[str, str], int] = {}
        self._waiters: list[asyncio.Event] = []

    def enter(self, index: str, tenant: str, epoch: int) -> bool:
        """Begin a request under the route of that epoch. False, and nothing begun, when a barrier has passed it."""
        if self._floors and self._floors.get((index, tenant), 0) > epoch:
            return False
        key = (index, tenant, epoch)
        self._held[key] = self._held.get(key, 0) + 1
        return True

    def leave(self, index: str, tenant: str, epoch: int) -> None:
        """End a request."""
        key = (index, tenant, epoch)
        left = self._held[key] - 1
        if left:
            self._held[key] = left
        else:
            del self._held[key]
            for waiter in self._waiters:
                waiter.set()

    async def drain(self, index: str, tenant: str, epoch: int) -> None:
        """Let no request begin under an older epoch from now on, and wait until those in hand have ended."""
        key = (index, tenant)
        self._floors[key] = max(self._floors.pop(key, 0), epoch)
        while len(self._floors) > MOST_KEPT:
            del self._floors[next(iter(self._floors))]
            self.forgotten += 1
        changed = asyncio.Event()
        self._waiters.append(changed)
        try:
            while any(held[:2] == key and held[2] < epoch for held in self._held):
                changed.clear()
                await changed.wait()
        finally:
            self._waiters.remove(changed)


class Activity:
    """Operations of each tenant in this process, over the last one to two windows.

    Attributes:
        total: of all tenants, ever.
    """

    __slots__ = ("_before", "_before_s", "_now", "_since", "total")

    def __init__(self) -> None:
        self.total = 0
        self._now: dict[tuple[str, str], int] = {}
        self._before: dict[tuple[str, str], int] = {}
        self._before_s = 0.0
        self._since: float | None = None

    def count(self, index: str, tenant: str) -> None:
        """Note one operation."""
        key = (index, tenant)
        self.total += 1
        self._now[key] = self._now.get(key, 0) + 1

    def tick(self, monotonic: float) -> None:
        """Let a window end when it is over; to be called now and then."""
        if self._since is None:
            self._since = monotonic
        elif monotonic - self._since >= WINDOW_S or len(self._now) > MOST_KEPT:
            self._before, self._before_s = self._now, monotonic - self._since
            self._now, self._since = {}, monotonic

    def loads(self, index: str, monotonic: float) -> Mapping[str, float]:
        """Operations a second of each tenant of an index that had any; idle tenants are left out."""
        self.tick(monotonic)
        seconds = self._before_s + monotonic - (monotonic if self._since is None else self._since)
        if seconds <= 0:
            return {}
        counts: dict[str, int] = {}
        for window in (self._before, self._now):
            for (of, tenant), number in window.items():
                if of == index:
                    counts[tenant] = counts.get(tenant, 0) + number
        return {tenant: number / seconds for tenant, number in counts.items()}
