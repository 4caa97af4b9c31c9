"""How fast and how busy each shard was, over the last hour: samples of the window in a ring in memory."""

from __future__ import annotations

import heapq
import logging
from collections import deque
from collections.abc import Sequence

import msgspec

from tenantry.control.measure.sharing import Sharing
from tenantry.control.regularly import Regularly
from tenantry.ports import Catalog, Clock

log = logging.getLogger(__name__)

#: Samples that are kept of an index; at `MOST_PAUSE_S`, an hour.
SAMPLES = 240
#: Longest pause between two samples, seconds; a shorter window is sampled as many times more often.
MOST_PAUSE_S = 15.0
SAMPLES_A_WINDOW = 20
#: Shards that a sample tells apart, the busiest; and indexes that are sampled, by name.
MOST_SHARDS = 500
MOST_INDEXES = 20


class Point(msgspec.Struct, frozen=True, gc=False):
    """A shard in one sample, over the window that ended then; latencies of queries in milliseconds, 0 without any."""

    per_second: float
    queries_per_second: float
    error_rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


class Sample(msgspec.Struct, frozen=True):
    """An index at one moment (seconds since the Unix epoch); a shard that did nothing is left out."""

    at: float
    shards: dict[str, Point]


class History:
    """Of a process that serves. Each process keeps its own, of what all gateways counted (`Sharing`), from when it
    began to serve. At most `MOST_INDEXES` x `SAMPLES` x `MOST_SHARDS` points.

    Args:
        window_s: length of the window that is sampled.
    """

    def __init__(self, sharing: Sharing, catalog: Catalog, clock: Clock, window_s: float) -> None:
        self._sharing = sharing
        self._catalog = catalog
        self._clock = clock
        self._rings: dict[str, deque[Sample]] = {}
        self.every_s = min(MOST_PAUSE_S, window_s / SAMPLES_A_WINDOW)
        self._rounds = Regularly(
            clock, self.every_s, self.sample, lambda error: log.warning("no sample was taken: %s", error), at_once=True
        )

    def start(self) -> None:
        """Sample from now on. Needs a running event loop; safe to call twice."""
        self._rounds.start()

    async def aclose(self) -> None:
        """Stop; safe to call twice."""
        await self._rounds.aclose()

    def samples(self, index: str) -> Sequence[Sample]:
        """Those of the last hour, the oldest first; empty for an index that is not sampled (yet)."""
        return tuple(self._rings.get(index, ()))

    def latest(self, index: str) -> Sample | None:
        """The newest one."""
        ring = self._rings.get(index)
        return ring[-1] if ring else None

    async def sample(self) -> None:
        """Take one of every index. Raises what the catalog raises."""
        names = [index.name for index in await self._catalog.indexes.list()][:MOST_INDEXES]
        for name in names:
            ring = self._rings.setdefault(name, deque(maxlen=SAMPLES))
            ring.append(Sample(self._clock.now(), self._points(name)))
        for gone in self._rings.keys() - set(names):
            del self._rings[gone]

    def _points(self, index: str) -> dict[str, Point]:
        shards = self._sharing.readings(index, with_tenants=False).shards
        if len(shards) > MOST_SHARDS:
            shards = dict(heapq.nlargest(MOST_SHARDS, shards.items(), key=lambda item: item[1].operations))
        points = {}
        for name, reading in shards.items():
            p50, p95, p99 = reading.latencies_ms() if reading.bins else (0.0, 0.0, 0.0)
            points[name] = Point(reading.per_second, reading.queries_per_second, reading.error_rate, p50, p95, p99)
        return points
