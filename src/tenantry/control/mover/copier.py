"""Copies the source to the target, page by page, leaving alone what the log decides about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from tenantry.control.mover.applier import Applier
from tenantry.control.mover.context import Context
from tenantry.control.mover.ledger import Ledger
from tenantry.control.mover.side import Side
from tenantry.control.mover.throttle import Throttle
from tenantry.errors import Diverged
from tenantry.model.limits import record_bytes
from tenantry.model.records import CopiedPage, Record
from tenantry.ports import Features

#: Of the time, beside others.
SHARE = 0.5
#: Progress is saved that often, seconds.
SAVE_S = 0.5
#: Passes over a source whose listing is not consistent, until two agree.
MOST_PASSES = 20
#: Ids that an engine is told to leave alone; with more of them the records are read and written here.
MOST_SPARED = 5_000


class Copier:
    """Resumes after the last page that was saved; a page that is copied twice does no harm.

    Args:
        heed: called between pages; it waits while the move is paused, and raises when it is to stop.
    """

    def __init__(
        self, context: Context, ledger: Ledger, applier: Applier, source: Side, target: Side,
        heed: Callable[[], Awaitable[None]],
    ) -> None:  # fmt: skip
        self._context = context
        self._ledger = ledger
        self._applier = applier
        self._source = source
        self._target = target
        self._heed = heed
        self._throttle = Throttle(context, ledger.move.options.rate, share=SHARE)
        self._saved_at = context.clock.monotonic()
        self._native = False

    async def run(self) -> None:
        """Copy everything. One pass is enough where the source's reads are consistent; else passes are repeated
        until one finds nothing that the target lacks."""
        features = await self._source.features()
        self._native = await self._can_copy_natively(features)
        while True:
            found = await self._pass(first=self._ledger.move.progress.passes == 0)
            progress = self._ledger.move.progress
            self._ledger.note(progress=msgspec.structs.replace(progress, cursor=None, passes=progress.passes + 1))
            await self._ledger.save()
            if features.visible_s == 0 or (progress.passes > 0 and not found):
                return
            if progress.passes >= MOST_PASSES:
                raise Diverged(f"{MOST_PASSES} passes over shard {self._source.place.shard!r} never agreed")
            await self._context.clock.sleep(features.visible_s)

    async def _can_copy_natively(self, features: Features) -> bool:
        """Whether both sides are of an engine that copies by itself, and show what they have at once."""
        target = await self._target.features()
        one_engine = features.native_copy != "" and features.native_copy == target.native_copy
        return one_engine and features.visible_s == target.visible_s == 0

    async def _pass(self, first: bool) -> int:
        """One pass; returns how many records it wrote."""
        written = 0
        clock = self._context.clock
        while True:
            await self._heed()
            began = clock.monotonic()
            page = await self._page(first)
            seconds = clock.monotonic() - began
            written += page.records
            self._count(page, seconds)
            if page.cursor is None:
                return written
            if clock.monotonic() - self._saved_at >= SAVE_S:
                self._saved_at = clock.monotonic()
                await self._ledger.save()
            await self._throttle.page(page.records, seconds)

    async def _page(self, first: bool) -> CopiedPage:
        """Read and write one page. One step under the lane (R4): were the log applied to the target in between, an
        old record would be written over a new one, or a deleted one come back."""
        async with self._applier.lane:
            touched = self._applier.touched
            spared = touched.ids() if self._native and touched is not None and len(touched) <= MOST_SPARED else None
            if spared is not None:
                return await self._copied(spared)
            return await self._read_and_written(first)

    async def _copied(self, spared: frozenset[str]) -> CopiedPage:
        """By the engine itself. What the log takes up after this has begun it applies to the target after this has
        ended, so it is enough to spare what it has taken up before."""
        await self._context.faults.reach("copy.page-read")
        cursor, options = self._ledger.move.progress.cursor, self._ledger.move.options
        page = await self._target.copy_page(self._source, cursor, options.page, spared)
        await self._context.faults.reach("copy.page-written")
        return page

    async def _read_and_written(self, first: bool) -> CopiedPage:
        cursor, options = self._ledger.move.progress.cursor, self._ledger.move.options
        page = await self._source.scan(cursor, options.page)
        await self._context.faults.reach("copy.page-read")
        taken = self._uncovered(page.records)
        if not first and taken:
            there = await self._target.fetch([record.id for record in taken])
            taken = self._uncovered([record for record in taken if record.id not in there])
        if taken:
            await self._target.put(taken)
        await self._context.faults.reach("copy.page-written")
        return CopiedPage(page.cursor, len(taken), sum(record_bytes(one.id, one.values, 0) for one in taken))

    def _uncovered(self, records: Sequence[Record]) -> list[Record]:
        touched = self._applier.touched
        return [record for record in records if touched is None or not touched.covers(record)]

    def _count(self, page: CopiedPage, seconds: float) -> None:
        progress = self._ledger.move.progress
        changed = msgspec.structs.replace(
            progress,
            cursor=page.cursor,
            copied=progress.copied + page.records,
            copied_bytes=progress.copied_bytes + page.bytes,
            copy_s=progress.copy_s + seconds,
        )
        self._ledger.note(progress=changed)
