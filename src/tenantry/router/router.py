"""One tenant's requests: check, resolve, act on the one shard that holds the tenant."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from tenantry.errors import DeadlineExceeded, Diverged, NotFound
from tenantry.model.filters import Filter
from tenantry.model.limits import (
    Limits,
    check_count,
    check_ids,
    check_records,
    check_update,
    check_vector,
)
from tenantry.model.records import (
    ByIds,
    Hit,
    IdPage,
    NamespaceStats,
    Page,
    Query,
    Record,
    Selector,
    Update,
)
from tenantry.model.topology import LogicalIndex, Route
from tenantry.ports import Clock, Index, Telemetry
from tenantry.router.resolve import Resolver
from tenantry.router.shards import ShardPool

T = TypeVar("T")


class Router:
    """The data plane. Every request is checked whole before anything changes; the hot path
    (route in the cache, backend open) makes no catalog round trip.

    All methods raise InvalidArgument or TooLarge for bad input, NotFound for an unknown index or tenant,
    Refused for a suspended tenant or read-only shard, Unavailable for passing trouble of a backend, and
    DeadlineExceeded when a backend takes longer than ``request_timeout_s``.
    """

    def __init__(
        self,
        resolver: Resolver,
        pool: ShardPool,
        limits: Limits,
        clock: Clock,
        telemetry: Telemetry,
        request_timeout_s: float = 30.0,
    ) -> None:
        self.resolver = resolver
        self.pool = pool
        self.limits = limits
        self.request_timeout_s = request_timeout_s
        self._clock = clock
        self._telemetry = telemetry

    async def upsert(self, index: str, tenant: str, records: Iterable[Record]) -> int:
        """Write a batch; durable when it returns. Returns the number of records. Makes the tenant if allowed."""
        logical = await self.pool.index(index)
        batch = check_records(records, logical.dimension, logical.metric, self.limits)
        await self._write("upsert", logical, tenant, lambda namespace: namespace.upsert(batch))
        return len(batch)

    async def update(self, index: str, tenant: str, update: Update) -> bool:
        """Change parts of one record; False when there is none of that id."""
        logical = await self.pool.index(index)
        checked = check_update(update, logical.dimension, logical.metric, self.limits)
        route = await self.resolver.route(index, tenant)
        self.pool.check_writable(index, route.place.shard)
        return await self._on("update", logical, tenant, route, lambda namespace: namespace.update(checked))

    async def delete(self, index: str, tenant: str, selector: Selector) -> None:
        """Delete records by id, by filter, or all; what is not there is passed over."""
        logical = await self.pool.index(index)
        if isinstance(selector, ByIds):
            selector = ByIds(check_ids(selector.ids, "ids", self.limits.batch_records, self.limits))
        route = await self.resolver.route(index, tenant)
        self.pool.check_writable(index, route.place.shard)
        chosen = selector
        await self._on("delete", logical, tenant, route, lambda namespace: namespace.delete(chosen))

    async def fetch(self, index: str, tenant: str, ids: Sequence[str]) -> dict[str, Record]:
        """The records of these ids that exist, in the order asked."""
        logical = await self.pool.index(index)
        wanted = check_ids(ids, "ids", self.limits.fetch_ids, self.limits)
        found = await self._read("fetch", logical, tenant, lambda namespace: namespace.fetch(wanted))
        return {key: found[key] for key in wanted if key in found}

    async def query(self, index: str, tenant: str, query: Query) -> list[Hit]:
        """The nearest records, best first."""
        logical = await self.pool.index(index)
        checked = self.check_query(logical, query)
        return await self._read("query", logical, tenant, lambda namespace: namespace.query(checked))

    async def query_like(
        self,
        index: str,
        tenant: str,
        id: str,
        top_k: int,
        filter: Filter | None = None,
        include_values: bool = False,
        include_metadata: bool = False,
    ) -> list[Hit]:
        """As `query`, with the stored vector of ``id`` (which is its own nearest hit). Raises NotFound (record)."""
        found = await self.fetch(index, tenant, [id])
        if id not in found:
            raise NotFound("record", id, f"in tenant {tenant!r}")
        query = Query(found[id].values, top_k, filter, include_values, include_metadata)
        return await self.query(index, tenant, query)

    async def list_ids(self, index: str, tenant: str, cursor: str | None, limit: int, prefix: str = "") -> IdPage:
        """One page of ids in ascending order."""
        logical = await self.pool.index(index)
        check_count(limit, "limit", 1, self.limits.scan_page)
        return await self._read("list", logical, tenant, lambda namespace: namespace.list_ids(cursor, limit, prefix))

    async def scan(self, index: str, tenant: str, cursor: str | None, limit: int, prefix: str = "") -> Page:
        """One page of whole records in ascending order of id."""
        logical = await self.pool.index(index)
        check_count(limit, "limit", 1, self.limits.scan_page)
        return await self._read("scan", logical, tenant, lambda namespace: namespace.scan(cursor, limit, prefix))

    async def stats(self, index: str, tenant: str) -> NamespaceStats:
        """Vectors and bytes of a tenant, exact where the backend's counts are."""
        route = await self.resolver.route(index, tenant)
        backend = await self.pool.backend(index, route.place.shard)
        return await backend.stats(route.place.namespace)

    def check_query(self, logical: LogicalIndex, query: Query) -> Query:
        """The query with its vector as float32, held to the index's dimension and to the limits."""
        check_count(query.top_k, "top_k", 1, self.limits.top_k)
        vector = check_vector(query.vector, "vector", logical.dimension, logical.metric)
        return Query(vector, query.top_k, query.filter, query.include_values, query.include_metadata)

    async def _write(self, kind: str, logical: LogicalIndex, tenant: str, act: Callable[[Index], Awaitable[T]]) -> T:
        route = await self.resolver.route_for_write(logical.name, tenant)
        return await self._on(kind, logical, tenant, route, act)

    async def _read(self, kind: str, logical: LogicalIndex, tenant: str, act: Callable[[Index], Awaitable[T]]) -> T:
        route = await self.resolver.route(logical.name, tenant)
        return await self._on(kind, logical, tenant, route, act)

    async def _on(
        self, kind: str, logical: LogicalIndex, tenant: str, route: Route, act: Callable[[Index], Awaitable[T]]
    ) -> T:
        try:
            return await self._timed(kind, logical.name, route, act)
        except NotFound as missing:
            if missing.kind != "namespace":
                raise
        # The cached route named a namespace that is gone: the catalog knows whether the tenant is gone too.
        fresh = await self.resolver.reload(logical.name, tenant)
        try:
            return await self._timed(kind, logical.name, fresh, act)
        except NotFound as missing:
            if missing.kind != "namespace":
                raise
            place = fresh.place
            raise Diverged(
                f"tenant {tenant!r} is routed to namespace {place.namespace!r} on shard {place.shard!r}, which is not "
                "there: its data are lost or the shard is not the right one; see `tenantry verify-routing`"
            ) from missing

    async def _timed(self, kind: str, index: str, route: Route, act: Callable[[Index], Awaitable[T]]) -> T:
        namespace = await self.pool.namespace(index, route.place)
        started = self._clock.monotonic()
        ok = False
        try:
            async with asyncio.timeout(self.request_timeout_s):
                answer = await act(namespace)
            ok = True
            return answer
        except TimeoutError as late:
            raise DeadlineExceeded(
                f"{kind} on shard {route.place.shard!r} took over {self.request_timeout_s:g} s"
            ) from late
        finally:
            self._telemetry.operation(kind, index, route.place.shard, self._clock.monotonic() - started, ok)
