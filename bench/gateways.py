"""Throughput of one, two and three gateway processes over one catalog and the same shards, and where the limit lies."""

from __future__ import annotations

import asyncio
import os
import secrets
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from bench import clusters
from bench.http_client import post, query_body, throughput
from bench.measure import Context, Report
from bench.served import served
from tenantry.settings import Settings
from tenantry.testing.redis_server import RedisServer
from tenantry.testing.servers import PostgresServer
from tenantry.wiring import init_cluster

GATEWAYS = (1, 2, 3)
TENANTS, VECTORS = 8, 200
TOP_K = 10
CONNECTIONS = 12
VARIABLE = "TENANTRY_BENCH_VECTORS"
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def run(context: Context) -> Report:
    report = Report("gateways", "queries through one, two and three gateways on the same two cores")
    with PostgresServer.start() as catalog, PostgresServer.start() as vectors, RedisServer.start() as redis:
        os.environ[VARIABLE] = vectors.create_database()
        settings = {"TENANTRY_CATALOG_URL": catalog.create_database(), "TENANTRY_REDIS_URL": redis.url}
        asyncio.run(_fill(context.folder, settings["TENANTRY_CATALOG_URL"]))
        _measure(context, report, settings)
    report.notes.append(
        f"{TENANTS} tenants of {VECTORS} vectors of 768 dimensions on one shard in PostgreSQL, {CONNECTIONS} "
        "connections in all, spread over the gateways; client, gateways and PostgreSQL share the machine's cores. "
        "'Busy' is the processor time of a kind of process over the time of the run, in cores. In turn, in changing "
        "order."
    )
    return report


async def _fill(folder: Path, catalog: str) -> None:
    async with await init_cluster(
        Settings(data=folder / "init", catalog_url=catalog), dimension=768, shards=0
    ) as cluster:
        await cluster.shards.add("pg", backend="pgvector", options={"url_env": VARIABLE})
        await clusters.fill(cluster, {f"t{number}": VECTORS for number in range(TENANTS)})


def _measure(context: Context, report: Report, settings: dict[str, str]) -> None:
    key = secrets.token_hex(16)
    requests = [
        post("/query", query_body(vector, f"t{number}", TOP_K), key)
        for number in range(TENANTS)
        for vector in clusters.queries(number, 20)
    ]
    rates: dict[int, list[float]] = {count: [] for count in GATEWAYS}
    busy: dict[int, dict[str, list[float]]] = {count: {} for count in GATEWAYS}
    seconds = context.pick(5.0, 1.5)
    with ExitStack() as stack:
        ports = [
            urlsplit(stack.enter_context(served(context.folder / f"gateway-{number}", key, settings))).port or 0
            for number in range(max(GATEWAYS))
        ]
        for turn in range(context.rounds + 1):
            for count in GATEWAYS if turn % 2 else reversed(GATEWAYS):
                before = _processor_s()
                rate = throughput(ports[:count], requests, CONNECTIONS, seconds)
                after = _processor_s()
                if turn:
                    rates[count].append(rate)
                    for kind, spent in after.items():
                        busy[count].setdefault(kind, []).append((spent - before.get(kind, 0.0)) / seconds)
    for count in GATEWAYS:
        report.info(f"{count} gateway{'s' * (count > 1)}", rates[count], "req/s")
        for kind in ("gateways", "PostgreSQL", "client"):
            report.info(f"  busy: {kind}", busy[count].get(kind, [0.0]), "cores")
    for count in GATEWAYS[1:]:
        ratios = [a / b for a, b in zip(rates[count], rates[1], strict=True)]
        report.info(f"{count} gateways / 1", ratios, "x")


def _processor_s() -> dict[str, float]:
    """Processor seconds so far, by kind of process."""
    found: dict[str, float] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if folder.name == str(os.getpid()):
            kind = "client"
        elif "tenantry.cli.main serve" in command:
            kind = "gateways"
        elif command.startswith("postgres:") or "/bin/postgres" in command:
            kind = "PostgreSQL"
        else:
            continue
        found[kind] = found.get(kind, 0.0) + (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND
    return found
