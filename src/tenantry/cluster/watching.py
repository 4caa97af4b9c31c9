"""The state of an index for people who watch it: cheap to ask for, however often and by however many."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tenantry.control.health_checks import HealthChecks
from tenantry.control.health_report import HealthReport
from tenantry.control.measure.history import History, Point, Sample
from tenantry.control.measure.readings import Reading
from tenantry.control.measure.sharing import Sharing
from tenantry.control.roster import RosterPage, Rosters, RosterSort, page_of
from tenantry.errors import InvalidArgument
from tenantry.model.limits import check_count
from tenantry.model.moves import Move
from tenantry.model.topology import DEFAULT_INDEX
from tenantry.ports import Catalog, Clock
from tenantry.router.shards import ShardPool

PAGE_MOST = 200
OFFSET_MOST = 10_000_000
SHARDS_MOST = 50
#: Open moves are read from the catalog at most that often, seconds, and at most so many.
LOOK_S = 0.5
OPEN_MOST = 1_000


class ShardNow(msgspec.Struct, frozen=True):
    """A shard over the window, as of the last sample; latencies of queries in milliseconds, 0 without any."""

    name: str
    per_second: float
    queries_per_second: float
    error_rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


class Overview(msgspec.Struct, frozen=True):
    """An index at a glance.

    Attributes:
        now: when this was put together, seconds since the Unix epoch.
        report: outcome of the last regular check of the health; None: there was none yet.
        check_every_s: pause between these checks; 0: there are none.
        shards: rates and latencies since, of shards that did something; of moment ``sampled_at``, None for never.
        open_moves: moves that have not ended; at most `OPEN_MOST`.
    """

    index: str
    now: float
    report: HealthReport | None
    check_every_s: float
    shards: list[ShardNow]
    sampled_at: float | None
    open_moves: int


class ShardHistory(msgspec.Struct, frozen=True):
    """One shard over time, a value for each moment of `Timeline.at`; None: it did nothing then. Latencies are of
    queries, in milliseconds."""

    name: str
    p50_ms: list[float | None]
    p95_ms: list[float | None]
    p99_ms: list[float | None]
    queries_per_second: list[float | None]
    error_rate: list[float | None]


class Timeline(msgspec.Struct, frozen=True):
    """Shards over the last hour, or since this process serves.

    Attributes:
        every_s: pause between two moments.
        window_s: each value is taken over the window of that length that ends at its moment.
        at: the moments, seconds since the Unix epoch.
        shards: those asked for, the slowest first.
        others: how many more there are.
    """

    index: str
    every_s: float
    window_s: float
    at: list[float]
    shards: list[ShardHistory]
    others: int


class Watching:
    """Everything here only reads, and counts no namespace on behalf of one request: sizes are those of the last regular
    check, or of a roster that all who ask share."""

    def __init__(
        self,
        catalog: Catalog,
        pool: ShardPool,
        checks: HealthChecks,
        sharing: Sharing,
        clock: Clock,
        window_s: float,
    ) -> None:
        self._catalog = catalog
        self._pool = pool
        self._checks = checks
        self._sharing = sharing
        self._clock = clock
        self._window_s = window_s
        self._history = History(sharing, catalog, clock, window_s)
        self._rosters = Rosters(catalog, pool, sharing.readings, clock)
        self._open: dict[str, tuple[float, Sequence[Move]]] = {}

    def start(self) -> None:
        """Keep a history from now on. Needs a running event loop; safe to call twice."""
        self._history.start()

    async def aclose(self) -> None:
        """Stop; safe to call twice."""
        await self._history.aclose()
        await self._rosters.aclose()

    async def overview(self, index: str = DEFAULT_INDEX) -> Overview:
        """An index at a glance. Raises NotFound, Unavailable."""
        moves = await self.open_moves(index)
        sample = self._history.latest(index)
        return Overview(
            index=index,
            now=self._clock.now(),
            report=next((one for one in self._checks.latest if one.index == index), None),
            check_every_s=self._checks.every_s,
            shards=[] if sample is None else [_now(name, sample.shards[name]) for name in sorted(sample.shards)],
            sampled_at=None if sample is None else sample.at,
            open_moves=len(moves),
        )

    async def open_moves(self, index: str = DEFAULT_INDEX) -> Sequence[Move]:
        """Moves that have not ended, at most `LOOK_S` old. Raises NotFound, Unavailable."""
        await self._pool.index(index)
        now = self._clock.monotonic()
        known = self._open.get(index)
        if known is None or now - known[0] >= LOOK_S:
            moves = await self._catalog.moves.list(index, open_only=True, limit=OPEN_MOST)
            self._open = {name: each for name, each in self._open.items() if now - each[0] < LOOK_S}
            self._open[index] = known = (now, moves)
        return known[1]

    async def timeline(self, index: str = DEFAULT_INDEX, *, shard: str | None = None, shards: int = 8) -> Timeline:
        """Latencies and rates over the last hour.

        Args:
            shard: only this one.
            shards: else so many, those with the highest P95 of late; 1 to `SHARDS_MOST`.

        Raises:
            NotFound: no such index. InvalidArgument: of ``shards``.
        """
        check_count(shards, "shards", 1, SHARDS_MOST)
        await self._pool.index(index)
        samples = self._history.samples(index)
        names = _slowest_first(samples)
        chosen = names[:shards] if shard is None else [name for name in names if name == shard]
        return Timeline(
            index=index,
            every_s=self._history.every_s,
            window_s=self._window_s,
            at=[sample.at for sample in samples],
            shards=[_series(name, [sample.shards.get(name) for sample in samples]) for name in chosen],
            others=len(names) - len(chosen),
        )

    async def tenants(
        self,
        index: str = DEFAULT_INDEX,
        *,
        text: str = "",
        shard: str | None = None,
        sort: str = RosterSort.NAME,
        descending: bool = False,
        offset: int = 0,
        limit: int = 50,
    ) -> RosterPage:
        """A part of all tenants, with their sizes and load as of up to a minute ago.

        Args:
            text: only names that hold it, upper and lower case alike. shard: only those there.
            sort: one of `RosterSort`. offset: 0 to 10 million. limit: 1 to `PAGE_MOST`.

        Raises:
            NotFound: no such index. InvalidArgument: of a field.
        """
        if sort not in list(RosterSort):
            raise InvalidArgument("sort", sort, "one of " + ", ".join(RosterSort))
        check_count(limit, "limit", 1, PAGE_MOST)
        check_count(offset, "offset", 0, OFFSET_MOST)
        return page_of(
            index,
            await self._rosters.roster(index),
            text=text,
            shard=shard,
            sort=RosterSort(sort),
            descending=descending,
            offset=offset,
            limit=limit,
        )

    async def reading(self, tenant: str, index: str = DEFAULT_INDEX) -> Reading:
        """What one tenant did over the window, on all gateways; zeros when nothing. Raises NotFound, Unavailable."""
        await self._pool.index(index)
        await self._catalog.tenants.get(index, tenant)
        found = self._sharing.readings(index)
        return found.tenants.get(tenant) or Reading(found.seconds)


def _now(name: str, point: Point) -> ShardNow:
    return ShardNow(name, **msgspec.structs.asdict(point))


def _slowest_first(samples: Sequence[Sample]) -> list[str]:
    """Shards by the P95 that they had when last seen."""
    last: dict[str, float] = {}
    for sample in samples:
        for name, point in sample.shards.items():
            last[name] = point.p95_ms
    return sorted(last, key=lambda name: (-last[name], name))


def _series(name: str, points: Sequence[Point | None]) -> ShardHistory:
    asked = [point if point is not None and point.queries_per_second > 0 else None for point in points]
    return ShardHistory(
        name=name,
        p50_ms=[None if point is None else point.p50_ms for point in asked],
        p95_ms=[None if point is None else point.p95_ms for point in asked],
        p99_ms=[None if point is None else point.p99_ms for point in asked],
        queries_per_second=[None if point is None else point.queries_per_second for point in points],
        error_rate=[None if point is None else point.error_rate for point in points],
    )
