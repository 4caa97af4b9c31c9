"""Prices, use, and what use costs. Money is a month's, in the price book's currency; sizes are in vectors and bytes."""

from __future__ import annotations

from typing import Literal

import msgspec

HOURS_PER_MONTH = 730.0
DAYS_PER_MONTH = 30.0
SECONDS_PER_MONTH = DAYS_PER_MONTH * 86_400.0
BYTES_PER_GB = 1e9


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One published price.

    Attributes:
        amount: in the book's currency; None: none is published, so nothing can be computed with it.
        unit: of what, in words (``index-month``, ``GB-month``, ``million read units``).
        source, date: who publishes it, and the day on which it was read (YYYY-MM-DD).
        note: what to mind.
    """

    unit: str
    source: str
    date: str
    amount: float | None = None
    note: str = ""


class Capacity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one index (or host) holds. None: no limit is stated.

    Attributes:
        vectors: of ``dimension`` dimensions; of others as many as have the same size. With no dimension: of any.
        namespaces: tenants.
        qps: queries a second.
    """

    source: str
    date: str
    vectors: int | None = None
    namespaces: int | None = None
    qps: float | None = None
    dimension: int | None = None
    note: str = ""

    def vectors_of(self, dimension: int) -> int | None:
        """How many vectors of that dimension."""
        if self.vectors is None or self.dimension is None:
            return self.vectors
        return max(1, self.vectors * self.dimension // dimension)


class Offer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that a shard can be rented as.

    Attributes:
        kind: ``index``: each shard is one, and costs `month`. ``host``: shards share machines that cost `month` each.
            ``usage``: what is stored, read and written is paid.
        capacity: of one index or host.
        month: of one index or host.
        storage: per GB and month.
        queries: per thousand queries, where a query has one price.
        reads, writes: per million read and write units.
        minimum: least bill of a month.
        read_units_per_gb, read_units_least: units of a query, by the size of the namespace that it asks.
        write_unit_bytes: bytes of a record that make one write unit; the last may be part of one.
        serverless: offer to compare with that is paid by use.
    """

    title: str
    kind: Literal["index", "host", "usage"]
    capacity: Capacity | None = None
    month: Price | None = None
    storage: Price | None = None
    queries: Price | None = None
    reads: Price | None = None
    writes: Price | None = None
    minimum: Price | None = None
    read_units_per_gb: float = 1.0
    read_units_least: float = 0.25
    write_unit_bytes: int = 1_024
    serverless: str | None = None
    note: str = ""


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the decision card says what. Shares are from 0 to 1, times in milliseconds, money in a month's.

    Attributes:
        target: most of a limit that right-sizing plans with.
        few_tenants, few_vectors: below, one index is enough.
        comfortable_tenants: below, the limit of namespaces is far away.
        shard_tenants: from here on, shard.
        shard_vectors: over it, a slow index is slow for its size.
        fine_p95_ms, high_p95_ms, limit_p95_ms: all is well below; over ``shard_vectors`` a reason to shard; always one.
        small_bill: below, there is little to save.
        uneven_top: share of vectors in the largest tenth of tenants from which sizes are uneven.
        uneven_ten: likewise of the ten largest tenants.
        large_vectors, tiny_vectors: a tenant from, and one below.
        cross_fine, cross_high, cross_heavy: share of queries that ask several tenants: fine below, reconsider over,
            slow for everybody from.
        own_index_tenants: most tenants for whom an index each is manageable.
        own_index_revenue: what a tenant pays a month from which its own index is.
        serverless_queries_day: below, paying by use is cheap.
        advanced_tenants, advanced_vectors: over these, placement by load and virtual nodes.
        low_budget: below, five shards cannot be paid.
        single_budget: below, one index is what there is money for.
        budget_alert: a bill over it is told of, unless another budget is given.
        idle_below: a shard used less is wasteful.
    """

    target: float = 0.8
    few_tenants: int = 80
    few_vectors: int = 800_000
    comfortable_tenants: int = 70
    shard_tenants: int = 85
    shard_vectors: int = 1_000_000
    fine_p95_ms: float = 500.0
    high_p95_ms: float = 800.0
    limit_p95_ms: float = 1_000.0
    small_bill: float = 300.0
    uneven_top: float = 0.8
    uneven_ten: float = 0.7
    large_vectors: int = 100_000
    tiny_vectors: int = 1_000
    cross_fine: float = 0.1
    cross_high: float = 0.2
    cross_heavy: float = 0.3
    own_index_tenants: int = 50
    own_index_revenue: float = 2_000.0
    serverless_queries_day: float = 10_000.0
    advanced_tenants: int = 500
    advanced_vectors: int = 5_000_000
    low_budget: float = 1_000.0
    single_budget: float = 500.0
    budget_alert: float = 500.0
    idle_below: float = 0.5


class PriceBook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that has a price.

    Attributes:
        currency: of all amounts.
        offers: by name.
        overhead: what a sharded cluster needs besides its shards, by name (``redis``, ``postgresql``...).
        backends: kind of shard to the offer that it is priced by.
        hypothetical: offer for a cluster that does not exist yet.
        thresholds: of the decision card.
    """

    currency: str
    offers: dict[str, Offer]
    overhead: dict[str, Price]
    backends: dict[str, str]
    hypothetical: str
    thresholds: Thresholds = Thresholds()


class TenantUse(msgspec.Struct, frozen=True):
    """What one tenant uses.

    Attributes:
        bytes: as stored, where that was measured; 0: unknown.
        qps: requests a second.
    """

    name: str
    vectors: int = 0
    bytes: int = 0
    qps: float = 0.0
    shard: str = ""


class ShardUse(msgspec.Struct, frozen=True):
    """A shard, as far as money is concerned. Limits that are None are those of its offer."""

    name: str
    backend: str
    max_tenants: int | None = None
    max_vectors: int | None = None


class Usage(msgspec.Struct, frozen=True):
    """The advisor's input about a cluster that runs; whoever measures fills it in.

    Attributes:
        tenants, shards: of one logical index.
        cross_tenant: share of queries that ask several tenants, 0 to 1; None: not measured.
        p95_ms: of queries of one tenant, over the slowest shard; None: not measured.
        write_share: part of the requests that are writes, 0 to 1.
        created: when each tenant was made, seconds since the Unix epoch; for the growth.
        at: the moment of all this, likewise.
    """

    index: str
    dimension: int
    tenants: tuple[TenantUse, ...]
    shards: tuple[ShardUse, ...]
    cross_tenant: float | None = None
    p95_ms: float | None = None
    write_share: float = 0.0
    created: tuple[float, ...] = ()
    at: float = 0.0


class CostLine(msgspec.Struct, frozen=True):
    """One line of a bill. ``source`` says whose price it is, and of when."""

    what: str
    amount: float
    source: str


class TenantCost(msgspec.Struct, frozen=True):
    """A tenant's part of the bill.

    Attributes:
        storage_share, load_share: its part of its shard's stored bytes and of its requests, 0 to 1.
        cost: its whole part of the bill; over all tenants these add up to the bill.
        used: what of it is for capacity that is used; the rest is idle capacity and overhead.
    """

    tenant: str
    shard: str
    vectors: int
    bytes: int
    qps: float
    storage_share: float
    load_share: float
    used: float
    cost: float


class ShardCost(msgspec.Struct, frozen=True):
    """A shard's part of the bill.

    Attributes:
        utilisation: mean of the parts of its targets (tenants, vectors) that it uses, 0 to 1; None: nothing limits it.
        wasted: what its unused part costs.
        cost: a month's.
    """

    shard: str
    backend: str
    offer: str
    tenants: int
    vectors: int
    qps: float
    utilisation: float | None
    cost: float
    wasted: float


class Budget(msgspec.Struct, frozen=True):
    """A bill held to a budget: ``ok``, ``near`` (over 80% of it) or ``over``."""

    budget: float
    monthly: float
    state: Literal["ok", "near", "over"]


class Costs(msgspec.Struct, frozen=True):
    """A bill in short, for those who watch it.

    Attributes:
        monthly, wasted: of the whole index.
        budget: what it is held against.
        shards: each shard's part, by name.
        tenants: the parts of the dearest tenants, by name, the dearest first.
    """

    currency: str
    monthly: float
    wasted: float
    budget: float
    shards: dict[str, float]
    tenants: dict[str, float]


class WhatIf(msgspec.Struct, frozen=True):
    """A number of shards, tried out.

    Attributes:
        fits: within the target.
        fullest: most of its targets that any shard would use (1 is all of it).
        skew: vectors of the fullest shard over the mean.
        per_tenant: cost of a month.
        wasted: what unused capacity costs.
    """

    shards: int
    fits: bool
    fullest: float | None
    skew: float
    monthly: float | None
    per_tenant: float | None
    wasted: float | None


class CostReport(msgspec.Struct, frozen=True):
    """What a cluster costs, and whom it is for.

    Attributes:
        shards_needed: least number that holds everything within the target.
        saving: of a month, with that number of shards of the present kind.
        lines: the bill.
        tenants: dearest first.
        what_if: other numbers of shards, where they were asked for.
        notes: what was assumed.
    """

    index: str
    currency: str
    monthly: float
    per_tenant: float | None
    wasted: float
    shards_needed: int
    saving: float
    lines: list[CostLine]
    shards: list[ShardCost]
    tenants: list[TenantCost]
    budget: Budget
    notes: list[str]
    what_if: list[WhatIf] = []


class DayCost(msgspec.Struct, frozen=True):
    """What a month like one day costs, at today's prices.

    Attributes:
        start: of the day (UTC), seconds since the Unix epoch.
        tenants: dearest first, or those asked for.
    """

    start: int
    monthly: float
    tenants: list[TenantCost]


class CostHistory(msgspec.Struct, frozen=True):
    """The bill over time, oldest day first; ``notes`` say what was assumed."""

    index: str
    currency: str
    days: list[DayCost]
    notes: list[str]
