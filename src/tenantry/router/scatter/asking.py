"""Asking one shard: in few requests where its engine can, in parallel where it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec

from tenantry.errors import NotFound
from tenantry.model.records import Query
from tenantry.ports import Features
from tenantry.router.many import query_together
from tenantry.router.router import Router
from tenantry.router.scatter.merge import Part, TenantHit, key_of
from tenantry.router.scatter.places import Placed
from tenantry.router.scatter.standing import Standing

T = TypeVar("T")
#: Tenants in one request to an engine that searches many namespaces.
MOST_TOGETHER = 512


class Ask(msgspec.Struct, eq=False):
    """A request to be made: these tenants of a shard, one unless its engine takes several.

    Attributes:
        want: hits to ask for.
        part: what came back; None: nothing yet.
    """

    placed: Sequence[Placed]
    want: int = 0
    part: Part | None = None


class Account(msgspec.Struct, eq=False):
    """What asking a shard took."""

    calls: int = 0
    hedges: int = 0


def asks_of(placed: Sequence[Placed], features: Features) -> list[Ask]:
    """The requests that reach these tenants of one shard, in the order of their names."""
    ordered = sorted(placed, key=lambda one: one.tenant)
    step = MOST_TOGETHER if features.many_namespace_query else 1
    return [Ask(ordered[start : start + step]) for start in range(0, len(ordered), step)]


class ShardSearch:
    """One shard's part in one search.

    Args:
        term: of the member, in which the routes were read.
        per_tenant: hits of each tenant at most.
    """

    def __init__(
        self, router: Router, standing: Standing, index: str, shard: str, term: int, per_tenant: int | None
    ) -> None:
        self._router = router
        self._standing = standing
        self._index = index
        self._shard = shard
        self._term = term
        self._per_tenant = per_tenant
        self.account = Account()

    async def run(self, asks: Sequence[Ask], query: Query, width: int) -> None:
        """Make these requests, at most ``width`` at once; each gets its part. Raises what the first one raised that
        failed, when those beside it have ended."""
        features = (await self._router.pool.backend(self._index, self._shard)).features
        hedged = not features.in_process
        if len(asks) == 1:
            await self._one(asks[0], query, hedged)
            return
        waiting = iter(asks)

        async def worker() -> None:
            for ask in waiting:
                await self._one(ask, query, hedged)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(width, len(asks))):
                group.create_task(worker())

    async def _one(self, ask: Ask, query: Query, hedged: bool) -> None:
        wanted = msgspec.structs.replace(query, top_k=ask.want)
        if len(ask.placed) == 1:
            hits = await self._single(ask.placed[0], wanted, hedged)
        else:
            hits = await self._together(ask.placed, wanted, hedged)
        ask.part = Part(hits, ask.want)

    async def _single(self, placed: Placed, query: Query, hedged: bool) -> list[TenantHit]:
        if self._per_tenant is not None:
            query = msgspec.structs.replace(query, top_k=min(query.top_k, self._per_tenant))
        try:
            hits, hedges = await self._standing.call(
                1,
                hedged,
                lambda: self._router.query_at(self._index, placed.tenant, placed.route, query, self._term),
            )
        except NotFound as missing:
            if missing.kind != "tenant":
                raise
            hits, hedges = [], 0  # deleted since the list was read
        self._count(hedges)
        return [TenantHit(placed.tenant, hit) for hit in hits]

    async def _together(self, placed: Sequence[Placed], query: Query, hedged: bool) -> list[TenantHit]:
        listed = [(one.tenant, one.route) for one in placed]
        found, hedges = await self._standing.call(
            len(listed),
            hedged,
            lambda: query_together(self._router, self._index, self._shard, listed, query, self._per_tenant, self._term),
        )
        self._count(hedges)
        hits = [TenantHit(one.namespace, one.hit) for one in found.hits]
        if not found.left:
            return hits
        by_name = {one.tenant: one for one in placed}
        for tenant, route in found.left:
            again = msgspec.structs.replace(by_name[tenant], route=route)
            hits += await self._single(again, query, hedged)
        hits.sort(key=key_of)
        return hits[: query.top_k]

    def _count(self, hedges: int) -> None:
        self.account.calls += 1
        self.account.hedges += hedges


def failure_of(trouble: BaseException) -> BaseException:
    """What went wrong, out of a group."""
    return next(_leaves(trouble))


def _leaves(trouble: BaseException) -> Iterator[BaseException]:
    if isinstance(trouble, BaseExceptionGroup):
        for part in trouble.exceptions:
            yield from _leaves(part)
    else:
        yield trouble
