"""Finds moves to run, runs them within limits, answers barriers of others, and purges old copies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextvars import Context as ContextVars
from typing import Any

import msgspec

from tenantry.control.mover.context import Context
from tenantry.control.mover.runner import MoveRunner
from tenantry.control.mover.watch import LeaseWatch
from tenantry.control.starting import check_options, check_target, new_move
from tenantry.errors import Conflict, Locked, NotFound, TenantryError, Unavailable
from tenantry.model.events import EpochPassed, RouteChanged
from tenantry.model.leases import Copy, Lease
from tenantry.model.moves import BEFORE_COMMIT, Move, Options, Phase, Wish
from tenantry.ports import Telemetry

#: Lost races for room before a start gives up.
START_TRIES = 8
#: Open moves that one process looks at.
MOST_OPEN = 1_000
PURGE_EVERY_S = 60.0
PURGE_AT_ONCE = 100


class MoveService:
    """One for each process. It sleeps until there is something to do: `wake` is called when a cluster is opened, a
    move is started, or a tenant turns out to be on the move.

    Args:
        token: that many random bytes as hexadecimal, for the ids of moves.
        exclusive: takes what only one process may use; raises Locked. Called before moves are taken over.
    """

    def __init__(self, context: Context, token: Callable[[int], str], exclusive: Callable[[], None]) -> None:
        self._context = context
        self._token = token
        self._exclusive = exclusive
        self._watch = LeaseWatch(context.clock)
        self._runners: dict[str, tuple[MoveRunner, asyncio.Task[None]]] = {}
        self._watchers: dict[str, list[asyncio.Event]] = {}
        self._acknowledging: dict[tuple[str, str], tuple[int, asyncio.Task[None]]] = {}
        self._woken = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._purged_at = -1e18
        self._closed = False
        #: Are told of each move that ended here.
        self.on_ended: list[Callable[[Move], None]] = []
        context.news.unattended = self.wake
        context.news.on_route.append(self._hear)

    # ------------------------------------------------------------------------------------- surfaces

    async def start(
        self, index: str, tenant: str, target: str, options: Options | None = None, why: str = "manual"
    ) -> Move:
        """Record a move and set it going; returns at once.

        Raises:
            InvalidArgument: an option is out of its range; or the tenant is there already.
            NotFound: no such index, tenant or shard.
            AlreadyExists: a move of the tenant is running.
            CapacityExceeded: the target has no room.
            Refused: the target takes no tenants, or the tenant's state forbids it.
        """
        chosen = options or Options()
        check_options(chosen, self._context.limits)
        self._exclusive()
        for _ in range(START_TRIES):
            found = await self._context.catalog.tenants.get(index, tenant)
            await check_target(self._context, found, target)
            move = await new_move(self._context, found, target, chosen, why, self._token(6))
            try:
                term = await self._context.member.join()
                placed = await self._context.catalog.moves.begin(move, found.route.epoch)
            except Conflict as error:
                lost = error
                continue
            self._context.resolver.changed(placed, term, moving=True)
            self._note(move)
            self.wake()
            return move
        raise Unavailable(f"the move of tenant {tenant!r} could not be begun: {lost}")

    async def wish(self, id: str, wish: Wish) -> Move:
        """Change what is wanted of a move. Raises NotFound, Refused."""
        move = await self._context.catalog.moves.set_wish(id, wish)
        running = self._runners.get(id)
        if running is not None:
            running[0].look()
        self._note(move)
        self.wake()
        return move

    async def watch(self, id: str, every_s: float = 0.5) -> AsyncIterator[Move]:
        """The move as it stands, then whenever it has changed (looked at after ``every_s`` at the latest), until it has
        ended. Raises NotFound."""
        changed = asyncio.Event()
        self._watchers.setdefault(id, []).append(changed)
        last: Move | None = None
        try:
            while True:
                changed.clear()
                move = await self._context.catalog.moves.get(id)
                running = self._runners.get(id)
                if running is not None and not move.ended and running[0].move.phase is move.phase:
                    move = msgspec.structs.replace(running[0].move, wish=move.wish)
                if move != last:
                    yield move
                last = move
                if move.ended:
                    return
                try:
                    async with asyncio.timeout(every_s):
                        await changed.wait()
                except TimeoutError:
                    continue
        finally:
            self._watchers[id].remove(changed)
            if not self._watchers[id]:
                del self._watchers[id]

    async def purge(self, index: str, *, shard: str | None = None, tenant: str | None = None) -> list[Copy]:
        """Drop retired copies now, whatever their time."""
        copies = await self._context.catalog.copies.list(index, shard=shard, tenant=tenant)
        for copy in copies:
            await self._drop(copy)
        return copies

    def wake(self) -> None:
        """Look at the catalog now, and from time to time from now on. Needs a running event loop."""
        if self._closed:
            return
        self._woken.set()
        if self._loop is None or self._loop.done():
            # Of no request: its spans and log lines are not those of whoever came first.
            self._loop = asyncio.create_task(self._run(), context=ContextVars())

    async def aclose(self) -> None:
        """Stop at the next safe point, with everything saved, and give the leases up. Safe to call twice."""
        self._closed = True
        tasks = [task for _, task in self._runners.values()]
        tasks += [task for _, task in self._acknowledging.values()]
        if self._loop is not None:
            tasks.append(self._loop)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for runner, _ in self._runners.values():
            await self._release(runner.move)
        self._runners.clear()

    # ----------------------------------------------------------------------------------------- loop

    async def _run(self) -> None:
        """Until nothing is left to do here. In a fleet, where others may ask for barriers: until closed."""
        while True:
            self._woken.clear()
            try:
                idle = await self._round()
            except Locked:
                return  # another process serves this folder, and its moves
            except TenantryError:
                idle = False  # the catalog is away: what runs goes on while its leases hold
            if idle and self._context.member.sole and not self._woken.is_set():
                wait_s = PURGE_EVERY_S
            else:
                wait_s = self._context.poll_s
            try:
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def _round(self) -> bool:
        """Look once; True when there are no open moves."""
        moves = await self._context.catalog.moves.list(open_only=True, limit=MOST_OPEN)
        if moves:
            self._exclusive()
        await self._context.member.join()
        for id in [id for id, (_, task) in self._runners.items() if task.done()]:
            runner, _ = self._runners.pop(id)
            await self._release(runner.move)
        for move in reversed(moves):
            if move.id not in self._runners and self._has_room(move):
                await self._take(move)
        if not self._context.member.sole:
            await self._answer(moves)
        await self._purge_due()
        return not moves

    def _has_room(self, move: Move) -> bool:
        """Whether the limits let one more begin. One that has begun must be run: writers wait for its log."""
        if move.phase is not Phase.PREPARE or move.wish is not Wish.RUN:
            return True
        busy = [runner.move for runner, task in self._runners.values() if not task.done()]
        copying = [one for one in busy if one.phase in BEFORE_COMMIT]
        shards = {(move.index, move.source.shard), (move.index, move.target.shard)}
        beside = [
            one for one in copying if shards & {(one.index, one.source.shard), (one.index, one.target.shard)}
        ]  # fmt: skip
        return len(copying) < self._context.moving.at_once and len(beside) < self._context.moving.per_shard

    async def _take(self, move: Move) -> None:
        """Run a move that nobody runs; in a fleet, after its last owner's lease and longest call are over. A lease of
        this process without a runner is one that it does not know of: the answer to its claim was lost."""
        leases, member = self._context.catalog.leases, self._context.member
        lease: Lease | None = await leases.get(move.lease)
        held = lease is not None and lease.owner not in (None, member.owner) and not member.sole
        if lease and held and self._watch.unchanged_s(lease) <= member.lease_s + self._context.moving.call_s:
            return
        try:
            mine = await leases.claim(move.lease, member.owner, lease)
        except Conflict:
            return  # somebody was quicker
        member.claimed(move.lease, mine.fence)
        fresh = await self._context.catalog.moves.get(move.id)
        runner = MoveRunner(self._context, self._watch, fresh, mine.fence, self._note)
        self._runners[move.id] = (runner, asyncio.create_task(self._carry(runner)))

    async def _carry(self, runner: MoveRunner) -> None:
        try:
            await runner.run()
        finally:
            self._woken.set()
        if runner.move.ended:
            for tell in self.on_ended:
                tell(runner.move)

    async def _release(self, move: Move) -> None:
        try:
            await self._context.catalog.leases.release(move.lease, self._context.member.owner)
        except TenantryError:
            return  # it will lapse

    async def _answer(self, moves: list[Move]) -> None:
        """As a router: learn the routes of tenants on the move, drain, and acknowledge."""
        for move in moves:
            key = (move.index, move.tenant)
            try:
                term = await self._context.member.join()
                tenant = await self._context.catalog.tenants.get(*key)
            except NotFound:
                continue
            known = self._acknowledging.get(key)
            if known is not None and known[0] >= tenant.route.epoch:
                continue
            if known is not None and not known[1].done():
                known[1].cancel()
            self._context.resolver.learn(*key, tenant.route, term)
            task = asyncio.create_task(self._acknowledge(key, tenant.route.epoch, term))
            self._acknowledging[key] = (tenant.route.epoch, task)
        open_now = {(move.index, move.tenant) for move in moves}
        for key in [key for key, (_, task) in self._acknowledging.items() if key not in open_now and task.done()]:
            del self._acknowledging[key]

    async def _acknowledge(self, key: tuple[str, str], epoch: int, term: int) -> None:
        member = self._context.member
        await self._context.inflight.drain(*key, epoch)
        while True:
            try:
                if member.still(term):
                    await self._context.catalog.barriers.acknowledge(member.name, *key, epoch)
                    self._context.news.tell(EpochPassed(*key, epoch))
                else:
                    self._acknowledging.pop(key, None)  # under the new term the route is learnt again
            except Unavailable:
                await self._context.clock.sleep(self._context.moving.poll_s)
            else:
                return

    async def _purge_due(self) -> None:
        clock = self._context.clock
        if clock.monotonic() - self._purged_at < PURGE_EVERY_S:
            return
        due = await self._context.catalog.copies.due(clock.now(), PURGE_AT_ONCE)
        if due:
            self._exclusive()
        for copy in due:
            await self._drop(copy)
        self._purged_at = clock.monotonic()

    async def _drop(self, copy: Copy) -> None:
        """Remove a retired copy; not while any route names it, which its generation forbids anyway."""
        try:
            route = (await self._context.catalog.tenants.get(copy.index, copy.tenant)).route
        except NotFound:
            route = None
        if route is None or copy.place not in (route.place, route.other):
            backend = await self._context.pool.backend(copy.index, copy.place.shard)
            await backend.drop(copy.place.namespace)
        await self._context.catalog.copies.forget(copy)

    def _hear(self, changed: RouteChanged) -> None:
        if changed.moving:
            self.wake()

    def _note(self, move: Move) -> None:
        if move.phase not in BEFORE_COMMIT:
            self._woken.set()  # there may be room for the next one
        for watcher in self._watchers.get(move.id, ()):
            watcher.set()


def options_of(defaults: Options, **given: Any) -> Options:
    """Options with what was given (not None) in place of the defaults."""
    return msgspec.structs.replace(defaults, **{name: value for name, value in given.items() if value is not None})


def tell_of_move(telemetry: Telemetry, move: Move) -> None:
    """Measure a move that has ended."""
    pauses = [pause / 1_000 for pause in (move.flip_ms, move.back_ms) if pause is not None]
    telemetry.moved(move.index, move.phase.value, pauses, move.progress.copied)
