"""Whose cost it is: a cluster's bill, split over its tenants by what each of them uses.

The method, in this order:

1. A shard of fixed price (``index``; of ``host`` all shards together) is split into a part for storage and one for
   load, in the proportion in which its capacity for vectors and for queries is used (half each where one of them has
   no limit and both are used; whole where only one is used).
2. The storage part goes to tenants by stored bytes (by vectors where bytes are unknown), the load part by requests.
3. Of each tenant's part, ``utilisation`` is for what is used, the rest for idle capacity.
4. What is paid by use goes to whom it is for: storage by bytes, queries by requests times the size of the namespace
   that they ask, writes by requests.
5. What belongs to nobody (empty shards, overhead, the way up to a minimum) is spread in proportion to 1 to 4; evenly
   where there is nothing to go by.

So costs add up to the bill, a tenant that uses nothing of a used shard pays nothing of it, and no head is counted
except in the very last case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tenantry.control.advisor.book import offer_of
from tenantry.control.advisor.pricing import (
    NEAR,
    Unpriced,
    amount,
    fixed_lines,
    hosts,
    overhead_lines,
    record_bytes,
    usage_lines,
    with_minimum,
)
from tenantry.control.advisor.sizing import NO_CAPACITY, size, targets, utilisation, workload_of
from tenantry.errors import InvalidArgument, Refused
from tenantry.model.cost import (
    BYTES_PER_GB,
    SECONDS_PER_MONTH,
    Budget,
    Capacity,
    CostLine,
    CostReport,
    Offer,
    PriceBook,
    ShardCost,
    ShardUse,
    TenantCost,
    TenantUse,
    Usage,
)


@dataclass
class _Part:
    """A shard and what is on it, while the bill is made up."""

    shard: ShardUse
    offer_name: str
    offer: Offer
    tenants: list[TenantUse]
    cost: float = 0.0
    own: dict[str, float] = field(default_factory=dict)
    used: float | None = None

    @property
    def vectors(self) -> int:
        return sum(each.vectors for each in self.tenants)

    @property
    def qps(self) -> float:
        return sum(each.qps for each in self.tenants)

    def bytes(self, dimension: int) -> dict[str, float]:
        """Stored bytes by tenant; all estimated where any is unknown, so that they can be compared."""
        if all(each.bytes or not each.vectors for each in self.tenants):
            return {each.name: float(each.bytes) for each in self.tenants}
        return {each.name: float(each.vectors * record_bytes(dimension)) for each in self.tenants}


def attribute(
    usage: Usage,
    book: PriceBook,
    *,
    offer: str | None = None,
    overhead: Sequence[str] = (),
    budget: float | None = None,
) -> CostReport:
    """The bill of a cluster and each tenant's part of it, by the method above.

    Args:
        offer: prices all shards by this one; None: each by its backend's (`PriceBook.backends`).
        overhead: names of what there is besides shards.
        budget: None: the book's.

    Raises:
        InvalidArgument: an offer, an overhead or the budget is not usable.
        Refused: something has no published price.
    """
    if budget is not None and not 0 <= budget < float("inf"):
        raise InvalidArgument("budget", budget, "0 or more")
    parts = [_part(shard, usage, book, offer) for shard in usage.shards]
    lines: list[CostLine] = []
    common = 0.0
    try:
        for name in dict.fromkeys(part.offer_name for part in parts):
            alike = [part for part in parts if part.offer_name == name]
            paid, shared = _bill(alike, usage, book)
            lines += paid
            common += shared
        besides = overhead_lines(book, overhead)
    except Unpriced as why:
        raise Refused(str(why)) from why
    lines += besides
    common += sum(line.amount for line in besides)
    common += sum(part.cost for part in parts if not part.own)
    monthly = sum(line.amount for line in lines)
    tenants = _tenants(parts, usage, common)
    needed, saving = _needed(parts, usage, book)
    shards = [_shard(part) for part in parts]
    return CostReport(
        index=usage.index,
        currency=book.currency,
        monthly=monthly,
        per_tenant=monthly / len(usage.tenants) if usage.tenants else None,
        wasted=sum(each.wasted for each in shards),
        shards_needed=needed,
        saving=saving,
        lines=lines,
        shards=shards,
        tenants=sorted(tenants, key=lambda one: (-one.cost, one.tenant)),
        budget=budget_of(monthly, book.thresholds.budget_alert if budget is None else budget),
        notes=_notes(parts, usage),
    )


def budget_of(monthly: float, budget: float) -> Budget:
    """A bill held to a budget."""
    state = "over" if monthly > budget else "near" if monthly > budget * NEAR else "ok"
    return Budget(budget, monthly, state)  # type: ignore[arg-type]


def limits_of(part_offer: Offer, shard: ShardUse) -> Capacity:
    """What a shard holds: its own limits where it has some, else those of what it is rented as."""
    held = part_offer.capacity or NO_CAPACITY
    return Capacity(
        source=held.source,
        date=held.date,
        vectors=shard.max_vectors if shard.max_vectors is not None else held.vectors,
        namespaces=shard.max_tenants if shard.max_tenants is not None else held.namespaces,
        qps=held.qps,
        dimension=held.dimension if shard.max_vectors is None else None,
    )


def _part(shard: ShardUse, usage: Usage, book: PriceBook, offer: str | None) -> _Part:
    name = offer or book.backends.get(shard.backend, book.hypothetical)
    found = offer_of(book, name)
    return _Part(shard, name, found, [each for each in usage.tenants if each.shard == shard.name])


def _bill(parts: list[_Part], usage: Usage, book: PriceBook) -> tuple[list[CostLine], float]:
    """The bill of the shards of one offer; sets what each shard costs, and what of it is which tenant's. Returns the
    lines, and what of them is nobody's."""
    name, offer = parts[0].offer_name, parts[0].offer
    if offer.kind == "usage":
        return _by_use(parts, usage)
    vectors = sum(part.vectors for part in parts)
    lines = fixed_lines(offer, name, len(parts), vectors, usage.dimension, "shard")
    whole = sum(line.amount for line in lines)
    if offer.kind == "index":
        for part in parts:
            part.cost = whole / len(parts)
            part.own = _split(part, part.cost, limits_of(offer, part.shard), usage)
            part.used = _utilisation(part, usage, book.thresholds.target)
        return lines, 0.0
    _share_hosts(parts, whole, vectors, usage, book)
    return lines, 0.0


