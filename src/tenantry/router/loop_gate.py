"""The way to a shard whose engine computes in this process, beside the requests themselves."""

from __future__ import annotations

import asyncio

from tenantry.ports import Clock
from tenantry.router.fair import Flow
from tenantry.router.gate import SPARE, Gate, GateOptions, Waiter

#: Turns of the event loop for which a line over its share lets others go first: in so many a request that has come
#: meanwhile finds its way from its socket to here.
TURNS = 2
#: Of the time, what lines over their share may fill together with the others.
FULL = 1 - 1 / SPARE
#: What the virtual queue holds at most, seconds: so long an idle shard keeps a line over its share waiting.
QUEUE_S = 0.1


class LoopGate(Gate):
    """A gate, for operations that may be done whole within one turn of the event loop, and use what requests use.

    Of such operations several places are of little use: those that are let in together are done one after the other
    before anybody else is even seen, whoever has come meanwhile, and however little of the shard they use. So lines
    within their share go at once, while there is a place, and before all others. One over its share always waits:

    - until `TURNS` turns of the loop after the last operation began, when those who have come are known; and each time
      one operation of all these lines is let in;
    - and, as one place in `SPARE` elsewhere, here that part of the time is kept free: until a virtual queue is empty,
      which gets all that the shard does and works it off at `FULL` of the shard's speed. The idea is that of
      S. Kunniyur and R. Srikant (Analysis and design of an Adaptive Virtual Queue, SIGCOMM 2001,
      https://doi.org/10.1145/964723.383069), without the adaptation. Near full load waiting times grow without bound,
      for all; this is what spares the others that.
    """

    __slots__ = ("_begins", "_done", "_looked", "_timer", "_turns")

    def __init__(self, name: str, options: GateOptions, clock: Clock) -> None:
        super().__init__(name, options, clock)
        self._turns = 0  # left; 0: nobody counts them
        self._looked = False  # they are over: lines over their share may be let in
        self._done = 0.0  # when the last operation was
        self._begins = 0.0  # when the virtual queue will be empty
        self._timer: asyncio.TimerHandle | None = None  # until then, if somebody waits for that alone

    def enter(self, tenant: str) -> bool:
        """Take a place if the tenant may have one, and has nobody waiting."""
        if not self._free or (self._queue and self._queue.waiting(tenant)) or self._over(tenant):
            return False
        self._take()
        return True

    def leave(self, tenant: str, weight: int, since: float) -> None:
        """Give back the place that a tenant has had since then, by the clock's `monotonic`."""
        now = self._clock.monotonic()
        begun = max(since, self._done)  # what two do at once counts once
        self._begins = min(max(self._begins, begun) + (now - begun) / FULL, now + QUEUE_S)
        self._done = now
        self._shares.use(tenant, weight, now - since, now)
        self._later()

    def _take(self) -> None:
        self._free -= 1
        self._looked = False
        if self._turns:
            self._turns = TURNS

    def _later(self) -> None:
        self._free += 1
        if self._queue:
            self._grant()
            self._queued()

    def _queued(self) -> None:
        if self._queue and self._free > self._spare and not self._turns and self._timer is None:
            self._turns = TURNS
            self._soon(self._turn)

    def _turn(self) -> None:
        self._turns -= 1
        if self._turns:
            self._soon(self._turn)
            return
        self._looked = True
        self._grant()
        self._queued()

    def _next(self) -> tuple[Flow[Waiter], Waiter] | None:
        found = self._queue.pop(self._over)
        if found is not None or not self._looked or self._free <= self._spare:
            return found
        left = self._begins - self._clock.monotonic()
        if left <= 0:
            return self._queue.pop()
        if self._queue and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(left, self._emptied)
        return None

    def _emptied(self) -> None:
        self._timer = None
        self._queued()
