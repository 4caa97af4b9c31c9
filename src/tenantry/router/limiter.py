"""Limiters in this process: on their own, and as a stand-in for one that is away."""

from __future__ import annotations

import logging

from tenantry.errors import Unavailable
from tenantry.model.rates import Rate, Window
from tenantry.ports import Clock, Limiter

log = logging.getLogger(__name__)

#: Keys that are kept; past that, the ones that were asked for longest ago go.
MOST_KEPT = 100_000
#: How long one that is away is not asked again, seconds.
AWAY_S = 1.0


class LocalLimiter:
    """Implements `Limiter` for this process alone. Memory: about 120 bytes a key, and 80 for each grain in use."""

    remote = False

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: dict[tuple[str, Rate], Window] = {}

    async def take(self, key: str, rate: Rate, cost: int = 1) -> float:
        """Raises InvalidArgument."""
        return self.take_now(key, rate, cost)

    def take_now(self, key: str, rate: Rate, cost: int = 1) -> float:
        """As `take`, without waiting for anything."""
        rate.check(cost)
        window = self._windows.pop((key, rate), None) or Window()
        if len(self._windows) >= MOST_KEPT:
            del self._windows[next(iter(self._windows))]
        self._windows[key, rate] = window
        return window.take(self._clock.monotonic(), rate, cost)

    async def aclose(self) -> None:
        """Nothing to close."""


class SteadyLimiter:
    """Implements `Limiter`: asks one that all processes share, and counts alone while that is away.

    What the shared one lets through is counted here too. So while it is away each of ``n`` processes lets through at
    most the rate, and all together at most ``n`` times the rate; in the window in which it comes back, without what it
    knew, at most once the rate more.
    """

    remote = True

    def __init__(self, shared: Limiter, clock: Clock) -> None:
        self._shared = shared
        self._clock = clock
        self._own = LocalLimiter(clock)
        self._away_until = 0.0
        self._away = False

    async def take(self, key: str, rate: Rate, cost: int = 1) -> float:
        """Raises InvalidArgument; never Unavailable."""
        rate.check(cost)
        if self._clock.monotonic() >= self._away_until:
            try:
                wait_s = await self._shared.take(key, rate, cost)
            except Unavailable as error:
                self._gone(error)
            else:
                self._back()
                if not wait_s:
                    self._own.take_now(key, rate, cost)
                return wait_s
        return self._own.take_now(key, rate, cost)

    async def aclose(self) -> None:
        """Close the shared one."""
        await self._shared.aclose()

    def _gone(self, error: Unavailable) -> None:
        self._away_until = self._clock.monotonic() + AWAY_S
        if not self._away:
            self._away = True
            log.warning("limits hold for each gateway alone until the shared ones can be asked: %s", error)

    def _back(self) -> None:
        if self._away:
            self._away = False
            log.warning("limits hold for all gateways together again")
