"""A cluster: everything that one process needs to serve and steer it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tenantry.cluster.handles import TenantHandle
from tenantry.cluster.indexes import IndexAdmin
from tenantry.cluster.keys import KeyAdmin
from tenantry.cluster.moves import MoveAdmin
from tenantry.cluster.plans import PlanAdmin
from tenantry.cluster.service_plans import ServicePlanAdmin
from tenantry.cluster.shards import ShardAdmin
from tenantry.cluster.tenants import TenantAdmin
from tenantry.cluster.usage import UsageAdmin
from tenantry.control.checks import RoutingChecks
from tenantry.control.monitor import Monitor
from tenantry.control.mover.context import Context, MovingLimits, NoFaults
from tenantry.control.runs import Runs
from tenantry.control.service import MoveService
from tenantry.documents.store import DocumentStore
from tenantry.model.filters import parse_filter
from tenantry.model.limits import Limits
from tenantry.model.records import Query
from tenantry.model.topology import DEFAULT_INDEX, LogicalIndex, Shard
from tenantry.ports import (
    Catalog,
    Clock,
    Embedder,
    EventFeed,
    Faults,
    Limiter,
    PlacementPolicy,
    RouteCache,
    SharedRoutes,
    Telemetry,
    VectorBackend,
)
from tenantry.router.bulletin import Bulletin
from tenantry.router.inflight import Inflight
from tenantry.router.limiter import LocalLimiter, SteadyLimiter
from tenantry.router.logged import LoggedWriter
from tenantry.router.member import Member
from tenantry.router.news import News
from tenantry.router.resolve import Resolver
from tenantry.router.router import Router
from tenantry.router.scatter import Scatter, ScatterResult
from tenantry.router.service import Service, ServiceOptions
from tenantry.router.shards import ShardPool
from tenantry.router.shared import Shared
from tenantry.router.verify import RoutingReport, RoutingVerifier
from tenantry.router.verify_shared import SharedVerifier


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a cluster is put together from; `tenantry.wiring` chooses them by the settings.

    Attributes:
        open_backend: makes a shard's backend.
        backends, default_backend: registered kinds, and the one for shards that name none.
        policy: placement policy by name; raises InvalidArgument.
        embedder: embedder by name, made once; raises InvalidArgument.
        token: that many random bytes as hexadecimal.
        request_timeout_s: longest time of one backend call.
        search_deadline_s: longest time of a cross-tenant search, unless the caller says less.
        close: closes what `wiring` opened, last.
        announce: takes what only one process may use (the embedded data folder) and notes where it is served.
        exclusive: takes it without a note; raises Locked.
        sole: no other process can reach this cluster's shards, so nobody holds or awaits leases.
        lease_s: length of the leases of a fleet, seconds.
        moving: bounds of moves.
        faults: where tests interfere.
        feeds: what carries events between the processes of a fleet.
        shared: where they keep routes for each other.
        check_every_s: pause between checks of the routing while the cluster is served, seconds; 0: none.
        service: which limits are kept to, how shards are shared, whether usage is counted.
        limiter: counts for all processes of a fleet; None: each counts for itself.
    """

    catalog: Catalog
    cache: RouteCache
    open_backend: Callable[[LogicalIndex, Shard], VectorBackend]
    backends: tuple[str, ...]
    default_backend: str
    policy: Callable[[str], PlacementPolicy]
    embedder: Callable[[str], Embedder]
    clock: Clock
    telemetry: Telemetry
    token: Callable[[int], str]
    limits: Limits
    request_timeout_s: float
    search_deadline_s: float
    close: Callable[[], Awaitable[None]]
    announce: Callable[[str], None] = lambda url: None
    exclusive: Callable[[], None] = lambda: None
    sole: bool = True
    lease_s: float = 5.0
    moving: MovingLimits = field(default_factory=MovingLimits)
    faults: Faults = field(default_factory=NoFaults)
    feeds: Sequence[EventFeed] = ()
    shared: SharedRoutes | None = None
    check_every_s: float = 0.0
    service: ServiceOptions = field(default_factory=ServiceOptions)
    limiter: Limiter | None = None


