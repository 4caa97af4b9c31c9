"""Shared routes in memory, as unreliable as they may be: for tests and simulations."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence

from tenantry.model.topology import DatedRoute
from tenantry.ports import Damaged


class MemorySharedRoutes:
    """Implements `SharedRoutes`. Remembers every entry there ever was.

    Args:
        old_share: part of the reads that give back an entry that was replaced or removed.
        chance: of which.
    """

    def __init__(self, old_share: float = 0.0, chance: random.Random | None = None) -> None:
        self._old_share = old_share
        self._chance = chance or random.Random(0)  # noqa: S311  reproducible by design
        self._entries: dict[tuple[str, str], DatedRoute] = {}
        self._ever: dict[tuple[str, str], list[DatedRoute]] = {}

    async def get(self, index: str, tenant: str) -> DatedRoute | None:
        """The entry, or an old one."""
        key = (index, tenant)
        if key in self._ever and self._chance.random() < self._old_share:
            return self._chance.choice(self._ever[key])
        return self._entries.get(key)

    async def put(self, index: str, tenant: str, entry: DatedRoute) -> None:
        """Unless one of a higher moment is there."""
        key = (index, tenant)
        old = self._entries.get(key)
        if old is None or old.moment <= entry.moment:
            self._entries[key] = entry
            self._ever.setdefault(key, []).append(entry)

    async def drop(self, index: str, tenants: Sequence[str]) -> None:
        """From what a read should give."""
        for tenant in tenants:
            self._entries.pop((index, tenant), None)

    async def check(self, index: str, tenants: Sequence[str]) -> list[DatedRoute | Damaged | None]:
        """Nothing is damaged here."""
        return [self._entries.get((index, tenant)) for tenant in tenants]

    async def tenants(self, index: str) -> AsyncIterator[list[str]]:
        """All at once."""
        yield [tenant for of, tenant in self._entries if of == index]

    async def aclose(self) -> None:
        """Nothing to close."""
