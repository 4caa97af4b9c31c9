"""A query through the library on a shard in another engine, and the same query by that engine's own client."""

from __future__ import annotations

import asyncio
import time

import numpy as np

from bench import clusters, engines
from bench.engines import TOP_K, Call
from bench.measure import Context, Report, median_us
from tenantry.cluster.handles import TenantHandle

MAX_ADDED_US = 300.0
SIZES = (500, 3_000)
TENANT = "tenant"


def run(context: Context) -> Report:
    report = Report("adapters", "query through the library against the engine's own client, same data, same process")
    only = context.options.get("only", "")
    for name in only.split(",") if only else engines.NAMES:
        asyncio.run(_engine(context, report, name))
    report.notes.append(
        "The ten nearest with metadata. Each query is put to both in turn, in changing order. A round's figure is the "
        "median of the differences. Both find the same."
    )
    return report


async def _engine(context: Context, report: Report, name: str) -> None:
    context.say(name)
    folder = context.folder / name
    async with engines.running(name, folder) as engine, await clusters.new_cluster(folder / "cluster", 0) as cluster:
        report.notes.append(f"{engine.name}: its own client is {engine.own}.")
        await cluster.shards.add("shard", backend=engine.kind, options=dict(engine.options))
        for number, size in enumerate(SIZES):
            tenant = f"{TENANT}-{size}"
            await clusters.fill(cluster, {tenant: size})
            backend = await cluster.router.pool.backend("default", "shard")
            direct = await engine.direct(backend, tenant)
            handle = cluster.tenant(tenant)

            async def through(vector: np.ndarray, handle: TenantHandle = handle) -> list[str]:
                return [hit.id for hit in await handle.query(vector, top_k=TOP_K, include_metadata=True)]

            questions = clusters.queries(number, context.pick(300, 60))
            await _measure(context, report, f"{engine.name}, {size:,} vectors", direct, through, questions)


async def _measure(
    context: Context, report: Report, name: str, direct: Call, through: Call, questions: np.ndarray
) -> None:
    base, added = [], []
    for turn in range(context.rounds + 1):
        times: dict[Call, list[float]] = {direct: [], through: []}
        for number, vector in enumerate(questions):
            found = {}
            for call in (direct, through) if (number + turn) % 2 else (through, direct):
                began = time.perf_counter()
                found[call] = await call(vector)
                times[call].append(time.perf_counter() - began)
            if found[direct] != found[through]:
                raise RuntimeError(f"{name}: {found[direct]} directly, {found[through]} through the library")
        if turn:  # the first one warms up
            base.append(median_us(times[direct]))
            added.append(median_us([b - a for a, b in zip(times[direct], times[through], strict=True)]))
    report.info(f"{name}: its own client", base, "us")
    report.at_most(f"{name}: the library adds", added, "us", MAX_ADDED_US)
