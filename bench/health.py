"""What measuring costs a request, and how long a look at the health of a large cluster takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import numpy as np

from bench.measure import Context, Report
from tenantry.clock import SystemClock
from tenantry.cluster import Cluster
from tenantry.control.measure.window import Measured
from tenantry.model.records import Record
from tenantry.ports import Telemetry
from tenantry.telemetry.prometheus import PrometheusTelemetry
from tenantry.telemetry.silent import SilentTelemetry
from tenantry.wiring import init_cluster

TENANTS, SHARDS = 10_000, 100
FEW_TENANTS, FEW_SHARDS = 1_000, 10
DIMENSION = 8
ABREAST = 32
WINDOW_S = 300.0
MAX_US = 5.0
MAX_S = 1.0
INDEX = "default"


def run(context: Context) -> Report:
    report = Report("health", "what measuring costs a request; the health of a large cluster")
    _measuring(context, report)
    asyncio.run(_large(context, report))
    report.notes.append(
        "Measuring: what one query reports, its look-up of a route and itself, to the window of `Measured` alone, and "
        "with the Prometheus metrics behind it; 10,000 tenants by Zipf's law. Health: all of `tenantry health` but the "
        "output, with the comparison of catalog and shards; one process, the embedded engine."
    )
    return report


def _measuring(context: Context, report: Report) -> None:
    calls = context.pick(200_000, 50_000)
    rng = np.random.default_rng(1)
    tenants = [f"tenant-{number}" for number in (rng.zipf(1.2, calls) - 1) % TENANTS]
    shards = [f"shard-{number}" for number in rng.integers(0, SHARDS, calls)]
    seconds = rng.lognormal(-7, 1, calls).tolist()
    alone, both = [], []
    for _ in range(context.rounds):
        empty = _round(SilentTelemetry(), tenants, shards, seconds)
        window = _round(Measured(SilentTelemetry(), SystemClock(), WINDOW_S), tenants, shards, seconds)
        whole = _round(Measured(PrometheusTelemetry(), SystemClock(), WINDOW_S), tenants, shards, seconds)
        alone.append((window - empty) / calls * 1e6)
        both.append((whole - empty) / calls * 1e6)
    report.at_most("measuring a query, the window", alone, "us", MAX_US)
    report.at_most("the window and Prometheus' metrics", both, "us", MAX_US)


def _round(telemetry: Telemetry, tenants: Sequence[str], shards: Sequence[str], seconds: Sequence[float]) -> float:
    begun = time.perf_counter()
    for tenant, shard, took in zip(tenants, shards, seconds, strict=True):
        telemetry.lookup("cache")
        telemetry.operation("query", INDEX, shard, took, True, tenant)
    return time.perf_counter() - begun


async def _large(context: Context, report: Report) -> None:
    tenants, shards = context.pick((TENANTS, SHARDS), (FEW_TENANTS, FEW_SHARDS))
    context.say(f"{tenants:,} tenants on {shards} shards: made")
    folder = context.folder / "large"
    async with await init_cluster(folder, dimension=DIMENSION, shards=shards, settings={}) as cluster:
        await _fill(cluster, tenants)
        health, view = [], []
        for number in range(context.rounds):
            context.say(f"round {number + 1}")
            begun = time.perf_counter()
            found = await cluster.health_checks.report(INDEX)
            health.append(time.perf_counter() - begun)
            assert len(found.shards) == shards, found
            begun = time.perf_counter()
            await cluster.plans.plan(INDEX)
            view.append(time.perf_counter() - begun)
    report.at_most(f"health of {tenants:,} tenants on {shards} shards", health, "s", MAX_S)
    report.at_most("a balancing plan for them, measured and made", view, "s", 2 * MAX_S)


async def _fill(cluster: Cluster, tenants: int) -> None:
    rng = np.random.default_rng(2)
    turn = asyncio.Semaphore(ABREAST)

    async def one(number: int) -> None:
        async with turn:
            vectors = rng.standard_normal((int(rng.integers(1, 5)), DIMENSION)).astype(np.float32)
            await cluster.tenant(f"tenant-{number}").upsert([Record(str(i), each) for i, each in enumerate(vectors)])

    await asyncio.gather(*map(one, range(tenants)))
