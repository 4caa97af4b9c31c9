"""A tenant that moves while it is used: what it costs, what it loses (nothing), and what a naive mover loses."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import clusters
from bench.measure import Context, Report, quantile
from tenantry.cluster import Cluster
from tenantry.errors import TenantryError
from tenantry.model.moves import Move, Phase
from tenantry.model.records import Record
from tenantry.model.topology import Place, Route

MIN_SHARE_IDLE, MIN_SHARE_LOADED = 0.60, 0.30
OWN_P95, OTHERS_P95 = 2.0, 1.3
FLIP_P99_MS = 50.0
#: The naive mover's pauses and page, as in the document that describes it.
NAIVE_SLEEPS_S = (2.0, 1.0)
NAIVE_PAGE = 1_000
WORKERS = 4
WRITE_SHARE = 0.2
MOVED, OTHER = "moved", "other"


def run(context: Context) -> Report:
    report = Report("moves", "moving a tenant between two embedded shards, 768 dimensions, one process")
    asyncio.run(_run(context, report))
    report.notes.append(
        "Scan, ingest, idle move, loaded move in turn, every round anew. Load: queries (80%) and single upserts (20%) "
        "on the moving tenant and on another one on the same shard, paced at half of what four workers reach flat out. "
        "The naive mover copies by scanning, sleeps, switches the route, sleeps, drops the old copy."
    )
    return report


@dataclass
class Load:
    """Workers on two tenants, and what they saw."""

    cluster: Cluster
    rows: int
    pause_s: float = 0.0
    reads: dict[str, list[float]] = field(default_factory=lambda: {MOVED: [], OTHER: []})
    writes: list[tuple[float, float]] = field(default_factory=list)
    failed_reads: int = 0
    failed_writes: int = 0
    acknowledged: dict[str, int] = field(default_factory=dict)
    running: bool = True
    operations: int = 0
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        self.questions = clusters.queries(0, 64)
        self._tasks = [asyncio.create_task(self._work(number)) for number in range(WORKERS)]

    async def stop(self) -> None:
        self.running = False
        await asyncio.gather(*self._tasks)

    async def _work(self, number: int) -> None:
        chance = random.Random(number)
        version = 0
        while self.running:
            name = MOVED if chance.random() < 0.5 else OTHER
            began = time.perf_counter()
            if chance.random() < WRITE_SHARE:
                version += 1
                key = f"w{number}-{chance.randrange(200)}"
                record = Record(key, self.questions[chance.randrange(64)], {"v": version})
                try:
                    await self.cluster.tenant(name).upsert([record])
                except TenantryError:
                    self.failed_writes += 1
                else:
                    if name == MOVED:
                        self.acknowledged[key] = version
                        self.writes.append((began, time.perf_counter()))
            else:
                try:
                    await self.cluster.tenant(name).query(self.questions[chance.randrange(64)], top_k=10)
                except TenantryError:
                    self.failed_reads += 1
                else:
                    self.reads[name].append(time.perf_counter() - began)
            self.operations += 1
            await asyncio.sleep(self.pause_s)

    async def lost(self) -> int:
        """Acknowledged writes of the moved tenant that are not there."""
        keys = sorted(self.acknowledged)
        found: dict[str, Any] = {}
        for start in range(0, len(keys), 500):
            found.update(await self.cluster.tenant(MOVED).fetch(keys[start : start + 500]))
        return sum(key not in found or found[key].metadata["v"] < version for key, version in self.acknowledged.items())


async def _run(context: Context, report: Report) -> None:
    rows = int(context.options.get("rows", context.pick(30_000, 6_000)))
    rounds = max(3, context.rounds // 2)
    found: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    for number in range(rounds):
        context.say(f"round {number + 1} of {rounds}: {rows:,} vectors")
        cluster = await clusters.new_cluster(context.folder / f"round-{number}", shards=3)
        try:
            await clusters.fill(cluster, {MOVED: rows, OTHER: rows // 10})
            await _together(cluster)
            await clusters.settled(cluster)
            await _one_round(cluster, context.folder / f"bare-{number}", rows, note)
        finally:
            await cluster.aclose()
    report.at_least("copy rate, no load / slower of bare scan and ingest", found["idle"], "", MIN_SHARE_IDLE)
    report.at_least("copy rate, half load / slower of bare scan and ingest", found["loaded"], "", MIN_SHARE_LOADED)
    report.info("copy rate, no load", found["idle_rate"], "vectors/s")
    report.info("copy rate, half load", found["loaded_rate"], "vectors/s")
    report.info("bare scan", found["scan"], "vectors/s")
    report.info("bare ingest", found["ingest"], "vectors/s")
    report.at_most("P95 of the moving tenant's reads, moving / not", found["own"], "", OWN_P95)
    report.at_most("P95 of another tenant's reads on the shard, moving / not", found["others"], "", OTHERS_P95)
    report.at_most("reads and writes that failed during moves", found["failed"], "", 0)
    report.at_most("acknowledged writes lost by moves", found["lost"], "", 0)
    await _flips(context, report)
    await _naive(context, report)


async def _together(cluster: Cluster) -> None:
    """Both tenants on one shard."""
    here = (await cluster.tenants.get(MOVED)).tenant.route.place.shard
    if (await cluster.tenants.get(OTHER)).tenant.route.place.shard != here:
        await cluster.moves.wait((await cluster.moves.start(OTHER, here, soak_s=0)).id)


async def _one_round(cluster: Cluster, folder: Path, rows: int, note: Callable[[str, float], None]) -> None:
    scan, ingest = await _bare_scan(cluster), await _bare_ingest(cluster)
    note("scan", scan)
    note("ingest", ingest)
    limit = min(scan, ingest)
    idle = _rate(await _move(cluster))
    note("idle_rate", idle)
    note("idle", idle / limit)
    await _together(cluster)
    flat_out = Load(cluster, rows)
    flat_out.start()
    await asyncio.sleep(1.5)
    await flat_out.stop()
    each_s = 1.5 * WORKERS / flat_out.operations  # one worker's time for one operation
    before = await _quiet(cluster, rows, each_s)
    busy = Load(cluster, rows, pause_s=each_s)
    busy.start()
    move = await _move(cluster)
    await busy.stop()
    note("lost", await busy.lost())
    after = await _quiet(cluster, rows, each_s)
    note("loaded_rate", _rate(move))
    note("loaded", _rate(move) / limit)
    for name, tenant in (("own", MOVED), ("others", OTHER)):
        note(name, quantile(busy.reads[tenant], 0.95) / quantile(before.reads[tenant] + after.reads[tenant], 0.95))
    note("failed", busy.failed_reads + busy.failed_writes)


async def _quiet(cluster: Cluster, rows: int, each_s: float) -> Load:
    """The paced load while nothing moves. It is measured before the move and after it, since what it writes makes the
    queries slower with time."""
    load = Load(cluster, rows, pause_s=each_s)
    load.start()
    await asyncio.sleep(3.0)
    await load.stop()
    return load


async def _move(cluster: Cluster) -> Move:
    here = (await cluster.tenants.get(MOVED)).tenant.route.place.shard
    target = next(name for name in ("shard-0", "shard-1", "shard-2") if name != here)
    move = await cluster.moves.wait((await cluster.moves.start(MOVED, target, soak_s=0)).id)
    assert move.phase is Phase.DONE, move
    await cluster.moves.purge()
    return move


def _rate(move: Move) -> float:
    return move.progress.copied / (move.started["catch-up"] - move.started["copy"])


async def _bare_scan(cluster: Cluster) -> float:
    place = (await cluster.tenants.get(MOVED)).tenant.route.place
    namespace = (await cluster.router.pool.backend("default", place.shard)).index(place.namespace)
    began, count, cursor = time.perf_counter(), 0, None
    while True:
        page = await namespace.scan(cursor, clusters.BATCH)
        count += len(page.records)
        cursor = page.cursor
        if cursor is None:
            return count / (time.perf_counter() - began)


async def _bare_ingest(cluster: Cluster) -> float:
    rows = clusters.records(5_000, 7)
    backend = await cluster.router.pool.backend("default", "shard-2")
    await backend.create("bare")
    namespace = backend.index("bare")
    began = time.perf_counter()
    for batch in clusters.batches(rows):
        await namespace.upsert(batch)
    rate = len(rows) / (time.perf_counter() - began)
    await backend.drop("bare")
    return rate


async def _flips(context: Context, report: Report) -> None:
    """Many switches of a small tenant under load."""
    count = int(context.options.get("flips", context.pick(200, 40)))
    context.say(f"{count} switches under load")
    cluster = await clusters.new_cluster(context.folder / "flips", shards=3)
    held, waits = [], []
    try:
        await clusters.fill(cluster, {MOVED: 200, OTHER: 2_000})
        load = Load(cluster, 200, pause_s=0.002)
        load.start()
        offset = time.time() - time.perf_counter()
        for _ in range(count):
            move = await _move(cluster)
            assert move.flip_ms is not None
            held.append(move.flip_ms)
            begun, ended = (move.started[phase] - offset for phase in ("flip", "settle"))
            waits.append(1_000 * max((e - b for b, e in load.writes if b <= ended and e >= begun), default=0.0))
        await load.stop()
        lost = await load.lost()
    finally:
        await cluster.aclose()
    report.info("writes held at the switch, p50", [quantile(held, 0.5)], "ms")
    report.at_most(f"writes held at the switch, p99 of {count}", [quantile(held, 0.99)], "ms", FLIP_P99_MS)
    report.info("writes held at the switch, most", [max(held)], "ms")
    report.info("slowest write around a switch, p50", [quantile(waits, 0.5)], "ms")
    report.info("slowest write around a switch, p99", [quantile(waits, 0.99)], "ms")
    report.at_most(f"reads that failed over {count} switches", [load.failed_reads], "", 0)
    report.at_most(f"writes that failed over {count} switches", [load.failed_writes], "", 0)
    report.at_most(f"acknowledged writes lost over {count} switches", [lost], "", 0)


async def _naive(context: Context, report: Report) -> None:
    """Copy, sleep, switch, sleep, drop: on the same load."""
    context.say("the naive mover")
    rows = int(context.options.get("rows", context.pick(30_000, 6_000)))
    cluster = await clusters.new_cluster(context.folder / "naive", shards=3)
    try:
        await clusters.fill(cluster, {MOVED: rows, OTHER: rows // 10})
        load = Load(cluster, rows, pause_s=0.002)
        load.start()
        began = time.perf_counter()
        old, new = await _copy_naively(cluster)
        await asyncio.sleep(NAIVE_SLEEPS_S[0])
        tenant = (await cluster.tenants.get(MOVED)).tenant
        catalog = cluster._parts.catalog
        await catalog.tenants.set_route("default", MOVED, Route(tenant.route.epoch + 1, new), tenant.route.epoch)
        cluster._parts.cache.forget("default", MOVED)
        await asyncio.sleep(NAIVE_SLEEPS_S[1])
        await (await cluster.router.pool.backend("default", old.shard)).drop(old.namespace)
        took = time.perf_counter() - began
        await load.stop()
        lost = await load.lost()
        share = lost / max(1, len(load.acknowledged))
        ours = Load(cluster, rows, pause_s=0.002)
        ours.start()
        began = time.perf_counter()
        await _move(cluster)
        ours_took = time.perf_counter() - began
        await ours.stop()
        ours_lost = await ours.lost()
    finally:
        await cluster.aclose()
    report.info("naive mover: acknowledged writes lost", [lost], f"of {len(load.acknowledged)}")
    report.info("naive mover: share lost", [share], "")
    report.info("naive mover: requests that failed", [load.failed_reads + load.failed_writes], "")
    report.info("naive mover: time", [took], "s")
    report.info("the same move by Tenantry: acknowledged writes lost", [ours_lost], f"of {len(ours.acknowledged)}")
    report.info("the same move by Tenantry: time", [ours_took], "s")


async def _copy_naively(cluster: Cluster) -> tuple[Place, Place]:
    old = (await cluster.tenants.get(MOVED)).tenant.route.place
    target = next(name for name in ("shard-0", "shard-1", "shard-2") if name != old.shard)
    new = Place(target, f"{MOVED}~2")
    source = (await cluster.router.pool.backend("default", old.shard)).index(old.namespace)
    backend = await cluster.router.pool.backend("default", target)
    await backend.create(new.namespace)
    cursor = None
    while True:
        page = await source.scan(cursor, NAIVE_PAGE)
        for batch in clusters.batches(page.records):
            await backend.index(new.namespace).upsert(batch)
        cursor = page.cursor
        if cursor is None:
            return old, new
