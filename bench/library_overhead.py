"""A query through the library, and the same query put to the engine directly: same process, same namespace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from bench import clusters
from bench.data import FILTER_FROM_YEAR, FILTER_LANGUAGE
from bench.measure import Context, Report, median_us
from tenantry.model.filters import parse_filter
from tenantry.model.records import Query

SIZES = (500, 3_000, 30_000)
QUICK_SIZES = (500, 3_000)
TOP_K = 10
MAX_OVERHEAD_SHARE = 0.10
MAX_OVERHEAD_US = 60.0
FILTER = {"lang": FILTER_LANGUAGE, "year": {"$gte": FILTER_FROM_YEAR}}

Call = Callable[[Any], Awaitable[Any]]


def run(context: Context) -> Report:
    report = Report("library_overhead", "query through the library against the engine called directly")
    asyncio.run(_run(context, report))
    report.notes.append(
        "Each query is put to all three in turn, in changing order, on one event loop; a round's figure is the "
        "difference of its medians. The limit is 10% of the engine's own time or 60 us, whichever is more."
    )
    return report


async def _run(context: Context, report: Report) -> None:
    sizes = QUICK_SIZES if context.quick else SIZES
    cluster = await clusters.new_cluster(context.folder / "cluster")
    async with cluster:
        names = {f"tenant-{size}": size for size in sizes}
        context.say(f"filling {', '.join(f'{size:,}' for size in sizes)} vectors")
        await clusters.fill(cluster, names)
        for name in names:  # reading a large one starts the building of its index
            await cluster.tenant(name).query(clusters.queries(0, 1)[0])
        await clusters.settled(cluster)
        for number, (name, size) in enumerate(names.items()):
            await _measure(context, report, cluster, name, size, clusters.queries(number, context.pick(200, 100)))


async def _measure(context: Context, report: Report, cluster: Any, name: str, size: int, vectors: Any) -> None:
    route = await cluster.router.resolver.route("default", name)
    index = await cluster.router.pool.namespace("default", route.place)
    handle = cluster.tenant(name)
    for words, raw in (("", None), (", filtered", FILTER)):
        if raw and size != max(QUICK_SIZES):
            continue
        condition = parse_filter(raw)

        async def direct(vector: Any, condition: Any = condition) -> Any:
            return await index.query(Query(vector, TOP_K, condition, False, True))

        async def through_router(vector: Any, condition: Any = condition) -> Any:
            return await cluster.router.query("default", name, Query(vector, TOP_K, condition, False, True))

        async def through_handle(vector: Any, raw: Any = raw) -> Any:
            return await handle.query(vector, top_k=TOP_K, filter=raw)

        calls = {"engine": direct, "router": through_router, "handle": through_handle}
        rounds = [await _round(calls, vectors, turn) for turn in range(context.rounds + 1)][1:]
        engine = [one["engine"] for one in rounds]
        report.info(f"{size:,} vectors{words}: engine directly", engine, "us")
        for key, title in (("router", "Router.query adds"), ("handle", "TenantHandle.query adds")):
            added = [one[key] - one["engine"] for one in rounds]
            limit = max(MAX_OVERHEAD_US, MAX_OVERHEAD_SHARE * sorted(engine)[len(engine) // 2])
            report.at_most(f"  {title}", added, "us", limit)


async def _round(calls: dict[str, Call], vectors: Sequence[Any], turn: int) -> dict[str, float]:
    clock = time.perf_counter
    seconds: dict[str, list[float]] = {key: [] for key in calls}
    order = list(calls.items())
    for i, vector in enumerate(vectors):
        first = (i + turn) % len(order)
        for key, call in order[first:] + order[:first]:
            begun = clock()
            await call(vector)
            seconds[key].append(clock() - begun)
    return {key: median_us(values) for key, values in seconds.items()}