class Cluster:
    """Use as ``async with``; `tenantry.open_cluster` makes one from settings.

    Attributes:
        indexes, shards, tenants, keys: administration.
        moves, plans: moving tenants between shards, and planning which.
        service_plans, usage: what tenants may use, and what they used.
        service: limits as they are kept to.
        router: the data plane, for those who have (index, tenant) pairs in hand, such as the gateway.
        documents: text in and out, likewise.
    """

    def __init__(self, parts: Parts) -> None:
        catalog, cache, clock, limits = parts.catalog, parts.cache, parts.clock, parts.limits
        pool = ShardPool(catalog, parts.open_backend)
        member = Member(catalog.leases, clock, parts.token(8), parts.lease_s, sole=parts.sole, lapsed=cache.clear)
        inflight, news = Inflight(), News()
        shared = Shared(parts.shared, catalog.tenants, member, inflight, clock)
        resolver = Resolver(
            catalog, cache, pool, parts.policy, limits, clock, parts.telemetry, member=member, news=news, shared=shared
        )
        self._moving = MoveService(
            Context(
                catalog=catalog,
                pool=pool,
                resolver=resolver,
                member=member,
                inflight=inflight,
                news=news,
                clock=clock,
                faults=parts.faults,
                limits=limits,
                moving=parts.moving,
            ),
            parts.token,
            parts.exclusive,
        )
        self._bulletin = Bulletin(parts.feeds, clock)
        self._bulletin.on_event.append(news.hear)
        self._bulletin.on_missed += [cache.clear, shared.missed, self._moving.wake]
        news.tell = self._bulletin.tell
        member.joined = self._joined
        self._member = member
        self._shared = shared
        self._pool = pool
        self._parts = parts
        self.limits = limits
        self.clock = clock
        self.telemetry = parts.telemetry
        limiter = SteadyLimiter(parts.limiter, clock) if parts.limiter is not None else LocalLimiter(clock)
        self.service = Service(catalog, resolver, pool, clock, limiter, member.owner, parts.service)
        self.router = Router(
            resolver,
            pool,
            limits,
            clock,
            parts.telemetry,
            member=member,
            inflight=inflight,
            logged=LoggedWriter(catalog, news, clock),
            service=self.service,
            request_timeout_s=parts.request_timeout_s,
        )
        self.scatter = Scatter(catalog, self.router, clock, parts.telemetry, parts.search_deadline_s)
        self.documents = DocumentStore(catalog, self.router, self.scatter, parts.embedder)
        self.keys = KeyAdmin(catalog, clock, parts.token)
        self.shards = ShardAdmin(catalog, pool, parts.default_backend, parts.backends)
        self.indexes = IndexAdmin(catalog, pool, resolver, self.shards, parts.policy, parts.embedder, clock, self.keys)
        self.service_plans = ServicePlanAdmin(catalog, resolver, self.service)
        self.usage = UsageAdmin(catalog, self.service, clock)
        self.tenants = TenantAdmin(catalog, pool, resolver, self.keys, parts.embedder, self.service.plans)
        self.moves = MoveAdmin(catalog, self._moving)
        self._runs = Runs(self._moving, parts.token)
        monitor = Monitor(catalog, pool, clock, lambda index: inflight.activity.loads(index, clock.monotonic()))
        self.plans = PlanAdmin(monitor, self._runs, self.shards, limits)
        self._verifier = verifier = RoutingVerifier(
            catalog, cache, pool, resolver, SharedVerifier(shared, catalog.tenants)
        )
        self._checks = RoutingChecks(catalog, verifier, member, clock, parts.check_every_s)

    def tenant(self, name: str, index: str = DEFAULT_INDEX) -> TenantHandle:
        """A handle to work with one tenant's records and documents; touches nothing yet."""
        return TenantHandle(self.router, self.documents, index, name)

    async def search_all(
        self,
        vector: Any,
        *,
        index: str = DEFAULT_INDEX,
        tenants: Sequence[str] | None = None,
        top_k: int = 10,
        filter: Mapping[str, Any] | None = None,
        include_values: bool = False,
        include_metadata: bool = True,
        deadline_s: float | None = None,
    ) -> ScatterResult:
        """Search over chosen tenants, or all of an index; see `Scatter.search`."""
        query = Query(vector, top_k, parse_filter(filter), include_values, include_metadata)
        return await self.scatter.search(index, query, tenants, deadline_s)

    async def verify_routing(self, index: str = DEFAULT_INDEX, *, heal: bool = True) -> RoutingReport:
        """Compare cache, catalog and backends; see `RoutingVerifier.verify`."""
        return await self._verifier.verify(index, heal)

    def check_routing_regularly(self) -> None:
        """Check and heal the routing every ``check_every_s`` from now on, until the cluster is closed."""
        self._checks.start()

    def embedder_dimension(self, name: str) -> int:
        """Length of the vectors of a named embedder. Raises InvalidArgument."""
        return self._parts.embedder(name).dimension

    def announce(self, url: str = "") -> None:
        """Take the data folder for this process now, not on first use of data, and say where it is served: others
        that find it taken are told. Repeatable. Raises Locked."""
        self._parts.announce(url)

    async def aclose(self) -> None:
        """Finish what runs and close everything; safe to call twice. Moves stop where they are and go on when the
        cluster is opened again."""
        await self._checks.aclose()
        await self._runs.aclose()
        await self._moving.aclose()
        await self.service.aclose()
        await self._member.aclose()
        await self._bulletin.aclose()
        await self._shared.aclose()
        await self._pool.aclose()
        await self.documents.aclose()
        await self._parts.close()

    def _joined(self) -> None:
        """Serving from cached routes begins: hear of changes, and answer barriers."""
        self._bulletin.start()
        self._moving.wake()

    async def __aenter__(self) -> Self:
        self._moving.wake()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
