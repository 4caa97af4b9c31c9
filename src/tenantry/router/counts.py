"""How many vectors a shard holds, for placement: counted anew only as often as counting is cheap."""

from __future__ import annotations

import asyncio

import msgspec

from tenantry.ports import Clock, VectorBackend

#: A count is good for so many times the time that it took: counting takes a twentieth of the time at most, however
#: quickly tenants come.
GOOD_FOR = 20.0
#: And no longer than that, seconds.
MOST_S = 60.0


class Count(msgspec.Struct, frozen=True, eq=False):
    """``vectors`` as they were counted on this backend, good until a time of the monotonic clock."""

    backend: VectorBackend
    vectors: int
    until: float


class ShardCounts:
    """Counts of the shards of one process. Engines that count a shard namespace by namespace take a second for
    thousands; without this, each new tenant would cost that again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[tuple[str, str], Count] = {}
        self._turns: dict[tuple[str, str], asyncio.Lock] = {}

    async def vectors(self, index: str, shard: str, backend: VectorBackend) -> int:
        """As counted now or a little before (at most `MOST_S`). Many callers at once wait for one count. Raises what
        `VectorBackend.stats` raises."""
        key = (index, shard)
        async with self._turns.setdefault(key, asyncio.Lock()):
            known = self._known.get(key)
            began = self._clock.monotonic()
            if known is not None and known.backend is backend and began < known.until:
                return known.vectors
            found = (await backend.stats()).vectors
            ended = self._clock.monotonic()
            self._known[key] = Count(backend, found, ended + min(MOST_S, GOOD_FOR * (ended - began)))
            return found
