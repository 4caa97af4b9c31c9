"""Checks the routing now and then, heals what can be healed, and tells of the rest."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from tenantry.control.elected import Elected
from tenantry.control.regularly import Regularly
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

    Attributes:
        found: how many problems of a kind were told so far, mended or not.
    """

    def __init__(
        self, catalog: Catalog, verifier: RoutingVerifier, member: Member, clock: Clock, every_s: float
    ) -> None:
        self._catalog = catalog
        self._verifier = verifier
        self._elected = Elected(catalog, member, clock, LEASE)
        self.found: Counter[tuple[str, bool]] = Counter()
        self._before: set[tuple[str, str, str]] = set()
        self._rounds = Regularly(
            clock, every_s, self.check, lambda error: log.warning("the routing was not checked: %s", error)
        )

    def start(self) -> None:
        """Check from now on. Needs a running event loop; safe to call twice."""
        self._rounds.start()

    async def aclose(self) -> None:
        """Stop; safe to call twice."""
        await self._rounds.aclose()

    async def check(self) -> list[Problem]:
        """Check every index now; what was found."""
        whole = await self._elected.here()
        found: list[Problem] = []
        for index in await self._catalog.indexes.list():
            if whole:
                found += (await self._verifier.verify(index.name)).problems
            else:
                found += await self._verifier.verify_cache(index.name)
        self._tell(found)
        return found

    def _tell(self, found: Sequence[Problem]) -> None:
        now = {(problem.kind, problem.name, problem.shard) for problem in found}
        told = [each for each in found if each.healed or (each.kind, each.name, each.shard) in self._before]
        self._before = now
        self.found.update((each.kind, each.healed) for each in told)
        for problem in told[:MOST_TOLD]:
            state = "was mended" if problem.healed else "is wrong"
            log.warning("routing: %s %s %s %s", problem.kind, problem.name, state, problem.detail)
        if len(told) > MOST_TOLD:
            log.warning("routing: %d problems more; see `tenantry verify-routing`", len(told) - MOST_TOLD)
