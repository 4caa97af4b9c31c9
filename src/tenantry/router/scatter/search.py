"""A search over many tenants, from the question to the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from tenantry.errors import DeadlineExceeded, InvalidArgument, Refused, TenantryError
from tenantry.model.limits import check_count, check_deadline, check_lag
from tenantry.model.records import Query
from tenantry.model.topology import LogicalIndex
from tenantry.ports import Catalog, Clock, Telemetry
from tenantry.router.rollup import Freshness
from tenantry.router.router import Router
from tenantry.router.scatter.answers import Answers, Asked
from tenantry.router.scatter.gather import Gathered, Gathering, Wanted
from tenantry.router.scatter.merge import TenantHit, key_of
from tenantry.router.scatter.paging import Position, cursor_of, digest_of, position_of
from tenantry.router.scatter.places import Placed, Places, by_shard
from tenantry.router.scatter.rolled import Rolled, RolledSearch
from tenantry.router.scatter.shapes import ModelGroup, Options, ScatterResult, SearchLimits, Source
from tenantry.router.scatter.sizes import Sizes
from tenantry.router.scatter.standing import Standings
from tenantry.router.secret import ClusterSecret

NAMED_IN_MESSAGES = 3
PLAIN = Options()


class _Question(msgspec.Struct, frozen=True, eq=False):
    """A question that was checked. ``place``: what its cursors are bound to."""

    logical: LogicalIndex
    query: Query
    tenants: Sequence[str] | None
    options: Options
    deadline_s: float
    digest: bytes
    place: bytes
    after: Position | None

    @property
    def depth(self) -> int:
        """Hits up to the end of the page."""
        return self.query.top_k + (self.after.seen if self.after else 0)

    @property
    def asked(self) -> Asked:
        """What tells this question and its page from others."""
        after = b"" if self.after is None else msgspec.msgpack.encode(self.after)
        shown = b"%d %d %d " % (self.query.top_k, self.query.include_values, self.query.include_metadata)
        shown += repr(self.options.max_lag_s).encode() + b" "
        return (self.options.scope, self.logical.name, self.digest + shown + after)


class Scatter:
    """Searches over chosen tenants or all of a logical index.

    Args:
        secret: signs cursors.
        model_of: name of an embedder to the model that it has.
        freshness: of roll-ups; None: none is used.
    """

    def __init__(
        self,
        catalog: Catalog,
        router: Router,
        clock: Clock,
        telemetry: Telemetry,
        secret: ClusterSecret,
        model_of: Callable[[str], str],
        limits: SearchLimits = SearchLimits(),
        freshness: Freshness | None = None,
    ) -> None:
        self._catalog = catalog
        self._router = router
        self._clock = clock
        self._telemetry = telemetry
        self._cluster_secret = secret
        self._model_of = model_of
        self._limits = limits
        self._places = Places(catalog, router)
        self._standings = Standings(limits, clock, telemetry)
        self._gathering = Gathering(router, self._standings, clock, telemetry, limits)
        self._rolled = None if freshness is None else RolledSearch(router, freshness, self._standings, clock)
        self._sizes = Sizes(router, clock, limits.sizes_s)
        self._answers = Answers(limits.cache_s, limits.cache_bytes)
        self._secret = b""

    async def search(
        self,
        index: str,
        query: Query,
        tenants: Sequence[str] | None = None,
        deadline_s: float | None = None,
        options: Options = PLAIN,
    ) -> ScatterResult:
        """The nearest records over ``tenants`` (None: all active ones), exact where no shard is missing.

        A shard that fails, is late or kept failing is left out and named. Cancelling ends what is under way. While
        tenants move, each is asked in exactly one place.

        Raises:
            InvalidArgument, TooLarge: a bad question, or a cursor of another one.
            NotFound: an unknown tenant was named.
            Refused: a named tenant is suspended; or the tenants have different embedding models, whose scores cannot
                be compared, and ``by_model`` was not asked for.
            DeadlineExceeded: not even the tenants could be listed in time.
        """
        started = self._clock.monotonic()
        outcome = "abandoned"
        try:
            result = await self._search(index, query, tenants, deadline_s, options, started)
            outcome = "cached" if result.cached else "partial" if result.partial else "complete"
        except TenantryError:
            outcome = "failed"
            raise
        finally:
            self._telemetry.searched(index, outcome, self._clock.monotonic() - started)
        return result

    def breakers(self, index: str) -> dict[str, str]:
        """The state of the breaker of each shard of an index that was asked so far: closed, half-open or open."""
        return self._standings.states(index)

    async def aclose(self) -> None:
        """Wait until nothing of earlier searches is under way."""
        await self._standings.aclose()

    async def _search(
        self,
        index: str,
        query: Query,
        tenants: Sequence[str] | None,
        deadline_s: float | None,
        options: Options,
        started: float,
    ) -> ScatterResult:
        self._secret = await self._cluster_secret.get()
        question = await self._question(index, query, tenants, deadline_s, options)
        version, asked = self._version(index), question.asked if self._answers.is_on else None
        if asked is not None:
            known = self._answers.get(asked, version, started)
            if known is not None:
                return msgspec.structs.replace(known, took_ms=(self._clock.monotonic() - started) * 1_000)
        loop = asyncio.get_running_loop()
        until = loop.time() + question.deadline_s
        term = await self._router.member.join()
        try:
            async with asyncio.timeout_at(until):
                placed = await self._placed(question)
                exactness = await self._exactness(question, placed)
        except TimeoutError as late:
            raise DeadlineExceeded(f"the tenants could not be listed within {question.deadline_s:g} s") from late
        groups = self._by_model(question, placed)
        wanted = Wanted(
            query=question.query,
            depth=question.depth,
            after=question.after.key if question.after else None,
            per_tenant=options.per_tenant,
            exactness=exactness,
            deadline_s=question.deadline_s,
            left_s=max(0.0, until - loop.time()),
            term=term,
        )
        found = await self._out_of_rollup(question, placed, wanted)
        if isinstance(found, Rolled):
            result = self._rolled_answer(question, found, (self._clock.monotonic() - started) * 1_000)
        else:
            wanted = msgspec.structs.replace(wanted, left_s=max(0.0, until - loop.time()))
            passes = await self._passes(index, groups, wanted)
            result = self._answer(question, groups, passes, (self._clock.monotonic() - started) * 1_000)
            result = msgspec.structs.replace(result, why_shards=found or "")
        if found is not None:
            self._telemetry.search_source(index, str(result.source))
        if asked is not None:
            self._answers.put(asked, version, started, result)
        return result

    async def _question(
        self, index: str, query: Query, tenants: Sequence[str] | None, deadline_s: float | None, options: Options
    ) -> _Question:
        logical = await self._router.pool.index(index)
        checked = self._router.check_query(logical, query)
        limit_s = self._limits.deadline_s if deadline_s is None else check_deadline(deadline_s)
        if not 0 < options.exactness <= 1:
            raise InvalidArgument("exactness", options.exactness, "a number over 0 and at most 1")
        most = self._router.limits.top_k
        if options.max_lag_s is not None:
            check_lag(options.max_lag_s)
        if options.per_tenant is not None:
            check_count(options.per_tenant, "per_tenant", 1, most)
        if options.by_model and options.cursor is not None:
            raise InvalidArgument("cursor", options.cursor, "no cursor with by_model: its groups have no common order")
        more = [options.per_tenant, options.exactness, options.by_model]
        made_at, vector = logical.created_at, checked.vector
        digest = place = digest_of(index, made_at, vector, checked.filter, tenants, more)
        if options.bound is not None:
            place = digest_of(index, made_at, vector[:0], None, tenants, [*more, options.bound])
        after = None
        if options.cursor is not None:
            after = position_of(options.cursor, place, self._secret)
            checked = msgspec.structs.replace(checked, top_k=min(checked.top_k, most - after.seen))
        return _Question(logical, checked, tenants, options, limit_s, digest, place, after)

    async def _placed(self, question: _Question) -> list[Placed]:
        if question.tenants is None:
            return await self._places.all(question.logical.name)
        return await self._places.chosen(question.logical.name, question.tenants)

    async def _exactness(self, question: _Question, placed: Sequence[Placed]) -> float:
        """As asked for; 1 where nothing can be said about chances: what a filter leaves of each tenant is unknown, and
        so may sizes be."""
        wanted = question.options.exactness
        if wanted >= 1.0 or question.query.filter is not None or question.options.per_tenant is not None:
            return 1.0
        return wanted if await self._sizes.measure(question.logical.name, placed) else 1.0

    def _by_model(self, question: _Question, placed: list[Placed]) -> list[tuple[str, list[Placed]]]:
        """The tenants of each model, by its name. Raises Refused when there are several and that was not asked for."""
        logical, options = question.logical, question.options
        names = {one.embedder or logical.embedder for one in placed}
        if len(names) < 2 and not options.by_model:
            return [("", placed)]
        models = {name: self._model_of(name) if name else "" for name in names}
        groups: dict[str, list[Placed]] = {}
        for one in placed:
            groups.setdefault(models[one.embedder or logical.embedder], []).append(one)
        if len(groups) > 1 and not options.by_model:
            parts = "; ".join(f"{model or 'no embedder'}: {_named(groups[model])}" for model in sorted(groups))
            raise Refused(
                "these tenants have different embedding models, whose scores cannot be compared: "
                f"{parts}; search tenants of one model at a time, or each model for itself (by_model)"
            )
        return sorted(groups.items())

    async def _passes(self, index: str, groups: list[tuple[str, list[Placed]]], wanted: Wanted) -> list[Gathered]:
        def size_of(tenant: str) -> int | None:
            return self._sizes.known(index, tenant)

        passes = [self._gathering.run(index, by_shard(placed), wanted, size_of) for _, placed in groups]
        return [await passes[0]] if len(passes) == 1 else await asyncio.gather(*passes)

    async def _out_of_rollup(self, question: _Question, placed: list[Placed], wanted: Wanted) -> Rolled | str | None:
        """As `RolledSearch.run`, for questions whose tenants have one model."""
        options = question.options
        if self._rolled is None:
            return None
        if options.by_model:
            return "each model is to be searched for itself"
        max_lag_s = self._limits.rollup_lag_s if options.max_lag_s is None else options.max_lag_s
        return await self._rolled.run(question.logical.name, placed, question.tenants is not None, wanted, max_lag_s)

    def _rolled_answer(self, question: _Question, found: Rolled, took_ms: float) -> ScatterResult:
        return ScatterResult(
            hits=found.hits,
            partial=False,
            missing_shards={},
            shards_asked=1,
            tenants_asked=found.timing.tenants,
            took_ms=took_ms,
            cursor=self._next(question, found.hits),
            shards=(found.timing,),
            source=Source.ROLLUP,
            lag_s=found.lag_s,
        )

    def _answer(
        self, question: _Question, groups: list[tuple[str, list[Placed]]], passes: list[Gathered], took_ms: float
    ) -> ScatterResult:
        by_model = question.options.by_model
        missing = {shard: reason for one in passes for shard, reason in one.missing.items()}
        hits = [] if by_model or not passes else passes[0].hits
        return ScatterResult(
            hits=hits,
            partial=bool(missing),
            missing_shards=missing,
            shards_asked=len({one.route.place.shard for _, placed in groups for one in placed}),
            tenants_asked=sum(len(placed) for _, placed in groups),
            took_ms=took_ms,
            exact=all(one.exact for one in passes),
            cursor=self._next(question, passes[0].hits) if passes and not by_model else None,
            shards=tuple(timing for one in passes for timing in one.timings),
            groups=tuple(
                ModelGroup(model, one.hits) for (model, _), one in zip(groups, passes, strict=True) if by_model
            ),
        )

    def _next(self, question: _Question, hits: Sequence[TenantHit]) -> str | None:
        """Where the next page goes on: none after a page that is not full, and none beyond the largest ``top_k``."""
        most = self._router.limits.top_k
        if len(hits) < question.query.top_k or question.depth >= most:
            return None
        score, tenant, id = key_of(hits[-1])
        return cursor_of(Position(score, tenant, id, question.depth), question.place, self._secret)

    def _version(self, index: str) -> tuple[int, int]:
        """Grows with every write and every change of a route from here."""
        return self._router.versions[index], self._places.versions[index]


def _named(placed: list[Placed]) -> str:
    shown = ", ".join(repr(one.tenant) for one in placed[:NAMED_IN_MESSAGES])
    more = len(placed) - NAMED_IN_MESSAGES
    return f"{shown} and {more} more" if more > 0 else shown
