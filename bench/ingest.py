"""Durable bulk upsert: through the library, into the embedded engine directly, and into bare SQLite."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from bench import clusters, data
from bench.measure import Context, Report
from tenantry.backends.embedded import connections
from tenantry.backends.embedded.backend import EmbeddedBackend
from tenantry.backends.embedded.engine import Engine
from tenantry.model.records import Metric, Record

MIN_SHARE = 0.60
TENANT_ROWS = 10_000

Write = Callable[[Sequence[Record]], Awaitable[None]]


def run(context: Context) -> Report:
    report = Report("ingest", "durable bulk upsert, batches of 500, 768 dimensions, text and two typed fields")
    asyncio.run(_run(context, report))
    report.notes.append(
        "All three get the same rows, batch by batch in turn. Bare SQLite: one file, the engine's own pragmas "
        "(WAL, synchronous=FULL) and table, one transaction and executemany a batch, metadata encoded with msgspec, "
        "vectors handed over as they lie in memory; it checks nothing and keeps no index in memory."
    )
    return report


class BareSQLite:
    """What the engine's store comes down to."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        for pragma in (
            f"page_size={connections.PAGE_BYTES}",
            "journal_mode=WAL",
            "synchronous=FULL",
            f"wal_autocheckpoint={connections.WAL_PAGES}",
        ):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute(
            "CREATE TABLE records (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, "
            "vector BLOB NOT NULL, metadata BLOB)"
        )
        self._encode = msgspec.json.Encoder().encode

    async def write(self, batch: Sequence[Record]) -> None:
        rows = [(one.id, one.values, self._encode(one.metadata)) for one in batch]
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT INTO records (id, vector, metadata) VALUES (?, ?, ?)", rows)
        self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


async def _run(context: Context, report: Report) -> None:
    rows = clusters.records(context.pick(TENANT_ROWS, 4_000), 7 << 8)
    batches = clusters.batches(rows)
    cluster = await clusters.new_cluster(context.folder / "cluster")
    engine = Engine(context.folder / "engine")
    backend = EmbeddedBackend(engine, "shard", data.DIMENSION, Metric.COSINE)
    rates: dict[str, list[float]] = {"library": [], "engine": [], "bare": []}
    async with cluster:
        for turn in range(context.rounds + 1):
            name = f"round-{turn}"
            await cluster.tenants.create(name)
            await backend.create(name)
            bare = BareSQLite(context.folder / f"{name}.db")
            writes: dict[str, Write] = {
                "library": cluster.tenant(name).upsert,  # type: ignore[dict-item]
                "engine": backend.index(name).upsert,
                "bare": bare.write,
            }
            seconds = await _round(writes, batches)
            bare.close()
            await clusters.settled(cluster)
            await backend.settled()
            if turn:  # the first only warms up
                for key, taken in seconds.items():
                    rates[key].append(len(rows) / taken)
        await backend.aclose()
        await engine.aclose()
    _report(report, rates)


def _report(report: Report, rates: dict[str, list[float]]) -> None:
    report.info("bare SQLite, same pragmas and table", rates["bare"], "rows/s")
    report.info("EmbeddedBackend directly", rates["engine"], "rows/s")
    report.info("TenantHandle.upsert", rates["library"], "rows/s")
    share = [a / b for a, b in zip(rates["library"], rates["bare"], strict=True)]
    report.at_least("library / bare SQLite", share, "x", MIN_SHARE)
    share = [a / b for a, b in zip(rates["library"], rates["engine"], strict=True)]
    report.at_least("library / EmbeddedBackend", share, "x", MIN_SHARE)
    share = [a / b for a, b in zip(rates["engine"], rates["bare"], strict=True)]
    report.info("EmbeddedBackend / bare SQLite", share, "x")


async def _round(writes: dict[str, Write], batches: Sequence[Sequence[Record]]) -> dict[str, float]:
    """Seconds that each took for all batches, in turn and in changing order."""
    seconds = dict.fromkeys(writes, 0.0)
    order = list(writes.items())
    for i, batch in enumerate(batches):
        first = i % len(order)
        for key, write in order[first:] + order[:first]:
            begun = time.perf_counter()
            await write(batch)
            seconds[key] += time.perf_counter() - begun
    return seconds
