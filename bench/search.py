"""Search over all of 200 tenants on 5 shards, beside what one could have instead; and one shard slow, then dead."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench import clusters, data
from bench.measure import Context, Report, quantile
from tenantry.backends.pgvector import PgvectorBackend
from tenantry.caches.memory import MemoryRouteCache
from tenantry.catalogs.sql import open_catalog
from tenantry.clock import SystemClock
from tenantry.cluster import Cluster, Parts
from tenantry.gateway.serve import short_collections
from tenantry.model.limits import Limits
from tenantry.placement import policy
from tenantry.router.scatter import SearchLimits
from tenantry.router.scatter.breaker import Breaker
from tenantry.telemetry.silent import SilentTelemetry
from tenantry.testing.memory_backend import MemoryBackend
from tenantry.testing.servers import PostgresServer

TENANTS, SHARDS = 200, 5
VECTORS, QUICK_VECTORS = 60_000, 20_000
TOP_KS = (10, 100)
MAX_RATIO = 1.5
SLOWEST = "all tenants, one request each"
PARTS = "embedded,pgvector,trouble"
URL_VARIABLE = "TENANTRY_BENCH_SEARCH"
USUAL_S, SLOW_TIMES, SLOW_SHARE = 0.004, 10, 0.01
DEADLINE_S = 0.5
AT_ONCE = 4

Call = Callable[[Any, int], Awaitable[Any]]


def run(context: Context) -> Report:
    report = Report("search", "search over 200 tenants on 5 shards")
    parts = context.options.get("parts", PARTS).split(",")
    asyncio.run(_engines(context, report, parts))
    if "trouble" in parts:
        asyncio.run(_troubled(context, report))
    report.notes += [
        f"{os.cpu_count()} cores for all shards and for PostgreSQL: five shards' work cannot take less than "
        f"{SHARDS}/{os.cpu_count()} of one shard's time here, if one keeps a core busy; with a core for each it can.",
        "One question is put to all in turn. 'one request each': the same search without the engine's many-namespace "
        "query. 'one index': everything in one namespace of its own, with an approximate index; that keeps no tenants "
        "apart.",
        "Each search is written into the audit log before its answer.",
        f"Slow: a shard in memory with a latency of {USUAL_S * 1e3:g} ms answers {SLOW_SHARE:.0%} of its requests "
        f"after {SLOW_TIMES} times that; dead: it never answers (deadline {DEADLINE_S:g} s).",
    ]
    return report


async def _engines(context: Context, report: Report, parts: list[str]) -> None:
    total = context.pick(VECTORS, QUICK_VECTORS)
    sizes = data.lognormal_sizes(TENANTS, total, {total // TENANTS: 1})
    names = {f"tenant-{i:03}": int(size) for i, size in enumerate(sizes)}
    if "embedded" in parts:
        cluster = await clusters.new_cluster(context.folder / "embedded", shards=SHARDS)
        async with cluster:
            await cluster.indexes.create("one", data.DIMENSION, shards=1)
            await _measure(context, report, "embedded", cluster, names)
    if "pgvector" in parts:
        with PostgresServer.start() as postgres:
            os.environ[URL_VARIABLE] = postgres.create_database()
            cluster = await clusters.new_cluster(context.folder / "pgvector", shards=0)
            async with cluster:
                await cluster.indexes.create("one", data.DIMENSION, shards=0)
                places = [("default", f"pg-{i}") for i in range(SHARDS)] + [("one", "pg-one")]
                for index, shard in places:
                    options = {"url_env": URL_VARIABLE, "schema": "bench_" + shard.replace("-", "_")}
                    await cluster.shards.add(shard, index=index, backend="pgvector", options=options)
                await _measure(context, report, "pgvector", cluster, names)


async def _measure(context: Context, report: Report, engine: str, cluster: Cluster, names: dict[str, int]) -> None:
    context.say(f"{engine}: filling {sum(names.values()):,} vectors twice")
    for number, (name, size) in enumerate(names.items()):
        rows = clusters.records(size, clusters.tenant_seed(number))
        for batch in clusters.batches(rows):
            await cluster.tenant(name).upsert(batch)
            moved = [msgspec.structs.replace(row, id=f"{name}/{row.id}") for row in batch]
            await cluster.tenant("everything", "one").upsert(moved)
    await cluster.tenant("everything", "one").query(clusters.queries(0, 1)[0])
    await clusters.settled(cluster)
    backend: Any = await cluster.router.pool.backend("one", (await cluster.router.pool.shards("one"))[0].name)
    if isinstance(backend, PgvectorBackend):
        await backend.indexer.settled()
    by_shard: dict[str, list[str]] = {}
    vectors: dict[str, int] = {}
    for name, size in names.items():
        shard = (await cluster.router.resolver.route("default", name)).place.shard
        by_shard.setdefault(shard, []).append(name)
        vectors[shard] = vectors.get(shard, 0) + size
    largest = max(vectors, key=lambda shard: vectors[shard])
    average = min(names, key=lambda name: abs(names[name] - sum(names.values()) / TENANTS))
    report.info(f"{engine}: vectors on the largest shard, of {sum(names.values()):,}", [vectors[largest]], "")
    for top_k in TOP_KS:
        await _round_about(context, report, f"{engine}, top {top_k}", cluster, by_shard[largest], average, top_k)


async def _round_about(  # noqa: C901 - one call beside the other
    context: Context, report: Report, title: str, cluster: Cluster, largest: list[str], average: str, top_k: int
) -> None:
    async def over_all(vector: Any, top_k: int) -> Any:
        return [(one.tenant, one.hit.id) for one in (await cluster.search_all(vector, top_k=top_k)).hits]

    async def each(vector: Any, top_k: int) -> Any:
        with _WithoutMany(cluster):
            return [(one.tenant, one.hit.id) for one in (await cluster.search_all(vector, top_k=top_k)).hits]

    async def one_shard(vector: Any, top_k: int) -> Any:
        return await cluster.search_all(vector, tenants=largest, top_k=top_k)

    async def one_tenant(vector: Any, top_k: int) -> Any:
        return await cluster.tenant(average).query(vector, top_k=top_k)

    async def one_index(vector: Any, top_k: int) -> Any:
        return await cluster.tenant("everything", "one").query(vector, top_k=top_k)

    calls: dict[str, Call] = {
        "all tenants": over_all,
        SLOWEST: each,
        "tenants of the largest shard": one_shard,
        "one tenant of the average size": one_tenant,
        "one index": one_index,
    }
    rounds: list[dict[str, list[float]]] = []
    questions = np.concatenate([clusters.queries(number, 2) for number in range(context.pick(16, 6))])
    for turn in range(context.rounds + 1):
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        for i, vector in enumerate(questions):
            found = {}
            order = list(calls)
            for name in order[(i + turn) % len(order) :] + order[: (i + turn) % len(order)]:
                if name == SLOWEST and i % 3:
                    continue
                began = time.perf_counter()
                found[name] = await calls[name](vector, top_k)
                seconds[name].append(time.perf_counter() - began)
            assert found["all tenants"] == found.get(SLOWEST, found["all tenants"])
        if turn:  # the first one warms up
            rounds.append(seconds)
    for name in calls:
        for words, share in (("P50", 0.5), ("P95", 0.95)):
            report.info(f"{title}: {name}, {words}", [quantile(one[name], share) * 1e3 for one in rounds], "ms")
    for words, share in (("P50", 0.5), ("P95", 0.95)):
        ratios = [
            quantile(one["all tenants"], share) / quantile(one["tenants of the largest shard"], share) for one in rounds
        ]
        report.at_most(f"{title}: all tenants / largest shard, {words}", ratios, "x", MAX_RATIO)


class _Plain:
    """A backend that does not claim the many-namespace query."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.features = msgspec.structs.replace(backend.features, many_namespace_query=False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


