"""Routes that the processes of a fleet keep for each other: which of them may be used here, and keeping them.

A route from there is as good as one that this process read from the catalog itself at the entry's moment and has kept
since. So it may be used when that moment is later than the last change of a route in the tenant's bucket, as the
catalog told it after this process had its lease (barriers that did not wait for it are all before that), and when its
epoch is not below one that was heard of since. What barriers have passed since is known to `Inflight`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from tenantry.errors import TenantryError, Unavailable
from tenantry.model.events import RouteChanged
from tenantry.model.topology import Dated, DatedRoute, Route, TenantState, bucket_of
from tenantry.ports import Clock, SharedRoutes, TenantCatalog
from tenantry.router.inflight import Inflight
from tenantry.router.member import Member

log = logging.getLogger(__name__)

#: After trouble nobody is asked for so long, seconds.
AWAY_S = 2.0
#: Epochs that were heard of; past that what the catalog says of changes is asked for anew.
MOST_HEARD = 100_000
#: Entries that wait to be written; past that the oldest are let go.
MOST_WAITING = 10_000

Key = tuple[str, str]


class Shared:
    """Without a store it does nothing.

    Attributes:
        store: where they are kept.
    """

    def __init__(
        self, store: SharedRoutes | None, tenants: TenantCatalog, member: Member, inflight: Inflight, clock: Clock
    ) -> None:
        self.store = store
        self._tenants = tenants
        self._member = member
        self._inflight = inflight
        self._clock = clock
        self._changes: Mapping[int, int] | None = None
        self._asked = (-1, -1)
        self._heard: dict[Key, int] = {}
        self._waiting: dict[Key, DatedRoute | None] = {}
        self._writing: asyncio.Task[None] | None = None
        self._away_until = -1e18
        self._is_away = False

    async def find(self, index: str, tenant: str) -> Route | None:
        """The usable route of an active tenant, if there is one; under a lease that holds. Never raises."""
        if self.store is None or self._clock.monotonic() < self._away_until:
            return None
        try:
            entry, changes = await self._look(self.store, index, tenant)
            if changes is not self._changes:  # events may have been missed meanwhile, as when a feed begins
                entry, changes = await self._look(self.store, index, tenant)
        except TenantryError as error:
            self._trouble(error)
            return None
        self._back()
        if entry is None or changes is None or changes is not self._changes:
            return None
        if entry.moment <= changes.get(bucket_of(index, tenant), 0) or entry.route.state is not TenantState.ACTIVE:
            return None
        return None if entry.route.epoch < self._heard.get((index, tenant), 0) else entry.route

    async def _look(
        self, store: SharedRoutes, index: str, tenant: str
    ) -> tuple[DatedRoute | None, Mapping[int, int] | None]:
        """The entry, and the changes that it must show."""
        asked = (self._member.term, self._inflight.forgotten)
        if self._changes is None or asked != self._asked:
            self._changes = await self._tenants.changes()
            self._asked = asked
        changes = self._changes
        return (None if changes is None else await store.get(index, tenant)), changes

    def keep(self, dated: Dated) -> None:
        """Write a route that was read from the catalog, soon."""
        if dated.moment is not None and dated.tenant.state is TenantState.ACTIVE:
            key = (dated.tenant.index, dated.tenant.name)
            self._write(key, DatedRoute(dated.moment, dated.tenant.route))

    def changed(self, told: RouteChanged, *, here: bool) -> None:
        """A route has changed, here or elsewhere; who changed it removes the entry."""
        key = (told.index, told.tenant)
        self._heard[key] = max(told.epoch, self._heard.pop(key, 0))
        if len(self._heard) > MOST_HEARD:
            del self._heard[next(iter(self._heard))]
            self._changes = None
        if here:
            self._write(key, None)

    def missed(self) -> None:
        """Changes may not have been heard of."""
        self._changes = None

    async def aclose(self) -> None:
        """Stop; what waits is not written. Safe to call twice."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        store, self.store = self.store, None
        if store is not None:
            await store.aclose()

    def _write(self, key: Key, entry: DatedRoute | None) -> None:
        if self.store is None:
            return
        self._waiting.pop(key, None)
        self._waiting[key] = entry
        if len(self._waiting) > MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all())

    async def _write_all(self) -> None:
        while self._waiting and self.store is not None:
            key = next(iter(self._waiting))
            entry = self._waiting.pop(key)
            if self._clock.monotonic() < self._away_until:
                continue
            try:
                if entry is None:
                    await self.store.drop(key[0], [key[1]])
                else:
                    await self.store.put(*key, entry)
            except Unavailable as error:
                self._trouble(error)

    def _trouble(self, error: TenantryError) -> None:
        if not self._is_away:
            log.warning("routes are read from the catalog meanwhile: %s", error)
        self._is_away = True
        self._away_until = self._clock.monotonic() + AWAY_S

    def _back(self) -> None:
        if self._is_away:
            log.warning("routes are shared again")
        self._is_away = False
