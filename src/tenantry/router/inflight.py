"""Requests in hand, by tenant and epoch: what lets a barrier wait until nobody uses an older route."""

from __future__ import annotations

import asyncio

#: Tenants whose floors and counts are kept; past that the oldest go.
MOST_KEPT = 100_000


class Inflight:
    """Counts every data-plane request of this process while it is in hand.

    Entering and leaving cost two dictionary operations each, and nothing waits for anything.

    Attributes:
        answered: requests that were answered, ever.
        forgotten: floors that are not known any more.
    """

    __slots__ = ("_floors", "_held", "_waiters", "answered", "forgotten")

    def __init__(self) -> None:
        self.answered = 0
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
