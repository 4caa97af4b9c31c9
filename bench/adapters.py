"""A query through the library on a shard in another engine, and the same query by that engine's own client."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import psycopg
from pgvector.psycopg import register_vector_async

from bench import clusters
from bench.measure import Context, Report, median_us
from tenantry.testing.servers import PostgresServer

MAX_ADDED_US = 300.0
SIZES = (500, 3_000)
TOP_K = 10
TENANT = "tenant"
VECTORS_VARIABLE = "TENANTRY_BENCH_VECTORS"

Call = Callable[[np.ndarray], Awaitable[Any]]


def run(context: Context) -> Report:
    report = Report("adapters", "query through the library against the engine's own client, same table, same process")
    asyncio.run(_pgvector(context, report))
    report.notes.append(
        "pgvector: psycopg with prepared statements, binary results and the registered vector type, one connection; "
        "the ten nearest with metadata, exact. Each query is put to both in turn, in changing order. A round's figure "
        "is the difference of its medians. Both find the same."
    )
    return report


async def _pgvector(context: Context, report: Report) -> None:
    with PostgresServer.start() as postgres:
        os.environ[VECTORS_VARIABLE] = url = postgres.create_database()
        cluster = await clusters.new_cluster(context.folder / "cluster", shards=0)
        async with cluster:
            await cluster.shards.add("pg", backend="pgvector", options={"url_env": VECTORS_VARIABLE, "schema": "pg"})
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as own:
                await register_vector_async(own)
                for number, size in enumerate(SIZES):
                    name = f"{TENANT}-{size}"
                    await clusters.fill(cluster, {name: size})
                    backend: Any = await cluster.router.pool.backend("default", "pg")
                    table = backend.table(name).as_string()
                    await own.execute(f"ANALYZE {table}".encode())
                    questions = clusters.queries(number, context.pick(300, 100))
                    await _measure(
                        context, report, f"pgvector, {size:,} vectors", *_calls(cluster, own, name, table), questions
                    )


def _calls(cluster: Any, own: Any, name: str, table: str) -> tuple[Call, Call]:
    statement = (
        f"SELECT id, vector <=> %b AS distance, metadata FROM {table} ORDER BY distance, id LIMIT {TOP_K}".encode()
    )
    handle = cluster.tenant(name)

    async def direct(vector: np.ndarray) -> list[str]:
        return [row[0] for row in await (await own.execute(statement, [vector], binary=True)).fetchall()]

    async def through(vector: np.ndarray) -> list[str]:
        return [hit.id for hit in await handle.query(vector, top_k=TOP_K, include_metadata=True)]

    return direct, through


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
            assert found[direct] == found[through]
        if turn:  # the first one warms up
            base.append(median_us(times[direct]))
            added.append(median_us(times[through]) - base[-1])
    report.info(f"{name}: its own client", base, "us")
    report.at_most(f"{name}: the library adds", added, "us", MAX_ADDED_US)
