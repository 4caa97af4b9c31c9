"""Compares both sides record by record, heals what differs, and writes the proof."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from tenantry.control.mover.applier import BATCH, Applier
from tenantry.control.mover.context import Context
from tenantry.control.mover.digest import NamespaceDigest, alike, digest_of
from tenantry.control.mover.ledger import Ledger
from tenantry.control.mover.side import Side
from tenantry.control.mover.throttle import Throttle
from tenantry.errors import Diverged
from tenantry.model.changes import Clear, Patch, Put, Remove, RemoveWhere
from tenantry.model.filters import Filter, matches
from tenantry.model.moves import Proof
from tenantry.model.records import CLOSE, Query, Record, Vector

MOST_ROUNDS = 20
#: Longest wait, before the next round, for what the log had to bring when the last one could not be decided, seconds.
LOG_S = 5.0
#: Differing ids that one round takes up; more come in the next.
MOST_DIFFERENT = 10_000
HEAL_AT_ONCE = 200
#: Of the time, beside others.
SHARE = 0.05
#: Records compared without letting others on.
TURN_RECORDS = 32
#: Longest that comparing those takes, seconds; more is the time in which the next page was read.
TURN_MOST_S = 0.001
SHADOW_TOP_K = 10
#: Least mean share of hits that both sides must agree on.
LEAST_OVERLAP = 0.8
SCORE_TOLERANCE = 1e-4


@dataclass
class Round:
    """What one comparison found."""

    digest: NamespaceDigest = field(default_factory=NamespaceDigest)
    suspects: list[str] = field(default_factory=list)
    samples: list[Vector] = field(default_factory=list)
    missing: int = 0
    extra: int = 0
    different: int = 0
    healed: int = 0
    left: int = 0
    stride: int = 1


@dataclass
class Coming:
    """What the log has yet to bring to the target: to these ids, and to records that match one of these filters."""

    ids: set[str]
    filters: list[Filter] = field(default_factory=list)

    def may_remove(self, *records: Record | None) -> bool:
        """Whether a delete by filter may be about one of them. Which ids it takes is known in its turn only."""
        return any(matches(each, record.metadata) for each in self.filters for record in records if record is not None)


class Turn:
    """Lets others on the event loop between records: to compare one takes some ten microseconds."""

    def __init__(self, context: Context, throttle: Throttle) -> None:
        self._clock = context.clock
        self._throttle = throttle
        self._records = 0
        self._began = self._clock.monotonic()

    async def over(self) -> None:
        """One more record was compared."""
        self._records += 1
        if self._records % TURN_RECORDS == 0:
            await self._throttle.page(0, min(self._clock.monotonic() - self._began, TURN_MOST_S))
            self._began = self._clock.monotonic()


class Verifier:
    """Runs while the tenant is written to. What looks different may only be on its way; so suspects are looked at
    again under the lane, where the target stands still, and what the log has yet to bring is left to the log."""

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
        self._throttle = Throttle(context, None, share=SHARE)
        self._exactly = True

    async def run(self) -> Proof:
        """Compare until nothing differs. Raises Diverged when the sides do not come to agree."""
        clock, move = self._context.clock, self._ledger.move
        began = clock.monotonic()
        features = (await self._source.features(), await self._target.features())
        visible_s = max(each.visible_s for each in features)
        self._exactly = all(each.exact_values for each in features)
        missing = extra = different = left = 0
        overlap = 1.0
        for number in range(1, MOST_ROUNDS + 1):
            await clock.sleep(visible_s)
            found = await self._round()
            await self._context.faults.reach("verify.round")
            missing, extra, different = missing + found.missing, extra + found.extra, different + found.different
            left = found.left
            if left:
                await self._log_came()
            if found.healed or left:
                continue
            overlap = await self._shadow(found.samples)
            if overlap < LEAST_OVERLAP:
                continue
            return Proof(
                records=found.digest.records,
                digest=found.digest.hex(),
                missing=missing,
                extra=extra,
                different=different,
                rounds=number,
                samples=len(found.samples),
                overlap=overlap,
                log_from=(move.s0 or 0) + 1,
                log_to=self._ledger.move.target_mark,
                verified_at=clock.now(),
                took_s=clock.monotonic() - began,
                tolerance=0.0 if self._exactly else CLOSE,
            )
        raise Diverged(
            f"source and target still differ after {MOST_ROUNDS} comparisons: {missing} records were missing, {extra} "
            f"too many, {different} different; {left} could not be told in the last one, for writes were on their way; "
            f"shadow queries agreed on {overlap:.0%} of their hits"
        )

    async def _log_came(self) -> None:
        """Wait, for a while, until the target has what the log holds now."""
        move = self._ledger.move
        head = await self._context.catalog.log.head(move.index, move.tenant)
        await self._applier.reached(lambda: self._ledger.move.target_mark >= head, LOG_S)

    async def _round(self) -> Round:
        """One comparison of everything, and the healing of what differs."""
        found = Round()
        turn = Turn(self._context, self._throttle)
        async for left, right in self._pairs():
            if left is not None and right is not None and alike(left, right, self._exactly):
                found.digest.add(digest_of(left))
                self._sample(found, left)
                await turn.over()
            elif len(found.suspects) < MOST_DIFFERENT:
                found.suspects.append((left or right).id)  # type: ignore[union-attr]
            else:
                found.left += 1
        for start in range(0, len(found.suspects), HEAL_AT_ONCE):
            await self._heed()
            await self._heal(found.suspects[start : start + HEAL_AT_ONCE], found)
        return found

    def _sample(self, found: Round, record: Record) -> None:
        """Keep vectors at even distances, without knowing how many records there are: whenever there are twice as
        many as wanted, every other one goes, and the distance doubles."""
        wanted = self._ledger.move.options.samples
        if wanted and found.digest.records % found.stride == 0:
            found.samples.append(record.values.copy())
            if len(found.samples) >= 2 * wanted:
                del found.samples[::2]
                found.stride *= 2

    async def _pairs(self) -> AsyncIterator[tuple[Record | None, Record | None]]:
        """Records of both sides, matched by id."""
        left, right = self._records(self._source), self._records(self._target)
        a, b = await anext(left, None), await anext(right, None)
        while a is not None or b is not None:
            if b is None or (a is not None and a.id < b.id):
                yield a, None
                a = await anext(left, None)
            elif a is None or b.id < a.id:
                yield None, b
                b = await anext(right, None)
            else:
                yield a, b
                a, b = await anext(left, None), await anext(right, None)

    async def _records(self, side: Side) -> AsyncIterator[Record]:
        cursor: str | None = None
        clock = self._context.clock
        while True:
            await self._heed()
            began = clock.monotonic()
            page = await side.scan(cursor, self._ledger.move.options.page)
            await self._throttle.page(len(page.records), clock.monotonic() - began)
            for record in page.records:
                yield record
            cursor = page.cursor
            if cursor is None:
                return

    async def _heal(self, ids: list[str], found: Round) -> None:
        """Look at suspects again while nothing is applied to the target, and write what the source says; but about
        what the log has touched, before or meanwhile, the log decides."""
        async with self._applier.lane:
            coming = await self._coming()
            if coming is None:
                found.left += len(ids)
                return
            ids = [key for key in ids if key not in coming.ids]
            right, wrong = await self._source.fetch(ids), await self._target.fetch(ids)
            later = await self._coming()
            if later is None:
                found.left += len(ids)
                return
            puts, removes = [], []
            for key in ids:
                if key in later.ids or (key not in right and key not in wrong):
                    continue
                if later.may_remove(right.get(key), wrong.get(key)):
                    found.left += 1
                elif key not in right:
                    removes.append(key)
                elif key not in wrong:
                    found.missing += 1
                    puts.append(right[key])
                elif not alike(right[key], wrong[key], self._exactly):
                    found.different += 1
                    puts.append(right[key])
            await self._target.put(puts)
            await self._target.remove(removes)
            found.extra += len(removes)
            found.healed += len(puts) + len(removes)

    async def _coming(self) -> Coming | None:
        """What the log has yet to bring to the target, or has brought to a source that need not show it yet; None:
        everything."""
        unsettled = self._applier.unsettled()
        if unsettled is None:
            return None
        coming = Coming(set(unsettled))
        after = self._ledger.move.target_mark
        while entries := await self._context.catalog.log.read(
            self._ledger.move.index, self._ledger.move.tenant, after, BATCH
        ):
            for entry in entries:
                change = entry.change
                if isinstance(change, Clear):
                    return None
                if isinstance(change, Put):
                    coming.ids.update(record.id for record in change.records)
                elif isinstance(change, Remove):
                    coming.ids.update(change.ids)
                elif isinstance(change, Patch):
                    coming.ids.add(change.update.id)
                elif isinstance(change, RemoveWhere):
                    coming.filters.append(change.filter)
            after = entries[-1].seq
        return coming

    async def _shadow(self, samples: list[Vector]) -> float:
        """Mean share of the hits of both sides that agree, over the sampled vectors: by id, or by a score as good as
        the other side's last one, since ties may be broken differently. 1 when there is nothing to ask."""
        if not samples:
            return 1.0
        total = 0.0
        for vector in samples:
            await self._heed()
            left = await self._source.query(Query(vector, SHADOW_TOP_K))
            right = await self._target.query(Query(vector, SHADOW_TOP_K))
            known = {hit.id for hit in right}
            last = right[-1].score if right else float("-inf")
            agreed = sum(hit.id in known or hit.score <= last + SCORE_TOLERANCE for hit in left)
            total += agreed / max(len(left), len(right), 1) if left or right else 1.0
        return total / len(samples)
