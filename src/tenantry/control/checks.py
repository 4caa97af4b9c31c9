"""Checks the routing now and then, heals what can be healed, and tells of the rest."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from tenantry.control.mover.watch import LeaseWatch
from tenantry.errors import Conflict, TenantryError
from tenantry.ports import Catalog, Clock
from tenantry.router.member import Member
from tenantry.router.problems import Problem
from tenantry.router.verify import RoutingVerifier

log = logging.getLogger(__name__)

LEASE = "routing-check"
#: Problems of one check that are told one by one.
MOST_TOLD = 20


class RoutingChecks:
    """Of a process that serves. Each compares its own cache with the catalog; one of a fleet, which holds the lease
    `LEASE`, also looks at shards, at shared routes, and at tenants that a crash left half made.

    What cannot be healed is told when it was found twice in a row: a tenant may come or go during a check.

    Args:
        every_s: pause between checks, seconds; 0: none.
    """

    def __init__(
        self, catalog: Catalog, verifier: RoutingVerifier, member: Member, clock: Clock, every_s: float
    ) -> None:
        self._catalog = catalog
        self._verifier = verifier
        self._member = member
        self._clock = clock
        self._every_s = every_s
        self._watch = LeaseWatch(clock)
        self._before: set[tuple[str, str, str]] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Check from now on. Needs a running event loop; safe to call twice."""
        if self._task is None and self._every_s > 0:
            self._task = asyncio.create_task(self._run())

    async def aclose(self) -> None:
        """Stop; safe to call twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(self._every_s)
            try:
                await self.check()
            except TenantryError as error:
                log.warning("the routing was not checked: %s", error)

    async def check(self) -> list[Problem]:
        """Check every index now; what was found."""
        whole = await self._elected()
        found: list[Problem] = []
        for index in await self._catalog.indexes.list():
            if whole:
                found += (await self._verifier.verify(index.name)).problems
            else:
                found += await self._verifier.verify_cache(index.name)
        self._tell(found)
        return found

    async def _elected(self) -> bool:
        """Whether this process holds the lease, or takes it since nobody does."""
        if self._member.sole:
            return True
        await self._member.join()
        lease = await self._catalog.leases.get(LEASE)
        if lease is not None and lease.owner not in (None, self._member.owner):
            # The first look starts the watch; an owner that is gone is found out at the next check.
            if self._watch.unchanged_s(lease) <= self._member.lease_s:
                return False
        elif lease is not None and lease.owner is not None and self._member.owns(LEASE, lease.fence):
            return True
        try:
            mine = await self._catalog.leases.claim(LEASE, self._member.owner, lease)
        except Conflict:
            return False  # somebody was quicker
        self._member.claimed(LEASE, mine.fence)
        return True

    def _tell(self, found: Sequence[Problem]) -> None:
        now = {(problem.kind, problem.name, problem.shard) for problem in found}
        told = [each for each in found if each.healed or (each.kind, each.name, each.shard) in self._before]
        self._before = now
        for problem in told[:MOST_TOLD]:
            state = "was mended" if problem.healed else "is wrong"
            log.warning("routing: %s %s %s %s", problem.kind, problem.name, state, problem.detail)
        if len(told) > MOST_TOLD:
            log.warning("routing: %d problems more; see `tenantry verify-routing`", len(told) - MOST_TOLD)
