"""Counts what this process does, over a sliding window of slices. Stands in front of the telemetry that it is given."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from tenantry.control.measure.readings import (
    ERRORS,
    GROUPS,
    OTHERS,
    QUERIES,
    READS,
    Readings,
    Searches,
    Slice,
    Tally,
    encode_slice,
    merged,
    new_tally,
)
from tenantry.control.measure.sketch import bin_of
from tenantry.ports import Clock, Telemetry

#: Slices of a window: a value leaves it at the latest when a slice more than the window has passed.
SLICES = 5
#: Tenants that are told apart in a slice; the rest are counted together.
MOST_TENANTS = 20_000


class Measured:
    """Implements `Telemetry`. One operation costs some two microseconds; nothing waits for anything.

    Memory is bounded by the shards, `MOST_TENANTS`, and the requests of a window: a tenant with few requests has few
    bins.

    Args:
        inner: is told everything too.
        window_s: length of the window, seconds.
        most_tenants: see `MOST_TENANTS`.
    """

    def __init__(self, inner: Telemetry, clock: Clock, window_s: float, most_tenants: int = MOST_TENANTS) -> None:
        self._inner = inner
        self._tell = inner.operation
        self._now = clock.monotonic
        self._slice_s = window_s / SLICES
        self._most_tenants = most_tenants
        self._closed: deque[Slice] = deque(maxlen=SLICES)
        self._begin(0, self._now())

    def operation(self, kind: str, index: str, shard: str, seconds: float, ok: bool, tenant: str | None = None) -> None:
        """One finished data-plane operation on a shard."""
        self._tell(kind, index, shard, seconds, ok, tenant)
        if self._now() >= self._until:
            self._rotate()
        group = GROUPS.get(kind, READS)
        tally = self._shards.get((index, shard)) or self._of_shard(index, shard)
        tally.counts[group] += 1
        if not ok:
            tally.counts[ERRORS] += 1
        if tenant is None:  # several tenants in one request
            return
        mine = self._tenants.get((index, tenant)) or self._of_tenant(index, tenant)
        mine.counts[group] += 1
        if not ok:
            mine.counts[ERRORS] += 1
        if group == QUERIES:
            key = bin_of(seconds)
            bins = tally.bins
            bins[key] = bins.get(key, 0) + 1
            bins = mine.bins
            bins[key] = bins.get(key, 0) + 1

    def turned_away(self, index: str, shard: str, why: str) -> None:
        """One operation that was not begun; no load of the shard."""
        self._inner.turned_away(index, shard, why)

    def lookup(self, source: str) -> None:
        """One route look-up."""
        self._inner.lookup(source)
        self._lookups[source] = self._lookups.get(source, 0) + 1

    def searched(self, index: str, outcome: str, seconds: float) -> None:
        """One cross-tenant search; those that asked no shard, or were given up, do not count here."""
        self._inner.searched(index, outcome, seconds)
        if outcome not in ("complete", "partial"):
            return
        if self._now() >= self._until:
            self._rotate()
        found = self._slice.searches.setdefault(index, Searches(0, 0, {}))
        found.count += 1
        found.partial += outcome == "partial"
        key = bin_of(seconds)
        found.bins[key] = found.bins.get(key, 0) + 1

    def shard_missing(self, index: str, shard: str, why: str) -> None:
        """A search went without a shard."""
        self._inner.shard_missing(index, shard, why)

    def hedged(self, index: str, shard: str, won: bool) -> None:
        """A second request to a shard."""
        self._inner.hedged(index, shard, won)

    def breaker(self, index: str, shard: str, state: str) -> None:
        """The state of a shard's breaker."""
        self._inner.breaker(index, shard, state)

    def search_source(self, index: str, source: str) -> None:
        """What answered a search."""
        self._inner.search_source(index, source)

    def rollup(self, index: str, lag_s: float | None, copied: int, removed: int) -> None:
        """How far behind a roll-up is."""
        self._inner.rollup(index, lag_s, copied, removed)

    def moved(self, index: str, outcome: str, pauses_s: Sequence[float], vectors: int) -> None:
        """The end of a move."""
        self._inner.moved(index, outcome, pauses_s, vectors)

    def slices(self) -> list[Slice]:
        """Those of the window, the oldest first; the last one goes on."""
        if self._now() >= self._until:
            self._rotate()
        self._slice.seconds = self._now() - self._since
        return [*self._closed, self._slice]

    def encoded(self, number: int) -> bytes:
        """One slice of the window, for other processes. Raises StopIteration when it is not in the window."""
        return encode_slice(next(one for one in self.slices() if one.number == number))

    def readings(self, index: str) -> Readings:
        """An index as this process alone saw it."""
        return merged(index, [self.slices()])

    def _begin(self, number: int, since: float) -> None:
        self._since, self._until = since, since + self._slice_s
        self._slice = Slice(number)
        self._lookups = self._slice.lookups
        # By a pair, so that finding one costs one look-up; the slice holds the same objects by index and name.
        self._shards: dict[tuple[str, str], Tally] = {}
        self._tenants: dict[tuple[str, str], Tally] = {}

    def _rotate(self) -> None:
        """Close the slice, and those that passed without a request."""
        now = self._now()
        passed = int((now - self._since) / self._slice_s)
        self._slice.seconds = self._slice_s
        self._closed.append(self._slice)
        first = self._slice.number + 1
        for number in range(first + max(0, passed - 1 - SLICES), first + passed - 1):
            self._closed.append(Slice(number, self._slice_s))
        self._begin(first + passed - 1, self._since + passed * self._slice_s)

    def _of_shard(self, index: str, shard: str) -> Tally:
        tally = self._shards.get((index, shard))
        if tally is None:
            tally = self._shards[index, shard] = new_tally()
            self._slice.shards.setdefault(index, {})[shard] = tally
        return tally

    def _of_tenant(self, index: str, tenant: str) -> Tally:
        tally = self._tenants.get((index, tenant))
        if tally is None:
            named = tenant if len(self._tenants) < self._most_tenants else OTHERS
            tally = self._tenants.get((index, named)) or new_tally()
            self._tenants[index, named] = tally
            self._slice.tenants.setdefault(index, {})[named] = tally
        return tally
