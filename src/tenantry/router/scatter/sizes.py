"""How many vectors tenants hold, as of a while ago: what an inexact search counts on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tenantry.errors import TenantryError
from tenantry.ports import Clock
from tenantry.router.router import Router
from tenantry.router.scatter.places import Placed

#: Tenants whose sizes are kept; past that the oldest go.
MOST_KEPT = 200_000
#: Backends are asked for so many sizes at once.
ABREAST = 16


class Sizes:
    """Measured when they are wanted and older than ``keep_s`` seconds."""

    def __init__(self, router: Router, clock: Clock, keep_s: float) -> None:
        self._router = router
        self._clock = clock
        self._keep_s = keep_s
        self._known: dict[tuple[str, str], tuple[float, int]] = {}

    def known(self, index: str, tenant: str) -> int | None:
        """The last measured size, whatever its age."""
        found = self._known.get((index, tenant))
        return None if found is None else found[1]

    async def measure(self, index: str, placed: Sequence[Placed]) -> bool:
        """Have the sizes of these. False when some cannot be had: then nothing can be said about chances."""
        now = self._clock.monotonic()
        old = iter([one for one in placed if self._known.get((index, one.tenant), (-1e18, 0))[0] < now - self._keep_s])
        complete = True

        async def worker() -> None:
            nonlocal complete
            for one in old:
                try:
                    backend = await self._router.pool.backend(index, one.route.place.shard)
                    stats = await backend.stats(one.route.place.namespace)
                except TenantryError:
                    complete = False
                    continue
                self._known.pop((index, one.tenant), None)
                self._known[index, one.tenant] = (now, stats.vectors)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(ABREAST, len(placed))):
                group.create_task(worker())
        while len(self._known) > MOST_KEPT:
            del self._known[next(iter(self._known))]
        return complete
