"""Red flags and their opposites: what speaks against sharding, what is to be minded, what speaks for it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tenantry.model.advice import Flag, Sizing, Workload
from tenantry.model.cost import Offer, Thresholds

#: Namespaces of the index that the thresholds of tenants are stated for.
NAMESPACES = 100
NO_LIMIT = 2**53


def signals(workload: Workload, thresholds: Thresholds, monthly: float | None = None) -> list[Flag]:
    """All signals of a workload, those against sharding first.

    Args:
        monthly: what it costs today, or what the advised architecture would cost.
    """
    found = [
        *_size(workload, thresholds),
        *_latency(workload, thresholds),
        *_skew(workload, thresholds),
        *_cross(workload, thresholds),
        *_money(workload, thresholds, monthly),
    ]
    order = {"stop": 0, "mind": 1, "go": 2}
    return sorted(found, key=lambda flag: order[flag.level])


def is_uneven(workload: Workload, thresholds: Thresholds) -> bool:
    """Whether a few tenants hold most of the vectors."""
    top, ten = workload.top_share, workload.ten_share
    return (top is not None and top >= thresholds.uneven_top) or (ten is not None and ten > thresholds.uneven_ten)


def scaled(thresholds: Thresholds, offer: Offer) -> Thresholds:
    """The thresholds for an offer: those about numbers of tenants are for an index of 100 namespaces, and grow with the
    limit of namespaces. Where there is none, the number of tenants is no reason (`NO_LIMIT`)."""
    namespaces = None if offer.capacity is None else offer.capacity.namespaces
    factor = None if namespaces is None else namespaces / NAMESPACES
    names = ("few_tenants", "comfortable_tenants", "shard_tenants")
    return msgspec.structs.replace(
        thresholds,
        **{name: NO_LIMIT if factor is None else round(getattr(thresholds, name) * factor) for name in names},
    )


def must_shard(workload: Workload, sizing: Sizing, thresholds: Thresholds) -> str:
    """The reason why one index will not do for long; empty when it does."""
    if workload.tenants >= thresholds.shard_tenants:
        return f"{workload.tenants:,} tenants: from {thresholds.shard_tenants:,} on, one index runs out of namespaces"
    if sizing.by_vectors is not None and sizing.by_vectors > 1:
        return f"{workload.vectors:,} vectors are over {sizing.vectors_per_shard:,}, the target of one index"
    if sizing.by_qps is not None and sizing.by_qps > 1:
        return f"{workload.qps:,.0f} queries a second are over {sizing.qps_per_shard:,.0f}, the target of one index"
    p95 = workload.p95_ms
    if p95 is not None and p95 > thresholds.limit_p95_ms:
        return f"the P95 of {p95:,.0f} ms is over {thresholds.limit_p95_ms:,.0f} ms"
    if p95 is not None and p95 > thresholds.high_p95_ms and workload.vectors > thresholds.shard_vectors:
        most = f"{thresholds.shard_vectors:,} vectors"
        return f"the P95 of {p95:,.0f} ms is over {thresholds.high_p95_ms:,.0f} ms, with over {most}"
    return ""


def _size(workload: Workload, t: Thresholds) -> Iterator[Flag]:
    tenants, vectors = workload.tenants, workload.vectors
    if t.shard_tenants == NO_LIMIT:
        yield Flag(
            "no-namespace-limit", "mind", f"{tenants:,} tenants: their number is no reason, nothing limits it here"
        )
    elif tenants < t.few_tenants:
        near = f" ({t.comfortable_tenants:,} even)" if tenants < t.comfortable_tenants else ""
        yield Flag(
            "few-tenants", "stop", f"{tenants:,} tenants are under {t.few_tenants:,}{near}: one index has room for all"
        )
    elif tenants >= t.shard_tenants:
        yield Flag("many-tenants", "go", f"{tenants:,} tenants: from {t.shard_tenants:,} on the namespaces run out")
    else:
        yield Flag(
            "tenants-near", "mind", f"{tenants:,} tenants: sharding begins at {t.shard_tenants:,}; prepare for it"
        )
    if vectors < t.few_vectors:
        yield Flag("few-vectors", "mind", f"{vectors:,} vectors: under {t.few_vectors:,}, one index has room")
    elif vectors > t.shard_vectors:
        yield Flag(
            "many-vectors", "go", f"{vectors:,} vectors: over {t.shard_vectors:,}, queries of one index slow down"
        )


def _latency(workload: Workload, t: Thresholds) -> Iterator[Flag]:
    p95 = workload.p95_ms
    if p95 is None:
        return
    if p95 < t.fine_p95_ms:
        yield Flag("fast", "mind", f"P95 of {p95:,.0f} ms: under {t.fine_p95_ms:,.0f} ms there is no latency to win")
    elif p95 > t.limit_p95_ms:
        yield Flag("too-slow", "go", f"P95 of {p95:,.0f} ms: over {t.limit_p95_ms:,.0f} ms")
    elif p95 > t.high_p95_ms:
        yield Flag("slow", "go", f"P95 of {p95:,.0f} ms: over {t.high_p95_ms:,.0f} ms")


def _skew(workload: Workload, t: Thresholds) -> Iterator[Flag]:
    top, ten = workload.top_share, workload.ten_share
    if top is not None and top >= t.uneven_top:
        yield Flag(
            "uneven",
            "stop",
            f"the largest 10% of tenants hold {top:.0%} of the vectors (from {t.uneven_top:.0%}: hybrid)",
        )
    elif ten is not None and ten > t.uneven_ten:
        yield Flag(
            "uneven", "stop", f"the ten largest tenants hold {ten:.0%} of the vectors (over {t.uneven_ten:.0%}: hybrid)"
        )
    elif workload.large:
        yield Flag(
            "large-tenants",
            "mind",
            f"{workload.large:,} tenants of {t.large_vectors:,} vectors or more: dedicate shards to them",
        )


def _cross(workload: Workload, t: Thresholds) -> Iterator[Flag]:
    share = workload.cross_tenant
    if share is None:
        return
    if share > t.cross_high:
        heavy = "; common requests get slow" if share >= t.cross_heavy else ""
        yield Flag(
            "cross-tenant", "stop", f"{share:.0%} of queries ask several tenants (over {t.cross_high:.0%}){heavy}"
        )
    elif share >= t.cross_fine:
        yield Flag(
            "some-cross-tenant",
            "mind",
            f"{share:.0%} of queries ask several tenants; sharding is fine under {t.cross_fine:.0%}",
        )


def _money(workload: Workload, t: Thresholds, monthly: float | None) -> Iterator[Flag]:
    budget = workload.budget
    if budget is not None and monthly is not None and monthly > budget:
        yield Flag(
            "over-budget",
            "stop",
            f"${monthly:,.0f} a month are ${monthly - budget:,.0f} over the budget of ${budget:,.0f}",
        )
    if budget is not None and budget < t.low_budget:
        tight = f"; under ${t.single_budget:,.0f} it is for one index" if budget < t.single_budget else ""
        yield Flag(
            "low-budget",
            "mind",
            f"a budget of ${budget:,.0f} is under ${t.low_budget:,.0f}: start with few shards{tight}",
        )
    if monthly is not None and monthly < t.small_bill:
        yield Flag("small-bill", "mind", f"${monthly:,.0f} a month: under ${t.small_bill:,.0f} there is little to save")
