"""The route of a tenant from the in-process cache, beside a bare dictionary; and the memory of a million routes."""

from __future__ import annotations

import gc
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from bench.data import tenant_names
from bench.machine import resident_bytes
from bench.measure import Context, Report, quantile

ROUTES = 1_000_000
USUAL = 10_000
ASKED = 100_000
SHARDS = 20
BATCH = 500
MAX_LOOKUP_US = 1.0
MAX_MEMORY_MB = 400.0
INDEX = "default"


def run(context: Context) -> Report:
    report = Report("route_lookup", "a tenant's route from the in-process cache")
    routes = context.pick(ROUTES, ROUTES // 5)
    context.say(f"{routes:,} routes in fresh processes")
    _memory(report, context, routes)
    for count in (USUAL, routes):
        _lookups(report, context, count)
    report.notes.append(
        "Look-ups: names arrive as fresh strings (hash not yet known), as they do from a request; each figure is the "
        f"median of batches of {BATCH}. 'Resolver.cached' is what a request does: cache and checks of state and mode. "
        "Among very many, asked for at random, a look-up waits for main memory several times, and so it does in the "
        "bare dictionary: that is the limit to read it against."
    )
    report.notes.append(
        "Memory: growth of resident memory in a fresh process; name, shard and namespace of each route are strings of "
        "their own, as a catalog's rows bring them."
    )
    return report


def _memory(report: Report, context: Context, routes: int) -> None:
    per_route, totals = [], []
    for _ in range(context.pick(3, 2)):
        done = subprocess.run(
            [sys.executable, "-m", "bench.route_lookup", str(routes)], capture_output=True, text=True, check=True
        )
        found = json.loads(done.stdout)
        per_route.append(found["bytes"] / routes)
        totals.append(found["bytes"] / routes * ROUTES / 1e6)
    scaled = "" if routes == ROUTES else f" (scaled from {routes:,})"
    report.at_most(f"memory of {ROUTES:,} routes{scaled}", totals, "MB", MAX_MEMORY_MB)
    report.info("memory of one route", per_route, "bytes")


def _lookups(report: Report, context: Context, routes: int) -> None:
    resolver, cache, plain = _filled(routes)
    names = list(plain)
    random.Random(3).shuffle(names)
    asked = [name.encode() for name in names[:ASKED]]
    loops = _loops(resolver.cached, cache.get, plain)
    found: dict[str, list[float]] = {key: [] for key in loops}
    tails: list[float] = []
    for turn in range(context.rounds + 1):
        for key, loop in loops.items():
            batches = _timed(loop, asked)
            if turn:
                found[key].append(quantile(batches, 0.5) * 1e6)
                if key == "resolver":
                    tails.append(quantile(batches, 0.99) * 1e6)
    what = f"Resolver.cached, {routes:,} routes, asked for at random"
    if routes == USUAL:
        report.at_most(what, found["resolver"], "us", MAX_LOOKUP_US)
    else:
        report.info(what, found["resolver"], "us")
    report.info("  slowest 1% of batches", tails, "us")
    report.info("  RouteCache.get alone", found["cache"], "us")
    report.info("  a bare dict, name to route", found["dict"], "us")
    ratios = [a / b for a, b in zip(found["resolver"], found["dict"], strict=True)]
    report.info("  Resolver.cached / bare dict", ratios, "x")


def _loops(cached: Any, get: Any, plain: dict[str, Any]) -> dict[str, Callable[[Sequence[str]], None]]:
    """Each look-up in a loop of its own, as nothing may stand between that costs as much as itself."""

    def by_resolver(fresh: Sequence[str]) -> None:
        for name in fresh:
            cached(INDEX, name)

    def by_cache(fresh: Sequence[str]) -> None:
        for name in fresh:
            get(INDEX, name)

    def by_dict(fresh: Sequence[str]) -> None:
        for name in fresh:
            plain[name]

    return {"resolver": by_resolver, "cache": by_cache, "dict": by_dict}


def _timed(loop: Callable[[Sequence[str]], None], asked: Sequence[bytes]) -> list[float]:
    """Seconds a call, one figure a batch; what the loop itself costs is in it."""
    clock = time.perf_counter
    seconds = []
    gc.disable()
    for start in range(0, len(asked), BATCH):
        fresh = [name.decode() for name in asked[start : start + BATCH]]
        begun = clock()
        loop(fresh)
        seconds.append((clock() - begun) / len(fresh))
    gc.enable()
    return seconds


def _route(name: str, i: int) -> Any:
    from tenantry.model.topology import Mode, Place, Route, TenantState

    # As a catalog's row brings them: strings of their own, even where equal ones are about already.
    shard, namespace = f"shard-{i % SHARDS}", name.encode().decode()
    return Route(1, Place(shard, namespace), Mode("direct"), None, TenantState("active"))


def _filled(routes: int) -> tuple[Any, Any, dict[str, Any]]:
    from tenantry.caches.memory import MemoryRouteCache
    from tenantry.clock import SystemClock
    from tenantry.model.limits import Limits
    from tenantry.placement import policy
    from tenantry.router.news import News
    from tenantry.router.resolve import Resolver
    from tenantry.telemetry.silent import SilentTelemetry

    cache = MemoryRouteCache(routes)
    plain = {}
    for i, name in enumerate(tenant_names(routes)):
        route = _route(name, i)
        cache.put(INDEX, name, route)
        plain[name] = route
    absent: Any = None  # a look-up that hits touches neither catalog nor shards
    resolver = Resolver(
        absent,
        cache,
        absent,
        policy,
        Limits(),
        SystemClock(),
        SilentTelemetry(),
        member=absent,
        news=News(),
        shared=absent,
    )
    return resolver, cache, plain


def _main(routes: int) -> None:
    """In a process of its own: how much a cache of so many routes adds to resident memory."""
    from tenantry.caches.memory import MemoryRouteCache
    from tenantry.model.topology import Route  # noqa: F401  loaded before the first measurement

    for i, name in enumerate(tenant_names(10_000, seed=2)):
        _route(name, i)
    gc.collect()
    before = resident_bytes()
    cache = MemoryRouteCache(routes)
    for i, name in enumerate(tenant_names(routes)):
        cache.put(INDEX, name, _route(name, i))
    gc.collect()
    print(json.dumps({"bytes": resident_bytes() - before, "routes": len(cache)}))


if __name__ == "__main__":
    _main(int(sys.argv[1]))
