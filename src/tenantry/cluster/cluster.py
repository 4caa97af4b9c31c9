"""A cluster: everything that one process needs to serve and steer it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import msgspec

from tenantry.backup.jobs import Jobs
from tenantry.backup.schedule import Scheduler
from tenantry.backup.service import BackupService
from tenantry.cluster.adopt import AdoptAdmin
from tenantry.cluster.advice import AdviceAdmin
from tenantry.cluster.audit import Audit
from tenantry.cluster.autopilot import AutopilotAdmin
from tenantry.cluster.backups import BackupAdmin, scheduled
from tenantry.cluster.cursors import Cursors
from tenantry.cluster.files import FileAdmin
from tenantry.cluster.handles import TenantHandle
from tenantry.cluster.indexes import IndexAdmin
from tenantry.cluster.keys import KeyAdmin
from tenantry.cluster.migrations import MigrationAdmin, MigrationParts
from tenantry.cluster.moves import MoveAdmin
from tenantry.cluster.parts import Parts
from tenantry.cluster.plans import PlanAdmin
from tenantry.cluster.recording import Deeds, RecordedScatter, recorded, recording
from tenantry.cluster.rollups import RollupAdmin
from tenantry.cluster.service_plans import ServicePlanAdmin
from tenantry.cluster.shards import ShardAdmin
from tenantry.cluster.tenants import TenantAdmin
from tenantry.cluster.usage import UsageAdmin
from tenantry.cluster.watching import Watching
from tenantry.control.autopilot.pilot import Crew
from tenantry.control.checks import RoutingChecks
from tenantry.control.costs import CostWatch
from tenantry.control.health_checks import HealthChecks
from tenantry.control.health_report import HealthReport
from tenantry.control.health_view import HealthViews
from tenantry.control.measure.readings import Readings
from tenantry.control.measure.sharing import Sharing
from tenantry.control.measure.window import Measured
from tenantry.control.metering import Metering
from tenantry.control.migrate.service import MigrationService
from tenantry.control.monitor import Monitor
from tenantry.control.mover.context import Context
from tenantry.control.prices import prices
from tenantry.control.rollup.service import RollupService
from tenantry.control.runs import Runs
from tenantry.control.service import MoveService, tell_of_move
from tenantry.documents.store import DocumentStore
from tenantry.model.filters import parse_filter
from tenantry.model.records import Query
from tenantry.model.topology import DEFAULT_INDEX
from tenantry.ports import (
    Telemetry,
)
from tenantry.router.bulletin import Bulletin
from tenantry.router.inflight import Inflight
from tenantry.router.limiter import LocalLimiter, SteadyLimiter
from tenantry.router.logged import LoggedWriter
from tenantry.router.member import Member
from tenantry.router.news import News
from tenantry.router.resolve import Resolver
from tenantry.router.rollup import Feed, Freshness
from tenantry.router.router import Router
from tenantry.router.scatter import Options, ScatterResult
from tenantry.router.secret import ClusterSecret
from tenantry.router.service import Service
from tenantry.router.shards import ShardPool
from tenantry.router.shared import Shared
from tenantry.router.traced import ROUTED, trace_calls, traced_backends
from tenantry.router.verify import RoutingReport, RoutingVerifier
from tenantry.router.verify_shared import SharedVerifier


class Cluster:
    """Use as ``async with``; `tenantry.open_cluster` makes one from settings.

    Attributes:
        indexes, shards, tenants, keys: administration.
        audit: who did what. deeds: recording it, see `tenantry.cluster.recording`.
        cursors: signed places in listings, for those who hand them to clients.
        moves, plans: moving tenants between shards, and planning which.
        migrations: moving many of them, in waves.
        routing_checks, health_checks: what runs regularly while the cluster is served, and what it found.
        rollups: indexes with a copy of all their records for cross-tenant searches.
        backups: backup and restore.
        adoption: existing indexes as shards.
        files: records from files, and into them.
        autopilot: what acts on warnings by itself, when it may.
        advice: what it costs, whose cost it is, and how many shards are needed.
        watching: the state of an index in a form that may be asked for often.
        service_plans, usage: what tenants may use, and what they used.
        service: limits as they are kept to.
        router: the data plane, for those who have (index, tenant) pairs in hand, such as the gateway.
        documents: text in and out, likewise.
    """

    def __init__(self, parts: Parts) -> None:
        catalog, cache, clock, limits = parts.catalog, parts.cache, parts.clock, parts.limits
        self.tracer = tracer = parts.tracer
        opened = parts.open_backend if tracer is None else traced_backends(parts.open_backend, tracer)
        pool = ShardPool(catalog, opened)
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
            tracer=tracer,
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
            feed=Feed(catalog.rollups, member, clock),
            service=service,
            request_timeout_s=parts.request_timeout_s,
        )
        secret = ClusterSecret(catalog.settings, parts.token)
        self.cursors = Cursors(secret)
        freshness = Freshness(catalog.rollups, clock)
        self._rolling = RollupService(context, self.router, freshness, parts.exclusive)
        self._bulletin.on_missed.append(self._rolling.wake)
        self.scatter = _scatter(parts, self.router, measured, secret, freshness)
        self.documents = DocumentStore(catalog, self.router, self.scatter, parts.embedder)
        self.keys = _keys(parts, self._bulletin)
        self._sharing = Sharing(measured, catalog, member, clock, parts.window_s)
        self._administer(parts, context)
        self.rollups = RollupAdmin(catalog, pool, self.shards, self._rolling, freshness, clock)
        self._watch(parts, context, shared)
        recording(self.deeds, self, self.scatter, *self._steered())
        if tracer is not None:
            trace_calls(self.router, ROUTED, tracer)
            trace_calls(self.scatter, ("search",), tracer)

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
            self.rollups,
            self.autopilot,
            self.service_plans,
            self.usage,
            self.migrations,
        )

    def _administer(self, parts: Parts, context: Context) -> None:
        """What changes the cluster."""
        catalog, clock, limits, pool = context.catalog, context.clock, context.limits, context.pool
        self.audit = Audit(catalog, clock)
        self.deeds = Deeds(self.audit, clock)
        self.shards = ShardAdmin(catalog, pool, clock, parts.default_backend, parts.backends)
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
        self._moving.on_ended.append(lambda move: tell_of_move(parts.telemetry, move))
        self._runs = Runs(self._moving, parts.token)
        self._backup = BackupService(context, parts.open_archive, parts.backup_key, parts.token, parts.backends)
        jobs = Jobs(clock, parts.token)
        self.backups = BackupAdmin(self._backup, jobs, Scheduler(clock, scheduled(self._backup, jobs)))
        monitor = Monitor(catalog, pool, clock, self._sharing.fresh)
        self.plans = PlanAdmin(monitor, self._runs, self.shards, limits)
        self.autopilot = AutopilotAdmin(self._crew(parts, context, monitor), parts.autopilot_every_s)
        self.advice = AdviceAdmin(
            monitor, self._sharing.fresh, catalog, parts.prices, besides_shards(parts), self.usage
        )
        self.adoption = AdoptAdmin(catalog, pool, self.shards, self.advice, self.plans, clock, limits)
        self.files = FileAdmin(self.router, catalog.tenants, limits)
        self._migrating = MigrationService(context, self._moving, self._sharing.fresh, parts.exclusive)
        self.migrations = MigrationAdmin(
            MigrationParts(
                context=context,
                service=self._migrating,
                moves=self._moving,
                monitor=monitor,
                advice=self.advice,
                readings=self._sharing.fresh,
                window_s=parts.window_s,
                token=parts.token,
                free_bytes=parts.free_bytes,
            )
        )

    def _crew(self, parts: Parts, context: Context, monitor: Monitor) -> Crew:
        return Crew(
            catalog=context.catalog,
            monitor=monitor,
            runs=self._runs,
            moves=self._moving,
            member=context.member,
            clock=context.clock,
            limits=parts.thresholds,
            book=prices(parts.prices),
            health_every_s=parts.health_every_s,
            recorded=self.deeds.change,
        )

    def _watch(self, parts: Parts, context: Context, shared: Shared) -> None:
        """What looks after it while it is served."""
        catalog, clock, member, pool = context.catalog, context.clock, context.member, context.pool
        self._verifier = verifier = RoutingVerifier(
            catalog, parts.cache, pool, context.resolver, SharedVerifier(shared, catalog.tenants)
        )
        self.routing_checks = RoutingChecks(catalog, verifier, member, clock, parts.check_every_s)
        views = HealthViews(catalog, pool, verifier, self._sharing, clock, parts.thresholds)
        self.health_checks = _health_checks(parts, views, member)
        self.watching = Watching(catalog, pool, self.health_checks, self._sharing, clock, parts.window_s)

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
        max_lag_s: float | None = None,
    ) -> ScatterResult:
        """Search over chosen tenants, or all of an index; see `Scatter.search` and `Options`. The next page of the same
        question is at the ``cursor`` of the answer."""
        query = Query(vector, top_k, parse_filter(filter), include_values, include_metadata)
        options = Options(per_tenant, exactness, cursor, by_model, max_lag_s=max_lag_s)
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
        self.watching.start()

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
        await self.watching.aclose()
        await self._sharing.aclose()
        await self.autopilot.aclose()
        await self.backups.aclose()
        await self._migrating.aclose()
        await self._runs.aclose()
        await self._moving.aclose()
        await self._rolling.aclose()
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
        self._rolling.wake()

    async def __aenter__(self) -> Self:
        self._moving.wake()
        self._migrating.wake()
        self._rolling.wake()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _keys(parts: Parts, bulletin: Bulletin) -> KeyAdmin:
    """Keys, of which each process hears when one is revoked."""
    keys = KeyAdmin(parts.catalog, parts.clock, parts.token, parts.key_pepper, parts.limits)
    keys.tell = bulletin.tell
    bulletin.on_event.append(keys.hear)
    bulletin.on_missed.append(keys.missed)
    return keys


def _scatter(
    parts: Parts, router: Router, telemetry: Telemetry, secret: ClusterSecret, freshness: Freshness
) -> RecordedScatter:
    return RecordedScatter(
        parts.catalog,
        router,
        parts.clock,
        telemetry,
        secret,
        lambda name: parts.embedder(name).model,
        msgspec.structs.replace(parts.searching, deadline_s=parts.search_deadline_s),
        freshness,
    )


def besides_shards(parts: Parts) -> tuple[str, ...]:
    """What there is to pay besides shards, by names in the price book."""
    return (*(["redis"] if parts.shared is not None else []), *([] if parts.sole else ["postgresql"]))


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
        costs=CostWatch(parts.catalog, prices(parts.prices), besides_shards(parts), parts.top_tenants),
    )
