"""Advice: whether to shard, how, how many shards, and why."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from tenantry.model.cost import Budget, CostLine, WhatIf


class Architecture(StrEnum):
    """Ways to keep many tenants' vectors."""

    SINGLE = "single"
    """One index, a namespace for each tenant."""
    PER_TENANT = "per-tenant"
    """An index for each tenant."""
    SHARDED = "sharded"
    """Several indexes, tenants spread over them."""
    ADVANCED = "sharded-advanced"
    """The same at a size where placement must follow load: virtual nodes, least-loaded, dedicated shards."""
    SERVERLESS = "serverless"
    """One index that its vendor shards, paid by use."""
    HYBRID = "hybrid"
    """Large tenants on shards of their own, the others together."""


class Workload(msgspec.Struct, frozen=True):
    """What is to be held and asked; measured, or planned. None: unknown.

    Attributes:
        qps: queries a second, on average.
        writes: records written a second, on average.
        cross_tenant: share of queries that ask several tenants, 0 to 1.
        p95_ms: of queries of one tenant today.
        top_share: share of the vectors in the largest tenth of tenants, 0 to 1.
        ten_share: share of the vectors in the ten largest tenants.
        large, large_vectors: tenants of at least `Thresholds.large_vectors` vectors, and what they hold together.
        largest: vectors of the largest tenant.
        packed: shards on which the tenants, whole, were seen to fit; totals alone may promise too little.
        shards: there are now.
        budget: a month's.
        revenue: what a tenant pays a month.
        isolated: tenants must have an index each, by contract or law.
        unpredictable: traffic comes and goes.
    """

    tenants: int
    vectors: int
    dimension: int = 1_536
    qps: float | None = None
    writes: float = 0.0
    cross_tenant: float | None = None
    p95_ms: float | None = None
    top_share: float | None = None
    ten_share: float | None = None
    large: int = 0
    large_vectors: int = 0
    largest: int | None = None
    packed: int | None = None
    shards: int | None = None
    budget: float | None = None
    revenue: float | None = None
    isolated: bool = False
    unpredictable: bool = False

    @property
    def queries_day(self) -> float | None:
        """Queries a day."""
        return None if self.qps is None else self.qps * 86_400.0


class Question(msgspec.Struct, frozen=True):
    """What is asked of the advisor besides the workload. None: what was measured, or the default.

    Attributes:
        offer: what a shard is rented as, by its name in the price book.
        overhead: what there is besides shards, by names in the price book; empty: nothing.
        growth: a month's, 0.1 is 10%; None: as measured.
        months: of the forecast, 0 to 120.
        budget, revenue, isolated, unpredictable, qps, cross_tenant, p95_ms: see `Workload`.
        shards: numbers of shards to try out.
        policy: placement to try them out with.
    """

    offer: str | None = None
    overhead: list[str] | None = None
    growth: float | None = None
    months: int = 12
    budget: float | None = None
    revenue: float | None = None
    isolated: bool = False
    unpredictable: bool = False
    qps: float | None = None
    cross_tenant: float | None = None
    p95_ms: float | None = None
    shards: list[int] = []
    policy: str = "least-loaded"


class Imagined(msgspec.Struct, frozen=True):
    """A cluster that does not exist yet; see `Workload`.

    Attributes:
        sigma: tenants' sizes are lognormal, with this spread of their logarithm, 0 to 5; None: nothing is known of
            them, and numbers of shards are tried out with 1.
        seed: of the sizes.
    """

    tenants: int
    vectors: int
    dimension: int = 1_536
    writes: float = 0.0
    top_share: float | None = None
    large: int = 0
    large_vectors: int = 0
    sigma: float | None = None
    seed: int = 0


class Sizing(msgspec.Struct, frozen=True):
    """How many shards are needed, by each constraint, and which one decides.

    Attributes:
        shards: the least number that meets all of them.
        by_tenants, by_vectors, by_qps: by each alone; None: nothing limits it, or it is unknown.
        packed: by whole tenants; None: their sizes are unknown.
        binding: the constraint that decides.
        tenants_per_shard, vectors_per_shard, qps_per_shard: the targets.
        utilisation: of the shards, mean over tenants and vectors, 0 to 1; None: nothing limits them.
    """

    shards: int
    by_tenants: int | None
    by_vectors: int | None
    by_qps: int | None
    packed: int | None
    binding: str
    tenants_per_shard: int | None
    vectors_per_shard: int | None
    qps_per_shard: float | None
    utilisation: float | None


class Choice(msgspec.Struct, frozen=True):
    """One architecture for a workload.

    Attributes:
        indexes: how many there would be.
        monthly, per_tenant: None: there is no price for it; `note` says which.
        fits: whether it can hold the workload.
        note: why not, or what to mind.
    """

    architecture: Architecture
    offer: str
    indexes: int
    monthly: float | None
    per_tenant: float | None
    fits: bool
    lines: list[CostLine]
    note: str = ""


class Flag(msgspec.Struct, frozen=True):
    """Something that speaks against sharding (``stop``), that is to be minded (``mind``), or that speaks for it
    (``go``)."""

    name: str
    level: Literal["stop", "mind", "go"]
    text: str


class Growth(msgspec.Struct, frozen=True):
    """How a workload grows: by a rate a month (0.1 is 10%, compound), or by tenants a month (linear).

    Attributes:
        vectors_per_tenant: of a new tenant, with ``tenants_per_month``.
        source: where it comes from, in words.
    """

    rate: float | None = None
    tenants_per_month: float = 0.0
    vectors_per_tenant: float = 0.0
    source: str = ""


class Forecast(msgspec.Struct, frozen=True):
    """One month from now on (0 is now) in the recommended architecture; sharded when one index holds it no more."""

    month: int
    tenants: int
    vectors: int
    shards: int
    monthly: float | None


class Card(msgspec.Struct, frozen=True):
    """The decision card.

    Attributes:
        shard: whether to.
        headline: the advice in a sentence.
        why: reasons, the most important first.
        flags: signals, those against sharding first.
        sizing: of the sharded form, whatever is advised.
        choices: all architectures, the advised one first, then by cost.
        forecast: month by month; empty: no growth is known.
        what_if: numbers of shards, where they were asked for.
        offer: what shards are priced by.
        prices: source and date of the prices that were used.
        notes: assumptions, and what is not known.
    """

    shard: bool
    architecture: Architecture
    headline: str
    why: list[str]
    flags: list[Flag]
    workload: Workload
    sizing: Sizing
    choices: list[Choice]
    budget: Budget | None
    forecast: list[Forecast]
    what_if: list[WhatIf]
    currency: str
    offer: str
    prices: list[str]
    notes: list[str]
