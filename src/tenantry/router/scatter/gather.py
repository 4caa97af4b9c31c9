"""One pass over the shards that hold certain tenants: ask, merge, ask again where something may be hidden."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec

from tenantry.errors import RequestError, TenantryError
from tenantry.model.records import Query
from tenantry.ports import Clock, Telemetry
from tenantry.router.router import Router
from tenantry.router.scatter.asking import Ask, ShardSearch, asks_of, failure_of
from tenantry.router.scatter.breaker import State
from tenantry.router.scatter.exactness import parts_of
from tenantry.router.scatter.merge import Key, Part, TenantHit, merged, open_parts
from tenantry.router.scatter.places import Placed
from tenantry.router.scatter.shapes import Outcome, SearchLimits, ShardTiming
from tenantry.router.scatter.standing import Standing, Standings

#: Every part is asked for all hits if these are so few, or those of all parts together: what is near lies together
#: more often than by chance, and asking a part twice costs more than a longer answer.
SMALL, SMALL_IN_ALL = 32, 8_192
#: Above, parts are asked for so many that of 100 searches so many need not ask again.
FIRST_TRY = 0.95
#: Part of the time that is kept for merging, and at most that many seconds.
KEPT_SHARE, KEPT_MOST_S = 0.05, 0.1
#: A shard that was given less than that part of the usual time is not to blame for being late.
FAIR_SHARE = 0.5
#: A tenant of unknown size counts as one of the mean size; where nothing is known, as one of this.
GUESSED_SIZE = 1_000


class Wanted(msgspec.Struct, frozen=True, eq=False):
    """What a pass is to find.

    Attributes:
        query: a checked one.
        depth: hits in the order up to the end of the page.
        after, per_tenant: as in `merged`.
        exactness: under 1 only where sizes are known and the assumption may hold.
        deadline_s: of the search, as the caller knows it.
        left_s: what of it is left.
        term: of the member, in which routes were read.
    """

    query: Query
    depth: int
    after: Key | None
    per_tenant: int | None
    exactness: float
    deadline_s: float
    left_s: float
    term: int


class Gathered(msgspec.Struct, frozen=True, eq=False):
    """What a pass found."""

    hits: list[TenantHit]
    exact: bool
    missing: dict[str, str]
    timings: list[ShardTiming]


class _Shard(msgspec.Struct, eq=False):
    """A shard in a pass. ``answered``: its first answers are there, and count whatever comes after."""

    name: str
    tenants: int
    standing: Standing
    search: ShardSearch
    asks: list[Ask] = []
    outcome: Outcome = Outcome.OK
    reason: str = ""
    answered: bool = False
    took_s: float = 0.0


class Gathering:
    """Runs passes."""

    def __init__(
        self, router: Router, standings: Standings, clock: Clock, telemetry: Telemetry, limits: SearchLimits
    ) -> None:
        self._router = router
        self._standings = standings
        self._clock = clock
        self._telemetry = telemetry
        self._limits = limits

    async def run(
        self, index: str, places: Mapping[str, Sequence[Placed]], wanted: Wanted, size_of: Callable[[str], int | None]
    ) -> Gathered:
        """The first hits of these tenants, which are listed by shard. Never raises for a shard's trouble.

        With an exactness of 1 the merge is proven: parts whose last hit is among the best are asked again for all.
        """
        until = asyncio.get_running_loop().time() + wanted.left_s - min(KEPT_MOST_S, KEPT_SHARE * wanted.left_s)
        shards = [self._shard(index, name, placed, wanted) for name, placed in sorted(places.items())]
        await self._prepare(index, shards, places)
        asks = [ask for shard in shards for ask in shard.asks]
        for ask, want in zip(asks, first_wants(asks, wanted, size_of), strict=True):
            ask.want = want
        await self._round([(shard, shard.asks) for shard in shards if shard.asks], wanted, until)
        unproven = _unproven(shards, wanted.depth)
        if unproven and wanted.exactness >= 1.0:
            for _, again in unproven:
                for ask in again:
                    ask.want = wanted.depth
            await self._round(unproven, wanted, until)
            unproven = _unproven(shards, wanted.depth)
        for shard in shards:
            if shard.outcome is not Outcome.OK:
                self._telemetry.shard_missing(index, shard.name, str(shard.outcome))
        return Gathered(
            hits=merged(_parts(shards), wanted.query.top_k, wanted.after, wanted.per_tenant),
            exact=not unproven,
            missing={shard.name: shard.reason for shard in shards if shard.outcome is not Outcome.OK},
            timings=[_timing(shard) for shard in shards],
        )

    def _shard(self, index: str, name: str, placed: Sequence[Placed], wanted: Wanted) -> _Shard:
        standing = self._standings.of(index, name)
        search = ShardSearch(self._router, standing, index, name, wanted.term, wanted.per_tenant)
        return _Shard(name, len(placed), standing, search)

    async def _prepare(self, index: str, shards: Sequence[_Shard], places: Mapping[str, Sequence[Placed]]) -> None:
        """Find out what each shard's engine can do; it is opened for that if need be, but not reached."""
        for shard in shards:
            try:
                backend = await self._router.pool.backend(index, shard.name)
            except TenantryError as trouble:
                shard.outcome, shard.reason = Outcome.FAILED, str(trouble)
            else:
                shard.asks = asks_of(places[shard.name], backend.features)

    async def _round(self, work: Sequence[tuple[_Shard, list[Ask]]], wanted: Wanted, until: float) -> None:
        """Make these requests on all shards at once."""
        if len(work) == 1:
            await self._ask(*work[0], wanted, until)
            return
        try:
            async with asyncio.TaskGroup() as group:
                for shard, asks in work:
                    group.create_task(self._ask(shard, asks, wanted, until))
        except* Exception as trouble:  # not a shard's trouble: that is noted
            raise failure_of(trouble) from None

    async def _ask(self, shard: _Shard, asks: list[Ask], wanted: Wanted, until: float) -> None:
        """Make these requests on one shard, and note what came of it."""
        standing = shard.standing
        if not standing.ask(self._clock.monotonic()):
            shard.outcome, shard.reason = Outcome.OPEN, self._standings.left_out(standing)
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        left_s = max(0.0, until - began)
        probing = standing.breaker.state is State.HALF_OPEN
        if probing:
            left_s = min(left_s, self._limits.probe_s)
        task = loop.create_task(shard.search.run(asks, wanted.query, self._limits.per_shard))
        passed: bool | None = None
        try:
            await asyncio.wait([task], timeout=left_s)
            if not task.done():
                shard.outcome, shard.reason = Outcome.LATE, _late(wanted, left_s if probing else None)
                passed = None if left_s < FAIR_SHARE * self._limits.deadline_s and not probing else False
            elif (trouble := task.exception()) is None:
                shard.answered = passed = True
            else:
                cause = failure_of(trouble)
                if not isinstance(cause, TenantryError):
                    raise cause
                shard.outcome, shard.reason = Outcome.FAILED, str(cause)
                passed = None if isinstance(cause, RequestError) else False
        finally:
            self._standings.loose.drop(task)
            standing.note(passed, self._clock.monotonic(), shard.reason)
            shard.took_s += loop.time() - began


