"""What this process knows of each shard from earlier searches: latencies, its breaker, what it may still be asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tenantry.ports import Clock, Telemetry
from tenantry.router.scatter.breaker import Breaker
from tenantry.router.scatter.hedge import Budget, Latencies
from tenantry.router.scatter.shapes import SearchLimits

T = TypeVar("T")

#: Shards of which something is known; past that the oldest are forgotten.
MOST_SHARDS = 10_000
#: No second request is sent sooner, seconds: by then the first is as good as there.
LEAST_WAIT_S = 0.001


class Loose:
    """Tasks that nobody waits for any more. They are cancelled, and kept until they have ended: a backend may need a
    while to give up, which no search has to spend."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def drop(self, task: asyncio.Task[Any]) -> None:
        """Cancel it, and hear what comes of it."""
        if task.done():
            _hear(task)
            return
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        task.cancel()

    async def aclose(self) -> None:
        """Wait for those that are still there."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        _hear(task)


class Standing:
    """Of one shard.

    Attributes:
        hedges: second requests, ever.
        calls: first ones.
    """

    def __init__(self, name: tuple[str, str], limits: SearchLimits, telemetry: Telemetry, loose: Loose) -> None:
        self._index, self._shard = name
        self._telemetry = telemetry
        self._loose = loose
        self._breaker = Breaker(limits.open_s, limits.open_most_s)
        self._latencies: dict[int, Latencies] = {}
        self._budget = Budget(limits.hedge_share)
        self.slots = asyncio.Semaphore(limits.per_shard)
        self.last_reason = ""
        self.hedges = 0
        self.calls = 0

    @property
    def breaker(self) -> Breaker:
        """As it is now."""
        return self._breaker

    def ask(self, now: float) -> bool:
        """Whether a search may ask this shard; if so, `note` must follow."""
        breaker, allowed = self._breaker.ask(now)
        self._become(breaker)
        return allowed

    def note(self, passed: bool | None, now: float, reason: str = "") -> None:
        """What came of it; None: nobody waited."""
        if passed is None:
            self._become(self._breaker.abandoned())
            return
        if not passed:
            self.last_reason = reason
        self._become(self._breaker.success() if passed else self._breaker.failure(now))

    async def call(self, size: int, hedged: bool, act: Callable[[], Coroutine[Any, Any, T]]) -> tuple[T, int]:
        """The result of one request to the shard, and how many second ones were sent (0 or 1).

        When the first takes longer than 95 of 100 requests of about this ``size`` do, a second is sent, as far as the
        budget goes; the first good answer counts, the other request is cancelled. Raises what the last of them raised.
        Cancelling cancels both.
        """
        async with self.slots:
            self.calls += 1
            self._budget.earn()
            loop = asyncio.get_running_loop()
            began = loop.time()
            latencies = self._latencies.setdefault(size.bit_length(), Latencies())
            if not hedged:
                result = await act()
                latencies.note(loop.time() - began)
                return result, 0
            usual_s = latencies.quantile()
            first = loop.create_task(act())
            running = {first}
            try:
                if usual_s is not None:
                    await asyncio.wait(running, timeout=max(LEAST_WAIT_S, usual_s))
                    if not first.done() and self._budget.spend():
                        self.hedges += 1
                        running.add(loop.create_task(act()))
                winner = await _first_good(running)
                latencies.note(loop.time() - began)
            finally:
                for task in running:
                    self._loose.drop(task)
        if len(running) == 2:
            self._telemetry.hedged(self._index, self._shard, winner is not first)
        return winner.result(), len(running) - 1

    def _become(self, breaker: Breaker) -> None:
        if breaker.state is not self._breaker.state:
            self._telemetry.breaker(self._index, self._shard, str(breaker.state))
        self._breaker = breaker


class Standings:
    """Of all shards."""

    def __init__(self, limits: SearchLimits, clock: Clock, telemetry: Telemetry) -> None:
        self._limits = limits
        self._clock = clock
        self._telemetry = telemetry
        self._known: dict[tuple[str, str], Standing] = {}
        self.loose = Loose()

    def of(self, index: str, shard: str) -> Standing:
        """What is known of a shard."""
        found = self._known.get((index, shard))
        if found is None:
            while len(self._known) >= MOST_SHARDS:
                del self._known[next(iter(self._known))]
            found = self._known[index, shard] = Standing((index, shard), self._limits, self._telemetry, self.loose)
        return found

    def states(self, index: str) -> dict[str, str]:
        """The state of each known shard's breaker."""
        return {shard: str(one.breaker.state) for (of, shard), one in sorted(self._known.items()) if of == index}

    def left_out(self, standing: Standing) -> str:
        """Why a shard is not asked now."""
        wait_s = max(0.0, standing.breaker.until - self._clock.monotonic())
        again = f"it is tried again in {wait_s:.1f} s" if wait_s else "it is being tried again"
        return f"left out, as it kept failing; {again}; the last failure: {standing.last_reason}"

    async def aclose(self) -> None:
        """Wait for what is still under way."""
        await self.loose.aclose()


async def _first_good(running: set[asyncio.Task[T]]) -> asyncio.Task[T]:
    """The first of these that ends well; when none does, one that failed."""
    waiting = set(running)
    while True:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if not waiting or (not task.cancelled() and task.exception() is None):
                return task


def _hear(task: asyncio.Task[Any]) -> None:
    """Whatever it raised is no news to anybody."""
    if not task.cancelled():
        task.exception()
