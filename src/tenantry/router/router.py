"""One tenant's requests: check, resolve, act on the one shard that holds the tenant."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from tenantry.errors import DeadlineExceeded, Diverged, NotFound, RequestError, TenantryError
from tenantry.model.changes import Change, Clear, Patch, Put, Remove, RemoveWhere, Resolved
from tenantry.model.filters import Filter
from tenantry.model.limits import (
    Limits,
    check_batch,
    check_count,
    check_ids,
    check_update,
    check_vector,
)
from tenantry.model.records import (
    ByFilter,
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
from tenantry.model.topology import LogicalIndex, Mode, Route
from tenantry.model.usage import Load
from tenantry.ports import Clock, Index, Telemetry
from tenantry.router import loads
from tenantry.router.admission import Ticket, leave
from tenantry.router.inflight import Inflight
from tenantry.router.logged import LoggedWriter
from tenantry.router.member import Member
from tenantry.router.resolve import Resolver
from tenantry.router.rollup import Feed, Held
from tenantry.router.service import Service
from tenantry.router.shards import ShardPool

T = TypeVar("T")
#: Kind of reads that Tenantry makes for itself; they count as no tenant's.
OWN_WORK = "own-work"


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
        *,
        member: Member,
        inflight: Inflight,
        logged: LoggedWriter,
        feed: Feed,
        service: Service,
        request_timeout_s: float = 30.0,
    ) -> None:
        self.resolver = resolver
        self.feed = feed
        self.member = member
        self.inflight = inflight
        self._logged = logged
        self.service = service
        self.pool = pool
        self.limits = limits
        self.request_timeout_s = request_timeout_s
        self.clock = clock
        self.telemetry = telemetry
        self._writing: set[asyncio.Future[Any]] = set()
        #: Of each index how often something of it was written from here; grows when that is done.
        self.versions: Counter[str] = Counter()

    async def upsert(self, index: str, tenant: str, records: Iterable[Record]) -> int:
        """Write a batch; durable when it returns. Returns the number of records. Makes the tenant if allowed."""
        logical = await self.pool.index(index)
        batch, size = check_batch(records, logical.dimension, logical.metric, self.limits)
        load, resolve = loads.upsert(len(batch), size), self.resolver.route_for_write
        async with self.service.room(index, tenant, load, [record.id for record in batch], resolve):
            await self._write(
                "upsert",
                logical.name,
                tenant,
                Put(tuple(batch)),
                lambda namespace: namespace.upsert(batch),
                resolve,
                load,
            )
        return len(batch)

    async def update(self, index: str, tenant: str, update: Update) -> bool:
        """Change parts of one record; False when there is none of that id."""
        logical = await self.pool.index(index)
        checked = check_update(update, logical.dimension, logical.metric, self.limits)
        load, resolve = loads.update(checked), self.resolver.route
        async with self.service.room(index, tenant, load, (), resolve):
            outcome = await self._write(
                "update", index, tenant, Patch(checked), lambda namespace: namespace.update(checked), resolve, load
            )
        return outcome if isinstance(outcome, bool) else isinstance(outcome, Put)

    async def delete(self, index: str, tenant: str, selector: Selector) -> None:
        """Delete records by id, by filter, or all; what is not there is passed over."""
        await self.pool.index(index)
        if isinstance(selector, ByIds):
            selector = ByIds(check_ids(selector.ids, "ids", self.limits.batch_records, self.limits))
        chosen = selector
        await self._write(
            "delete",
            index,
            tenant,
            _removal(chosen),
            lambda namespace: namespace.delete(chosen),
            self.resolver.route,
            loads.delete(chosen),
        )

    async def fetch(self, index: str, tenant: str, ids: Sequence[str], kind: str = "fetch") -> dict[str, Record]:
        """The records of these ids that exist, in the order asked."""
        await self.pool.index(index)
        wanted = check_ids(ids, "ids", self.limits.fetch_ids, self.limits)
        found = await self._read(
            kind, index, tenant, lambda namespace: namespace.fetch(wanted), _load_of(kind, len(wanted))
        )
        return {key: found[key] for key in wanted if key in found}

    async def query(self, index: str, tenant: str, query: Query) -> list[Hit]:
        """The nearest records, best first."""
        logical = await self.pool.index(index)
        checked = self.check_query(logical, query)
        return await self._read(
            "query", index, tenant, lambda namespace: namespace.query(checked), loads.query(checked)
        )

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

    async def query_at(self, index: str, tenant: str, listed: Route, query: Query, term: int) -> list[Hit]:
        """As `query`, of a checked query, under a route that was read from the catalog in this `term` of the member:
        used unless a newer one is known, and not cached."""
        first = [listed]

        async def resolve(index: str, tenant: str) -> Route:
            known = self.resolver.cached(index, tenant)
            if first and term == self.member.term and (known is None or known.epoch <= listed.epoch):
                return first.pop()
            return known or await self.resolver.reload(index, tenant)

        async def read(route: Route) -> list[Hit]:
            return await (await self.pool.namespace(index, route.place)).query(query)

        return await self._serve("search-part", index, tenant, resolve, read, loads.part(query, 1))

    async def list_ids(self, index: str, tenant: str, cursor: str | None, limit: int, prefix: str = "") -> IdPage:
        """One page of ids in ascending order."""
        await self.pool.index(index)
        check_count(limit, "limit", 1, self.limits.scan_page)
        return await self._read(
            "list", index, tenant, lambda namespace: namespace.list_ids(cursor, limit, prefix), loads.read(limit)
        )

    async def scan(
        self, index: str, tenant: str, cursor: str | None, limit: int, prefix: str = "", kind: str = "scan"
    ) -> Page:
        """One page of whole records in ascending order of id."""
        await self.pool.index(index)
        check_count(limit, "limit", 1, self.limits.scan_page)
        return await self._read(
            kind, index, tenant, lambda namespace: namespace.scan(cursor, limit, prefix), _load_of(kind, limit)
        )

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

    async def _read(self, kind: str, index: str, tenant: str, act: Callable[[Index], Awaitable[T]], load: Load) -> T:
        async def read(route: Route) -> T | _Again:
            answer = await act(await self.pool.namespace(index, route.place))
            if _is_empty(answer) and await self.resolver.is_outdated(index, tenant, route):
                return _AGAIN
            return answer

        return await self._serve(kind, index, tenant, self.resolver.route, read, load)

    async def _write(
        self,
        kind: str,
        index: str,
        tenant: str,
        change: Change,
        act: Callable[[Index], Awaitable[T]],
        resolve: Callable[[str, str], Awaitable[Route]],
        load: Load,
    ) -> T | Resolved:
        """Straight to the backend, or, while the tenant moves, through its log. Returns the backend's answer, or what
        the logged change came to."""

        async def write(route: Route) -> T | Resolved | _Again:
            self.pool.check_writable(index, route.place.shard)
            held = self.feed.at_hand(index, tenant) or await self.feed.begin(index, tenant)
            try:
                if route.mode is not Mode.DIRECT:
                    applied = await self._logged.write(index, tenant, route, change)
                    return applied if applied is not None else _AGAIN
                return await self._direct(index, tenant, route, act, held, change)
            finally:
                self.feed.end(held, change)

        try:
            return await self._serve(kind, index, tenant, resolve, write, load)
        finally:
            self.versions[index] += 1

    async def _direct(
        self,
        index: str,
        tenant: str,
        route: Route,
        act: Callable[[Index], Awaitable[T]],
        held: Held,
        change: Change,
    ) -> T | _Again:
        """One write to the backend, counted as in hand until it has really ended: a caller that is cancelled or out
        of time leaves it running, and a barrier must wait for it all the same."""
        namespace = await self.pool.namespace(index, route.place)
        if not self.inflight.enter(index, tenant, route.epoch):
            return _AGAIN
        held.again()

        async def whole() -> T:
            try:
                return await act(namespace)
            finally:
                self.versions[index] += 1
                self.feed.end(held, change)
                self.inflight.leave(index, tenant, route.epoch)

        writing = asyncio.ensure_future(whole())
        self._writing.add(writing)  # the loop holds a task but weakly
        writing.add_done_callback(self._writing.discard)
        return await asyncio.shield(writing)

    async def _serve(
        self,
        kind: str,
        index: str,
        tenant: str,
        resolve: Callable[[str, str], Awaitable[Route]],
        act: Callable[[Route], Awaitable[T | _Again]],
        load: Load,
    ) -> T:
        """Act under the tenant's route until that was done under a lease that held to the end (rule R1)."""
        shard, missed, ok = "", "", False
        ticket: Ticket | None = None
        started = self.clock.monotonic()
        try:
            async with asyncio.timeout(self.request_timeout_s):
                while True:
                    term = await self.member.join()
                    route = await resolve(index, tenant)
                    ticket = ticket or await self.service.admit(index, tenant, route, load)
                    shard = route.place.shard
                    if not self.inflight.enter(index, tenant, route.epoch):
                        await self.resolver.reload(index, tenant)
                        continue
                    try:
                        answer = await act(route)
                    except TenantryError as error:
                        if not self.member.still(term):
                            continue
                        if not isinstance(error, NotFound) or error.kind != "namespace":
                            ok = isinstance(error, RequestError)  # the caller's fault is none of the shard's
                            raise
                        missed = self._missing(tenant, route, missed, error)
                        await self.resolver.reload(index, tenant)
                        continue
                    finally:
                        self.inflight.leave(index, tenant, route.epoch)
                    if not self.member.still(term):
                        continue
                    if isinstance(answer, _Again):
                        await self.resolver.reload(index, tenant)
                        continue
                    ok = True
                    self.inflight.answered += 1
                    self.service.count(index, tenant, load)
                    return answer
        except TimeoutError as late:
            on = f" on shard {shard!r}" if shard else ""
            raise DeadlineExceeded(f"{kind}{on} took over {self.request_timeout_s:g} s") from late
        finally:
            leave(ticket)
            if shard:
                asker = None if kind == OWN_WORK else tenant
                self.telemetry.operation(kind, index, shard, self.clock.monotonic() - started, ok, asker)

    @staticmethod
    def _missing(tenant: str, route: Route, missed: str, error: NotFound) -> str:
        """A route named a namespace that is not there: perhaps it was an old one, which the catalog knows. The same
        place a second time is a loss. Returns the place. Raises Diverged."""
        place = route.place
        here = f"{place.shard}/{place.namespace}"
        if missed != here:
            return here
        raise Diverged(
            f"tenant {tenant!r} is routed to namespace {place.namespace!r} on shard {place.shard!r}, which is not "
            "there: its data are lost or the shard is not the right one; see `tenantry verify-routing`"
        ) from error


def _load_of(kind: str, records: int) -> Load:
    return loads.work(records) if kind == OWN_WORK else loads.read(records)


def _is_empty(answer: object) -> bool:
    """Whether a read found nothing at all."""
    if isinstance(answer, IdPage):
        return not answer.ids
    return not (answer.records if isinstance(answer, Page) else answer)


class _Again:
    """The route has changed: look it up and act again."""


_AGAIN = _Again()


def _removal(selector: Selector) -> Change:
    if isinstance(selector, ByIds):
        return Remove(selector.ids)
    return RemoveWhere(selector.filter) if isinstance(selector, ByFilter) else Clear()
