"""One tenant that asks for ten times its share, and what its neighbours feel of it; and what limits cost a request."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bench import clusters
from bench.measure import Context, Report, median_us, quantile
from bench.own_time import OwnTime
from tenantry.clock import SystemClock
from tenantry.errors import RateLimited, Unavailable
from tenantry.gateway.serve import short_collections
from tenantry.model.records import Query
from tenantry.model.topology import Mode, Place, Route
from tenantry.ports import Features
from tenantry.router import loads
from tenantry.testing.memory_backend import MemoryBackend
from tenantry.testing.servers import PostgresServer

TENANTS, TOP_K = 10, 10
#: Vectors of a tenant, by part: on the stand-in, and on embedded shards, where a search of 3,000 (of 768 numbers) takes
#: nearly all of a request's time in the event loop, and one of 500 little of it.
VECTORS = {"server": 20, "embedded": 3_000, "embedded-small": 500}
NAMES = [f"tenant-{number}" for number in range(TENANTS)]
NOISY = NAMES[0]
#: Of what the shard serves flat out: the neighbours together (``--set share=0.3`` for another).
SHARE = 0.45
#: The tenth: not there; ten times what each neighbour asks for; as much as is served flat out, so that all is too much.
QUIET, TENFOLD, FLOOD = "quiet", "tenfold", "flood"
NOISES = (QUIET, TENFOLD, FLOOD)
WORKERS = 32
#: The stand-in for a server: so many at once, each in a lognormal time of this mean.
AT_ONCE, SERVED_S, SIGMA = 4, 0.010, 0.7
MAX_RATIO = 1.3
MAX_LIMITS_US = 15.0
#: Requests in hand at once at most, as a gateway has a limit too.
MOST_IN_HAND = 512
#: Of pgvector: as many connections as cores; tenants large enough for PostgreSQL, not the generator of the load, to be
#: what is full.
CONNECTIONS, PG_VECTORS, URL_VARIABLE = max(2, os.cpu_count() or 1), 2_000, "TENANTRY_BENCH_LIMITS"
#: Seconds of one stretch of load.
SERVER_S, EMBEDDED_S = 5.0, 1.0

OWN = OwnTime()


@dataclass
class Seen:
    """Milliseconds from when a request was due to its answer, by tenant; and what was turned away."""

    latencies: dict[str, list[float]] = field(default_factory=dict)
    away: Counter[str] = field(default_factory=Counter)

    def others(self, share: float) -> float:
        return quantile([ms for name, all in self.latencies.items() if name != NOISY for ms in all], share)


class Elsewhere(MemoryBackend):
    """A shard on a server that serves `AT_ONCE` queries at once; others wait there, in order."""

    def __init__(self, metric: Any, sigma: float) -> None:
        super().__init__(metric)
        self._chance, self._sigma = random.Random(0), sigma
        self._turn = asyncio.Semaphore(AT_ONCE)

    @property
    def features(self) -> Features:
        return msgspec.structs.replace(super().features, reads_at_once=AT_ONCE)

    def index(self, namespace: str) -> Any:
        found: Any = super().index(namespace)
        ask = found.query

        async def query(asked: Query) -> Any:
            async with self._turn:
                await asyncio.sleep(SERVED_S * self._chance.lognormvariate(-(self._sigma**2) / 2, self._sigma))
            return await ask(asked)

        found.query = query
        return found


def run(context: Context) -> Report:
    report = Report("limits", "a noisy neighbour on one shard, with and without fair shares; the cost of limits")
    with asyncio.Runner(loop_factory=OWN.loop) as runner:
        runner.run(_run(context, report))
    if "pgvector" in _parts(context):
        with PostgresServer.start() as postgres, asyncio.Runner(loop_factory=OWN.loop) as runner:
            runner.run(_on_postgres(context, report, postgres))
    report.notes.append(
        f"{TENANTS} tenants on one shard, in one process. Requests come at random (Poisson). "
        f"Nine tenants ask for {_share(context):.0%} of what the shard serves flat out; the tenth for ten times as "
        f"much as each of them ({_noise(context, TENFOLD):.0%}), or for all of it. "
        "Latency is from when a request was due. "
        f"At most {MOST_IN_HAND} requests are in hand; more are turned away, whoever sent them. Stretches alternate. "
        "Time is that in which this process had a core or would have slept (bench/own_time.py); --set clock=wall for "
        "the wall clock, which on a machine in use measures the others."
    )
    report.notes.append(
        f"The server is a stand-in: {AT_ONCE} queries at once, in order of arrival, in lognormal times of mean "
        f"{SERVED_S * 1e3:g} ms and sigma {SIGMA:g} (--set sigma=0 for equal ones: the hardest case, for "
        f"then P95 in quiet is least). Embedded shards ({VECTORS['embedded']:,} and "
        f"{VECTORS['embedded-small']:,} vectors a tenant) share a core with all else that a request needs and with the "
        "generator of the load: that comes first come, first served, and turning a flood away takes of that core, too. "
        "What was made before the load is kept from garbage collection, as in a gateway."
    )
    report.notes.append(
        f"pgvector: a real PostgreSQL on the same machine, {CONNECTIONS} connections, {PG_VECTORS:,} vectors a tenant, "
        "exact search; by the wall clock, so whatever else the machine does is in it."
    )
    return report


def _share(context: Context) -> float:
    """Of what a shard serves flat out, what the neighbours ask for."""
    return float(context.options.get("share", SHARE))


def _noise(context: Context, noise: str) -> float:
    """The same for the tenth tenant."""
    return {QUIET: 0.0, TENFOLD: 10 * _share(context) / (TENANTS - 1), FLOOD: 1.0}[noise]


def _parts(context: Context) -> list[str]:
    """As ``--set parts=server,pgvector`` says."""
    return str(context.options.get("parts", "server,embedded,embedded-small,pgvector")).split(",")


@contextmanager
def _steady(wall: bool) -> Iterator[None]:
    """Own time, and no long pauses for garbage."""
    with short_collections(), nullcontext() if wall else OWN.counted():
        yield


async def _run(context: Context, report: Report) -> None:
    off: dict[str, Any] = {"shard_concurrency": 0, "plans_s": 0, "usage_flush_s": 0}
    for title in VECTORS:
        if title not in _parts(context):
            continue
        server = title == "server"
        fair = await clusters.new_cluster(context.folder / f"{title}-fair", 1)
        unfair = await clusters.new_cluster(context.folder / f"{title}-unfair", 1, **off)
        if server:
            sigma = float(context.options.get("sigma", SIGMA))
            await _on_server(fair, sigma)
            await _on_server(unfair, sigma)
        async with fair, unfair:
            for cluster in (fair, unfair):
                await clusters.fill(cluster, dict.fromkeys(NAMES, VECTORS[title]))
                await clusters.settled(cluster)
                cluster.service.admission._clock = _Now()
            vectors = clusters.queries(0, 200)
            for cluster in (fair, unfair):
                await _flat_out(cluster, NAMES, vectors, 0.1)  # so that all is read from the disk
            with _steady(context.options.get("clock") == "wall"):
                found = await _stretches(context, report, (fair, unfair), vectors, title)
        _tell(report, title, found)
    await _cost(context, report)


async def _on_postgres(context: Context, report: Report, postgres: PostgresServer) -> None:
    off: dict[str, Any] = {"shard_concurrency": 0, "plans_s": 0, "usage_flush_s": 0}
    made = []
    for title, settings in (("fair", {}), ("unfair", off)):
        cluster = await clusters.new_cluster(context.folder / f"pgvector-{title}", 0, **settings)
        made.append(cluster)
        os.environ[URL_VARIABLE] = postgres.create_database()
        options = {"url_env": URL_VARIABLE, "connections": str(CONNECTIONS)}
        await cluster.shards.add("shard-0", backend="pgvector", options=options)
        await clusters.fill(cluster, dict.fromkeys(NAMES, PG_VECTORS))
    vectors = clusters.queries(0, 200)
    async with made[0], made[1]:
        with _steady(wall=True):
            found = await _stretches(context, report, (made[0], made[1]), vectors, "pgvector")
    _tell(report, "pgvector", found)


class _Now(SystemClock):
    def __init__(self) -> None:
        super().__init__()
        self.monotonic = OWN.now


async def _most(cluster: Any, vectors: Any) -> float:
    """Queries a second at which the core that asks the embedded shard is full, from what one takes of it now."""
    seen, begun = Seen(), time.thread_time()
    await _play(cluster, _schedule(NAMES, 2_000, 0.5, (SHARE, SHARE / 9), 99), vectors, seen)
    return sum(map(len, seen.latencies.values())) / (time.thread_time() - begun)


async def _stretches(
    context: Context, report: Report, pair: tuple[Any, Any], vectors: Any, title: str
) -> dict[tuple[str, str], list[Seen]]:
    rates, seconds = [], SERVER_S if title in ("server", "pgvector") else EMBEDDED_S
    found: dict[tuple[str, str], list[Seen]] = {}
    for turn in range(min(context.rounds, 5)):
        rates.append(await _rate(title, pair, vectors))
        for fairness, cluster in zip(("with", "without"), pair, strict=True):
            seen = {noise: Seen() for noise in NOISES}
            for stretch in range(context.pick(4, 2)):
                for noise in NOISES:
                    shares = _share(context), _noise(context, noise)
                    schedule = _schedule(NAMES, rates[-1], seconds, shares, 10 * turn + stretch)
                    await _play(cluster, schedule, vectors, seen[noise])
            for noise in NOISES:
                found.setdefault((fairness, noise), []).append(seen[noise])
    report.info(f"{title}: what it serves flat out", rates, "queries/s")
    return found


async def _rate(title: str, pair: tuple[Any, Any], vectors: Any) -> float:
    if title == "server":
        return AT_ONCE / SERVED_S
    if title == "pgvector":
        return await _flat_out(pair[1], NAMES, vectors, 2.0)  # the one that turns nobody away
    return await _most(pair[0], vectors)


async def _on_server(cluster: Any, sigma: float) -> None:
    """Put stand-ins for servers in the place of the cluster's shards."""
    held: dict[str, Elsewhere] = {}

    def open_backend(index: Any, shard: Any) -> Any:
        return held.setdefault(shard.name, Elsewhere(index.metric, sigma))

    pool = cluster.router.pool
    pool._open_backend = open_backend
    for opened in [pool._backends.pop(key) for key in list(pool._backends)]:
        await opened.aclose()


