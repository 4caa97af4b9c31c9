"""Questions to the advisor: a measured cluster, or one that is only imagined, and what is asked of it."""

from __future__ import annotations

from collections import Counter

import msgspec

from tenantry.control.advisor.attribution import limits_of
from tenantry.control.advisor.book import offer_of
from tenantry.control.advisor.card import USUAL_OVERHEAD, advise
from tenantry.control.advisor.forecast import growth_of
from tenantry.control.advisor.sizing import workload_of
from tenantry.control.advisor.synthetic import SIGMA, synthetic
from tenantry.control.advisor.whatif import what_if
from tenantry.errors import InvalidArgument
from tenantry.model.advice import Card, Growth, Imagined, Question, Workload
from tenantry.model.cost import Capacity, PriceBook, TenantUse, Usage


def consult(usage: Usage, asked: Question, book: PriceBook, overhead: tuple[str, ...]) -> Card:
    """The card of a measured cluster. What the question names goes before what was measured.

    Raises:
        InvalidArgument: see `advise`, `what_if`.
    """
    name, capacity = offer_and_capacity(usage, book, asked.offer)
    measured = workload_of(usage, capacity, book.thresholds)
    workload = _with(measured, asked)
    growth = growth_of(usage) if asked.growth is None else Growth(rate=asked.growth, source="as given")
    return _card(workload, list(usage.tenants), asked, book, name, overhead, growth, capacity)


def imagine(imagined: Imagined, asked: Question, book: PriceBook) -> Card:
    """The card of a cluster that does not exist. Raises InvalidArgument."""
    tenants: list[TenantUse] = []
    if imagined.tenants and (asked.shards or imagined.sigma is not None):
        sigma = SIGMA if imagined.sigma is None else imagined.sigma
        tenants = list(
            synthetic(imagined.tenants, imagined.vectors, qps=asked.qps or 0.0, sigma=sigma, seed=imagined.seed)
        )
    name = asked.offer or book.hypothetical
    capacity = offer_of(book, name).capacity
    if imagined.sigma is not None and tenants:
        usage = Usage("imagined", imagined.dimension, tuple(tenants), ())
        known = msgspec.structs.replace(workload_of(usage, capacity, book.thresholds), shards=None, qps=None)
    else:
        known = Workload(
            imagined.tenants,
            imagined.vectors,
            imagined.dimension,
            top_share=imagined.top_share,
            large=imagined.large,
            large_vectors=imagined.large_vectors,
        )
    workload = _with(msgspec.structs.replace(known, writes=imagined.writes), asked)
    growth = None if asked.growth is None else Growth(rate=asked.growth, source="as given")
    return _card(workload, tenants, asked, book, name, USUAL_OVERHEAD, growth, None)


def offer_and_capacity(usage: Usage, book: PriceBook, offer: str | None) -> tuple[str, Capacity | None]:
    """What most of the shards are rented as, and what the first of these holds."""
    kinds = Counter(shard.backend for shard in usage.shards)
    backend = kinds.most_common(1)[0][0] if kinds else ""
    name = offer or book.backends.get(backend, book.hypothetical)
    found = offer_of(book, name)
    first = next((shard for shard in usage.shards if shard.backend == backend), None)
    if first is None or (first.max_tenants is None and first.max_vectors is None):
        return name, found.capacity
    return name, limits_of(found, first)


def _with(measured: Workload, asked: Question) -> Workload:
    over = {name: getattr(asked, name) for name in ("budget", "revenue", "qps", "cross_tenant", "p95_ms")}
    given = {name: value for name, value in over.items() if value is not None}
    return msgspec.structs.replace(
        measured, **given, isolated=asked.isolated, unpredictable=asked.unpredictable
    )  # fmt: skip


def _card(
    workload: Workload,
    tenants: list[TenantUse],
    asked: Question,
    book: PriceBook,
    offer: str,
    overhead: tuple[str, ...],
    growth: Growth | None,
    capacity: Capacity | None,
) -> Card:
    besides = overhead if asked.overhead is None else tuple(asked.overhead)
    for name in besides:
        if name not in book.overhead:
            raise InvalidArgument("overhead", name, "none, or of " + ", ".join(book.overhead))
    tried = what_if(
        tenants, workload.dimension, asked.shards, book, offer, overhead=besides, policy=asked.policy
    )  # fmt: skip
    return advise(
        workload,
        book,
        offer=offer,
        overhead=besides,
        growth=growth,
        months=asked.months,
        capacity=capacity,
        tried=tried,
    )
