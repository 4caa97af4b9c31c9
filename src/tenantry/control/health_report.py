"""What the state of health is told as: the same in the library, over HTTP, in the catalog and in metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from tenantry.control.health.hysteresis import HealthState
from tenantry.control.health.subjects import largest_tenth, share_of, sharing
from tenantry.control.health.values import (
    Finding,
    Health,
    HealthView,
    RoutingProblem,
    Severity,
    ShardHealth,
    TenantHealth,
)
from tenantry.model.cost import Costs
from tenantry.model.topology import ShardState


class Warned(msgspec.Struct, frozen=True):
    """A finding as it is told.

    Attributes:
        since: when it came to stand, seconds since the Unix epoch; None: it was found, but not often enough yet by the
            regular checks, or nobody checks regularly.
        runbook: the page of the documentation about it.
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
    page: bool
    since: float | None
    runbook: str


class HealthReport(msgspec.Struct, frozen=True):
    """The state of an index.

    Attributes:
        health: the worst severity of `warnings`; ``ok`` without any.
        at: when it was measured, seconds since the Unix epoch.
        window_s: length of the sliding window of rates and latencies; ``gateways``: processes that counted.
        cache_hit_rate: of route look-ups, of all indexes; None: there were none.
        shards: all, by name.
        top_tenants: the busiest, then the largest.
        moves: phase to how many of the last 1,000 moves are in it.
        routing_checked: whether catalog, caches and shards were compared.
        routing: what of it is wrong; at most a hundred.
        largest_tenth_share: part of all vectors in the largest tenth of the tenants that share their shards.
        costs: what it costs; None: not computed, or something has no published price.
    """

    index: str
    health: Health
    at: float
    window_s: float
    gateways: int
    tenants: int
    vectors: int
    bytes: int
    per_second: float
    searches: int
    partial_searches: int
    cross_tenant_share: float
    cache_hit_rate: float | None
    warnings: list[Warned]
    shards: list[ShardHealth]
    top_tenants: list[TenantHealth]
    moves: dict[str, int]
    routing_checked: bool
    routing: list[RoutingProblem]
    largest_tenth_share: float = 0.0
    costs: Costs | None = None


class Pending(msgspec.Struct, frozen=True):
    """A change that people are still to be told of."""

    change: str
    at: float
    warning: Warned


class Record(msgspec.Struct, frozen=True):
    """What the catalog keeps of an index between checks, for all processes."""

    state: HealthState = HealthState()
    report: HealthReport | None = None
    pending: list[Pending] = msgspec.field(default_factory=list)


MOST_ROUTING = 100
RUNBOOKS = "docs/runbooks"


def warned(found: Iterable[Finding], since: Mapping[str, float]) -> list[Warned]:
    """Findings as they are told."""
    return [
        Warned(
            kind=one.kind,
            severity=one.severity,
            subject=one.subject,
            message=one.message,
            value=one.value,
            threshold=one.threshold,
            unit=one.unit,
            tenants=one.tenants,
            command=one.command,
            page=one.page,
            since=since.get(one.key),
            runbook=f"{RUNBOOKS}/{one.kind}.md",
        )
        for one in found
    ]


def worst(severities: Iterable[Severity]) -> Health:
    """One word for all."""
    seen = set(severities)
    if Severity.CRITICAL in seen:
        return Health.CRITICAL
    return Health.WARNING if seen else Health.OK


def report_of(
    view: HealthView,
    found: list[Finding],
    since: Mapping[str, float],
    moves: dict[str, int],
    most_tenants: int,
    costs: Costs | None = None,
) -> HealthReport:
    """Args: ``found`` is what to tell; ``since`` when the findings that stand came to do so, by key."""
    top = sorted(view.tenants, key=lambda one: (-one.per_second, -one.vectors, one.name))[:most_tenants]
    together = sharing(view)
    return HealthReport(
        index=view.index,
        health=worst(one.severity for one in found),
        at=view.at,
        window_s=view.window_s,
        gateways=view.gateways,
        tenants=len(view.tenants),
        vectors=sum(shard.vectors for shard in view.shards if shard.state != ShardState.ROLLUP),
        bytes=sum(shard.bytes for shard in view.shards),
        per_second=sum(shard.per_second for shard in view.shards),
        searches=view.searches,
        partial_searches=view.partial_searches,
        cross_tenant_share=view.cross_tenant_share,
        cache_hit_rate=view.cache_hit_rate,
        warnings=warned(found, since),
        shards=list(view.shards),
        top_tenants=top,
        moves=moves,
        routing_checked=view.routing is not None,
        routing=list(view.routing or ())[:MOST_ROUTING],
        largest_tenth_share=share_of(largest_tenth(together), sum(one.vectors for one in together)),
        costs=costs,
    )
