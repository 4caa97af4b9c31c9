"""Answering a cross-tenant search out of the roll-up: one request to one shard, where the answer is sure to be right.

It is right as of a moment that lies at most the answer's ``lag_s`` before the search began. What the roll-up may still
hold of tenants that must not be seen (suspended or deleted a moment ago, or not asked for) never gets out: a hit of a
tenant that is not to be asked has the search go to the shards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from tenantry.errors import RequestError, TenantryError
from tenantry.model.filters import MAX_LIST, And, Compare, Op
from tenantry.model.records import Hit, Query
from tenantry.model.rollup import TAG, Rollup, of_rollup, shown
from tenantry.model.topology import Place
from tenantry.ports import Clock, Index
from tenantry.router import loads
from tenantry.router.rollup import Freshness
from tenantry.router.router import Router
from tenantry.router.scatter.gather import Wanted
from tenantry.router.scatter.merge import Part, TenantHit, merged
from tenantry.router.scatter.places import Placed
from tenantry.router.scatter.shapes import Outcome, ShardTiming
from tenantry.router.scatter.standing import Standing, Standings

#: Part of the time that the roll-up gets; the rest is for the shards, if it does not answer.
SHARE = 0.5
#: How its shard's operations are counted, as those of other shards in a search.
KIND = "search-part"


class Rolled(msgspec.Struct, frozen=True, eq=False):
    """The answer of a roll-up."""

    hits: list[TenantHit]
    lag_s: float
    timing: ShardTiming


class _Trouble(Exception):
    """Why the shards are to be asked."""


class RolledSearch:
    """Searches in roll-ups."""

    def __init__(self, router: Router, freshness: Freshness, standings: Standings, clock: Clock) -> None:
        self._router = router
        self._freshness = freshness
        self._standings = standings
        self._clock = clock

    async def run(
        self, index: str, placed: Sequence[Placed], chosen: bool, wanted: Wanted, max_lag_s: float
    ) -> Rolled | str | None:
        """The first hits of these tenants (``chosen``: named by the caller, else all active ones); a text: why the
        shards must be asked; None: there is no roll-up. Never raises for its shard's trouble."""
        feed = self._router.feed
        if not feed.knows:
            try:
                await feed.learn()
            except TenantryError as trouble:
                return f"the catalog does not say whether there is a roll-up: {trouble}"
        if index not in feed.rollups:
            return None
        why = _unfit(placed, chosen, wanted, max_lag_s)
        if why is not None:
            return why
        began = self._clock.monotonic()
        fresh = await self._freshness.of(index)
        if fresh.rollup is None or fresh.lag_s is None:
            return fresh.why or "the roll-up is not known here"
        if fresh.lag_s > max_lag_s:
            return f"the roll-up is {fresh.lag_s:.1f} s behind, over the bound of {max_lag_s:g} s"
        try:
            hits, hedges = await self._asked(fresh.rollup, placed, chosen, wanted)
        except _Trouble as trouble:
            return str(trouble)
        took_s = self._clock.monotonic() - began
        timing = ShardTiming(fresh.rollup.shard, Outcome.OK, len(placed), 1, hedges, round(took_s * 1_000, 3))
        return Rolled(merged([Part(hits, wanted.depth)], wanted.query.top_k, wanted.after), fresh.lag_s, timing)

    async def _asked(
        self, rollup: Rollup, placed: Sequence[Placed], chosen: bool, wanted: Wanted
    ) -> tuple[list[TenantHit], int]:
        """The best hits up to the end of the page, and second requests. Raises _Trouble."""
        standing, name = self._standings.of(rollup.index, rollup.shard), f"the roll-up's shard {rollup.shard!r}"
        if not standing.ask(self._clock.monotonic()):
            raise _Trouble(f"{name} is {self._standings.left_out(standing)}")
        limit_s = SHARE * wanted.left_s
        passed, reason = None, ""
        try:
            async with asyncio.timeout(limit_s):
                found, hedges = await self._query(rollup, standing, _query(placed, chosen, wanted))
            passed = True
        except TimeoutError:
            passed, reason = False, f"no answer within {limit_s:.3g} s"
        except TenantryError as error:
            passed, reason = None if isinstance(error, RequestError) else False, str(error)
        finally:
            standing.note(passed, self._clock.monotonic(), reason)
        if not passed:
            raise _Trouble(f"{name}: {reason}")
        asked = {one.tenant for one in placed}
        hits = [_own(hit) for hit in found]
        stray = next((one.tenant for one in hits if one.tenant not in asked), None)
        if stray is not None:
            raise _Trouble("the roll-up still holds records of a tenant that is not to be searched")
        return hits, hedges

    async def _query(self, rollup: Rollup, standing: Standing, query: Query) -> tuple[list[Hit], int]:
        pool, began, ok = self._router.pool, self._clock.monotonic(), False
        backend = await pool.backend(rollup.index, rollup.shard)
        if query.filter is not None and not backend.features.filters:
            raise _Trouble(f"the engine of the roll-up's shard {rollup.shard!r} has no filters")
        namespace = await pool.namespace(rollup.index, Place(rollup.shard, rollup.namespace))
        ticket = await self._router.service.admit_across(rollup.index, rollup.shard, loads.part(query, 1))
        try:
            answer = await standing.call(1, not backend.features.in_process, lambda: _ask(namespace, query))
            ok = True
            return answer
        finally:
            ticket.leave()
            took_s = self._clock.monotonic() - began
            self._router.telemetry.operation(KIND, rollup.index, rollup.shard, took_s, ok)


async def _ask(namespace: Index, query: Query) -> list[Hit]:
    return await namespace.query(query)


def _unfit(placed: Sequence[Placed], chosen: bool, wanted: Wanted, max_lag_s: float) -> str | None:
    """Why this question is not one for a roll-up, before anything is asked; None: it is."""
    if max_lag_s <= 0:
        return "nothing but the present was asked for"
    if wanted.per_tenant is not None:
        return "hits by tenant are asked for, which a roll-up does not tell apart"
    if not placed:
        return "there are no tenants to search"
    if chosen and len({one.route.place.shard for one in placed}) == 1:
        return "one shard holds all these tenants"
    if chosen and len(placed) > MAX_LIST:
        return f"over {MAX_LIST:,} tenants are named, more than a filter holds"
    return None


def _query(placed: Sequence[Placed], chosen: bool, wanted: Wanted) -> Query:
    """The question to the roll-up: never wider than these tenants, whatever filter the caller gave."""
    filter = wanted.query.filter
    if chosen:
        scope = Compare(TAG, Op.IN, tuple(one.tenant for one in placed))
        filter = scope if filter is None else And((scope, filter))
    return msgspec.structs.replace(wanted.query, top_k=wanted.depth, filter=filter)


def _own(hit: Hit) -> TenantHit:
    """A hit under its own id, without the tag. What has no tenant in its id belongs to nobody."""
    tenant, id = of_rollup(hit.id)
    return TenantHit(tenant, msgspec.structs.replace(hit, id=id, metadata=shown(hit.metadata)))
