"""Rates, and a log of what was let through that keeps to one: pure.

A sliding-window log: each unit that is let through is kept with its time, and counts for as long as the window. So it
keeps to the rate in any window, wherever it begins; a counter that starts anew with each window lets twice as much
through around the turn of two (https://blog.figma.com/an-alternative-approach-to-rate-limiting-f8a06cf7c94c compares
them). Times are kept as numbers of grains, a hundredth of the window, rounded up: a log then has a hundred entries at
most, whatever the rate, and errs on the side of the limit, by a grain.
"""

from __future__ import annotations

import msgspec

from tenantry.errors import InvalidArgument

GRAINS = 100


class Rate(msgspec.Struct, frozen=True):
    """At most so many units within any window.

    Attributes:
        most: 1 or more.
        window_s: seconds, over 0.
    """

    most: int
    window_s: float

    def check(self, cost: int) -> None:
        """Raises InvalidArgument for a cost that could never be let through."""
        if not 1 <= cost <= self.most:
            raise InvalidArgument("cost", cost, f"1 to {self.most}, the most of the rate")


class Window:
    """The log of one key.

    Attributes:
        used: units that count now, as of the last call.
    """

    __slots__ = ("_log", "used")

    def __init__(self) -> None:
        self._log: list[tuple[int, int]] = []
        self.used = 0

    def take(self, now_s: float, rate: Rate, cost: int) -> float:
        """0.0: let through, and counted. Else the seconds until as much is free. Times must not go back."""
        grain_s = rate.window_s / GRAINS
        grain = -int(-now_s // grain_s)  # rounded up
        log = self._log
        if log and log[0][0] + GRAINS < grain:
            kept = [(at, units) for at, units in log if at + GRAINS >= grain]
            self.used -= sum(units for _, units in log) - sum(units for _, units in kept)
            self._log = log = kept
        if self.used + cost <= rate.most:
            if log and log[-1][0] == grain:
                log[-1] = (grain, log[-1][1] + cost)
            else:
                log.append((grain, cost))
            self.used += cost
            return 0.0
        freed = self.used + cost - rate.most
        for at, units in log:
            freed -= units
            if freed <= 0:
                return max(grain_s, (at + GRAINS + 1) * grain_s - now_s)
        return rate.window_s  # cannot be: a cost within the rate fits when all is free
