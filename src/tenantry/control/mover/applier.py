"""Applies a moving tenant's write log: first to the authoritative side, then to the other one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import takewhile

from tenantry.control.mover.context import Context
from tenantry.control.mover.ledger import Ledger
from tenantry.control.mover.recent import Recent
from tenantry.control.mover.side import LeaseLostError, Owner, Side
from tenantry.errors import Conflict, NotFound, RequestError, StorageFailed, TenantryError, Unavailable
from tenantry.model.changes import (
    Change,
    Clear,
    Effect,
    LogEntry,
    Nothing,
    Patch,
    Put,
    Remove,
    RemoveWhere,
    Resolved,
    Touched,
    patched,
)
from tenantry.model.events import LogApplied
from tenantry.model.filters import matches
from tenantry.model.moves import BOTH_SIDES, Phase, sides
from tenantry.model.records import ByFilter, Everything, Record
from tenantry.model.topology import Place

#: Entries of one step, and the most that a side may be ahead of its mark in the catalog: so a replay after a crash
#: takes all of them together, and shows no state older than the one before the crash.
BATCH = 32
#: Records in entries that are kept in memory, between being appended here and being applied to both sides.
KEPT_RECORDS = 4_096
SCAN_PAGE = 500
#: How often the log is read when nothing says that it has grown: with other routers about, and without.
LOOK_S = 0.02
LOOK_SOLE_S = 1.0
#: The log is trimmed behind both sides that often, by what they had the time before: a writer elsewhere may still ask
#: what became of its entry.
TRIM_S = 60.0
#: The other side gets what has come in that time at once, unless somebody waits for it.
LINGER_S = 0.2
#: Marks are saved that often where nobody elsewhere waits for them.
SAVE_S = 0.5
#: In these both sides are kept up to date.
FOLLOWED = frozenset(
    {Phase.COPY, Phase.CATCH_UP, Phase.VERIFY, Phase.FLIP, Phase.SETTLE, Phase.SOAK, Phase.BACK, Phase.BACK_SETTLE}
)


class Applier:
    """Runs while a tenant's route is logged or fenced.

    Entries up to ``s0`` were appended while other routers still wrote to the source directly. They go to the source
    only, one by one and by the backend's own means, and their mark is saved before they are acknowledged: a replay
    must not put them over a direct write that came later. Entries after it go to both sides, several at a time, as
    the last state of each id.

    Attributes:
        lane: held by whoever reads one side in order to write the other (R4).
        touched: what the log has a say in since ``s0``; the copier leaves that alone. None when nothing is copied.
        failed: an error that repeating cannot mend.
    """

    def __init__(self, context: Context, owner: Owner, ledger: Ledger, places: dict[Place, Side]) -> None:
        self._context = context
        self._owner = owner
        self._ledger = ledger
        self._sides = places
        self._key = (ledger.move.index, ledger.move.tenant)
        self._appended = asyncio.Event()
        self._known: dict[int, Change] = {}
        self._known_records = 0
        #: The last entry that the news spoke of, and when the catalog is asked again whether they missed one.
        self._announced = 0
        self._look_at = 0.0
        #: The last entry that was taken up; what it came to is in the catalog, not in the news of it that come late.
        self._taken = 0
        #: End of the log when this owner took over. Until the authoritative side has all of it the other side waits, so
        #: that it too replays whatever the last owner may have applied in one step, and shows nothing older.
        self._found = 0
        self._progressed = asyncio.Event()
        self._hurry = asyncio.Event()
        self._readable_at = 0.0
        self._trimmed = (context.clock.monotonic(), 0)
        self._recent = Recent(context.clock)
        self.lane = asyncio.Lock()
        self.touched: Touched | None = Touched()
        self._outcomes: dict[int, Resolved] = {}
        self.failed: TenantryError | None = None

    # --------------------------------------------------------------------------------------- running

    async def run(self) -> None:
        """Apply until cancelled, after `prepare`. Raises LeaseLostError when the lease is lost."""
        self._context.news.attend(self._key, self._take, self._appended.set)
        try:
            self._acknowledge()
            loops = [
                asyncio.create_task(self._loop(self._lead, self._appended)),
                asyncio.create_task(self._loop(self._follow, self._progressed)),
                asyncio.create_task(self._loop(self._save, asyncio.Event(), SAVE_S)),
            ]
            try:
                done, _ = await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
                done.pop().result()  # raises: a loop ends in no other way
            finally:
                for loop in loops:
                    loop.cancel()
                await asyncio.wait(loops)
        finally:
            self._context.news.leave(self._key)

    async def prepare(self) -> None:
        """Learn what a new owner must know of what the last one did, before anything is copied or applied."""
        move = self._ledger.move
        self._found = await self._context.catalog.log.head(*self._key)
        if move.phase not in (Phase.CAPTURE, Phase.COPY):
            self.touched = None
        elif self.touched is not None and move.phase is Phase.COPY and move.s0 is not None:
            after = move.s0
            while entries := await self._context.catalog.log.read(*self._key, after, BATCH):
                for entry in entries:
                    if isinstance(entry.change, Resolved):
                        self.touched.add(entry.change)
                after = entries[-1].seq
        self._recent.visible_s = max([(await side.features()).visible_s for side in self._sides.values()])
        self.unsettle()

    def unsettle(self) -> None:
        """Something was written that `_recent` knows nothing of: what is read must first have had time to show it."""
        self._readable_at = self._context.clock.monotonic() + self._recent.visible_s

    def _take(self, seq: int, change: Change) -> None:
        """An entry that was appended in this process need not be read from the catalog."""
        if seq > self._taken and self._known_records < KEPT_RECORDS:
            self._known[seq] = change
            self._known_records += _records_in(change)
        self._announced = max(self._announced, seq)
        self._appended.set()

    async def _entries(self, after: int, most: int) -> list[LogEntry]:
        """The next entries, from memory if they are there."""
        if after + 1 not in self._known:
            return await self._context.catalog.log.read(*self._key, after, most)
        known = takewhile(self._known.__contains__, range(after + 1, after + 1 + most))
        return [LogEntry(seq, self._known[seq]) for seq in known]

    def _may_have_grown(self, after: int) -> bool:
        """Whether the log may go on after this entry. Where nobody else appends, the news say so, but for an append
        whose caller was gone when it was done."""
        now = self._context.clock.monotonic()
        if self._context.member.sole and self._announced <= after and now < self._look_at:
            return False
        self._look_at = now + LOOK_SOLE_S / 2
        return True

    async def _save(self) -> bool:
        await self._ledger.save()
        return False

    async def _loop(
        self, step: Callable[[], Awaitable[bool]], news: asyncio.Event, every_s: float | None = None
    ) -> None:
        look_s = every_s or (LOOK_SOLE_S if self._context.member.sole else LOOK_S)
        while True:
            news.clear()
            try:
                if await step():
                    continue
                pause = look_s
            except LeaseLostError:
                raise
            except Conflict as error:
                raise LeaseLostError(str(error)) from error  # nobody else writes what is written here
            except Unavailable as error:
                self.failed = error if isinstance(error, StorageFailed) else None
                pause = look_s
            except TenantryError as error:
                self.failed = error
                pause = LOOK_SOLE_S
            await self._woken(news, pause)

    async def _woken(self, news: asyncio.Event, limit_s: float) -> None:
        try:
            async with asyncio.timeout(limit_s):
                await news.wait()
        except TimeoutError:
            return

    def unsettled(self) -> set[str] | None:
        """Ids that were applied to the authoritative side so lately that it need not show them yet; None: all."""
        return None if self._recent.cleared else set(self._recent.states())

    async def reached(self, done: Callable[[], bool], limit_s: float | None = None) -> bool:
        """Wait until something is true of the marks; False when it was not within the limit. Raises what `failed`
        says."""
        self._hurry.set()
        try:
            async with asyncio.timeout(limit_s):
                while not done():
                    if self.failed is not None:
                        raise self.failed
                    self._ledger.changed.clear()
                    await self._woken(self._ledger.changed, LOOK_SOLE_S)
        except TimeoutError:
            return False
        finally:
            self._hurry.clear()
        return True

    # ---------------------------------------------------------------------- the authoritative side

    async def _lead(self) -> bool:
        """Apply the next entries to the authoritative side; False when there are none."""
        async with self._ledger.turn:
            if self._ledger.unsure:
                return False  # which side is the authoritative one?
            move = self._ledger.move
            place = sides(move)[0]
            if not self._may_have_grown(move.mark(place)):
                return False
            if self._ledger.unsaved(place) >= BATCH:
                await self._ledger.save()
            entries = await self._entries(move.mark(place), BATCH - self._ledger.unsaved(place))
            if not entries:
                return False
            self._taken = entries[-1].seq
            await self._context.faults.reach("apply.read")
            if move.s0 is None or entries[0].seq <= move.s0:
                entries = [entry for entry in entries if move.s0 is None or entry.seq <= move.s0]
                await self._lead_direct(self._sides[place], entries)
            else:
                await self._lead_resolved(self._sides[place], entries)
            await self._context.faults.reach("apply.led")
            self._ledger.mark(place, entries[-1].seq)
            if move.phase in (Phase.CAPTURE, Phase.CLOSE):
                # Routers with an older route may still write directly (a move can be cancelled before its barrier has
                # passed): a replay must not put this over what they write after it was acknowledged.
                await self._ledger.save()
            self._acknowledge()
            self._progressed.set()
            await self._context.faults.reach("apply.acknowledged")
        await self._save_for_others()
        return True

    async def _save_for_others(self) -> None:
        """Routers elsewhere learn from the catalog how far the log is applied."""
        if not self._context.member.sole:
            await self._ledger.save()
            self._context.news.tell(LogApplied(*self._key, self._ledger.move.acknowledged()))

    async def _lead_direct(self, side: Side, entries: list[LogEntry]) -> None:
        """As the router itself would have done it, since other routers still do."""
        for entry in entries:
            try:
                outcome = await self._directly(side, entry.change)
            except RequestError as refused:
                outcome = _refusal(refused)
            if outcome is not None:
                await self._resolve(entry.seq, outcome)
        self.unsettle()

    async def _directly(self, side: Side, change: Change) -> Resolved | None:
        """One change by the backend's own means; returns what it came to, if that is not what it says."""
        match change:
            case Put(records):
                await side.put(records)
            case Remove(ids):
                await side.remove(ids)
            case Clear():
                await side.delete(Everything())
            case RemoveWhere(condition):
                await side.delete(ByFilter(condition))
                return Remove((), condition)
            case Patch(update):
                return Put(()) if await side.update(update) else Nothing()
        return None

    async def _lead_resolved(self, side: Side, entries: list[LogEntry]) -> None:
        effect = Effect()
        changes: list[tuple[int, Resolved]] = []
        for entry in entries:
            change = entry.change
            if isinstance(change, Patch | RemoveWhere):
                change = await self._resolved(side, change, effect)
                await self._resolve(entry.seq, change)
            if self.touched is not None:
                self.touched.add(change)
            effect.add(change)
            changes.append((entry.seq, change))
        try:
            await side.apply(effect)
        except RequestError as refused:
            _refusal(refused)
            effect = await self._one_by_one(side, changes)
        self._recent.note(effect)

    async def _one_by_one(self, side: Side, changes: list[tuple[int, Resolved]]) -> Effect:
        """Find the change that the backend refuses; it comes to nothing, and its writer is told."""
        whole = Effect()
        for seq, change in changes:
            effect = Effect()
            effect.add(change)
            try:
                await side.apply(effect)
                whole.add(change)
            except RequestError as refused:
                await self._resolve(seq, _refusal(refused))
        return whole

    async def _resolve(self, seq: int, change: Resolved) -> None:
        self._owner.check()
        # The log first: an entry that is resolved here only would not be resolved again when the call is repeated.
        await self._context.catalog.log.resolve(self._ledger.move, self._owner.fence, seq, change)
        self._outcomes[seq] = change
        if seq in self._known:
            self._known_records += _records_in(change) - _records_in(self._known[seq])
            self._known[seq] = change

    async def _resolved(self, side: Side, change: Patch | RemoveWhere, before: Effect) -> Resolved:
        """What a change comes to, in its turn: after ``before``, which is not applied yet."""
        unsettled = self._readable_at - self._context.clock.monotonic()
        if unsettled > 0:
            await self._context.clock.sleep(unsettled)
        known: dict[str, Record | None] = {} if before.clear else self._recent.states()
        known |= before.latest
        empty = before.clear or self._recent.cleared
        if isinstance(change, Patch):
            key = change.update.id
            old = known.get(key)
            if key not in known and not empty:
                old = (await side.fetch([key])).get(key)
            return Nothing() if old is None else Put((patched(old, change.update),))
        gone = {key for key, record in known.items() if record and matches(change.filter, record.metadata)}
        cursor: str | None = None
        while not empty:
            page = await side.scan(cursor, SCAN_PAGE)
            gone.update(r.id for r in page.records if r.id not in known and matches(change.filter, r.metadata))
            cursor = page.cursor
            if cursor is None:
                break
        return Remove(tuple(sorted(gone)), change.filter)

    # -------------------------------------------------------------------------------- the other side

    async def _follow(self) -> bool:
        """Apply what the authoritative side has to the other one; False when it has all of it."""
        move = self._ledger.move
        place, other = sides(move)
        through = move.mark(place)
        if move.phase not in FOLLOWED or move.mark(other) >= through or through < self._found:
            return False
        if self._ledger.unsaved(other) >= BATCH:
            await self._ledger.save()
        effect = Effect()
        last = move.mark(other)
        for entry in await self._entries(last, min(through - last, BATCH - self._ledger.unsaved(other))):
            if not isinstance(entry.change, Resolved):
                break  # going past it would leave it out for good
            effect.add(entry.change)
            last = entry.seq
        if last == move.mark(other):
            return False
        async with self.lane:
            await self._sides[other].apply(effect)
        await self._context.faults.reach("apply.followed")
        self._ledger.mark(other, last)
        self._acknowledge()
        for seq in [seq for seq in self._known if seq <= last]:
            self._known_records -= _records_in(self._known.pop(seq))
        await self._save_for_others()
        await self._trim()
        if move.phase not in BOTH_SIDES:
            await self._woken(self._hurry, LINGER_S)
        return True

    async def _trim(self) -> None:
        move = self._ledger.move
        now = self._context.clock.monotonic()
        at, through = self._trimmed
        if now - at >= TRIM_S and move.phase is not Phase.COPY:
            await self._context.catalog.log.trim(move, self._owner.fence, through)
            self._trimmed = (now, min(move.source_mark, move.target_mark))

    def _acknowledge(self) -> None:
        through = self._ledger.move.acknowledged()
        self._context.news.acknowledge(self._key, through, self._outcomes)
        self._outcomes = {seq: outcome for seq, outcome in self._outcomes.items() if seq > through}


def _refusal(error: RequestError) -> Nothing:
    """What a change comes to that the backend refuses for good. A missing namespace is no such answer."""
    if isinstance(error, NotFound):
        raise error
    return Nothing(str(error))


def _records_in(change: Change) -> int:
    return len(change.records) if isinstance(change, Put) else 1