def _tell(report: Report, shard: str, found: dict[tuple[str, str], list[Seen]]) -> None:
    for fairness in ("with", "without"):
        quiet = found[fairness, QUIET]
        p95 = [one.others(0.95) for one in quiet]
        report.info(f"{shard}, {fairness} fair shares: neighbours' P95 in quiet", p95, "ms")
        for noise in (TENFOLD, FLOOD):
            noisy = found[fairness, noise]
            report.info(f"  {noise}: neighbours' P95", [one.others(0.95) for one in noisy], "ms")
            ratios = [b.others(0.95) / a for a, b in zip(p95, noisy, strict=True)]
            if fairness == "with" and noise == TENFOLD:
                report.at_most("    relative to quiet", ratios, "x", MAX_RATIO)
            else:
                report.info("    relative to quiet", ratios, "x")
            away = [100 * sum(n for name, n in one.away.items() if name != NOISY) / _asked(one, False) for one in noisy]
            report.info("    neighbours' requests turned away", away, "%")
            report.info("    the noisy one's", [100 * one.away[NOISY] / _asked(one, True) for one in noisy], "%")


def _asked(seen: Seen, noisy: bool) -> int:
    names = {*seen.latencies, *seen.away}
    return sum(len(seen.latencies.get(name, ())) + seen.away[name] for name in names if (name == NOISY) == noisy)