def first_wants(asks: Sequence[Ask], wanted: Wanted, size_of: Callable[[str], int | None]) -> list[int]:
    """How many hits each request is to ask for at first."""
    if len(asks) < 2 or wanted.per_tenant is not None:
        return [wanted.depth] * len(asks)
    few = wanted.depth <= SMALL or wanted.depth * len(asks) <= SMALL_IN_ALL
    if wanted.exactness >= 1.0 and few:
        return [wanted.depth] * len(asks)
    known = [[size_of(one.tenant) for one in ask.placed] for ask in asks]
    measured = [size for sizes in known for size in sizes if size is not None]
    guess = -(-sum(measured) // len(measured)) if measured else GUESSED_SIZE
    sizes = [sum(guess if size is None else size for size in of_ask) for of_ask in known]
    return parts_of(
        wanted.depth, sizes, min(wanted.exactness, FIRST_TRY) if wanted.exactness >= 1.0 else wanted.exactness
    )


def _parts(shards: Sequence[_Shard]) -> list[Part]:
    return [ask.part for shard in shards if shard.answered for ask in shard.asks if ask.part is not None]


def _unproven(shards: Sequence[_Shard], depth: int) -> list[tuple[_Shard, list[Ask]]]:
    """The requests whose answers may hide something, by shard."""
    asks = [(shard, ask) for shard in shards if shard.answered for ask in shard.asks if ask.part is not None]
    found: dict[str, tuple[_Shard, list[Ask]]] = {}
    for place in open_parts([ask.part for _, ask in asks if ask.part is not None], depth):
        shard, ask = asks[place]
        if shard.outcome is Outcome.OK:
            found.setdefault(shard.name, (shard, []))[1].append(ask)
    return list(found.values())


def _late(wanted: Wanted, probe_s: float | None) -> str:
    if probe_s is not None:
        return f"no answer within {probe_s:g} s, when it was tried again after failures"
    return f"no answer within the deadline of {wanted.deadline_s:g} s"


def _timing(shard: _Shard) -> ShardTiming:
    account = shard.search.account
    return ShardTiming(
        shard.name, shard.outcome, shard.tenants, account.calls, account.hedges, round(shard.took_s * 1_000, 3)
    )