def _share_hosts(parts: list[_Part], whole: float, vectors: int, usage: Usage, book: PriceBook) -> None:
    """Hosts belong to all shards together: steps 1 and 2 for all their tenants at once."""
    offer = parts[0].offer
    held = offer.capacity or NO_CAPACITY
    count = hosts(offer, vectors, usage.dimension)
    limits = Capacity(
        source=held.source,
        date=held.date,
        vectors=None if held.vectors is None else held.vectors * count,
        qps=None if held.qps is None else held.qps * count,
        dimension=held.dimension,
    )
    pool = _Part(parts[0].shard, parts[0].offer_name, offer, [each for part in parts for each in part.tenants])
    own = _split(pool, whole, limits, usage)
    used = utilisation(0, vectors, None, targets(limits, usage.dimension, book.thresholds.target)[1])
    for part in parts:
        part.own = {each.name: own[each.name] for each in part.tenants} if own else {}
        part.cost = sum(part.own.values()) if own else whole / len(parts)
        part.used = used


def _split(part: _Part, cost: float, limits: Capacity, usage: Usage) -> dict[str, float]:
    """Steps 1 and 2: tenant to its part; empty where nothing is stored or asked."""
    stored = part.bytes(usage.dimension)
    all_bytes, qps = sum(stored.values()), part.qps
    if not all_bytes and not qps:
        return {}
    weight = storage_weight(part.vectors, qps, limits, usage.dimension) if all_bytes else 0.0
    own = {}
    for each in part.tenants:
        by_storage = stored[each.name] / all_bytes if all_bytes else 0.0
        by_load = each.qps / qps if qps else 0.0
        own[each.name] = cost * (weight * by_storage + (1 - weight) * by_load)
    return own


def storage_weight(vectors: int, qps: float, capacity: Capacity, dimension: int) -> float:
    """Part of a shard's price that is for storage; the rest is for load."""
    if not qps or not vectors:
        return 0.0 if qps else 1.0
    most = capacity.vectors_of(dimension)
    if not most or not capacity.qps:
        return 0.5
    stored, asked = vectors / most, qps / capacity.qps
    return stored / (stored + asked)


def _by_use(parts: list[_Part], usage: Usage) -> tuple[list[CostLine], float]:
    """Step 4."""
    name, offer = parts[0].offer_name, parts[0].offer
    tenants = [each for part in parts for each in part.tenants]
    own: dict[str, float] = {}
    for part in parts:
        for each in part.tenants:
            own[each.name] = sum(line.amount for line in _usage_of(each, offer, name, usage))
            part.own[each.name] = own[each.name]
        part.cost = sum(part.own.values())
    priced = with_minimum(offer, name, [CostLine(f"{name}: what {len(tenants):,} tenants use", sum(own.values()), "")])
    shared = sum(line.amount for line in priced[1:])
    return [*_sums(tenants, offer, name, usage, priced[0].amount), *priced[1:]], shared


