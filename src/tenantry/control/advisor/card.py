"""The decision card: the architecture that a workload asks for, with the reasons."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tenantry.control.advisor.attribution import budget_of
from tenantry.control.advisor.book import cited, offer_of, prices_of
from tenantry.control.advisor.forecast import MONTHS, forecast
from tenantry.control.advisor.pricing import choices
from tenantry.control.advisor.signals import NO_LIMIT, is_uneven, must_shard, scaled, signals
from tenantry.control.advisor.sizing import size
from tenantry.errors import InvalidArgument
from tenantry.model.advice import Architecture, Card, Choice, Growth, Sizing, Workload
from tenantry.model.cost import Capacity, PriceBook, Thresholds, WhatIf

SHARDING = (Architecture.SHARDED, Architecture.ADVANCED, Architecture.HYBRID)
#: What a cluster of several processes needs besides its shards.
USUAL_OVERHEAD = ("redis", "postgresql")
MOST_TENANTS = 10_000_000
MOST_VECTORS = 10**13


def advise(
    workload: Workload,
    book: PriceBook,
    *,
    offer: str | None = None,
    overhead: Sequence[str] = USUAL_OVERHEAD,
    growth: Growth | None = None,
    months: int = MONTHS,
    capacity: Capacity | None = None,
    tried: Sequence[WhatIf] = (),
) -> Card:
    """The card of a workload.

    The rules, the first that holds decides: tenants that need (or can pay) an index each, up to 50 of them; over 20%
    of the queries across tenants; few tenants, unless size or latency says otherwise; unpredictable and little traffic;
    sizes so uneven that large tenants need shards of their own; then shards. What one index cannot hold is never
    advised for one.

    Args:
        offer: what a shard is rented as; None: the book's for a cluster that does not exist.
        capacity: of a shard, where it is other than the offer's.

    Raises:
        InvalidArgument: a field of the workload is out of range, or an offer is unknown.
    """
    check_workload(workload)
    name = offer or book.hypothetical
    rented = offer_of(book, name)
    if capacity is not None:
        rented = msgspec.structs.replace(rented, capacity=capacity)
        book = msgspec.structs.replace(book, offers={**book.offers, name: rented})
    thresholds = scaled(book.thresholds, rented)
    sizing = size(workload, rented.capacity, thresholds.target)
    options = choices(workload, sizing, book, name, overhead)
    architecture, why = _decide(workload, sizing, thresholds, options)
    chosen = options[architecture]
    flags = signals(workload, thresholds, chosen.monthly)
    rest = [each for each in options.values() if each is not chosen]
    rest.sort(key=lambda each: (not each.fits, each.monthly is None, each.monthly or 0.0))
    budget = thresholds.budget_alert if workload.budget is None else workload.budget
    return Card(
        shard=architecture in SHARDING,
        architecture=architecture,
        headline=_headline(workload, sizing, chosen),
        why=why + _about_money(workload, chosen, options, overhead),
        flags=flags,
        workload=workload,
        sizing=sizing,
        choices=[chosen, *rest],
        budget=None if chosen.monthly is None else budget_of(chosen.monthly, budget),
        forecast=forecast(workload, growth, book, name, overhead, architecture, months),
        what_if=list(tried),
        currency=book.currency,
        offer=f"{name}: {rented.title}",
        prices=[f"{field} of {name}: {cited(price)}" for field, price in prices_of(rented).items()],
        notes=[*_notes(workload, growth), *_offer_notes(book, options)],
    )


def check_workload(workload: Workload) -> None:
    """Raises InvalidArgument for the first field that is out of range."""
    for field, most in (("tenants", MOST_TENANTS), ("vectors", MOST_VECTORS), ("dimension", 20_000)):
        given = getattr(workload, field)
        least = 1 if field != "vectors" else 0
        if field == "tenants":
            least = 0
        if not least <= given <= most:
            raise InvalidArgument(field, given, f"{least} to {most:,}")
    for field in ("cross_tenant", "top_share", "ten_share"):
        given = getattr(workload, field)
        if given is not None and not 0 <= given <= 1:
            raise InvalidArgument(field, given, "a share, 0 to 1 (0% to 100%)")
    for field in ("qps", "writes", "p95_ms", "budget", "revenue"):
        given = getattr(workload, field)
        if given is not None and not 0 <= given < float("inf"):
            raise InvalidArgument(field, given, "0 or more")
    if not 0 <= workload.large <= workload.tenants:
        raise InvalidArgument("large", workload.large, f"0 to the {workload.tenants:,} tenants")
    if not 0 <= workload.large_vectors <= workload.vectors:
        raise InvalidArgument("large_vectors", workload.large_vectors, f"0 to the {workload.vectors:,} vectors")


def _decide(
    workload: Workload, sizing: Sizing, t: Thresholds, options: dict[Architecture, Choice]
) -> tuple[Architecture, list[str]]:
    """The architecture, and why."""
    sharded = Architecture.ADVANCED if Architecture.ADVANCED in options else Architecture.SHARDED
    single = options[Architecture.SINGLE]
    own = _own_index(workload, t)
    if own:
        return Architecture.PER_TENANT, [own]
    if workload.cross_tenant is not None and workload.cross_tenant > t.cross_high:
        return _across(workload, t, options, sharded)
    pressing = must_shard(workload, sizing, t)
    if single.fits and not pressing:
        return _one_index(workload, t, options)
    reasons = [pressing or f"one index cannot hold it: {single.note}"]
    if _is_calm(workload, t) and _fits(options, Architecture.SERVERLESS):
        return Architecture.SERVERLESS, [_calm(workload, t)]
    if is_uneven(workload, t) and workload.large:
        reasons += [
            "a few tenants hold most of the vectors, and would make any shard hot that they share",
            f"{workload.large:,} large tenants get shards of their own (`--dedicated`), the others share",
        ]
        return Architecture.HYBRID, reasons
    reasons.append(f"{sizing.shards:,} shards are enough: {_by(sizing)}")
    if sharded is Architecture.ADVANCED:
        reasons.append(
            "at this size placement must follow load: policy least-loaded or ring, and a rebalancing plan each week"
        )
    return sharded, reasons


def _own_index(workload: Workload, t: Thresholds) -> str:
    few = workload.tenants < t.own_index_tenants
    if workload.isolated and few:
        return f"tenants must be apart, and fewer than {t.own_index_tenants} of them can each have an index"
    if few and workload.revenue is not None and workload.revenue > t.own_index_revenue:
        return f"each tenant pays over ${t.own_index_revenue:,.0f} a month, which an index of its own is part of"
    return ""


def _across(
    workload: Workload, t: Thresholds, options: dict[Architecture, Choice], sharded: Architecture
) -> tuple[Architecture, list[str]]:
    share = f"{workload.cross_tenant:.0%} of queries ask several tenants"
    reasons = [f"{share}, over {t.cross_high:.0%}: each would ask every shard"]
    if options[Architecture.SINGLE].fits:
        return Architecture.SINGLE, [*reasons, "one index answers them at once, and holds what there is"]
    if _fits(options, Architecture.SERVERLESS):
        return Architecture.SERVERLESS, [
            *reasons,
            "one index cannot hold it, so let the vendor shard it, or keep a roll-up index",
        ]
    return sharded, [*reasons, "one index cannot hold it; keep a roll-up index for queries across tenants"]


def _one_index(
    workload: Workload, t: Thresholds, options: dict[Architecture, Choice]
) -> tuple[Architecture, list[str]]:
    if _is_calm(workload, t) and _fits(options, Architecture.SERVERLESS):
        return Architecture.SERVERLESS, [_calm(workload, t)]
    tenants = f"{workload.tenants:,} tenants"
    if t.shard_tenants == NO_LIMIT:
        reasons = ["one index holds all vectors and queries, and nothing limits its namespaces"]
    elif workload.tenants < t.few_tenants:
        reasons = [f"{tenants} are under {t.few_tenants:,}: one index with a namespace each is simpler and cheaper"]
    else:
        reasons = [f"{tenants} still fit; shard at {t.shard_tenants:,}, or when the P95 passes {t.high_p95_ms:,.0f} ms"]
    if is_uneven(workload, t):
        reasons.append("sizes are uneven: when it grows, give the large tenants shards of their own first")
    return Architecture.SINGLE, reasons


def _is_calm(workload: Workload, t: Thresholds) -> bool:
    day = workload.queries_day
    return workload.unpredictable and day is not None and day < t.serverless_queries_day


def _calm(workload: Workload, t: Thresholds) -> str:
    day = f"{workload.queries_day:,.0f} queries a day"
    return f"traffic is unpredictable and {day} are under {t.serverless_queries_day:,.0f}: paid by use it costs least"


def _fits(options: dict[Architecture, Choice], architecture: Architecture) -> bool:
    return architecture in options and options[architecture].fits


def _by(sizing: Sizing) -> str:
    words = {
        "tenants": f"{sizing.tenants_per_shard} tenants each",
        "vectors": f"{sizing.vectors_per_shard or 0:,} vectors each",
        "queries": f"{sizing.qps_per_shard or 0:,.0f} queries a second each",
        "whole tenants": "tenants are not divided",
        "nothing": "no limit is reached",
    }
    return f"{sizing.binding} decide, with {words[sizing.binding]}" if sizing.binding != "nothing" else words["nothing"]


def _about_money(
    workload: Workload, chosen: Choice, options: dict[Architecture, Choice], overhead: Sequence[str]
) -> list[str]:
    if workload.budget is None or chosen.monthly is None or chosen.monthly <= workload.budget:
        return []
    over = chosen.monthly - workload.budget
    words = [f"that is ${over:,.0f} a month over the budget of ${workload.budget:,.0f}"]
    besides = sum(line.amount for line in chosen.lines if line.what in overhead)
    if besides >= over and chosen.architecture in SHARDING:
        words.append(
            f"${besides:,.0f} is for {' and '.join(overhead)}, which one gateway does without (SQLite, own cache)"
        )
    within = [
        each for each in options.values() if each.fits and each.monthly is not None and each.monthly <= workload.budget
    ]
    within.sort(key=lambda each: each.monthly or 0.0)
    if within:
        words.append(f"within it is {within[0].architecture} at ${within[0].monthly:,.0f}, for as long as it lasts")
    return words


def _headline(workload: Workload, sizing: Sizing, chosen: Choice) -> str:
    price = "" if chosen.monthly is None else f", ${chosen.monthly:,.0f} a month"
    each = "" if chosen.per_tenant is None else f" (${chosen.per_tenant:,.2f} a tenant)"
    match chosen.architecture:
        case Architecture.SINGLE:
            return f"Do not shard: one index, a namespace for each tenant{price}{each}"
        case Architecture.PER_TENANT:
            return f"Do not shard: an index for each of {workload.tenants:,} tenants{price}{each}"
        case Architecture.SERVERLESS:
            return f"Do not shard: one serverless index{price}{each}"
        case Architecture.HYBRID:
            shared = chosen.indexes - workload.large
            return f"Shard, hybrid: {workload.large:,} shards for large tenants, {shared:,} for the others{price}{each}"
        case _:
            return f"Shard: {sizing.shards:,} shards{price}{each}"


def _notes(workload: Workload, growth: Growth | None) -> list[str]:
    notes = []
    unknown = [
        words
        for value, words in (
            (workload.qps, "queries a second"),
            (workload.p95_ms, "P95"),
            (workload.cross_tenant, "share of queries across tenants"),
            (workload.top_share, "how uneven tenants are"),
        )
        if value is None
    ]
    if unknown:
        notes.append("not known, so not weighed: " + ", ".join(unknown))
    if growth is not None and growth.source:
        notes.append(f"growth: {growth.source}")
    if workload.packed is not None:
        notes.append("tenants were packed whole, largest first")
    return notes


def _offer_notes(book: PriceBook, options: dict[Architecture, Choice]) -> list[str]:
    """What is to be minded of the offers in the comparison."""
    names = dict.fromkeys(choice.offer for choice in options.values())
    return [f"{name}: {book.offers[name].note}" for name in names if book.offers[name].note]
