"""Whether a tenant's plan has room for what is to be written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from tenantry.errors import QuotaExceeded
from tenantry.model.records import NamespaceStats
from tenantry.model.service import ServicePlan
from tenantry.model.usage import Load
from tenantry.ports import Clock

#: A measurement is used for so many seconds,
MEASURED_S = 5.0
#: and for writes of this part of the room that it found.
USED_SHARE = 16
MOST_KEPT = 100_000

Measure = Callable[[], Awaitable[NamespaceStats]]
#: How many of these ids are stored already.
Present = Callable[[Sequence[str]], Awaitable[int]]


class Room:
    """Holds writes to the vectors and bytes of a plan.

    What a tenant stores is measured on its shard, and what this process wrote since is added; that may count a vector
    twice that was overwritten, never less than is there. Where this leaves little room, one write at a time measures
    anew, counts which of its ids are new, and decides exactly. So, on engines whose counts are exact, one gateway never
    lets a tenant over its vectors, and never refuses what fits. Bytes are the shard's own measure; what is written
    between two measurements counts with the bytes of its vectors, ids and metadata, which is less than engines need.

    Several gateways: what the others wrote since a measurement is not known. A measurement is used for `MEASURED_S`,
    and for writes of a 16th of the room that it found (`USED_SHARE`). So with ``n`` gateways a tenant ends up over its
    limit by at most ``(n - 1)`` times a 16th of it, plus what is in hand in the others at that moment; and only when
    all of them write to it at once. On engines that show writes after a while (`tenantry.ports.Features.visible_s`),
    plus what was written during that while.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[tuple[str, str], _Held] = {}

    @asynccontextmanager
    async def take(
        self,
        key: tuple[str, str],
        plan: ServicePlan,
        load: Load,
        ids: Sequence[str],
        measure: Measure,
        present: Present,
    ) -> AsyncIterator[None]:
        """Room for a write while the body carries it out. Raises QuotaExceeded, and the body is not run."""
        held = self._held.get(key) or self._new(key)
        if not self._fits_surely(held, plan, load):
            await self._measure(held, measure)
            if not self._fits_surely(held, plan, load):
                async with held.turn:
                    await self._decide(held, key[1], plan, load, ids, measure, present)
                    with held.writing(load):
                        yield
                return
        with held.writing(load):
            yield

    def _fits_surely(self, held: _Held, plan: ServicePlan, load: Load) -> bool:
        if self._clock.monotonic() - held.measured_at >= MEASURED_S:
            return False
        return _fits(plan.vectors, held.found.vectors, held.vectors + load.vectors) and _fits(
            plan.bytes, held.found.bytes, held.bytes + load.bytes
        )

    async def _measure(self, held: _Held, measure: Measure) -> None:
        at = self._clock.monotonic()
        before = held.vectors_done, held.bytes_done
        held.found = await measure()
        held.measured_at = at
        # What was in hand when it was measured may be in the figure or not: it stays counted.
        held.vectors_done -= before[0]
        held.bytes_done -= before[1]

    async def _decide(
        self,
        held: _Held,
        tenant: str,
        plan: ServicePlan,
        load: Load,
        ids: Sequence[str],
        measure: Measure,
        present: Present,
    ) -> None:
        while True:
            alone = not held.in_hand
            await self._measure(held, measure)
            new = load.vectors
            if plan.vectors is not None and held.found.vectors + held.vectors + new > plan.vectors and ids:
                new -= await present(ids)
            vectors = held.found.vectors + held.vectors + new
            size = held.found.bytes + held.bytes + load.bytes
            over_vectors = plan.vectors is not None and new > 0 and vectors > plan.vectors
            over_bytes = plan.bytes is not None and size > plan.bytes
            if not over_vectors and not over_bytes:
                return
            if not alone:
                await held.quiet()
                continue
            if over_vectors and plan.vectors is not None:
                raise QuotaExceeded("vectors", tenant, plan.name, held.found.vectors, new, plan.vectors)
            if plan.bytes is not None:
                raise QuotaExceeded("bytes", tenant, plan.name, held.found.bytes, load.bytes, plan.bytes)

    def _new(self, key: tuple[str, str]) -> _Held:
        if len(self._held) >= MOST_KEPT:
            for old in [old for old, held in self._held.items() if not held.in_hand and not held.turn.locked()]:
                del self._held[old]
        return self._held.setdefault(key, _Held())


def check_empty(tenant: str, plan: ServicePlan, load: Load) -> None:
    """Hold the first write of a tenant to a plan. Raises QuotaExceeded."""
    for field, most, given in (("vectors", plan.vectors, load.vectors), ("bytes", plan.bytes, load.bytes)):
        if most is not None and given > most:
            raise QuotaExceeded(field, tenant, plan.name, 0, given, most)


class _Held:
    """What is known of one tenant.

    Attributes:
        found: as measured at ``measured_at``.
        vectors_done, bytes_done: written by this process since.
        vectors_in_hand, bytes_in_hand: being written; in_hand: by so many writes.
        turn: of the write that may decide exactly.
    """

    def __init__(self) -> None:
        self.found = NamespaceStats(0, 0)
        self.measured_at = -MEASURED_S - 1e9
        self.vectors_done = self.bytes_done = 0
        self.vectors_in_hand = self.bytes_in_hand = self.in_hand = 0
        self.turn = asyncio.Lock()
        self._quiet = asyncio.Event()

    @property
    def vectors(self) -> int:
        return self.vectors_done + self.vectors_in_hand

    @property
    def bytes(self) -> int:
        return self.bytes_done + self.bytes_in_hand

    def writing(self, load: Load) -> _Writing:
        return _Writing(self, load)

    async def quiet(self) -> None:
        """Wait until nothing is in hand."""
        while self.in_hand:
            self._quiet.clear()
            await self._quiet.wait()

    def begin(self, load: Load) -> None:
        self.vectors_in_hand += load.vectors
        self.bytes_in_hand += load.bytes
        self.in_hand += 1

    def end(self, load: Load) -> None:
        self.vectors_in_hand -= load.vectors
        self.bytes_in_hand -= load.bytes
        self.in_hand -= 1
        # Even when it failed: a write that was cut off may have taken effect.
        self.vectors_done += load.vectors
        self.bytes_done += load.bytes
        if not self.in_hand:
            self._quiet.set()


class _Writing:
    def __init__(self, held: _Held, load: Load) -> None:
        self._held, self._load = held, load

    def __enter__(self) -> None:
        self._held.begin(self._load)

    def __exit__(self, *_: object) -> None:
        self._held.end(self._load)


def _fits(most: int | None, found: int, more: int) -> bool:
    return most is None or more * USED_SHARE <= most - found