def _usage_of(tenant: TenantUse, offer: Offer, name: str, usage: Usage) -> list[CostLine]:
    """One tenant's own lines, without the minimum of the whole bill."""
    requests = tenant.qps * SECONDS_PER_MONTH
    return usage_lines(
        _without_minimum(offer),
        name,
        vectors=tenant.vectors,
        dimension=usage.dimension,
        queries=requests * (1 - usage.write_share),
        writes=requests * usage.write_share,
        namespaces=1,
    )


def _sums(tenants: list[TenantUse], offer: Offer, name: str, usage: Usage, whole: float) -> list[CostLine]:
    """Storage in one line, requests in another, which together are ``whole``."""
    gb = sum(each.vectors for each in tenants) * record_bytes(usage.dimension) / BYTES_PER_GB
    storage = gb * amount(offer.storage, f"{name}.storage") if offer.storage is not None else 0.0
    price = next((each for each in (offer.reads, offer.queries, offer.writes) if each is not None), offer.storage)
    source = "" if price is None else f"{price.source}, {price.date}"
    requests = sum(each.qps for each in tenants) * SECONDS_PER_MONTH
    return [
        CostLine(f"{name}: {gb:,.2f} GB stored", storage, source),
        CostLine(f"{name}: {requests:,.0f} requests", whole - storage, source),
    ]


def _without_minimum(offer: Offer) -> Offer:
    return Offer(
        title=offer.title,
        kind=offer.kind,
        storage=offer.storage,
        queries=offer.queries,
        reads=offer.reads,
        writes=offer.writes,
        read_units_per_gb=offer.read_units_per_gb,
        read_units_least=offer.read_units_least,
        write_unit_bytes=offer.write_unit_bytes,
    )


def _tenants(parts: list[_Part], usage: Usage, common: float) -> list[TenantCost]:
    """Steps 3 and 5."""
    attributed = sum(sum(part.own.values()) for part in parts)
    made: list[TenantCost] = []
    for part in parts:
        stored, qps = part.bytes(usage.dimension), part.qps
        all_bytes = sum(stored.values())
        used = 1.0 if part.used is None else part.used
        for each in part.tenants:
            own = part.own.get(each.name, 0.0)
            spread = common * own / attributed if attributed else common / len(usage.tenants)
            made.append(
                TenantCost(
                    tenant=each.name,
                    shard=part.shard.name,
                    vectors=each.vectors,
                    bytes=each.bytes,
                    qps=each.qps,
                    storage_share=stored[each.name] / all_bytes if all_bytes else 0.0,
                    load_share=each.qps / qps if qps else 0.0,
                    used=own * used,
                    cost=own + spread,
                )
            )
    return made


def _utilisation(part: _Part, usage: Usage, target: float) -> float | None:
    most_tenants, most_vectors = targets(limits_of(part.offer, part.shard), usage.dimension, target)
    return utilisation(len(part.tenants), part.vectors, most_tenants, most_vectors)


def _shard(part: _Part) -> ShardCost:
    return ShardCost(
        shard=part.shard.name,
        backend=part.shard.backend,
        offer=part.offer_name,
        tenants=len(part.tenants),
        vectors=part.vectors,
        qps=part.qps,
        utilisation=part.used,
        cost=part.cost,
        wasted=0.0 if part.used is None else (1 - part.used) * part.cost,
    )


def _needed(parts: list[_Part], usage: Usage, book: PriceBook) -> tuple[int, float]:
    """Shards that are needed of the commonest offer, and what the others cost, if they are of fixed price."""
    if not parts:
        return 0, 0.0
    name = max((part.offer_name for part in parts), key=lambda one: sum(part.offer_name == one for part in parts))
    part = next(part for part in parts if part.offer_name == name)
    capacity = limits_of(part.offer, part.shard)
    needed = size(workload_of(usage, capacity, book.thresholds), capacity, book.thresholds.target).shards
    spare = max(0, len(parts) - needed)
    if part.offer.kind != "index" or part.offer.month is None or part.offer.month.amount is None:
        return needed, 0.0
    return needed, spare * part.offer.month.amount


def _notes(parts: list[_Part], usage: Usage) -> list[str]:
    notes = []
    if any(not each.bytes and each.vectors for each in usage.tenants):
        notes.append("stored bytes are estimated from vectors where the backend does not tell them")
    if usage.tenants and not any(each.qps for each in usage.tenants):
        notes.append("no requests were measured, so everything is attributed by what is stored")
    for name in dict.fromkeys(part.offer_name for part in parts):
        note = next(part.offer.note for part in parts if part.offer_name == name)
        if note:
            notes.append(f"{name}: {note}")
    return notes
