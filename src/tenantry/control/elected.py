"""One of a fleet, by a lease: for work that nobody else need do at the same time."""

from __future__ import annotations

from tenantry.control.mover.watch import LeaseWatch
from tenantry.errors import Conflict
from tenantry.ports import Catalog, Clock
from tenantry.router.member import Member


class Elected:
    """Args: ``name`` of the lease. A process that has the cluster to itself is always the one."""

    def __init__(self, catalog: Catalog, member: Member, clock: Clock, name: str) -> None:
        self._catalog = catalog
        self._member = member
        self._name = name
        self._watch = LeaseWatch(clock)

    async def here(self) -> bool:
        """Whether this process holds the lease, or takes it since nobody does. Raises Unavailable."""
        if self._member.sole:
            return True
        await self._member.join()
        lease = await self._catalog.leases.get(self._name)
        if lease is not None and lease.owner not in (None, self._member.owner):
            # The first look starts the watch; an owner that is gone is found out at the next check.
            if self._watch.unchanged_s(lease) <= self._member.lease_s:
                return False
        elif lease is not None and lease.owner is not None and self._member.owns(self._name, lease.fence):
            return True
        try:
            mine = await self._catalog.leases.claim(self._name, self._member.owner, lease)
        except Conflict:
            return False  # somebody was quicker
        self._member.claimed(self._name, mine.fence)
        return True
