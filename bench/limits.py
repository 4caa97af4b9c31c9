"""One tenant that asks for ten times its share, and what its neighbours feel of it; and what limits cost a request."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import clusters
from bench.measure import Context, Report, median_us, quantile
from tenantry.errors import Unavailable
from tenantry.model.records import Query
from tenantry.model.topology import Mode, Place, Route
from tenantry.router import loads

TENANTS, VECTORS, TOP_K = 10, 500, 10
NOISY = "tenant-0"
#: Of what the shard serves flat out: the neighbours together, and the noisy one (ten times a tenth).
QUIET_SHARE, NOISY_SHARE = 0.45, 1.0
WORKERS = 32
MAX_RATIO = 1.3
MAX_LIMITS_US = 15.0
#: Requests in hand at once at most, as a gateway has a limit too.
MOST_IN_HAND = 512


@dataclass
class Seen:
    """Milliseconds from when a request was due to its answer, by tenant; and what was turned away."""

    latencies: dict[str, list[float]] = field(default_factory=dict)
    away: Counter[str] = field(default_factory=Counter)

    def others(self, share: float) -> float:
        return quantile([ms for name, all in self.latencies.items() if name != NOISY for ms in all], share)


def run(context: Context) -> Report:
    report = Report("limits", "a noisy neighbour on one shard, with and without fair shares; the cost of limits")
    asyncio.run(_run(context, report))
    report.notes.append(
        f"{TENANTS} tenants of {VECTORS:,} vectors on one embedded shard, in one process. Requests come at random "
        f"(Poisson), whatever happens to those before. Nine tenants ask for {QUIET_SHARE:.0%} of what the shard serves "
        f"flat out; the tenth comes on top with {NOISY_SHARE:.0%} of it: ten times a tenth. Latency is from when a "
        f"request was due. At most {MOST_IN_HAND} requests are in hand; more are turned away, whoever sent them."
    )
    return report


async def _run(context: Context, report: Report) -> None:
    names = [f"tenant-{number}" for number in range(TENANTS)]
    width = int(context.options.get("width", "-1"))
    fair_settings = {} if width < 0 else {"shard_concurrency": width}
    fair = await clusters.new_cluster(context.folder / "fair", 1, **fair_settings)
    unfair = await clusters.new_cluster(context.folder / "unfair", 1, shard_concurrency=0, plans_s=0, usage_flush_s=0)
    async with fair, unfair:
        for cluster in (fair, unfair):
            await clusters.fill(cluster, dict.fromkeys(names, VECTORS))
            await clusters.settled(cluster)
        vectors = clusters.queries(0, 200)
        seconds = context.pick(5, 3)
        await _flat_out(unfair, names, vectors, 1.0)
        rate = await _flat_out(unfair, names, vectors, 2.0)
        context.say(f"flat out {rate:,.0f} queries a second")
        report.info("flat out, without limits", [rate], "queries/s")
        found: dict[str, list[Seen]] = {}
        for turn in range(min(context.rounds, 5)):
            for title, cluster in (("with", fair), ("without", unfair)):
                for noise in (False, True):
                    schedule = _schedule(names, rate, seconds, noise, turn)
                    seen = await _play(cluster, schedule, vectors)
                    found.setdefault(f"{title} {noise}", []).append(seen)
        _tell(report, found)
    await _cost(context, report)


def _tell(report: Report, found: dict[str, list[Seen]]) -> None:
    for title in ("with", "without"):
        quiet, noisy = found[f"{title} False"], found[f"{title} True"]
        report.info(f"neighbours' P95 in quiet, {title} fair shares", [one.others(0.95) for one in quiet], "ms")
        report.info("  beside the noisy one", [one.others(0.95) for one in noisy], "ms")
        ratios = [b.others(0.95) / a.others(0.95) for a, b in zip(quiet, noisy, strict=True)]
        if title == "with":
            report.at_most("  relative to quiet", ratios, "x", MAX_RATIO)
        else:
            report.info("  relative to quiet", ratios, "x")
        report.info("  P99 beside the noisy one", [one.others(0.99) for one in noisy], "ms")
        away = [100.0 * sum(n for name, n in one.away.items() if name != NOISY) / _asked(one, False) for one in noisy]
        report.info("  neighbours' requests turned away", away, "%")
        own = [100.0 * one.away[NOISY] / _asked(one, True) for one in noisy]
        report.info("  the noisy one's turned away", own, "%")


def _asked(seen: Seen, noisy: bool) -> int:
    names = {*seen.latencies, *seen.away}
    return sum(len(seen.latencies.get(name, ())) + seen.away[name] for name in names if (name == NOISY) == noisy)


def _schedule(names: Sequence[str], rate: float, seconds: float, noise: bool, seed: int) -> list[tuple[float, str]]:
    chance = random.Random(seed)
    due: list[tuple[float, str]] = []
    for name in names:
        share = NOISY_SHARE if name == NOISY else QUIET_SHARE / (len(names) - 1)
        if name == NOISY and not noise:
            continue
        at = chance.expovariate(rate * share)
        while at < seconds:
            due.append((at, name))
            at += chance.expovariate(rate * share)
    return sorted(due)


async def _play(cluster: Any, schedule: Sequence[tuple[float, str]], vectors: Any) -> Seen:
    seen, clock, tasks = Seen(), time.perf_counter, set[Any]()

    async def ask(name: str, due: float, number: int) -> None:
        try:
            await cluster.router.query("default", name, Query(vectors[number % len(vectors)], TOP_K, None, False, True))
        except Unavailable:
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
    return seen


async def _flat_out(cluster: Any, names: Sequence[str], vectors: Any, seconds: float) -> float:
    until = time.perf_counter() + seconds

    async def work(worker: int) -> int:
        done = worker
        while time.perf_counter() < until:
            query = Query(vectors[done % len(vectors)], TOP_K, None, False, True)
            await cluster.router.query("default", names[done % len(names)], query)
            await asyncio.sleep(0)
            done += 1
        return done - worker

    begun = time.perf_counter()
    done = sum(await asyncio.gather(*(work(worker) for worker in range(WORKERS))))
    return done / (time.perf_counter() - begun)


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
