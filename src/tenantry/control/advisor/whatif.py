"""What if there were another number of shards: tenants placed as the policies place them, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tenantry.control.advisor.book import offer_of
from tenantry.control.advisor.pricing import Unpriced, fixed_lines, overhead_lines
from tenantry.control.advisor.sizing import NO_CAPACITY, targets
from tenantry.errors import InvalidArgument
from tenantry.model.cost import PriceBook, TenantUse, WhatIf
from tenantry.model.topology import ClusterView, Shard, ShardView, TenantSpec
from tenantry.placement import policy as placement_policy

MOST_SHARDS = 1_000
#: Placements that one question may ask for.
MOST_WORK = 1_000_000


def what_if(
    tenants: Sequence[TenantUse],
    dimension: int,
    shards: Iterable[int],
    book: PriceBook,
    offer_name: str,
    *,
    overhead: Sequence[str] = (),
    policy: str = "least-loaded",
) -> list[WhatIf]:
    """For each number of shards: place the tenants, largest first, on empty shards, and look how full they get.

    Raises:
        InvalidArgument: a number is not 1 to 1,000, or there are too many tenants and shards to try out.
    """
    wanted = list(dict.fromkeys(shards))
    for number in wanted:
        if not 1 <= number <= MOST_SHARDS:
            raise InvalidArgument("shards", number, f"1 to {MOST_SHARDS:,}")
    if sum(wanted) * max(1, len(tenants)) > MOST_WORK:
        raise InvalidArgument("shards", wanted, f"at most {MOST_WORK:,} placements: shards times tenants, in sum")
    offer_of(book, offer_name)
    placement_policy(policy)
    order = sorted(tenants, key=lambda one: (-one.vectors, one.name))
    return [_tried(order, dimension, number, book, offer_name, overhead, policy) for number in wanted]


def _tried(
    tenants: list[TenantUse],
    dimension: int,
    shards: int,
    book: PriceBook,
    offer_name: str,
    overhead: Sequence[str],
    policy: str,
) -> WhatIf:
    offer = book.offers[offer_name]
    counts, vectors = _placed(tenants, shards, policy)
    most_tenants, most_vectors = targets(offer.capacity or NO_CAPACITY, dimension, book.thresholds.target)
    if offer.kind == "host":
        most_vectors = None  # shards share as many hosts as they need
    parts = [held / most for held, most in ((max(counts), most_tenants), (max(vectors), most_vectors)) if most]
    qps = offer.capacity.qps if offer.capacity is not None and offer.kind == "index" else None
    if qps:
        parts.append(sum(each.qps for each in tenants) / shards / (qps * book.thresholds.target))
    fullest = max(parts) if parts else None
    mean = sum(vectors) / shards
    monthly, wasted = _cost(tenants, dimension, shards, book, offer_name, overhead, (most_tenants, most_vectors))
    return WhatIf(
        shards=shards,
        fits=fullest is None or fullest <= 1,
        fullest=fullest,
        skew=max(vectors) / mean if mean else 1.0,
        monthly=monthly,
        per_tenant=None if monthly is None or not tenants else monthly / len(tenants),
        wasted=wasted,
    )


def _placed(tenants: list[TenantUse], shards: int, policy: str) -> tuple[list[int], list[int]]:
    """Tenants and vectors of each shard."""
    names = [f"shard-{n}" for n in range(shards)]
    views = {name: ShardView(Shard("what-if", name, "none")) for name in names}
    choose = placement_policy(policy).choose
    for each in tenants:
        chosen = choose(each.name, TenantSpec(), ClusterView("what-if", tuple(views.values())))
        view = views[chosen]
        shard = msgspec.structs.replace(view.shard, tenants=view.shard.tenants + 1)
        views[chosen] = msgspec.structs.replace(view, shard=shard, vectors=view.vectors + each.vectors)
    return [views[name].shard.tenants for name in names], [views[name].vectors for name in names]


def _cost(
    tenants: list[TenantUse],
    dimension: int,
    shards: int,
    book: PriceBook,
    offer_name: str,
    overhead: Sequence[str],
    most: tuple[int | None, int | None],
) -> tuple[float | None, float | None]:
    """The bill, and what of it is for idle capacity: see `tenantry.model.cost.ShardCost.utilisation`."""
    offer = book.offers[offer_name]
    vectors = sum(each.vectors for each in tenants)
    if offer.kind == "usage":
        return None, None
    try:
        rent = sum(line.amount for line in fixed_lines(offer, offer_name, shards, vectors, dimension, "shard"))
        whole = rent + sum(line.amount for line in overhead_lines(book, overhead))
    except Unpriced:
        return None, None
    used = [min(1.0, held / shards / limit) for held, limit in ((len(tenants), most[0]), (vectors, most[1])) if limit]
    return whole, (1 - sum(used) / len(used)) * rent if used else None
