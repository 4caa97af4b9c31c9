"""A clock that moves only when told."""

from __future__ import annotations

import asyncio
import heapq


class ManualClock:
    """Implements `Clock`. `advance` wakes the sleepers whose time has come."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []

    def now(self) -> float:
        """Seconds since the Unix epoch, as set."""
        return self._now

    def monotonic(self) -> float:
        """The same scale serves for durations."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has passed that time."""
        woken = asyncio.Event()
        heapq.heappush(self._sleepers, (self._now + seconds, id(woken), woken))
        await woken.wait()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds
        while self._sleepers and self._sleepers[0][0] <= self._now:
            heapq.heappop(self._sleepers)[2].set()
