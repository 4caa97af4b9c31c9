"""Carries migrations out: one process of a fleet by a lease, whichever; another goes on where it ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

import msgspec

from tenantry.control.elected import Elected
from tenantry.control.measure.readings import Readings
from tenantry.control.migrate.carrier import Carrier
from tenantry.control.mover.context import Context
from tenantry.control.service import MoveService
from tenantry.errors import Conflict, Locked, TenantryError, Unavailable
from tenantry.model.migration import Item, ItemState, Migration, State

log = logging.getLogger(__name__)

LEASE = "migrations"
#: Open migrations that are carried on at once; there is one for each index at most.
MOST_OPEN = 100
#: Lost races of a command before it gives up.
TRIES = 16
#: Pauses between looks: while something moves, and while everything waits, seconds.
BUSY_S, WAIT_S = 0.2, 2.0

Change = Callable[[Migration, list[Item]], tuple[Migration, Iterable[Item]]]


class MigrationService:
    """One for each process. It looks while there is an open migration; commands wake it.

    Args:
        readings: gives what was counted of an index of late.
        exclusive: takes what only one process may use; raises Locked. Called before a migration is carried on.
    """

    def __init__(
        self,
        context: Context,
        service: MoveService,
        readings: Callable[[str], Awaitable[Readings]],
        exclusive: Callable[[], None],
    ) -> None:
        self._context = context
        self._exclusive = exclusive
        self._carrier = Carrier(context, service, readings)
        self._elected = Elected(context.catalog, context.member, context.clock, LEASE)
        self._known: dict[str, tuple[int, dict[str, Item]]] = {}
        self._woken = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._closed = False

    async def change(self, id: str, how: Change) -> Migration:
        """Change a migration, whoever else changes it at the time. Changing nothing is harmless.

        Args:
            how: the migration and its tenants as they are, to what they should be and those that changed; may raise.

        Raises:
            NotFound: there is none. Unavailable: it lost too many races.
        """
        catalog = self._context.catalog.migrations
        for _ in range(TRIES):
            now = await catalog.get(id)
            changed, items = how(now, await catalog.items(id))
            if changed == now:
                return now
            changed = msgspec.structs.replace(changed, revision=now.revision + 1)
            try:
                await catalog.save(changed, list(items))
            except Conflict:
                continue
            self.wake()
            return changed
        raise Unavailable(f"migration {id} is changed all the time; try again")

    def wake(self) -> None:
        """Look now, and from time to time while there is an open migration. Needs a running event loop."""
        if self._closed:
            return
        self._woken.set()
        if self._loop is None or self._loop.done():
            self._loop = asyncio.create_task(self._run())

    async def aclose(self) -> None:
        """Stop; moves that have begun go on by themselves. Safe to call twice."""
        self._closed = True
        if self._loop is None:
            return
        self._loop.cancel()
        await asyncio.gather(self._loop, return_exceptions=True)
        self._loop = None
        with suppress(TenantryError):  # it will lapse
            await self._context.catalog.leases.release(LEASE, self._context.member.owner)

    async def _run(self) -> None:
        """Until nothing is open; in a fleet, where others may begin one, until closed."""
        while True:
            self._woken.clear()
            pause_s: float | None = WAIT_S
            try:
                pause_s = await self._round()
            except Locked:
                return  # another process serves this folder, and its migrations
            except TenantryError as error:
                log.warning("migrations were not carried on: %s", error)
            if pause_s is None:
                if self._context.member.sole and not self._woken.is_set():
                    return
                pause_s = WAIT_S
            try:
                async with asyncio.timeout(pause_s):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def _round(self) -> float | None:
        """Look once. How long until the next look, seconds; None: nothing is open."""
        found = await self._context.catalog.migrations.list(open_only=True, limit=MOST_OPEN)
        if not found:
            self._known.clear()
            return None
        self._exclusive()
        if not await self._elected.here():
            self._known.clear()
            return WAIT_S
        pauses = [await self._carry(one) for one in found]
        return min(pauses)

    async def _carry(self, migration: Migration) -> float:
        catalog = self._context.catalog.migrations
        known = self._known.get(migration.id)
        if known is None or known[0] != migration.revision:
            known = migration.revision, {each.tenant: each for each in await catalog.items(migration.id)}
        items = known[1]
        self._known[migration.id] = known
        after, changed = await self._carrier.step(migration, items)
        if after == migration and not changed:
            return BUSY_S if _busy(migration, items) else WAIT_S
        after = msgspec.structs.replace(after, revision=migration.revision + 1)
        try:
            await catalog.save(after, changed)
        except Conflict:  # a command was quicker, or another owner: look again
            del self._known[migration.id]
            return 0.0
        items.update((each.tenant, each) for each in changed)
        self._known[migration.id] = after.revision, items
        if after.state is not migration.state:
            log.warning("migration %s of index %r is %s%s", after.id, after.index, after.state, _reason(after))
        return BUSY_S if msgspec.structs.replace(after, revision=migration.revision) == migration else 0.0


def _busy(migration: Migration, items: dict[str, Item]) -> bool:
    """Whether something may change soon."""
    if any(each.state in (ItemState.MOVING, ItemState.RETURNING) for each in items.values()):
        return True
    wave = migration.current()
    begun = wave is not None and wave.began_at is not None and wave.moved_at is None
    return migration.state is State.ROLLING_BACK or (migration.state is State.RUNNING and begun)


def _reason(migration: Migration) -> str:
    return f": {migration.reason}" if migration.reason else ""