class _WithoutMany:
    """While entered, no shard of the cluster claims the many-namespace query."""

    def __init__(self, cluster: Cluster) -> None:
        self._backends: Any = cluster.router.pool._backends
        self._whole = dict(self._backends)

    def __enter__(self) -> None:
        self._backends.update({key: _Plain(backend) for key, backend in self._whole.items()})

    def __exit__(self, *_: object) -> None:
        self._backends.update(self._whole)


class _Delayed(MemoryBackend):
    """Answers after a while; some requests after a longer one; when dead, never."""

    troubled = dead = False

    def __init__(self, metric: Any, seed: int) -> None:
        super().__init__(metric, many=True)
        self._chance = random.Random(seed)

    async def enter(self, call: str) -> None:
        if call == "query_many":
            if self.dead:
                await asyncio.Event().wait()
            slow = self.troubled and self._chance.random() < SLOW_SHARE
            await asyncio.sleep(USUAL_S * (SLOW_TIMES if slow else 1))


class _NeverOpens(Breaker, frozen=True):
    """A breaker that does nothing."""

    def failure(self, now: float) -> Breaker:
        return self


async def _troubled(context: Context, report: Report) -> None:
    searches = context.pick(1_500, 600)
    found: dict[str, list[float]] = {}
    for turn in range(min(context.rounds, 3)):
        for hedged, broken in itertools.product((False, True), repeat=2):
            hedging = f"{'with' if hedged else 'without'} hedging"
            breaking = f"{'with' if broken else 'without'} breaker"
            folder = context.folder / f"troubled-{turn}-{hedged}-{broken}"
            cluster, backends = await _delayed_cluster(folder, hedged, broken, turn)
            async with cluster:
                await _ask(cluster, 400)  # so that it is known what is usual
                if not broken:
                    backends["shard-0"].troubled = True
                    with short_collections():
                        times = await _ask(cluster, searches)
                    for share in (0.5, 0.99, 0.995):
                        key = f"slow shard, {hedging}: P{share * 100:g}"
                        found.setdefault(key, []).append(quantile(times, share) * 1e3)
                if hedged:
                    backends["shard-0"].dead = True
                    times = await _ask(cluster, searches // 10)
                    for share in (0.5, 0.99):
                        key = f"dead shard, {breaking}: P{share * 100:g}"
                        found.setdefault(key, []).append(quantile(times, share) * 1e3)
    for what, rounds in found.items():
        report.info(what, rounds, "ms")
    for what, key in (("slow shard", "hedging"), ("dead shard", "breaker")):
        share = "P99.5" if what == "slow shard" else "P50"
        pairs = zip(found[f"{what}, with {key}: {share}"], found[f"{what}, without {key}: {share}"], strict=True)
        report.at_most(f"{what}: {share} with / without {key}", [one / other for one, other in pairs], "x", 0.5)


async def _delayed_cluster(folder: Path, hedged: bool, broken: bool, seed: int) -> tuple[Cluster, dict[str, _Delayed]]:
    folder.mkdir()
    backends: dict[str, _Delayed] = {}
    tokens = itertools.count(1)
    catalog = await open_catalog(f"sqlite:///{folder}/catalog.db")

    def open_backend(index: Any, shard: Any) -> _Delayed:
        return backends.setdefault(shard.name, _Delayed(index.metric, seed))

    def no_embedder(name: str) -> Any:
        raise KeyError(name)

    cluster = Cluster(
        Parts(
            catalog=catalog,
            cache=MemoryRouteCache(),
            open_backend=open_backend,
            backends=("memory",),
            default_backend="memory",
            policy=policy,
            embedder=no_embedder,
            clock=SystemClock(),
            telemetry=SilentTelemetry(),
            token=lambda size: f"{next(tokens):0{2 * size}x}",
            limits=Limits(),
            request_timeout_s=30.0,
            search_deadline_s=DEADLINE_S,
            searching=SearchLimits(hedge_share=0.05 if hedged else 0.0),
            close=catalog.aclose,
        )
    )
    await cluster.indexes.create("default", 4, shards=SHARDS)
    for i in range(30):
        await cluster.tenant(f"t{i}").upsert([("a", [1.0, i, 2.0, 3.0])])
    if not broken:
        for shard in backends:
            cluster.scatter._standings.of("default", shard)._breaker = _NeverOpens()
    return cluster, backends


async def _ask(cluster: Cluster, count: int) -> list[float]:
    times: list[float] = []
    waiting = iter(range(count))

    async def asker() -> None:
        for _ in waiting:
            began = time.perf_counter()
            await cluster.search_all([1.0, 2.0, 3.0, 4.0])
            times.append(time.perf_counter() - began)

    await asyncio.gather(*(asker() for _ in range(AT_ONCE)))
    return times
