"""Growth, measured or assumed, and what it leads to month by month."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tenantry.control.advisor.pricing import choices
from tenantry.control.advisor.sizing import size
from tenantry.errors import InvalidArgument
from tenantry.model.advice import Architecture, Forecast, Growth, Workload
from tenantry.model.cost import DAYS_PER_MONTH, PriceBook, Usage

MONTHS = 12
MOST_MONTHS = 120
DAY_S = 86_400.0
#: A cluster must be that old, and have that many tenants, for its growth to be read off it.
LEAST_DAYS = 7.0
LEAST_TENANTS = 5


def growth_of(usage: Usage) -> Growth | None:
    """Growth of a measured cluster: tenants made in the last 30 days (or since the first was made, if that is less
    long ago), each to become as large as the mean is now. None for a cluster that is too young or too small to tell."""
    if len(usage.created) < LEAST_TENANTS:
        return None
    days = min(DAYS_PER_MONTH, (usage.at - min(usage.created)) / DAY_S)
    if days < LEAST_DAYS:
        return None
    new = sum(at > usage.at - days * DAY_S for at in usage.created)
    mean = sum(each.vectors for each in usage.tenants) / max(1, len(usage.tenants))
    return Growth(
        tenants_per_month=new / days * DAYS_PER_MONTH,
        vectors_per_tenant=mean,
        source=f"{new:,} tenants made in the last {days:.0f} days, each as large as the mean of all",
    )


def grown(workload: Workload, growth: Growth, months: int) -> Workload:
    """A workload after so many months. Queries and writes grow with the tenants; how uneven sizes are stays."""
    if growth.rate is not None:
        factor = (1 + growth.rate) ** months
        tenants, vectors = round(workload.tenants * factor), round(workload.vectors * factor)
    else:
        more = growth.tenants_per_month * months
        tenants = round(workload.tenants + more)
        vectors = round(workload.vectors + more * growth.vectors_per_tenant)
    share = tenants / workload.tenants if workload.tenants else 1.0
    return msgspec.structs.replace(
        workload,
        tenants=tenants,
        vectors=vectors,
        qps=None if workload.qps is None else workload.qps * share,
        writes=workload.writes * share,
        large=round(workload.large * share),
        large_vectors=round(workload.large_vectors * (vectors / workload.vectors if workload.vectors else 1.0)),
        packed=None if months else workload.packed,
    )


def forecast(
    workload: Workload,
    growth: Growth | None,
    book: PriceBook,
    offer: str,
    overhead: Sequence[str],
    architecture: Architecture,
    months: int = MONTHS,
) -> list[Forecast]:
    """The advised architecture month by month; empty without growth. One index becomes shards in the month in which it
    can hold no more.

    Raises:
        InvalidArgument: ``months`` is not 0 to 120, or the growth is -100% a month or less.
    """
    if not 0 <= months <= MOST_MONTHS:
        raise InvalidArgument("months", months, f"0 to {MOST_MONTHS}")
    if growth is None:
        return []
    if growth.rate is not None and not -1 < growth.rate <= 10:
        raise InvalidArgument("growth", growth.rate, "over -1 (-100%), at most 10 (1,000%) a month")
    found = []
    for month in range(months + 1):
        then = grown(workload, growth, month)
        sizing = size(then, book.offers[offer].capacity, book.thresholds.target)
        options = choices(then, sizing, book, offer, overhead)
        sharded = options.get(Architecture.SHARDED) or options[Architecture.ADVANCED]
        chosen = options.get(architecture, sharded)
        if not chosen.fits and architecture is Architecture.SINGLE:
            chosen = sharded
        found.append(Forecast(month, then.tenants, then.vectors, chosen.indexes, chosen.monthly))
    return found
