"""Backup and restore against a bare scan and a bare ingest; what a backup costs queries."""

from __future__ import annotations

import asyncio
import shutil
import time
from typing import Any

from bench import clusters, data
from bench.measure import Context, Report, quantile
from tenantry.cluster import Cluster
from tenantry.model.records import Record
from tenantry.settings import Settings
from tenantry.wiring import restoring_cluster

MIN_SHARE, MOST_INCREMENTAL, MOST_P95 = 0.60, 0.05, 1.3
FEW, MANY = 4, 100
QUERIES = 300


def run(context: Context) -> Report:
    report = Report("backup", "embedded shards, 768 dimensions, text and two typed fields, archive in a folder")
    asyncio.run(_run(context, report))
    report.notes.append(
        "Scan: pages of 500 of every tenant, one after the other. Ingest: batches of 500, new tenants. Backup: full, "
        "with digests, LZ4 for vectors, zstd for the rest, and SHA-256. Restore: written, read back and compared. "
        "Incremental: after a write to one tenant, against the full one of the same round. Queries: one client, paced, "
        "with and without a full backup."
    )
    return report


async def _run(context: Context, report: Report) -> None:
    rows = int(context.options.get("rows", context.pick(30_000, 8_000)))
    rounds = max(3, context.rounds // 2)
    large = await _shape(context, FEW, rows, rounds)
    small = await _shape(context, MANY, rows, rounds)
    for name, found in ((f"{FEW} tenants", large), (f"{MANY} tenants", small)):
        for what in ("scan", "backup", "ingest", "restore"):
            report.info(f"{what}, {name}", found[what], "v/s")
    for name, found in ((f"{FEW} tenants", large), (f"{MANY} tenants", small)):
        for one, other in (("backup", "scan"), ("restore", "ingest")):
            shares = [a / b for a, b in zip(found[one], found[other], strict=True)]
            if found is large:
                report.at_least(f"{one} / bare {other}, {name}", shares, "x", MIN_SHARE)
            else:
                report.info(f"{one} / bare {other}, {name}", shares, "x")
    report.info("stored size / raw float32 (with texts)", large["size"], "x")
    report.at_most(f"incremental after 1% of {MANY} tenants / full", small["incremental"], "x", MOST_INCREMENTAL)
    report.info("P95 of queries, alone", large["p95"], "us")
    report.at_most("P95 of queries during a backup / alone", large["ratio"], "x", MOST_P95)
    await _sizes(context, report)


async def _shape(context: Context, tenants: int, rows: int, rounds: int) -> dict[str, list[float]]:
    """All figures of a cluster of so many tenants of one size."""
    found: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    folder = context.folder / str(tenants)
    cluster = await clusters.new_cluster(folder / "cluster", shards=3)
    async with cluster:
        sizes = {f"t{i:03}": rows // tenants for i in range(tenants)}
        await clusters.fill(cluster, sizes)
        await clusters.settled(cluster)
        for number in range(rounds):
            archive, new, beside = (folder / f"{what}-{number}" for what in ("archive", "new", "beside"))
            context.say(f"round {number + 1}: {rows:,} vectors in {tenants} tenants")
            note("scan", rows / await _scan(cluster, list(sizes)))
            began = time.perf_counter()
            made = await cluster.backups.create(str(archive))
            full_s = time.perf_counter() - began
            note("backup", rows / full_s)
            note("size", made.totals.stored_bytes / (rows * 4 * data.DIMENSION))
            await cluster.tenant("t001").upsert([Record("new", data.vectors(1, number)[0], {"n": number})])
            began = time.perf_counter()
            again = await cluster.backups.create(str(archive))
            note("incremental", (time.perf_counter() - began) / full_s)
            assert again.totals.reused == tenants - 1
            note("ingest", rows / await _ingest(cluster, rows, number, tenants))
            async with restoring_cluster(Settings(data=new)) as restored:
                began = time.perf_counter()
                await restored.backups.restore_cluster(str(archive))
                note("restore", rows / (time.perf_counter() - began))
            await _queries(cluster, beside, note)
            for gone in (archive, new, beside):
                shutil.rmtree(gone)
    return found


async def _sizes(context: Context, report: Report) -> None:
    """Time to restore a tenant, a shard, a cluster."""
    ladder = {"tenant": 10_000, "shard": 100_000, "cluster": 300_000}
    if context.quick:
        ladder = {"tenant": 2_000, "shard": 6_000, "cluster": 12_000}
    if "sizes" in context.options:
        ladder = {"tenant": 10_000, "shard": int(context.options["sizes"])}
    for what, rows in ladder.items():
        folder = context.folder / what
        tenants = max(1, rows // 10_000)
        cluster = await clusters.new_cluster(folder / "cluster", shards=3 if what == "cluster" else 1)
        async with cluster:
            await clusters.fill(cluster, {f"t{i}": rows // tenants for i in range(tenants)})
            await cluster.backups.create(str(folder / "archive"))
        shutil.rmtree(folder / "cluster")
        began = time.perf_counter()
        async with restoring_cluster(Settings(data=folder / "new")) as restored:
            await restored.backups.restore_cluster(str(folder / "archive"))
        report.info(f"restore a {what} of {rows:,} vectors", [time.perf_counter() - began], "s")
        shutil.rmtree(folder)


async def _scan(cluster: Cluster, names: list[str]) -> float:
    began = time.perf_counter()
    for name in names:
        place = (await cluster.tenants.get(name)).tenant.route.place
        namespace = await cluster.router.pool.namespace("default", place)
        cursor: str | None = None
        while True:
            page = await namespace.scan(cursor, 500)
            cursor = page.cursor
            if cursor is None:
                break
    return time.perf_counter() - began


async def _ingest(cluster: Cluster, rows: int, number: int, tenants: int) -> float:
    """Into as many tenants of as many records as are restored; only the writing is timed."""
    name, each = f"bare-{number}", rows // tenants
    records = clusters.records(each, number)
    taken = 0.0
    place: Any = None
    for i in range(tenants):
        tenant = await cluster.tenants.create(f"{name}-{i}")
        place = tenant.route.place
        namespace = await cluster.router.pool.namespace("default", place)
        began = time.perf_counter()
        for batch in clusters.batches(records):
            await namespace.upsert(batch)
        taken += time.perf_counter() - began
        await cluster.tenants.delete(tenant.name, now=True)
    return taken


async def _queries(cluster: Cluster, archive: Any, note: Any) -> None:
    asked = clusters.queries(0, 64)

    async def p95() -> float:
        taken = []
        for i in range(QUERIES):
            began = time.perf_counter()
            await cluster.tenant("t000").query(asked[i % 64], top_k=10)
            taken.append(time.perf_counter() - began)
            await asyncio.sleep(0.002)
        return quantile(taken, 0.95) * 1e6

    await p95()
    alone = await p95()
    job = cluster.backups.start_create(str(archive))
    beside = await p95()
    await cluster.backups.wait(job.id)
    note("p95", alone)
    note("ratio", beside / alone)
