"""How long a change of route takes to reach the other gateways of a fleet."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from bench.measure import Context, Report, quantile
from tenantry.cluster import Cluster
from tenantry.model.topology import TenantState
from tenantry.settings import Settings
from tenantry.testing.redis_server import RedisServer
from tenantry.testing.servers import PostgresServer
from tenantry.wiring import init_cluster, open_cluster

GATEWAYS = 3
P99_MS = 50.0
TENANT = "acme"
WAIT_S = 10.0
LOOK_S = 0.0002


def run(context: Context) -> Report:
    report = Report("fleet", f"from the commit of a new route to its use in {GATEWAYS} other gateways")
    with PostgresServer.start() as postgres, RedisServer.start() as redis:
        for name, redis_url in (("NOTIFY only", None), ("NOTIFY and Redis", redis.url)):
            asyncio.run(_spread(context, report, name, postgres, redis_url))
    report.notes.append(
        "A tenant is suspended or resumed through one gateway; each of the others has its route cached and is looked "
        f"at every {LOOK_S * 1000:g} ms until that is gone. The time is that of the slowest of the three, from before "
        "the call that commits. All gateways run in one process, on one event loop; PostgreSQL and Redis in their own."
    )
    return report


async def _spread(context: Context, report: Report, name: str, postgres: PostgresServer, redis: str | None) -> None:
    url = postgres.create_database()
    os.environ["TENANTRY_BENCH_VECTORS"] = postgres.create_database()
    changes = context.pick(300, 60)
    folder = context.folder / name.replace(" ", "-")
    async with await init_cluster(_settings(folder, url, redis), dimension=4, shards=0) as first:
        await first.shards.add("pg", backend="pgvector", options={"url_env": "TENANTRY_BENCH_VECTORS"})
        await first.tenants.create(TENANT)
        others = [await open_cluster(_settings(folder, url, redis)) for _ in range(GATEWAYS)]
        try:
            p50, p99 = [], []
            for number in range(max(3, context.rounds)):
                context.say(f"{name}: round {number + 1}")
                took = [await _change(first, others) for _ in range(changes)]
                p50.append(quantile(took, 0.50) * 1_000)
                p99.append(quantile(took, 0.99) * 1_000)
        finally:
            for other in others:
                await other.aclose()
    report.info(f"{name}: p50", p50, "ms")
    report.at_most(f"{name}: p99 of {changes}", p99, "ms", P99_MS)


async def _change(first: Cluster, others: list[Cluster]) -> float:
    """One change of route, with the old one cached everywhere; the time until it is cached nowhere."""
    await asyncio.gather(*(other.tenant(TENANT).fetch(["x"]) for other in others))
    resolver = first.router.resolver  # without the audit log around it
    active = (await first.tenants.get(TENANT)).tenant
    began = time.perf_counter()
    suspended = await resolver.set_state(active, TenantState.SUSPENDED)
    async with asyncio.timeout(WAIT_S):
        while any(other.router.resolver.cached("default", TENANT) is not None for other in others):
            await asyncio.sleep(LOOK_S)
    took = time.perf_counter() - began
    await resolver.set_state(suspended, TenantState.ACTIVE)
    await asyncio.sleep(0.005)
    return took


def _settings(folder: Path, catalog: str, redis: str | None) -> Settings:
    return Settings(data=folder, catalog_url=catalog, redis_url=redis)
