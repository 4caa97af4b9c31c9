"""Latencies of real questions, measured in this process."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from tenantry.model.records import Query
from tenantry.model.topology import DEFAULT_INDEX

if TYPE_CHECKING:
    from tenantry.cli.corpus import Corpus
    from tenantry.cluster import Cluster

QUESTIONS = 400
CROSS_QUESTIONS = 60
QUESTION_CHARS = 120
LOOKUP_ROUNDS = 200
TOP_K = 10


class Latency(msgspec.Struct, frozen=True):
    """Percentiles of one kind of request, in microseconds."""

    what: str
    requests: int
    p50_us: float
    p95_us: float
    p99_us: float


async def measure(cluster: Cluster, corpus: Corpus) -> list[Latency]:
    """One request after another, over all tenants. Everything is asked once before it is timed, since the first
    search by text in a tenant looks up its embedder in the catalog."""
    documents = [(service.name, document) for service in corpus.services for document in service.documents]
    step = max(1, len(documents) // QUESTIONS)
    asked = [(tenant, document.text.partition("\n")[2][:QUESTION_CHARS]) for tenant, document in documents[::step]]
    asked = [(tenant, text) for tenant, text in asked if text.strip()][:QUESTIONS]
    store, router = cluster.documents, cluster.router
    first = await router.scan(DEFAULT_INDEX, asked[0][0], None, 1)
    query = Query(first.records[0].values, TOP_K, include_metadata=True)

    async def by_vector(one: tuple[str, str]) -> None:
        await router.query(DEFAULT_INDEX, one[0], query)

    async def by_text(one: tuple[str, str]) -> None:
        await store.search(DEFAULT_INDEX, one[0], one[1], TOP_K)

    async def across(one: tuple[str, str]) -> None:
        await store.search_all(DEFAULT_INDEX, one[1], TOP_K)

    return [
        _lookups(cluster, [service.name for service in corpus.services]),
        await _timed(f"tenant search by vector, top {TOP_K}", asked, by_vector),
        await _timed(f"tenant search by text, top {TOP_K} (embeds the question)", asked, by_text),
        await _timed(f"search across all {len(corpus.services)} tenants by text", asked[:CROSS_QUESTIONS], across),
    ]


def _lookups(cluster: Cluster, tenants: list[str]) -> Latency:
    """The route out of the cache, as every request does it; a round over all tenants is timed at a time."""
    cached = cluster.router.resolver.cached
    rounds = []
    for _ in range(LOOKUP_ROUNDS):
        started = time.perf_counter_ns()
        for tenant in tenants:
            cached(DEFAULT_INDEX, tenant)
        rounds.append((time.perf_counter_ns() - started) / len(tenants) / 1_000)
    return _latency("route of a tenant, from the cache", rounds, LOOKUP_ROUNDS * len(tenants))


async def _timed(
    what: str, asked: Sequence[tuple[str, str]], ask: Callable[[tuple[str, str]], Awaitable[None]]
) -> Latency:
    for one in asked:
        await ask(one)
    spent = []
    for one in asked:
        started = time.perf_counter_ns()
        await ask(one)
        spent.append((time.perf_counter_ns() - started) / 1_000)
    return _latency(what, spent, len(spent))


def _latency(what: str, spent_us: list[float], requests: int) -> Latency:
    p50, p95, p99 = (float(value) for value in np.percentile(spent_us, (50, 95, 99)))
    return Latency(what, requests, p50, p95, p99)