def _schedule(
    names: Sequence[str], rate: float, seconds: float, shares: tuple[float, float], seed: int
) -> list[tuple[float, str]]:
    """When who asks. ``shares`` of the rate: the others' together, and the noisy one's."""
    chance = random.Random(seed)
    due: list[tuple[float, str]] = []
    for name in names:
        share = shares[1] if name == NOISY else shares[0] / (len(names) - 1)
        if not share:
            continue
        at = chance.expovariate(rate * share)
        while at < seconds:
            due.append((at, name))
            at += chance.expovariate(rate * share)
    return sorted(due)


async def _play(cluster: Any, schedule: Sequence[tuple[float, str]], vectors: Any, seen: Seen) -> None:
    clock, tasks = OWN.now, set[Any]()

    async def ask(name: str, due: float, number: int) -> None:
        try:
            await cluster.router.query("default", name, Query(vectors[number % len(vectors)], TOP_K, None, False, True))
        except (RateLimited, Unavailable):
            seen.away[name] += 1
        else:
            seen.latencies.setdefault(name, []).append((clock() - due) * 1e3)

    begun = clock()
    for number, (at, name) in enumerate(schedule):
        due = begun + at
        if (left := due - clock()) > 0:
            await asyncio.sleep(left)
        if len(tasks) >= MOST_IN_HAND:
            seen.away[name] += 1
        else:
            task = asyncio.ensure_future(ask(name, due, number))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)


async def _flat_out(cluster: Any, names: Sequence[str], vectors: Any, seconds: float) -> float:
    until = OWN.now() + seconds

    async def work(worker: int) -> int:
        done = worker
        while OWN.now() < until:
            query = Query(vectors[done % len(vectors)], TOP_K, None, False, True)
            await cluster.router.query("default", names[done % len(names)], query)
            await asyncio.sleep(0)
            done += 1
        return done - worker

    begun = OWN.now()
    done = sum(await asyncio.gather(*(work(worker) for worker in range(WORKERS))))
    return done / (OWN.now() - begun)


async def _cost(context: Context, report: Report) -> None:
    """What `_serve` does more for each request: admission, the way out, counting."""
    cluster = await clusters.new_cluster(context.folder / "cost", 1)
    async with cluster:
        await cluster.service_plans.set("all", requests_per_s=1_000_000, concurrent=1_000)
        service, load = cluster.service, loads.query(Query(None, TOP_K))
        plain = Route(1, Place("shard-0", "a"), Mode.DIRECT)
        limited = Route(1, Place("shard-0", "a"), Mode.DIRECT, plan="all")
        for title, route in (("without a plan", plain), ("with a plan's limits", limited)):
            rounds = []
            for _ in range(context.rounds):
                seconds = []
                for _ in range(context.pick(200, 100)):
                    begun = time.perf_counter()
                    for _ in range(10):
                        ticket = await service.admit("default", "a", route, load)
                        service.count("default", "a", load)
                        ticket.leave()
                    seconds.append((time.perf_counter() - begun) / 10)
                    await asyncio.sleep(0)
                rounds.append(median_us(seconds))
            report.at_most(f"limits, fair share and count of one request, {title}", rounds, "us", MAX_LIMITS_US)
