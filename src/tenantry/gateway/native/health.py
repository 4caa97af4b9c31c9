"""The native API's account of health and load."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tenantry.control.health_report import HealthReport
from tenantry.control.measure.readings import OTHERS, Reading
from tenantry.control.measure.readings import Readings as Measured
from tenantry.control.measure.sketch import quantiles_s
from tenantry.gateway.table import Call, Endpoint
from tenantry.model.limits import check_count

_INDEX = "/v1/indexes/{index}"

PAGE_MOST = 1_000


class AskReadings(msgspec.Struct, forbid_unknown_fields=True):
    """Query parameters: the busiest tenants to list."""

    tenants: int = 100


class Load(msgspec.Struct):
    """A shard or tenant over the window; latencies are of queries, in milliseconds."""

    name: str
    operations: int
    queries: int
    reads: int
    writes: int
    search_parts: int
    errors: int
    per_second: float
    queries_per_second: float
    error_rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


class Readings(msgspec.Struct):
    """An index over the window: all shards that did something, the busiest tenants, and searches across tenants.

    ``other_tenants`` are those beyond the bound of what is told apart, together.
    """

    index: str
    window_s: float
    gateways: int
    shards: list[Load]
    tenants: list[Load]
    other_tenants: Load | None
    searches: int
    partial_searches: int
    search_p50_ms: float
    search_p95_ms: float
    cross_tenant_share: float
    cache_hit_rate: float | None


async def get_health(call: Call, _: None) -> HealthReport:
    """What is wrong with an index."""
    return await call.cluster.health(call.index)


async def get_readings(call: Call, asked: AskReadings) -> Readings:
    """Rates and latencies of an index."""
    check_count(asked.tenants, "tenants", 0, PAGE_MOST)
    found: Measured = await call.cluster.readings(call.index)
    busiest = sorted(
        (name for name in found.tenants if name != OTHERS), key=lambda name: (-found.tenants[name].operations, name)
    )
    p50, p95 = quantiles_s(found.search_bins, (0.5, 0.95))
    others = found.tenants.get(OTHERS)
    return Readings(
        index=call.index,
        window_s=found.seconds,
        gateways=found.gateways,
        shards=[_load(name, found.shards[name]) for name in sorted(found.shards)],
        tenants=[_load(name, found.tenants[name]) for name in busiest[: asked.tenants]],
        other_tenants=None if others is None else _load(OTHERS, others),
        searches=found.searches,
        partial_searches=found.partial_searches,
        search_p50_ms=p50 * 1_000,
        search_p95_ms=p95 * 1_000,
        cross_tenant_share=found.cross_tenant_share,
        cache_hit_rate=found.cache_hit_rate,
    )


def _load(name: str, reading: Reading) -> Load:
    p50, p95, p99 = reading.latencies_ms()
    return Load(
        name=name,
        operations=reading.operations,
        queries=reading.queries,
        reads=reading.reads,
        writes=reading.writes,
        search_parts=reading.parts,
        errors=reading.errors,
        per_second=reading.per_second,
        queries_per_second=reading.queries_per_second,
        error_rate=reading.error_rate,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
    )


def routes(control: Callable[..., Endpoint]) -> list[Endpoint]:
    """Operations of health; ``control`` makes an endpoint for operators."""
    return [
        control(
            method="GET",
            path=_INDEX + "/health",
            handle=get_health,
            response=HealthReport,
            patient=True,
            summary="Measure an index and tell what is wrong",
        ),
        control(
            method="GET",
            path=_INDEX + "/readings",
            handle=get_readings,
            query=AskReadings,
            response=Readings,
            summary="Tell rates and latencies of shards and tenants over the window",
        ),
    ]
