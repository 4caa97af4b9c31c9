"""Counts what tenants use, in memory; `tenantry.control.metering` saves it."""

from __future__ import annotations

from collections.abc import Callable

from tenantry.model.usage import Load, Usage, hour_of
from tenantry.ports import Clock


class Meter:
    """Usage of one process by tenant and hour. Counting takes less than a microsecond and waits for nothing.

    Attributes:
        first: called at the first count after each `take`, in the event loop.

    Args:
        on: whether anything is counted.
    """

    def __init__(self, clock: Clock, *, on: bool) -> None:
        self._clock = clock
        self._on = on
        self._counts: dict[tuple[str, str], list[int]] = {}
        self._hour_end = 0.0
        self._hour = 0
        self._rows: list[Usage] = []
        self.first: Callable[[], None] = lambda: None

    def count(self, index: str, tenant: str, load: Load) -> None:
        """One operation that was answered."""
        if not self._on or not load.own:
            return
        now = self._clock.now()
        if now >= self._hour_end or now < self._hour:
            self._turn_hour(now)
        counts = self._counts.get((index, tenant))
        if counts is None:
            if not self._counts:
                self.first()
            counts = self._counts[index, tenant] = [0, 0, 0, 0, 0]
        counts[0] += load.queries
        counts[1] += load.reads
        if load.write:
            counts[2] += load.writes
            counts[3] += load.vectors
            counts[4] += load.bytes

    def take(self) -> list[Usage]:
        """What was counted since the last time, a row for each tenant and hour; it is the caller's now."""
        self._turn_hour(self._clock.now())
        taken, self._rows = self._rows, []
        return taken

    def _turn_hour(self, now: float) -> None:
        """Turn counts into rows of the hour that they were counted in."""
        for (index, tenant), counts in self._counts.items():
            self._rows.append(Usage(index, tenant, self._hour, *counts))
        self._counts = {}
        self._hour = hour_of(now)
        self._hour_end = self._hour + 3_600.0
