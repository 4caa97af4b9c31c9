"""A cluster: everything that one process needs to serve and steer it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import msgspec

from tenantry.backup.jobs import Jobs
from tenantry.backup.schedule import Scheduler
from tenantry.backup.service import BackupService
from tenantry.cluster.adopt import AdoptAdmin
from tenantry.cluster.advice import AdviceAdmin
from tenantry.cluster.audit import Audit
from tenantry.cluster.backups import BackupAdmin, scheduled
from tenantry.cluster.cursors import Cursors
from tenantry.cluster.files import FileAdmin
from tenantry.cluster.handles import TenantHandle
from tenantry.cluster.indexes import IndexAdmin
from tenantry.cluster.keys import KeyAdmin
from tenantry.cluster.moves import MoveAdmin
from tenantry.cluster.plans import PlanAdmin
from tenantry.cluster.recording import Deeds, RecordedScatter, recorded, recording
from tenantry.cluster.service_plans import ServicePlanAdmin
from tenantry.cluster.shards import ShardAdmin
from tenantry.cluster.tenants import TenantAdmin
from tenantry.cluster.usage import UsageAdmin
from tenantry.control.checks import RoutingChecks
from tenantry.control.health.values import Thresholds
from tenantry.control.health_checks import HealthChecks
from tenantry.control.health_report import HealthReport
from tenantry.control.health_view import HealthViews
from tenantry.control.measure.readings import Readings
from tenantry.control.measure.sharing import Sharing
from tenantry.control.measure.window import Measured
from tenantry.control.metering import Metering
from tenantry.control.monitor import Monitor
from tenantry.control.mover.context import Context, MovingLimits, NoFaults
from tenantry.control.runs import Runs
from tenantry.control.service import MoveService
from tenantry.documents.store import DocumentStore
from tenantry.errors import InvalidArgument
from tenantry.model.filters import parse_filter
from tenantry.model.limits import Limits
from tenantry.model.records import Query
from tenantry.model.topology import DEFAULT_INDEX, LogicalIndex, Shard
from tenantry.ports import (
    Archive,
    Catalog,
    Clock,
    Embedder,
    EventFeed,
    Faults,
    Limiter,
    Notifier,
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
from tenantry.router.scatter import Options, ScatterResult, SearchLimits
from tenantry.router.secret import ClusterSecret
from tenantry.router.service import Service, ServiceOptions
from tenantry.router.shards import ShardPool
from tenantry.router.shared import Shared
from tenantry.router.verify import RoutingReport, RoutingVerifier
from tenantry.router.verify_shared import SharedVerifier


def no_archive(url: str | None) -> Archive:
    """Where none can be opened. Raises InvalidArgument."""
    raise InvalidArgument("archive", url, "none here")


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
        searching: the other bounds of such searches.
        close: closes what `wiring` opened, last.
        announce: takes what only one process may use (the embedded data folder) and notes where it is served.
        exclusive: takes it without a note; raises Locked.
        sole: no other process can reach this cluster's shards, so nobody holds or awaits leases.
        lease_s: length of the leases of a fleet, seconds.
        moving: bounds of moves.
        faults: where tests interfere.
        feeds: what carries events between the processes of a fleet.
        shared: where they keep routes for each other.
        open_archive: makes the archive of a URL, or that of the settings for None; backup_key: the key of archives.
        deleted_retention_s: how long the data of a deleted tenant are kept, seconds; 0: not at all.
        key_pepper: under which new API keys are hashed; None: one that the catalog keeps.
        check_every_s: pause between checks of the routing while the cluster is served, seconds; 0: none.
        thresholds: when to warn.
        window_s: over which latencies and rates are taken, seconds.
        health_every_s: pause between checks of the health while the cluster is served, seconds; 0: none.
        top_tenants: tenants that a report of health lists.
        notifier: is told of warnings that come to stand or go.
        prices: tables laid over the price book of the package.
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
    searching: SearchLimits = field(default_factory=SearchLimits)
    faults: Faults = field(default_factory=NoFaults)
    feeds: Sequence[EventFeed] = ()
    shared: SharedRoutes | None = None
    check_every_s: float = 0.0
    thresholds: Thresholds = field(default_factory=Thresholds)
    window_s: float = 300.0
    health_every_s: float = 0.0
    top_tenants: int = 20
    notifier: Notifier | None = None
    open_archive: Callable[[str | None], Archive] = no_archive
    backup_key: Callable[[], bytes | None] = lambda: None
    deleted_retention_s: float = 0.0
    key_pepper: str | None = None
    prices: Mapping[str, Any] | None = None
    service: ServiceOptions = field(default_factory=ServiceOptions)
    limiter: Limiter | None = None


class Cluster:
    """Use as ``async with``; `tenantry.open_cluster` makes one from settings.

    Attributes:
        indexes, shards, tenants, keys: administration.
        audit: who did what. deeds: recording it, see `tenantry.cluster.recording`.
        cursors: signed places in listings, for those who hand them to clients.
        moves, plans: moving tenants between shards, and planning which.
        routing_checks, health_checks: what runs regularly while the cluster is served, and what it found.
        backups: backup and restore.
        adoption: existing indexes as shards.
        files: records from files, and into them.
        advice: what it costs, whose cost it is, and how many shards are needed.
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
        measured = Measured(parts.telemetry, clock, parts.window_s)
        shared = Shared(parts.shared, catalog.tenants, member, inflight, clock)
        resolver = Resolver(
            catalog, cache, pool, parts.policy, limits, clock, measured, member=member, news=news, shared=shared
        )
        context = Context(
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
        )
        self._moving = MoveService(context, parts.token, parts.exclusive)
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
        service = self._hold_limits(parts, resolver, measured)
        self.router = Router(
            resolver,
            pool,
            limits,
            clock,
            measured,
            member=member,
            inflight=inflight,
            logged=LoggedWriter(catalog, news, clock),
            service=service,
            request_timeout_s=parts.request_timeout_s,
        )
        secret = ClusterSecret(catalog.settings, parts.token)
        self.cursors = Cursors(secret)
        self.scatter = _scatter(parts, self.router, measured, secret)
        self.documents = DocumentStore(catalog, self.router, self.scatter, parts.embedder)
        self.keys = KeyAdmin(catalog, clock, parts.token, parts.key_pepper, limits)
        self.keys.tell = self._bulletin.tell
        self._bulletin.on_event.append(self.keys.hear)
        self._bulletin.on_missed.append(self.keys.missed)
        self._sharing = Sharing(measured, catalog, member, clock, parts.window_s)
        self._administer(parts, context)
        self._watch(parts, context, shared)
        recording(self.deeds, self, self.scatter, *self._steered())

    def _hold_limits(self, parts: Parts, resolver: Resolver, measured: Measured) -> Service:
        """What holds tenants to their plans and shares, and counts what they use."""
        clock, catalog, options = parts.clock, parts.catalog, parts.service
        limiter = SteadyLimiter(parts.limiter, clock) if parts.limiter is not None else LocalLimiter(clock)
        self.service = service = Service(catalog, resolver, self._pool, clock, limiter, measured, options)
        self._metering = Metering(
            service.meter, catalog.usage, clock, self._member.owner, service.stored, options.usage_s
        )
        return service

    def _steered(self) -> tuple[object, ...]:
        """Whatever has operations that change the cluster: all of them are recorded."""
        return (
            self.indexes,
            self.shards,
            self.tenants,
            self.keys,
            self.moves,
            self.plans,
            self.backups,
            self.adoption,
            self.service_plans,
            self.usage,
        )

    def _administer(self, parts: Parts, context: Context) -> None:
        """What changes the cluster."""
        catalog, clock, limits, pool = context.catalog, context.clock, context.limits, context.pool
        self.audit = Audit(catalog, clock)
        self.deeds = Deeds(self.audit, clock)
        self.shards = ShardAdmin(catalog, pool, parts.default_backend, parts.backends)
        self.indexes = IndexAdmin(
            catalog, pool, context.resolver, self.shards, parts.policy, parts.embedder, clock, self.keys
        )
        self.service_plans = ServicePlanAdmin(catalog, context.resolver, self.service)
        self.usage = UsageAdmin(catalog, self._metering, clock)
        self.tenants = TenantAdmin(
            catalog,
            pool,
            context.resolver,
            self.keys,
            parts.embedder,
            clock,
            parts.deleted_retention_s,
            self.service.plans,
        )
        self.moves = MoveAdmin(catalog, self._moving)
        self._runs = Runs(self._moving, parts.token)
        self._backup = BackupService(context, parts.open_archive, parts.backup_key, parts.token, parts.backends)
        jobs = Jobs(clock, parts.token)
        self.backups = BackupAdmin(self._backup, jobs, Scheduler(clock, scheduled(self._backup, jobs)))
        monitor = Monitor(catalog, pool, clock, self._sharing.fresh)
        self.plans = PlanAdmin(monitor, self._runs, self.shards, limits)
        besides = (*(["redis"] if parts.shared is not None else []), *([] if parts.sole else ["postgresql"]))
        self.advice = AdviceAdmin(monitor, self._sharing.fresh, catalog, parts.prices, besides)
        self.adoption = AdoptAdmin(catalog, pool, self.shards, self.advice, self.plans, clock, limits)
        self.files = FileAdmin(self.router, catalog.tenants, limits)

    def _watch(self, parts: Parts, context: Context, shared: Shared) -> None:
        """What looks after it while it is served."""
        catalog, clock, member, pool = context.catalog, context.clock, context.member, context.pool
        self._verifier = verifier = RoutingVerifier(
            catalog, parts.cache, pool, context.resolver, SharedVerifier(shared, catalog.tenants)
        )
        self.routing_checks = RoutingChecks(catalog, verifier, member, clock, parts.check_every_s)
        views = HealthViews(catalog, pool, verifier, self._sharing, clock, parts.thresholds)
        self.health_checks = _health_checks(parts, views, member)

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
        per_tenant: int | None = None,
        exactness: float = 1.0,
        cursor: str | None = None,
        by_model: bool = False,
    ) -> ScatterResult:
        """Search over chosen tenants, or all of an index; see `Scatter.search` and `Options`. The next page of the same
        question is at the ``cursor`` of the answer."""
        query = Query(vector, top_k, parse_filter(filter), include_values, include_metadata)
        options = Options(per_tenant, exactness, cursor, by_model)
        return await self.scatter.search(index, query, tenants, deadline_s, options)

    @recorded("routing.verify", index="index")
    async def verify_routing(self, index: str = DEFAULT_INDEX, *, heal: bool = True) -> RoutingReport:
        """Compare cache, catalog and backends; see `RoutingVerifier.verify`."""
        return await self._verifier.verify(index, heal)

    def check_routing_regularly(self) -> None:
        """Check and heal the routing every ``check_every_s`` from now on, until the cluster is closed."""
        self.routing_checks.start()

    async def health(self, index: str = DEFAULT_INDEX) -> HealthReport:
        """What is wrong with an index, why, and what to do: measured now. Raises NotFound, Unavailable."""
        return await self.health_checks.report(index)

    async def readings(self, index: str = DEFAULT_INDEX) -> Readings:
        """Counts, rates and latencies of each shard and tenant over the window, of all gateways. Raises NotFound,
        Unavailable."""
        await self._pool.index(index)
        return await self._sharing.fresh(index)

    def check_health_regularly(self) -> None:
        """Check the health every ``health_every_s`` from now on, until the cluster is closed, and share with the other
        gateways what this one counts."""
        self._sharing.start()
        self.health_checks.start()

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
        await self.routing_checks.aclose()
        await self.health_checks.aclose()
        await self._sharing.aclose()
        await self.backups.aclose()
        await self._runs.aclose()
        await self._moving.aclose()
        await self.scatter.aclose()
        await self._metering.aclose()
        await self.service.aclose()
        await self._member.aclose()
        await self._bulletin.aclose()
        await self._shared.aclose()
        await self._pool.aclose()
        await self.documents.aclose()
        await self.deeds.aclose()
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


def _scatter(parts: Parts, router: Router, telemetry: Telemetry, secret: ClusterSecret) -> RecordedScatter:
    return RecordedScatter(
        parts.catalog,
        router,
        parts.clock,
        telemetry,
        secret,
        lambda name: parts.embedder(name).model,
        msgspec.structs.replace(parts.searching, deadline_s=parts.search_deadline_s),
    )


def _health_checks(parts: Parts, views: HealthViews, member: Member) -> HealthChecks:
    return HealthChecks(
        parts.catalog,
        views,
        member,
        parts.clock,
        parts.thresholds,
        parts.notifier,
        every_s=parts.health_every_s,
        most_tenants=parts.top_tenants,
    )
