"""A query over HTTP: the gateway against a handler on the same server that only parses and answers."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench import clusters, data
from bench.http_client import Connection, post, query_body, throughput
from bench.measure import Context, Report, median_us, quantile
from bench.served import served, stop
from tenantry.backends.embedded.backend import EmbeddedBackend
from tenantry.backends.embedded.engine import Engine
from tenantry.model.records import Metric, Query

TENANT = "acme"
VECTORS = 1_000
TOP_K = 10
CONNECTIONS = 16
MAX_ADDED = 2.0


def run(context: Context) -> Report:
    report = Report("gateway", f"a query of 768 dimensions over HTTP, a tenant of {VECTORS:,} vectors")
    asyncio.run(_fill(context.folder / "cluster"))
    vectors = clusters.queries(0, context.pick(300, 100))
    key = secrets.token_hex(16)
    requests = [post("/query", query_body(vector, TENANT, TOP_K), key) for vector in vectors]
    cores = sorted(os.sched_getaffinity(0))
    server_core, client_core = cores[0], cores[-1]
    os.sched_setaffinity(0, {client_core})
    try:
        with served(context.folder / "cluster", key, core=server_core) as url:
            port = urlsplit(url).port or 0
            connection = Connection(port)
            size = len(connection.ask(requests[0]))
            with _empty(size, server_core) as empty_port:
                ports = {"gateway": port, "empty": empty_port}
                asyncio.run(_latency(context, report, ports, requests, vectors))
                _throughput(context, report, ports, requests)
            connection.close()
    finally:
        os.sched_setaffinity(0, set(cores))
    report.notes.append(
        f"Body {len(requests[0]):,} bytes, answer {size:,} bytes (10 hits with text and fields), keep-alive. Server "
        "processes on one core, client and engine on the other, which a light raw client leaves mostly idle. 'Empty': "
        "uvicorn configured as the gateway's, decodes the body into the same struct, answers fixed bytes. 'Engine': "
        "EmbeddedBackend in the client's process, same rows, same queries."
    )
    return report


async def _fill(folder: Path) -> None:
    async with await clusters.new_cluster(folder) as cluster:
        await clusters.fill(cluster, {TENANT: VECTORS})


async def _latency(context: Context, report: Report, ports: dict[str, int], requests: Any, vectors: Any) -> None:
    engine = Engine(context.folder / "engine")
    backend = EmbeddedBackend(engine, "shard", data.DIMENSION, Metric.COSINE)
    await backend.create(TENANT)
    index = backend.index(TENANT)
    for batch in clusters.batches(clusters.records(VECTORS, clusters.tenant_seed(0))):
        await index.upsert(batch)
    connections = {key: Connection(port) for key, port in ports.items()}
    rounds: dict[str, list[list[float]]] = {"gateway": [], "empty": [], "engine": []}
    clock = time.perf_counter
    for turn in range(context.rounds + 1):
        seconds: dict[str, list[float]] = {key: [] for key in rounds}
        for i, (request, vector) in enumerate(zip(requests, vectors, strict=True)):
            order = list(connections.items())
            for key, connection in order if (i + turn) % 2 else reversed(order):
                begun = clock()
                connection.ask(request)
                seconds[key].append(clock() - begun)
            begun = clock()
            await index.query(Query(vector, TOP_K, None, False, True))
            seconds["engine"].append(clock() - begun)
        if turn:
            for key, values in seconds.items():
                rounds[key].append(values)
    for connection in connections.values():
        connection.close()
    await backend.aclose()
    await engine.aclose()
    medians = {key: [median_us(one) for one in values] for key, values in rounds.items()}
    report.info("P50, gateway", medians["gateway"], "us")
    report.info("P50, empty handler", medians["empty"], "us")
    report.info("P50, engine directly", medians["engine"], "us")
    added = [a - b for a, b in zip(medians["gateway"], medians["empty"], strict=True)]
    report.info("added by the gateway and the engine under it", added, "us")
    ratios = [a / b for a, b in zip(added, medians["engine"], strict=True)]
    report.at_most("added / engine's own query", ratios, "x", MAX_ADDED)
    for key, title in (("gateway", "gateway"), ("empty", "empty handler")):
        report.info(f"P95, {title}", [quantile(one, 0.95) * 1e6 for one in rounds[key]], "us")


def _throughput(context: Context, report: Report, ports: dict[str, int], requests: list[bytes]) -> None:
    rates: dict[str, list[float]] = {key: [] for key in ports}
    for turn in range(context.rounds + 1):
        for key, port in ports.items():
            rate = throughput([port], requests, CONNECTIONS, 3.0 if not context.quick else 1.0)
            if turn:
                rates[key].append(rate)
    report.info(f"one core, {CONNECTIONS} connections: gateway", rates["gateway"], "req/s")
    report.info(f"one core, {CONNECTIONS} connections: empty handler", rates["empty"], "req/s")
    ratios = [a / b for a, b in zip(rates["gateway"], rates["empty"], strict=True)]
    report.info("throughput, gateway / empty handler", ratios, "x")


@contextmanager
def _empty(size: int, core: int) -> Iterator[int]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    with _on(core):
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.empty_server", str(listener.fileno()), str(size)],
            pass_fds=[listener.fileno()],
        )
    try:
        yield listener.getsockname()[1]
    finally:
        stop(process)
        listener.close()


@contextmanager
def _on(core: int) -> Iterator[None]:
    """Processes that are started here run on that core for good: they inherit it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
