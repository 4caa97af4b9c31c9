"""Roll-ups while a cluster is open: tells what this process writes, and copies where no other process does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import msgspec

from tenantry.control.mover.context import Context
from tenantry.control.mover.watch import LeaseWatch
from tenantry.control.rollup.copier import Copier
from tenantry.control.rollup.target import Target
from tenantry.errors import Conflict, Locked, TenantryError, Unavailable
from tenantry.model.leases import Lease
from tenantry.model.rollup import BARRIER, Look, Rollup, RollupState
from tenantry.router.member import ROUTERS
from tenantry.router.rollup import Freshness
from tenantry.router.router import Router

#: How often this process tells what it has written, and looks at rounds, seconds.
TICK_S = 0.25
#: How often it says how far behind a roll-up is, seconds.
TELL_S = 1.0
#: Pause after a try to copy that failed, seconds.
RETRY_S = 1.0
#: In a folder of one process: how long closing it may take to copy what is left, seconds.
CLOSING_S = 5.0


class Progress(msgspec.Struct):
    """What this process did for the roll-ups of an index. Attributes: ``copied``, ``removed``: records."""

    copied: int = 0
    removed: int = 0


class RollupService:
    """One task tells what is written here and acknowledges new roll-ups; one task for each roll-up whose lease this
    process holds copies.

    The lease ``rollup/INDEX`` is taken over when its owner has let it lapse and the longest call to a backend has
    passed since, so that no write of the last owner comes after those of the new one.
    """

    def __init__(self, context: Context, router: Router, freshness: Freshness, exclusive: Callable[[], None]) -> None:
        self._told: dict[str, Progress] = {}
        self._told_at = -TELL_S
        self._context = context
        self._router = router
        self._feed = router.feed
        self._freshness = freshness
        self._exclusive = exclusive
        self._watch = LeaseWatch(context.clock)
        self._gone: dict[str, float] = {}
        self._acknowledged: dict[str, int] = {}
        self._copying: dict[str, asyncio.Task[None]] = {}
        self._targets: dict[str, Target] = {}
        self.progress: dict[str, Progress] = {}
        self._fences: dict[str, int] = {}
        self._loop: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._closed = False

    def wake(self) -> None:
        """Look at the catalog now, and from time to time from now on. Needs a running event loop."""
        if self._closed:
            return
        self._woken.set()
        if self._loop is None or self._loop.done():
            self._loop = asyncio.create_task(self._run())

    def target(self, rollup: Rollup) -> Target:
        """Both sides of a roll-up, for reading."""
        return Target(self._context, self._router, rollup, lambda: None)

    async def dropped(self, rollup: Rollup) -> None:
        """Drop the namespace of a roll-up that has ended. Raises Unavailable."""
        await _ended([task] if (task := self._copying.pop(rollup.index, None)) is not None else [])
        await self.target(rollup).drop()

    async def aclose(self) -> None:
        """Tell what was written, and stop; alone in a folder, copy what is left if that is soon done. Safe to call
        twice."""
        self._closed = True
        loop, self._loop = self._loop, None
        await _ended([loop] if loop is not None else [])
        with suppress(TenantryError, TimeoutError):
            async with asyncio.timeout(CLOSING_S):
                await self._feed.note(closing=True)
                if self._context.member.sole and self._feed.rollups:
                    await self._finish()
        await _ended(list(self._copying.values()))
        self._copying.clear()
        for index, fence in self._fences.items():
            target = self._targets.get(index)
            if fence and (target is None or not target.strays):
                with suppress(TenantryError):  # it will lapse
                    await self._context.catalog.leases.release(f"rollup/{index}", self._context.member.owner)
        self._fences.clear()

    # ------------------------------------------------------------------------------------------- loop

    async def _run(self) -> None:
        """Until there are no roll-ups and this process is alone, or the cluster is closed."""
        member = self._context.member
        while True:
            self._woken.clear()
            wait_s = TICK_S
            try:
                if not await self._once():
                    if member.sole and not self._woken.is_set():
                        return
                    wait_s = member.lease_s / 4
            except Locked:
                return  # another process serves this folder, and its roll-ups
            except TenantryError:
                wait_s = RETRY_S  # the catalog is away: what is not told is kept
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()

    async def _once(self) -> bool:
        """Whether there are any."""
        asked = self._context.clock.monotonic()
        found = await self._feed.learn()
        for rollup in found.values():
            self._freshness.heard(rollup, asked)
        await self._acknowledge(found)
        if found:
            await self._feed.note()
        await self._measure(found)
        for index, rollup in found.items():
            task = self._copying.get(index)
            if (task is None or task.done()) and await self._claimed(rollup):
                self._copying[index] = asyncio.create_task(self._carry(rollup))
        return bool(found)

    async def _measure(self, found: dict[str, Rollup]) -> None:
        """Say how far behind each is, and what was done for it."""
        telemetry, now = self._router.telemetry, self._context.clock.monotonic()
        for index in self._told.keys() - found.keys():
            del self._told[index]
            telemetry.rollup(index, None, 0, 0)
        if now - self._told_at < TELL_S:
            return
        self._told_at = now
        for index in found:
            done, told = self.progress.setdefault(index, Progress()), self._told.get(index, Progress())
            fresh = await self._freshness.of(index)
            self._told[index] = Progress(done.copied, done.removed)
            telemetry.rollup(index, fresh.lag_s, done.copied - told.copied, done.removed - told.removed)

    async def _acknowledge(self, found: dict[str, Rollup]) -> None:
        """Tell whoever switches a roll-up on that writes here are marked."""
        member = self._context.member
        if member.sole:
            return
        for index, rollup in found.items():
            generation = rollup.generation
            if self._acknowledged.get(index) != generation and self._feed.drained(index, generation):
                await self._context.catalog.barriers.acknowledge(member.name, index, BARRIER, generation)
                self._acknowledged[index] = generation

    async def _claimed(self, rollup: Rollup) -> bool:
        """Whether this process holds the lease, or takes it."""
        member, leases = self._context.member, self._context.catalog.leases
        if member.sole:
            self._exclusive()
            return True
        await member.join()
        lease: Lease | None = await leases.get(rollup.lease)
        if lease is not None and lease.owner not in (None, member.owner):
            if self._watch.unchanged_s(lease) <= member.lease_s + self._context.moving.call_s:
                return False
        elif lease is not None and lease.owner is not None and member.owns(rollup.lease, lease.fence):
            self._fences[rollup.index] = lease.fence
            return True
        try:
            mine = await leases.claim(rollup.lease, member.owner, lease)
        except Conflict:
            return False
        member.claimed(rollup.lease, mine.fence)
        self._fences[rollup.index] = mine.fence
        return True

    # ---------------------------------------------------------------------------------------- copying

    async def _carry(self, rollup: Rollup) -> None:
        """Copy for a roll-up until it is another one, or the lease is lost."""
        copier = self._copier(rollup)
        while True:
            try:
                again = await self._step(rollup, copier)
            except (Conflict, Locked):
                return
            except TenantryError as error:
                await self._report(rollup, str(error))
                again = False
            await self._context.clock.sleep(0 if again else RETRY_S if copier.error else TICK_S)

    def _copier(self, rollup: Rollup) -> Copier:
        fence, member = self._fences.get(rollup.index, 0), self._context.member

        def check() -> None:
            if not member.owns(rollup.lease, fence):
                raise Conflict(f"the lease {rollup.lease} was lost")

        target = Target(self._context, self._router, rollup, check)
        self._targets[rollup.index] = target
        progress = self.progress.setdefault(rollup.index, Progress())
        return Copier(self._context, target, progress_of(progress))

    async def _step(self, known: Rollup, copier: Copier) -> bool:
        """One round; whether another one is to follow at once. Raises Conflict."""
        catalog, index, generation = self._context.catalog.rollups, known.index, known.generation
        look = await self._look(known)
        await self._abandon(known)
        if look.rollup.state is RollupState.STARTING:
            await copier.target.create()
            if not await self._all_know(known):
                return False
            await catalog.fill(index, generation)
            return True
        if look.idle and look.rollup.state is RollupState.ON:
            return False
        copier.target.check()
        round = await catalog.begin_round(index, generation)
        await self._tell()
        while (look := await self._look(known)).oldest is not None and look.oldest < round:
            await copier.run(look.rollup.head)
            await self._abandon(known)
            await self._context.clock.sleep(TICK_S / 5)
        complete = await copier.run(look.rollup.head)
        if copier.error != look.rollup.error:
            await catalog.report(index, generation, copier.error)
        if complete:
            await self._context.faults.reach("rollup.round-copied")
            await catalog.end_round(index, generation, round)
        return complete and look.rollup.state is not RollupState.ON

    async def _look(self, known: Rollup) -> Look:
        asked = self._context.clock.monotonic()
        look = await self._context.catalog.rollups.look(known.index)
        if look is None or look.rollup.generation != known.generation:
            raise Conflict("another roll-up has taken its place")
        self._freshness.heard(look.rollup, asked, look.idle)
        return look

    async def _tell(self) -> None:
        """What was written here, as of the round that has just begun."""
        with suppress(Unavailable):
            asked = self._context.clock.monotonic()
            for rollup in (await self._feed.learn()).values():
                self._freshness.heard(rollup, asked)
            await self._feed.note()

    async def _report(self, rollup: Rollup, error: str) -> None:
        with suppress(TenantryError):
            await self._context.catalog.rollups.report(rollup.index, rollup.generation, error)

    async def _all_know(self, rollup: Rollup) -> bool:
        """Whether every router that may write marks what it writes; see `tenantry.control.mover.barrier`."""
        context = self._context
        await self._feed.learn()
        if not self._feed.drained(rollup.index, rollup.generation):
            return False
        if context.member.sole:
            return True
        told = await context.catalog.barriers.acknowledged(rollup.index, BARRIER)
        return all(
            [
                lease.owner == context.member.owner
                or told.get(lease.name) == rollup.generation
                or await self._expelled(lease)
                for lease in await context.catalog.leases.list(ROUTERS)
            ]
        )

    async def _expelled(self, lease: Lease) -> bool:
        patience_s = self._context.member.lease_s + self._context.moving.request_s
        return self._watch.unchanged_s(lease) > patience_s and await self._context.catalog.leases.expel(lease)

    async def _abandon(self, rollup: Rollup) -> None:
        """Have the tenants copied again that processes had marked which are gone, once nothing of what those sent to
        shards can still be under way."""
        context, catalog = self._context, self._context.catalog
        owners = {mark.owner for mark in await catalog.rollups.marks(rollup.index)} - {context.member.owner}
        if not owners:
            self._gone.clear()
            return
        alive = set()
        if not context.member.sole:
            for lease in await catalog.leases.list(ROUTERS):
                if not await self._expelled(lease):
                    alive.add(lease.owner)
        now = context.clock.monotonic()
        self._gone = {owner: self._gone.get(owner, now) for owner in owners - alive}
        for owner, since in self._gone.items():
            if context.member.sole or now - since > context.moving.request_s:
                await catalog.rollups.abandon(rollup.index, rollup.generation, owner)

    async def _finish(self) -> None:
        """Copy what is left, on the way out."""
        await _ended(list(self._copying.values()))
        for rollup in (await self._feed.learn()).values():
            self._exclusive()
            copier = self._copier(rollup)
            while not (await self._look(rollup)).idle:
                await self._step(rollup, copier)
                if copier.error:
                    break


def progress_of(progress: Progress) -> Callable[[int, int], None]:
    """Counts into it."""

    def count(copied: int, removed: int) -> None:
        progress.copied += copied
        progress.removed += removed

    return count


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
