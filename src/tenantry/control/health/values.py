"""What the rules look at and what they find. Everything is frozen."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """How bad it is."""

    WARNING = "warning"
    """To be planned for."""
    CRITICAL = "critical"
    """To be acted upon now."""


class Health(StrEnum):
    """An index in one word."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"


class Thresholds(msgspec.Struct, frozen=True):
    """When the rules warn. Shares are 0 to 1; a rule whose threshold is 0 does not exist.

    Attributes:
        uneven: a shard with that many times the average of tenants, vectors or P95.
        p95_page_ms, p95_high_ms: P95 of queries on a shard, milliseconds; the first pages, the second is critical.
        p95_least_ms: below this no P95 is uneven.
        near_capacity: used share of a shard's namespaces.
        many_tenants: tenants of a shard, whatever it could hold.
        full: used share of a shard, of namespaces or vectors, whichever is more.
        many_vectors: vectors of a shard, whatever it could hold.
        wasteful: used share under which a shard is a waste where there are others.
        wasteful_grace_s: so long after it was registered no shard is called a waste, seconds.
        uneven_sizes: share of all vectors that the largest tenth of the tenants holds.
        cross_tenant: share of all questions that went across tenants.
        partial_searches: share of cross-tenant searches that lacked a shard.
        errors: share of a shard's operations that failed.
        shard_tenants, shard_vectors: what a shard without limits is taken to hold.
        least_tenants, least_vectors, least_operations: with fewer, nothing is uneven, slow or failing.
        band: how far a value must go back, as share of its threshold, before a warning that stands goes.
        raise_after, clear_after: checks in a row before a warning stands, and goes.
    """

    uneven: float = 1.5
    p95_page_ms: float = 800.0
    p95_high_ms: float = 1_000.0
    p95_least_ms: float = 50.0
    near_capacity: float = 0.8
    many_tenants: int = 85
    full: float = 0.9
    many_vectors: int = 1_800_000
    wasteful: float = 0.5
    wasteful_grace_s: float = 86_400.0
    uneven_sizes: float = 0.8
    cross_tenant: float = 0.2
    partial_searches: float = 0.05
    errors: float = 0.05
    shard_tenants: int = 100
    shard_vectors: int = 2_000_000
    least_tenants: int = 10
    least_vectors: int = 1_000
    least_operations: int = 100
    band: float = 0.1
    raise_after: int = 2
    clear_after: int = 3

    def relaxed(self) -> Thresholds:
        """Those under which a warning that stands goes on standing."""
        less = 1 - self.band
        return msgspec.structs.replace(
            self,
            uneven=1 + (self.uneven - 1) * less if self.uneven else 0.0,
            p95_page_ms=self.p95_page_ms * less,
            p95_high_ms=self.p95_high_ms * less,
            near_capacity=self.near_capacity * less,
            many_tenants=int(self.many_tenants * less),
            full=self.full * less,
            many_vectors=int(self.many_vectors * less),
            wasteful=self.wasteful * (1 + self.band),
            uneven_sizes=self.uneven_sizes * less,
            cross_tenant=self.cross_tenant * less,
            partial_searches=self.partial_searches * less,
            errors=self.errors * less,
            # What is hardly used any more is not what it was: fewer values than these are no evidence either way.
            least_operations=max(1, self.least_operations // 2),
            least_tenants=max(1, int(self.least_tenants * less)),
            least_vectors=max(1, int(self.least_vectors * less)),
        )


class ShardHealth(msgspec.Struct, frozen=True):
    """A shard at one moment.

    Attributes:
        backend: kind of its engine.
        created_at: when it was registered, seconds since the Unix epoch; 0: unknown, long ago.
        max_tenants, max_vectors: its own limits; None: none.
        utilisation: the share of namespaces or of vectors that is used, whichever is more; see `Thresholds`.
        per_second: operations a second over the window; ``queries``, ``operations`` and ``error_rate`` likewise.
        p50_ms, p95_ms, p99_ms: of queries over the window, milliseconds; 0 where there were none.
        error: why it could not be measured.
    """

    name: str
    state: str
    tenants: int = 0
    vectors: int = 0
    bytes: int = 0
    max_tenants: int | None = None
    max_vectors: int | None = None
    weight: float = 1.0
    dedicated_to: str | None = None
    utilisation: float = 0.0
    operations: int = 0
    per_second: float = 0.0
    queries: int = 0
    queries_per_second: float = 0.0
    error_rate: float = 0.0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0
    error: str | None = None
    backend: str = ""
    created_at: float = 0.0


class TenantHealth(msgspec.Struct, frozen=True):
    """A tenant at one moment; rates are over the window. ``own_per_second`` leaves out its parts in searches across
    tenants."""

    name: str
    shard: str
    vectors: int = 0
    bytes: int = 0
    operations: int = 0
    per_second: float = 0.0
    error_rate: float = 0.0
    own_per_second: float = 0.0


class RoutingProblem(msgspec.Struct, frozen=True):
    """One disagreement that a check of the routing found; see `tenantry.router.problems.Problem`."""

    kind: str
    name: str
    shard: str
    detail: str


class HealthView(msgspec.Struct, frozen=True):
    """All that the rules may know, of one moment.

    Attributes:
        at: that moment, seconds since the Unix epoch.
        window_s: over which latencies and rates were taken; ``gateways``: processes that counted.
        shards, tenants: by name.
        searches, partial_searches, cross_tenant_share: of cross-tenant searches over the window.
        write_share: part of all requests of single tenants that wrote, over the window.
        routing: what is wrong with the routing and was not mended; None: it was not checked.
    """

    index: str
    at: float
    window_s: float
    gateways: int
    shards: tuple[ShardHealth, ...]
    tenants: tuple[TenantHealth, ...]
    searches: int = 0
    partial_searches: int = 0
    questions: int = 0
    cross_tenant_share: float = 0.0
    cache_hit_rate: float | None = None
    write_share: float = 0.0
    routing: tuple[RoutingProblem, ...] | None = None


class Finding(msgspec.Struct, frozen=True):
    """One warning.

    Attributes:
        kind: the rule, such as ``slow-shard``; the runbook is called the same.
        subject: the shard that it is about; the index where it is about all of it.
        value, threshold: what was measured, and what it is held against, in ``unit``.
        tenants: those behind it, the most important first; at most five.
        command: what to do about it, ready for a shell.
        page: somebody should be woken.
    """

    kind: str
    severity: Severity
    subject: str
    message: str
    value: float
    threshold: float
    unit: str
    tenants: list[str]
    command: str
    page: bool = False

    @property
    def key(self) -> str:
        """By which it is known from check to check."""
        return f"{self.kind}/{self.subject}"
