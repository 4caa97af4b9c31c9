"""The standing of this process among those that serve the cluster: its leases, and whether they still hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from tenantry.errors import TenantryError
from tenantry.ports import Clock, LeaseCatalog

#: How the names of routers' leases begin.
ROUTERS = "router/"
#: Renewals within the length of a lease.
BEATS = 3


class Member:
    """Holds the lease ``router/OWNER``, under which cached routes may be used, and renews it with all other leases
    of this process (one catalog call).

    A lease is counted from before the renewal was sent, on this process's own clock that never goes back, so it ends
    here no later than any observer believes. Whoever lost it (was suspended, cut off) may have missed a barrier: what
    was under way must be done again, and cached routes are forgotten. Each such loss starts a new `term`.

    A process that has the cluster to itself (``sole``) needs no lease: nobody waits for it.

    Args:
        owner: unique to this process's life.
        lease_s: length of a lease, seconds.
        lapsed: called when a lease was lost, before the next one begins.
        joined: called when the process has become one that others wait for.
    """

    def __init__(
        self,
        leases: LeaseCatalog,
        clock: Clock,
        owner: str,
        lease_s: float,
        *,
        sole: bool,
        lapsed: Callable[[], None],
        joined: Callable[[], None] = lambda: None,
    ) -> None:
        self._leases = leases
        self._clock = clock
        self.owner = owner
        self.name = f"{ROUTERS}{owner}"
        self.lease_s = lease_s
        self.sole = sole
        self.term = 0
        self.joined = joined
        self._fences: dict[str, int] = {}
        self._claimed: dict[str, int] = {}
        self._lapsed = lapsed
        self._until = 0.0
        self._renewing = asyncio.Lock()
        self._beating: asyncio.Task[None] | None = None
        self._closed = False

    def holds(self) -> bool:
        """Whether the lease holds at this moment."""
        return self.sole or self._clock.monotonic() < self._until

    async def join(self) -> int:
        """Make sure that the lease holds; returns the term, to be compared when the work is done."""
        if not self.holds():
            await self.renew()
        return self.term

    def still(self, term: int) -> bool:
        """Rule R1: what was done in this term may be acknowledged only while this is true."""
        return self.term == term and self.holds()

    async def renew(self) -> None:
        """Renew all leases of this process; takes the router's anew when it was lost. Raises Unavailable."""
        if self.sole:
            return
        async with self._renewing:
            sent = self._clock.monotonic()
            self._claimed = {}
            held = await self._leases.beat(self.owner)
            if self.name not in held:
                self.term += 1
                self._until = 0.0
                self._lapsed()
                sent = self._clock.monotonic()
                lease = await self._leases.claim(self.name, self.owner, await self._leases.get(self.name))
                held[self.name] = lease.fence
            self._fences = held | self._claimed
            self._until = sent + self.lease_s
        if self._beating is None and not self._closed:
            self._beating = asyncio.create_task(self._beat())
            self.joined()

    def claimed(self, name: str, fence: int) -> None:
        """Another lease was claimed for this process; from the next beat on it is renewed with the others."""
        self._claimed[name] = self._fences[name] = fence

    def owns(self, name: str, fence: int) -> bool:
        """Whether this process still has that lease."""
        return self.sole or (self.holds() and self._fences.get(name) == fence)

    async def aclose(self) -> None:
        """Give the lease up, so that nobody waits for it. Safe to call twice."""
        self._closed = True
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
            self._beating = None
            self._until = 0.0
            with suppress(TenantryError):  # it will lapse
                await self._leases.release(self.name, self.owner)

    async def _beat(self) -> None:
        while True:
            await self._clock.sleep(self.lease_s / BEATS)
            with suppress(TenantryError):  # the lease runs out unless a later beat gets through
                await self.renew()
