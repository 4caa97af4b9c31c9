"""One tenant's queries among 20 tenants and among 2,000, with the others being queried in between."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import numpy as np

from bench import clusters
from bench.machine import resident_bytes
from bench.measure import Context, Report, median_us, quantile

MEASURED = "measured"
MEASURED_VECTORS = 1_000
FEW, MANY = 20, 2_000
MEAN_VECTORS = 100
OTHERS_BETWEEN = 4
MAX_RATIO = 1.2
TOP_K = 10
#: So little memory that the namespaces of the larger cluster cannot all stay in it.
TIGHT_MEMORY_MB = 128
CONCURRENT = 8


def run(context: Context) -> Report:
    report = Report("many_tenants", f"a tenant of {MEASURED_VECTORS:,} vectors among few and among many")
    asyncio.run(_run(context, report))
    report.notes.append(
        f"Between two measured queries, {OTHERS_BETWEEN} others of the same cluster are queried, chosen at random. "
        f"Their sizes are lognormal with a mean of {MEAN_VECTORS}, the same in both clusters."
    )
    return report


async def _run(context: Context, report: Report) -> None:
    many = context.pick(MANY, 400)
    context.say(f"clusters of {FEW} and {many:,} tenants")
    sizes = _sizes(many)
    before = resident_bytes()
    for title, memory_mb in (("all in memory", 4_096), (f"{TIGHT_MEMORY_MB} MiB for namespaces", TIGHT_MEMORY_MB)):
        few_cluster, many_cluster = [
            await _cluster(context, count, memory_mb, sizes[: count - 1]) for count in (FEW, many)
        ]
        vectors = clusters.queries(0, context.pick(250, 120))
        async with few_cluster, many_cluster:
            rounds = []
            for turn in range(context.rounds + 1):
                pair = [(FEW, few_cluster), (many, many_cluster)]
                rounds.append(
                    {
                        count: await _round(cluster, count, vectors, turn)
                        for count, cluster in (pair if turn % 2 else reversed(pair))
                    }
                )
            _report(report, title, many, rounds[1:], limited=memory_mb != TIGHT_MEMORY_MB)
        if memory_mb != TIGHT_MEMORY_MB:
            report.info("resident memory grown by both clusters", [(resident_bytes() - before) / 2**20], "MiB")


def _sizes(count: int) -> list[int]:
    drawn = np.random.default_rng(11).lognormal(0.0, 1.2, count - 1)
    return np.clip(drawn * MEAN_VECTORS / drawn.mean(), 5, 2_000).astype(int).tolist()


async def _cluster(context: Context, count: int, memory_mb: int, sizes: list[int]) -> Any:
    from tenantry.wiring import open_cluster

    folder = context.folder / f"cluster-{count}"
    if folder.exists():
        return await open_cluster(folder, embedded_memory_mb=memory_mb)
    cluster = await clusters.new_cluster(folder, embedded_memory_mb=memory_mb)
    await clusters.fill(cluster, {MEASURED: MEASURED_VECTORS})
    # One pool of rows for all the others: what they hold does not matter here, how much does.
    pool = clusters.records(max(sizes), 3 << 8)
    waiting = iter(enumerate(sizes))

    async def filler() -> None:
        for number, size in waiting:
            for batch in clusters.batches(pool[:size]):
                await cluster.tenant(f"other-{number}").upsert(batch)

    await asyncio.gather(*(filler() for _ in range(CONCURRENT)))
    await clusters.settled(cluster)
    return cluster


async def _round(cluster: Any, count: int, vectors: Any, turn: int) -> list[float]:
    chance = random.Random(turn)
    measured = cluster.tenant(MEASURED)
    clock = time.perf_counter
    seconds = []
    for i, vector in enumerate(vectors):
        for _ in range(OTHERS_BETWEEN):
            other = cluster.tenant(f"other-{chance.randrange(count - 1)}")
            await other.query(vectors[i - 1], top_k=TOP_K)
        begun = clock()
        await measured.query(vector, top_k=TOP_K)
        seconds.append(clock() - begun)
    return seconds


def _report(report: Report, title: str, many: int, rounds: list[dict[int, list[float]]], limited: bool) -> None:
    for count in (FEW, many):
        for name, share in (("P50", 0.5), ("P95", 0.95)):
            values = [quantile(one[count], share) * 1e6 for one in rounds]
            report.info(f"{title}: {name} among {count:,}", values, "us")
    ratios = [quantile(one[many], 0.95) / quantile(one[FEW], 0.95) for one in rounds]
    text = f"{title}: P95 among {many:,} / among {FEW}"
    if limited:
        report.at_most(text, ratios, "x", MAX_RATIO)
    else:
        report.info(text, ratios, "x")
    medians = [median_us(one[many]) / median_us(one[FEW]) for one in rounds]
    report.info(f"{title}: P50 among {many:,} / among {FEW}", medians, "x")
