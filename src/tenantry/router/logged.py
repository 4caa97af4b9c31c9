"""Writes of a tenant on the move: into its log first, acknowledged when the log is applied."""

from __future__ import annotations

import asyncio

from tenantry.errors import Conflict, Refused, Unavailable
from tenantry.model.changes import Change, Nothing, Resolved
from tenantry.model.topology import Mode, Route
from tenantry.ports import Catalog, Clock
from tenantry.router.news import MOST_WAITING, News

#: How often a writer looks at the catalog when another process applies the log, seconds; then ever less often.
LOOK_S = 0.01
LOOK_MOST_S = 0.1
#: The same when this process applies it and says so by itself.
LOOK_ATTENDED_S = 1.0


class LoggedWriter:
    """Rule of the log: the catalog refuses an append under an old epoch, so no lease is needed to acknowledge."""

    def __init__(self, catalog: Catalog, news: News, clock: Clock) -> None:
        self._catalog = catalog
        self._news = news
        self._clock = clock

    async def write(self, index: str, tenant: str, route: Route, change: Change) -> Resolved | None:
        """Append and wait until it is applied; returns what it came to, None when the route has changed and is to be
        looked up again (nothing was written then).

        Cancelling leaves the entry in the log: the write will take effect.

        Raises:
            Refused: the tenant is suspended or being deleted; or the backend refused the change.
            Unavailable: too many writers wait already.
        """
        key = (index, tenant)
        if route.mode is Mode.FENCED:
            await self._unfenced(key)
            return None
        if self._news.waiting(key) >= MOST_WAITING:
            raise Unavailable(f"{MOST_WAITING} writes of tenant {tenant!r} wait for its move already; try again")
        try:
            seq = await self._catalog.log.append(index, tenant, route.epoch, change)
        except Conflict:
            return None
        self._news.appended(key, seq, change)
        outcome = await self._applied(key, seq, change)
        if isinstance(outcome, Nothing) and outcome.reason:
            raise Refused(outcome.reason)
        return outcome

    async def _applied(self, key: tuple[str, str], seq: int, change: Change) -> Resolved:
        pause = LOOK_S
        while True:
            if self._news.attended(key):
                applied = self._news.wait(key, seq)
                done, _ = await asyncio.wait([applied], timeout=LOOK_ATTENDED_S)
                if done and not applied.cancelled():
                    known = applied.result()
                    if known is None and isinstance(change, Resolved):
                        return change
                    return known if known is not None else await self._outcome(key, seq)
            else:
                await self._news.applied_elsewhere(key, pause)
                pause = min(2 * pause, LOOK_MOST_S)
            found = await self._look(key, seq)
            if found is not None:
                return found

    async def _look(self, key: tuple[str, str], seq: int) -> Resolved | None:
        """As `_applied`, from the catalog: None while the entry is not applied."""
        index, tenant = key
        moves = await self._catalog.moves.list(index, open_only=True, tenant=tenant, limit=1)
        if moves and moves[0].acknowledged() < seq:
            return None
        if not moves:
            await self._catalog.tenants.get(index, tenant)  # deleted under us: NotFound
        return await self._outcome(key, seq)

    async def _outcome(self, key: tuple[str, str], seq: int) -> Resolved:
        entries = await self._catalog.log.read(*key, seq - 1, 1)
        if entries and entries[0].seq == seq and isinstance(entries[0].change, Resolved):
            return entries[0].change
        return Nothing()  # trimmed since: it has had its turn

    async def _unfenced(self, key: tuple[str, str]) -> None:
        """Wait until the route is likely to have changed; the caller looks."""
        changed = self._news.route_change(key)
        self._news.unattended()
        try:
            async with asyncio.timeout(LOOK_ATTENDED_S if self._news.attended(key) else LOOK_S):
                await changed.wait()
        except TimeoutError:
            return
