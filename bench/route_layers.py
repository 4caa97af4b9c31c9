"""A route from each layer (this process, Redis, the catalog), and how often each answers under a tenants' load."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import numpy as np

from bench.data import tenant_names
from bench.measure import Context, Report, median_us
from tenantry.cluster import Cluster
from tenantry.model.topology import TenantSpec, TenantState
from tenantry.settings import Settings
from tenantry.testing.redis_server import RedisServer
from tenantry.testing.servers import PostgresServer
from tenantry.wiring import init_cluster, open_cluster

TENANTS, QUICK_TENANTS = 10_000, 1_000
INDEX, SHARD = "default", "shard"
MIN_HIT_RATE = 0.99
CONCURRENT = 8


class Sources:
    """Telemetry that counts where routes were found."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()

    def operation(self, *given: Any) -> None:
        """Not looked at."""

    def lookup(self, source: str) -> None:
        self.found[source] += 1

    def __getattr__(self, name: str) -> Any:
        return lambda *given, **named: None


def run(context: Context) -> Report:
    tenants = context.pick(TENANTS, QUICK_TENANTS)
    report = Report("route_layers", f"a tenant's route from each layer, {tenants:,} tenants")
    with PostgresServer.start() as postgres, RedisServer.start() as redis:
        asyncio.run(_run(context, report, postgres.create_database(), redis.url, tenants))
    report.notes.append(
        "PostgreSQL and Redis (Valkey) on the same machine. A route from Redis is read, checked and compared with the "
        "changes of its bucket. Load: tenants by Zipf's law, exponent 1; a cache of its default size, cold at first; "
        "then one with room for a fifth of the tenants; then one in a fleet where a route changes after every 1,000 "
        "look-ups."
    )
    return report


async def _run(context: Context, report: Report, url: str, redis: str, tenants: int) -> None:
    def settings(**given: Any) -> Settings:
        return Settings(data=context.folder, catalog_url=url, **given)

    context.say(f"placing {tenants:,} tenants")
    names = list(tenant_names(tenants))
    async with await init_cluster(settings(), dimension=4, shards=0) as cluster:
        await cluster.shards.add(SHARD, backend="testing")
        await _place(cluster, names)
    layers: dict[str, list[float]] = {"cache": [], "shared": [], "catalog": []}
    telemetry = Sources()
    async with (
        await open_cluster(settings(), telemetry=telemetry) as alone,
        await open_cluster(settings(redis_url=redis)) as writer,
        await open_cluster(settings(redis_url=redis), telemetry=telemetry) as reader,
    ):
        asked = names[: context.pick(1_000, 200)]
        for name in asked:
            await writer.router.resolver.route(INDEX, name)
        await asyncio.sleep(1.0)  # what was read is written to Redis in the background
        for turn in range(context.rounds + 1):
            for layer, cluster in (("catalog", alone), ("shared", reader), ("cache", reader)):
                seconds = await _timed(cluster, asked, layer, telemetry)
                if turn:
                    layers[layer].append(median_us(seconds))
    titles = {"cache": "in this process", "shared": "from Redis", "catalog": "from the catalog"}
    for layer, figures in layers.items():
        report.info(f"median, {titles[layer]}", figures, "us")
    ratios = [a / b for a, b in zip(layers["catalog"], layers["shared"], strict=True)]
    report.info("from the catalog / from Redis", ratios, "x")
    await _rates(context, report, settings, redis, names)


async def _place(cluster: Cluster, names: list[str]) -> None:
    """In the catalog alone: no request reaches a shard here."""
    catalog = cluster._parts.catalog
    waiting = iter(names)

    async def worker() -> None:
        for name in waiting:
            placed = await catalog.tenants.place(INDEX, name, TenantSpec(), SHARD, 0.0)
            await catalog.tenants.set_state(INDEX, name, TenantState.ACTIVE, placed.route.epoch)

    await asyncio.gather(*(worker() for _ in range(CONCURRENT)))


async def _timed(cluster: Cluster, names: list[str], layer: str, telemetry: Sources) -> list[float]:
    resolver = cluster.router.resolver
    clock = time.perf_counter
    seconds = []
    telemetry.found.clear()
    for name in names:
        if layer == "cache":
            await resolver.route(INDEX, name)
        else:
            cluster._parts.cache.forget(INDEX, name)
        began = clock()
        await resolver.route(INDEX, name)
        seconds.append(clock() - began)
    if telemetry.found[layer] < len(names):
        raise RuntimeError(f"not all routes came from {layer}: {dict(telemetry.found)}")
    return seconds


async def _rates(context: Context, report: Report, settings: Any, redis: str, names: list[str]) -> None:
    weights = 1.0 / np.arange(1, len(names) + 1)
    lookups = context.pick(300_000, 50_000)
    small = len(names) // 5
    for title, size, change_every, aim in (
        ("default cache", None, 0, MIN_HIT_RATE),
        (f"cache of {small:,}", small, 0, None),
        ("default cache, routes change", None, 1_000, MIN_HIT_RATE),
    ):
        rates, cold = [], []
        for seed in range(3):
            drawn = np.random.default_rng(seed).choice(len(names), 2 * lookups, p=weights / weights.sum())
            first, steady = await _rate(settings, redis, size, [names[i] for i in drawn], change_every)
            cold.append(first)
            rates.append(steady)
        report.info(f"{title}: hit rate from cold, {lookups:,} look-ups", cold, "")
        if aim is None:
            report.info(f"{title}: steady hit rate", rates, "")
        else:
            report.at_least(f"{title}: steady hit rate", rates, "", aim)


async def _rate(
    settings: Any, redis: str, size: int | None, asked: list[str], change_every: int
) -> tuple[float, float]:
    """Shares of look-ups that the process's own cache answered: of the first half, and of the second."""
    telemetry = Sources()
    given = {} if size is None else {"route_cache_size": size}
    found = []
    async with (
        await open_cluster(settings(redis_url=redis, **given), telemetry=telemetry) as cluster,
        await open_cluster(settings(redis_url=redis)) as other,
    ):
        route = cluster.router.resolver.route
        half = len(asked) // 2
        for start in (0, half):
            telemetry.found.clear()
            for number, name in enumerate(asked[start : start + half]):
                if change_every and number % change_every == change_every - 1:
                    await other.tenants.suspend(name)
                    await other.tenants.resume(name)
                    await asyncio.sleep(0.005)
                await route(INDEX, name)
            found.append(telemetry.found["cache"] / half)
    return found[0], found[1]
