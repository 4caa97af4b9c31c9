"""Carries what each process counted to the others, through the catalog."""

from __future__ import annotations

import logging
from contextlib import suppress

from tenantry.control.measure.readings import Readings, Slice, decode_slice, encode_slice, merged
from tenantry.control.measure.window import SLICES, Measured
from tenantry.control.mover.watch import LeaseWatch
from tenantry.control.regularly import Regularly
from tenantry.errors import TenantryError
from tenantry.ports import Catalog, Clock
from tenantry.router.member import Member

log = logging.getLogger(__name__)

#: Times that a slice is put into the catalog while it goes on.
PUTS = 4
LEAST_PAUSE_S = 1.0
ROUTERS = "router/"


class Sharing:
    """A process that serves puts its slices into the catalog, the one that goes on several times; whoever asks merges
    those of all processes that hold their lease. So no clock is compared with another, and what a process counted goes
    with it: it drops its slices when it ends, and those of one that was killed are dropped by whoever sees its lease
    lapse. A process that has the cluster to itself keeps everything to itself.

    What others counted is late by a quarter of a slice.
    """

    def __init__(self, measured: Measured, catalog: Catalog, member: Member, clock: Clock, window_s: float) -> None:
        self._measured = measured
        self._catalog = catalog
        self._member = member
        self._rounds = Regularly(
            clock,
            max(LEAST_PAUSE_S, window_s / SLICES / PUTS),
            self._round,
            lambda error: log.warning("measurements were not shared: %s", error),
        )
        self._watch = LeaseWatch(clock)
        self._others: dict[str, dict[int, Slice]] = {}
        self._put_through = -1

    def start(self) -> None:
        """Put slices from now on. Needs a running event loop; safe to call twice."""
        if not self._member.sole:
            self._rounds.start()

    async def aclose(self) -> None:
        """Stop, and drop what was put; safe to call twice."""
        if await self._rounds.aclose():
            with suppress(TenantryError):  # others drop it when the lease has lapsed
                await self._catalog.measures.forget(self._member.owner)

    def readings(self, index: str, *, with_tenants: bool = True) -> Readings:
        """An index as all processes saw it, as of the last look at the others."""
        processes = [self._measured.slices(), *(others.values() for others in self._others.values())]
        return merged(index, processes, with_tenants=with_tenants)

    async def fresh(self, index: str) -> Readings:
        """As `readings`, after a look at the others. Raises Unavailable."""
        await self.refresh()
        return self.readings(index)

    async def refresh(self) -> None:
        """Look at what the others have put. Raises Unavailable."""
        if self._member.sole:
            return
        alive = set()
        for lease in await self._catalog.leases.list(ROUTERS):
            owner = lease.name.removeprefix(ROUTERS)
            if self._watch.unchanged_s(lease) <= self._member.lease_s:
                alive.add(owner)
        final = {owner: max(known) - 1 for owner, known in self._others.items() if known}
        final[self._member.owner] = 2**62  # one's own are at hand
        for owner, bodies in (await self._catalog.measures.read(final)).items():
            if owner not in alive:
                await self._catalog.measures.forget(owner)
                continue
            known = self._others.setdefault(owner, {})
            for number, body in bodies.items():
                read = decode_slice(body)
                if read is not None:
                    known[number] = read
        for owner in [owner for owner in self._others if owner not in alive]:
            del self._others[owner]
        for owner, known in self._others.items():
            newest = max(known, default=0)
            self._others[owner] = {number: one for number, one in known.items() if number >= newest - SLICES}

    async def put(self) -> None:
        """Put what has changed since the last time. Raises Unavailable."""
        slices = self._measured.slices()
        changed = {one.number: encode_slice(one) for one in slices if one.number > self._put_through}
        await self._catalog.measures.put(self._member.owner, changed, slices[0].number)
        self._put_through = slices[-1].number - 1

    async def _round(self) -> None:
        await self._member.join()
        await self.put()
        await self.refresh()
