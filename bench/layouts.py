"""Tenants behind Tenantry, each in a place of its own, against all of them in one index of the same engine with a
filter on the tenant, which is the usual layout."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench import clusters, engines
from bench.engines import FILTER, TOP_K
from bench.measure import Context, Report, quantile
from tenantry.model.filters import matches, parse_filter
from tenantry.model.records import Record

TENANTS, MEAN = 2_000, 50
QUICK_TENANTS = 200
SHARDS = 4
CONCURRENT = 4
#: Tenants whose right answers are computed, for the recall.
ASKED = 150
LAYOUTS = ("Tenantry", "one index")
NAMES = ("pgvector", "chroma", "milvus", "qdrant")


@dataclass
class Workload:
    """Tenants and what is asked of them: tenants by their size, so that large ones are asked more often."""

    rows: dict[str, list[Record]]
    asked: list[tuple[str, np.ndarray]] = field(default_factory=list)


def run(context: Context) -> Report:
    tenants = context.pick(TENANTS, QUICK_TENANTS)
    report = Report("layouts", f"{tenants:,} tenants in places of their own, and in one index of the same engine")
    workload = _workload(tenants, context.pick(ASKED, 60))
    total = sum(map(len, workload.rows.values()))
    only = context.options.get("only", "")
    for name in only.split(",") if only else NAMES:
        try:
            asyncio.run(_engine(context, report, name, workload))
        except Exception as error:
            report.notes.append(f"{name} did not finish: {type(error).__name__}: {error}")
    report.notes.append(
        f"{total:,} vectors of 768 dimensions, lognormal sizes with a mean of {MEAN}, over {SHARDS} shards of the "
        "engine. The ten nearest with metadata of one tenant, tenants asked in proportion to their size; with a "
        "filter: language and year, about a tenth match. Both layouts are asked in turn. Recall against exact answers."
    )
    return report


def _workload(tenants: int, asked: int) -> Workload:
    sizes = np.random.default_rng(17).lognormal(0.0, 1.5, tenants)
    sizes = np.clip(sizes * MEAN / sizes.mean(), 3, 3_000).astype(int)
    rows = {
        f"t{number:04}": clusters.records(int(size), clusters.tenant_seed(number)) for number, size in enumerate(sizes)
    }
    chance = random.Random(5)
    names = chance.choices(list(rows), weights=[len(each) for each in rows.values()], k=asked)
    load = Workload(rows)
    for place, name in enumerate(names):
        near = clusters.queries(int(name[1:]), place + 1)[-1]
        load.asked.append((name, near))
    return load


async def _engine(context: Context, report: Report, name: str, workload: Workload) -> None:
    folder = context.folder / name
    async with (
        engines.running(name, folder) as engine,
        await clusters.new_cluster(folder / "cluster", 0, request_timeout_s=120.0) as cluster,
    ):
        report.notes.append(f"{engine.name}: {engine.layout}." + (f" {engine.own}." if name == "qdrant" else ""))
        for number in range(SHARDS):
            await cluster.shards.add(f"shard-{number}", backend=engine.kind, options=dict(engine.options))
        context.say(f"{engine.name}: filling")
        took = {"Tenantry": await _filled(cluster, workload), "one index": await _filled_one(engine, workload)}
        for layout, seconds in took.items():
            report.info(f"{engine.name}: ingest, {layout}", [seconds], "s")
        calls = {"Tenantry": _through(cluster), "one index": engine.ask}
        for filtered in (False, True):
            title = f"{engine.name}{', filtered' if filtered else ''}"
            context.say(f"{title}: asking")
            await _measure(context, report, title, calls, workload, filtered)


def _through(cluster: Any) -> Any:
    async def ask(tenant: str, vector: np.ndarray, filtered: bool) -> list[str]:
        condition = FILTER if filtered else None
        hits = await cluster.tenant(tenant).query(vector, top_k=TOP_K, filter=condition, include_metadata=True)
        return [hit.id for hit in hits]

    return ask


async def _filled(cluster: Any, workload: Workload) -> float:
    waiting = iter(workload.rows.items())
    began = time.perf_counter()

    async def filler() -> None:
        for name, rows in waiting:
            for batch in clusters.batches(rows):
                await cluster.tenant(name).upsert(batch)

    await asyncio.gather(*(filler() for _ in range(CONCURRENT)))
    await clusters.settled(cluster)
    return time.perf_counter() - began


async def _filled_one(engine: engines.Engine, workload: Workload) -> float:
    began = time.perf_counter()
    await engine.shared()
    for name, rows in workload.rows.items():
        for batch in clusters.batches(rows):
            await engine.add(name, batch)
    await engine.settled()
    return time.perf_counter() - began


async def _measure(
    context: Context, report: Report, title: str, calls: dict[str, Any], workload: Workload, filtered: bool
) -> None:
    right = [_nearest(workload.rows[name], vector, filtered) for name, vector in workload.asked]
    figures: dict[str, dict[str, list[float]]] = {layout: {"P50": [], "P95": [], "recall": []} for layout in LAYOUTS}
    for turn in range(context.rounds + 1):
        seconds: dict[str, list[float]] = {layout: [] for layout in LAYOUTS}
        recalls: dict[str, list[float]] = {layout: [] for layout in LAYOUTS}
        for place, (name, vector) in enumerate(workload.asked):
            for layout in LAYOUTS if (place + turn) % 2 else reversed(LAYOUTS):
                began = time.perf_counter()
                found = await calls[layout](name, vector, filtered)
                seconds[layout].append(time.perf_counter() - began)
                if right[place]:
                    recalls[layout].append(len(right[place] & set(found)) / len(right[place]))
        if turn:  # the first one warms up
            for layout in LAYOUTS:
                figures[layout]["P50"].append(quantile(seconds[layout], 0.50) * 1e3)
                figures[layout]["P95"].append(quantile(seconds[layout], 0.95) * 1e3)
                figures[layout]["recall"].append(sum(recalls[layout]) / max(1, len(recalls[layout])))
    for figure in ("P50", "P95"):
        for layout in LAYOUTS:
            report.info(f"{title}: {figure}, {layout}", figures[layout][figure], "ms")
        ratios = [a / b for a, b in zip(figures["one index"][figure], figures["Tenantry"][figure], strict=True)]
        report.info(f"{title}: {figure}, one index / Tenantry", ratios, "x")
    for layout in LAYOUTS:
        report.info(f"{title}: recall@10, {layout}", figures[layout]["recall"], "")


def _nearest(rows: list[Record], vector: np.ndarray, filtered: bool) -> set[str]:
    condition = parse_filter(FILTER) if filtered else None
    chosen = [row for row in rows if condition is None or matches(condition, row.metadata)]
    if not chosen:
        return set()
    scores = np.stack([row.values for row in chosen]) @ vector
    return {chosen[place].id for place in np.argsort(-scores)[:TOP_K]}
