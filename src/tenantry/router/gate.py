"""The way to one shard: so many operations at once; who must wait waits in a fair queue, and not too long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from tenantry.errors import RateLimited, Unavailable
from tenantry.ports import Clock
from tenantry.router.fair import FairQueue, Flow
from tenantry.router.shares import Shares

#: A line that was empty within so many times the target is a burst, and may be longer for a while.
BURST = 10
#: One place in so many, but at least one, is kept free from lines that use more than their share.
SPARE = 8


class GateOptions(msgspec.Struct, frozen=True):
    """How a shard is shared.

    Attributes:
        width: operations of this process on the shard at once; 0: any number, and nobody waits.
        target_s: how long a tenant's operations may wait when its queue does not get shorter.
        per_tenant, per_shard: operations that wait at most.
    """

    width: int = 0
    target_s: float = 0.1
    per_tenant: int = 128
    per_shard: int = 1_024


class Gate:
    """One shard's. While fewer than ``width`` operations are in hand nobody waits, but for the last places (below).

    When there are more, each tenant waits in a line of its own, and lines take turns (`tenantry.router.fair`): one that
    sends too much waits for itself. What waits too long is turned away, the tenant's own line alone: as CoDel does
    (K. Nichols and V. Jacobson, RFC 8289), not by the length of the queue but by how long one waits in it; in the form
    for servers of B. Maurer (Fail at Scale, ACM Queue 13, 2015, https://doi.org/10.1145/2838344.2839461): a line that
    was empty within the last ``BURST * target_s`` may let its operations wait that long; one that was not lets them
    wait for ``target_s``. So a burst is served, and an overload is answered early with 429 or 503.

    What runs is not interrupted, so turns alone do not spare one that comes seldom the wait until a place is free. So
    some places (one in `SPARE`) are not given to a line that has used more than its share of late
    (`tenantry.router.shares`), while others used the shard too. Alone, a line is never over its share, and has all. The
    price: beside others, one that asks for more than its share gets less of what they leave free.

    A place is given on in the next turn of the event loop: those who have come in this one are looked at together.

    Args:
        name: of the shard, for messages.
    """

    __slots__ = ("_clock", "_free", "_loop", "_options", "_queue", "_shares", "_spare", "name")

    def __init__(self, name: str, options: GateOptions, clock: Clock) -> None:
        self.name = name
        self._options = options
        self._clock = clock
        self._free = options.width
        self._spare = max(1, options.width // SPARE) if options.width > 1 else 0
        self._shares = Shares()
        self._queue: FairQueue[Waiter] = FairQueue()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def waiting(self) -> int:
        """Operations that wait."""
        return len(self._queue)

    def enter(self, tenant: str) -> bool:
        """Take a place if the tenant may have one, and nobody waits for it."""
        if not self._free:
            return False
        if self._free <= self._spare:  # all who wait use more than their share
            if self._over(tenant):
                return False
        elif self._queue:
            return False
        self._take()
        return True

    def _over(self, tenant: str) -> bool:
        return self._shares.over(tenant, self._clock.monotonic())

    async def wait(self, tenant: str, weight: int, cost: int, *, patient: bool = False) -> None:
        """Take a place in one's turn. Raises RateLimited or Unavailable when this takes too long, unless one is
        ``patient``, or when too many wait; when cancelled, no place is taken."""
        if self.enter(tenant):
            return
        if self._queue.waiting(tenant) >= self._options.per_tenant:
            raise self._away(tenant, f"{self._options.per_tenant} operations wait")
        if len(self._queue) >= self._options.per_shard:
            raise Unavailable(f"shard {self.name!r} is busy: {self._options.per_shard} operations wait; try again")
        waiter = Waiter(asyncio.get_running_loop().create_future(), self._clock.monotonic(), patient)
        self._queue.push(tenant, weight, cost, waiter, waiter.since)
        self._queued()
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter.turn.done() and not waiter.turn.cancelled() and waiter.turn.exception() is None:
                self._later()  # the place came just before the cancellation
            raise

    def leave(self, tenant: str, weight: int, since: float) -> None:
        """Give back the place that a tenant has had since then, by the clock's `monotonic`."""
        now = self._clock.monotonic()
        self._shares.use(tenant, weight, now - since, now)
        self._later()

    def _take(self) -> None:
        self._free -= 1

    def _queued(self) -> None:
        """Somebody waits, who is let in when a place is given back."""

    def _later(self) -> None:
        self._soon(self._give)

    def _soon(self, act: Callable[[], None]) -> None:
        if self._loop is None or self._loop.is_closed():
            self._loop = asyncio.get_running_loop()
        self._loop.call_soon(act)

    def _give(self) -> None:
        self._free += 1
        self._grant()

    def _grant(self) -> None:
        while self._free and (found := self._next()) is not None:
            flow, waiter = found
            if waiter.turn.done():
                continue  # gave up
            if self._waited_too_long(flow, waiter):
                waited_ms = (self._clock.monotonic() - waiter.since) * 1_000
                waiter.turn.set_exception(self._away(flow.key, f"the next one waited {waited_ms:.0f} ms"))
                continue
            self._take()
            waiter.turn.set_result(None)

    def _next(self) -> tuple[Flow[Waiter], Waiter] | None:
        return self._queue.pop(self._over if self._free <= self._spare else None)

    def _waited_too_long(self, flow: Flow[Waiter], waiter: Waiter) -> bool:
        if waiter.patient:
            return False
        now, target_s = self._clock.monotonic(), self._options.target_s
        burst = now - flow.since <= BURST * target_s
        return now - waiter.since > (BURST * target_s if burst else target_s)

    def _away(self, tenant: str, why: str) -> Unavailable:
        if self._queue.flows > 1:
            return RateLimited(
                f"tenant {tenant!r} asks for more than its share of shard {self.name!r}: {why}; try again"
            )
        return Unavailable(f"shard {self.name!r} is busy: {why}; try again")


class Waiter:
    """One that waits: its ``turn`` is done when it has a place, or fails when it is turned away; ``since`` when."""

    __slots__ = ("patient", "since", "turn")

    def __init__(self, turn: asyncio.Future[None], since: float, patient: bool) -> None:
        self.turn = turn
        self.since = since
        self.patient = patient
