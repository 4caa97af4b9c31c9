"""Takes one move through its phases. What each phase does is here; what it may lead to, and what must hold then, is
in `tenantry.model.moves`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext, suppress

from tenantry.control.mover.applier import Applier
from tenantry.control.mover.barrier import Barrier
from tenantry.control.mover.context import Context
from tenantry.control.mover.copier import Copier
from tenantry.control.mover.ledger import Ledger
from tenantry.control.mover.side import LeaseLostError, Owner, Side
from tenantry.control.mover.verifier import Verifier
from tenantry.control.mover.watch import LeaseWatch
from tenantry.errors import Bug, Conflict, NotFound, StorageFailed, TenantryError, Unavailable
from tenantry.model.changes import Touched
from tenantry.model.moves import BEFORE_COMMIT, Move, Phase, Wish, mode_of, sides
from tenantry.model.topology import Mode, Tenant, TenantState
from tenantry.model.tracing import Value

#: Log entries that the target may be behind when a flip begins; they are applied while writers wait.
CLOSE_BEHIND = 8
#: Pauses before a flip that took too long is tried again, and before a failing step is, seconds.
PAUSE_S = 0.2
PAUSE_MOST_S = 10.0
#: Longest wait for the target's engine to be ready for queries, and between looks, seconds.
WARM_MOST_S = 900.0
WARM_POLL_S = 0.1
LOG_CHECK_S = 2.0
WATCH_S = 0.5
#: In these a step may be given up half way; a flip is let come to its end.
CANCELLABLE = BEFORE_COMMIT - {Phase.FLIP}


class StoppedError(Exception):
    """The move is to end without a commit."""

    def __init__(self, outcome: Phase, error: str | None = None) -> None:
        self.outcome = outcome
        self.error = error
        super().__init__(outcome)


class MoveRunner:
    """Runs one move under one lease; everything it does may be done again by its successor.

    Args:
        fence: fencing number of the lease.
        changed: called whenever the move has changed.
    """

    def __init__(
        self, context: Context, watch: LeaseWatch, move: Move, fence: int, changed: Callable[[Move], None]
    ) -> None:
        self._context = context
        self._owner = Owner(context, move, fence)
        self._ledger = Ledger(context, self._owner, move)
        self._source = Side(context, self._owner, move.index, move.source)
        self._target = Side(context, self._owner, move.index, move.target)
        self._sides = {move.source: self._source, move.target: self._target}
        self._applier = Applier(context, self._owner, self._ledger, self._sides)
        self._applying: asyncio.Task[None] | None = None
        self._barrier = Barrier(context, watch)
        self._changed = changed
        self._log_checked = context.clock.monotonic()
        self._pause = PAUSE_S
        self._steps: dict[Phase, Callable[[], Awaitable[None]]] = {
            Phase.PREPARE: self._prepare,
            Phase.CAPTURE: self._capture,
            Phase.COPY: self._copy,
            Phase.CATCH_UP: self._catch_up,
            Phase.VERIFY: self._verify,
            Phase.FLIP: self._flip,
            Phase.SETTLE: self._settle,
            Phase.SOAK: self._soak,
            Phase.BACK: self._back,
            Phase.BACK_SETTLE: self._back_settle,
            Phase.CLOSE: self._close,
            Phase.CLEAN: self._clean,
        }

    @property
    def move(self) -> Move:
        """The move as it stands."""
        return self._ledger.move

    def look(self) -> None:
        """Somebody wishes something else of the move."""
        self._ledger.look_soon()
        self._ledger.changed.set()

    async def run(self) -> None:
        """Go on until the move has ended. Returns early, with everything saved, when the lease is lost."""
        try:
            while not self.move.ended:
                try:
                    await self._go_on()
                except LeaseLostError:
                    return
                except Exception as error:  # whatever it is, the move must stay resumable, and say what is wrong
                    await self._trouble(error)
                self._changed(self.move)
        finally:
            if self._applying is not None:
                self._applying.cancel()
                await asyncio.gather(self._applying, return_exceptions=True)

    async def _go_on(self) -> None:
        """One step from wherever the move stands."""
        await self._ledger.make_sure()
        if self.move.ended:
            return
        await self._keep_applying()
        try:
            with self._traced():
                await self._step()
        except StoppedError as stopped:
            await self._stop(stopped)
        except NotFound as missing:
            if missing.kind != "tenant":
                raise
            await self._orphaned()
        except Exception as error:
            if is_passing(error) or self.move.phase not in BEFORE_COMMIT:
                raise
            await self._ledger.make_sure()
            await self._stop(StoppedError(Phase.FAILED, _in_words(error)))

    def _traced(self) -> AbstractContextManager[object]:
        """A span around one phase: a trace of its own, since a move outlives requests and processes."""
        tracer, move = self._context.tracer, self.move
        if tracer is None:
            return nullcontext()
        about: dict[str, Value] = {
            "tenantry.move.id": move.id,
            "tenantry.index": move.index,
            "tenantry.tenant": move.tenant,
            "tenantry.move.source": move.source.shard,
            "tenantry.move.target": move.target.shard,
        }
        return tracer.span(f"move {move.phase.value}", about, root=True)

    async def _step(self) -> None:
        """One phase, given up as soon as the applier finds the lease lost, or the move is to be cancelled."""
        step = asyncio.ensure_future(self._steps[self.move.phase]())
        watching = asyncio.ensure_future(self._watch())
        watched = {step, watching} if self._applying is None else {step, watching, self._applying}
        try:
            done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            for ended in done - {step}:
                ended.result()  # raises
        finally:
            for task in (step, watching):
                task.cancel()
            await asyncio.wait([step, watching])
        step.result()

    async def _watch(self) -> None:
        """Beside each step: keep the reason of a delay on the record, and stop a step that waits in vain when the move
        is to be cancelled. Never returns. Raises StoppedError."""
        while True:
            await self._context.clock.sleep(max(self._context.moving.poll_s, WATCH_S))
            trouble = self._source.trouble or self._target.trouble
            if trouble != self.move.error and self.move.outcome is not Phase.FAILED:
                self._ledger.note(error=trouble)
                with suppress(Unavailable):
                    await self._ledger.save()
            if self.move.phase in CANCELLABLE and await self._ledger.wish() is Wish.CANCEL:
                raise StoppedError(Phase.CANCELLED)

    async def _keep_applying(self) -> None:
        """The applier runs whenever the tenant has a log."""
        logged = mode_of(self.move.phase) is not Mode.DIRECT
        if logged and (self._applying is None or self._applying.done()):
            if self.move.phase is Phase.CAPTURE:
                self._ledger.note(s0=None)  # to be taken after the barrier, which is run once more
            await self._applier.prepare()
            self._applying = asyncio.create_task(self._applier.run())
            self._applying.add_done_callback(lambda ended: ended.cancelled() or ended.exception())

    # ---------------------------------------------------------------------------------------- phases

    async def _prepare(self) -> None:
        await self._heed()
        await self._target.create()
        vectors, size = await self._source.size()
        self._ledger.note(progress=type(self.move.progress)(vectors=vectors, bytes=size))
        await self._advance(Phase.CAPTURE)

    async def _capture(self) -> None:
        await self._barrier.passed(await self._tenant())
        await self._context.faults.reach("capture.barrier")
        async with self._ledger.turn:
            s0 = await self._context.catalog.log.head(self.move.index, self.move.tenant)
            self._ledger.note(s0=s0, target_mark=s0)
            # What was logged after an s0 that was taken before, in vain, is now before it: the copy carries it.
            self._applier.touched = Touched()
            self._applier.unsettle()
        await self._applier.reached(lambda: self.move.source_mark >= s0)
        await self._context.clock.sleep((await self._source.features()).visible_s)
        await self._heed()
        await self._advance(Phase.COPY)

    async def _copy(self) -> None:
        copier = Copier(self._context, self._ledger, self._applier, self._source, self._target, self._heed)
        await copier.run()
        self._applier.touched = None
        await self._advance(Phase.CATCH_UP)

    async def _catch_up(self) -> None:
        while True:
            await self._heed()
            head = await self._context.catalog.log.head(self.move.index, self.move.tenant)
            near = head - CLOSE_BEHIND
            if await self._applier.reached(
                lambda near=near: self.move.target_mark >= near, self._context.moving.poll_s  # type: ignore[misc]
            ):  # fmt: skip
                break
        await self._advance(Phase.FLIP if self.move.proof is not None else Phase.VERIFY)

    async def _verify(self) -> None:
        await self._warm()
        verifier = Verifier(self._context, self._ledger, self._applier, self._source, self._target, self._heed)
        self._ledger.note(proof=await verifier.run())
        await self._ledger.save()
        await self._heed()
        await self._advance(Phase.FLIP)

    async def _flip(self) -> None:
        held_ms = await self._drained(Phase.SETTLE)
        if held_ms is None:
            await self._put_off(Phase.CATCH_UP)

    async def _settle(self) -> None:
        await self._barrier.passed(await self._tenant())
        await self._advance(Phase.SOAK)

    async def _soak(self) -> None:
        clock = self._context.clock
        until = self.move.started[Phase.SOAK] + self.move.options.soak_s
        while True:
            wish = await self._ledger.wish()
            if wish is Wish.ROLL_BACK:
                await self._advance(Phase.BACK)
                return
            left = until - clock.now()
            if wish is Wish.FINALISE or (wish is Wish.RUN and left <= 0):
                await self._advance(Phase.CLOSE, outcome=Phase.DONE)
                return
            await self._nap(max(left, self._context.moving.poll_s) if self._context.member.sole else 0.0)

    async def _back(self) -> None:
        held_ms = await self._drained(Phase.BACK_SETTLE)
        if held_ms is None:
            await self._put_off(Phase.SOAK)

    async def _back_settle(self) -> None:
        await self._barrier.passed(await self._tenant())
        await self._advance(Phase.CLOSE, outcome=Phase.ROLLED_BACK)

    async def _close(self) -> None:
        place = sides(self.move)[0]
        head = await self._context.catalog.log.head(self.move.index, self.move.tenant)
        await self._applier.reached(lambda: self.move.mark(place) >= head)
        await self._context.faults.reach("close.drained")
        await self._advance(Phase.CLEAN, head=head)

    async def _clean(self) -> None:
        if self._applying is not None:
            self._applying.cancel()
            await asyncio.gather(self._applying, return_exceptions=True)
            self._applying = None
        await self._barrier.passed(await self._tenant())
        await self._end(self.move.outcome or Phase.FAILED)

    async def _end(self, outcome: Phase) -> None:
        move = self.move
        if outcome is not Phase.DONE:
            await self._target.drop()
        await self._context.faults.reach("clean.dropped")
        await self._context.catalog.log.trim(move, self._owner.fence, max(move.source_mark, move.target_mark))
        tenant = await self._advance(outcome)
        await self._context.catalog.barriers.forget(move.index, move.tenant, tenant.route.epoch)
        if outcome is Phase.DONE and tenant.state is TenantState.DELETED:
            await self._source.drop()  # nobody else knows of it any more

    # ------------------------------------------------------------------------------ parts of phases

    async def _drained(self, phase: Phase) -> float | None:
        """Rule R5: with writers waiting, bring both sides to the head of the log and let the commit be next; returns
        how long they waited, milliseconds. None when it took too long: nothing has changed then."""
        clock, move = self._context.clock, self.move
        began = clock.monotonic()
        head = await self._context.catalog.log.head(move.index, move.tenant)
        if not await self._applier.reached(lambda: self._level(head), move.options.fence_s):
            return None
        await clock.sleep((await self._sides[sides(move)[1]].features()).visible_s)
        await self._context.faults.reach(f"{move.phase}.drained")
        try:
            await self._advance(phase, head=head)
        except LeaseLostError:
            raise
        except Conflict:  # the wish was to cancel
            return None
        held_ms = (clock.monotonic() - began) * 1_000
        self._ledger.note(**{"flip_ms" if phase is Phase.SETTLE else "back_ms": held_ms})
        return held_ms

    async def _warm(self) -> None:
        """Let the target's engine load and index what was copied, so that the first queries after the flip are not
        the slow ones. One that takes too long finishes beside them."""
        if not (await self._target.features()).warms:
            return
        clock = self._context.clock
        until = clock.monotonic() + WARM_MOST_S
        await self._target.warm(self._source)
        while not await self._target.is_warm() and clock.monotonic() < until:
            await self._heed()
            await clock.sleep(WARM_POLL_S)

    def _level(self, head: int) -> bool:
        return self.move.source_mark == head and self.move.target_mark == head

    async def _put_off(self, phase: Phase) -> None:
        """Let writers go on, and try again later, at ever longer distances."""
        await self._advance(phase)
        if self.move.phase in BEFORE_COMMIT:
            await self._heed()
        await self._context.clock.sleep(self._pause)
        self._pause = min(2 * self._pause, PAUSE_MOST_S)

    async def _tenant(self) -> Tenant:
        """The tenant, under the route that belongs to the move's phase."""
        return await self._context.catalog.tenants.get(self.move.index, self.move.tenant)

    async def _advance(self, phase: Phase, head: int | None = None, **changes: object) -> Tenant:
        """Take a step; returns the tenant with the route that belongs to it."""
        before = self.move.phase
        changes.setdefault("error", self.move.error if self.move.outcome is Phase.FAILED else None)
        tenant = await self._ledger.advance(phase, head=head, **changes)
        await self._context.faults.reach(f"{before}.left")
        if phase in (Phase.SETTLE, Phase.SOAK):
            self._pause = PAUSE_S
        self._changed(self.move)
        return tenant

    async def _nap(self, seconds: float) -> None:
        """Wait for news of the move, for that long at most; always a little."""
        try:
            async with asyncio.timeout(max(seconds, self._context.moving.poll_s)):
                self._ledger.changed.clear()
                await self._ledger.changed.wait()
        except TimeoutError:
            return

    async def _heed(self) -> None:
        """Obey what is wished, before the commit: wait while paused. Raises StoppedError."""
        await self._check_log()
        if self._applier.failed is not None:
            raise self._applier.failed
        while (wish := await self._ledger.wish()) is Wish.PAUSE:
            await self._nap(0.0)
        if wish is Wish.CANCEL:
            raise StoppedError(Phase.CANCELLED)

    async def _check_log(self) -> None:
        now = self._context.clock.monotonic()
        if now - self._log_checked < LOG_CHECK_S:
            return
        self._log_checked = now
        size = await self._context.catalog.log.bytes(self.move.index, self.move.tenant)
        most = self._context.moving.log_bytes
        if size > most:
            why = f"its log reached {size:,} bytes (at most {most:,}): the target is too slow, or the move was paused"
            raise StoppedError(Phase.FAILED, why)

    # ------------------------------------------------------------------------------------- endings

    async def _stop(self, stopped: StoppedError) -> None:
        """End without a commit: back to direct writes on the source, and away with the copy."""
        self._applier.failed = None
        try:
            await self._advance(Phase.CLOSE, outcome=stopped.outcome, error=stopped.error)
        except NotFound:
            await self._orphaned()

    async def _orphaned(self) -> None:
        """The tenant was deleted while it moved: nothing is left to move."""
        copies = await self._context.catalog.copies.list(self.move.index, tenant=self.move.tenant)
        kept = {copy.place for copy in copies}
        for side in (self._target, self._source):
            if side.place not in kept:
                await side.drop()
        head = await self._context.catalog.log.head(self.move.index, self.move.tenant)
        await self._context.catalog.log.trim(self.move, self._owner.fence, head)
        await self._ledger.abandon("the tenant was deleted")

    async def _trouble(self, error: Exception) -> None:
        """Put it on the record, and try again after a while: what could be mended otherwise has been."""
        self._applier.failed = None
        text = _in_words(error)
        if self.move.error != text:
            self._ledger.note(error=text)
        with suppress(TenantryError):
            await self._ledger.save()
        await self._context.clock.sleep(self._pause)
        self._pause = min(2 * self._pause, PAUSE_MOST_S)


def is_passing(error: Exception) -> bool:
    """Whether patience may help (or, with a lost lease, somebody else)."""
    return isinstance(error, Unavailable | Conflict) and not isinstance(error, StorageFailed)


def _in_words(error: Exception) -> str:
    text = str(error) or type(error).__name__
    ours = isinstance(error, TenantryError) and not isinstance(error, Bug)
    return text if ours else f"{type(error).__name__}: {text}"
