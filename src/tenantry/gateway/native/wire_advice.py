"""Requests of the native API about cost, advice and adoption; the answers are values of the model."""

from __future__ import annotations

from typing import Any

import msgspec

from tenantry.gateway.native.wire import Body
from tenantry.model.advice import Question


class Advise(Question, frozen=True, forbid_unknown_fields=True):
    """What is asked about a measured index; what is left out is as measured, or the default. ``prices`` are tables laid
    over the price book."""

    prices: dict[str, Any] | None = None


class Imagine(Advise, frozen=True, kw_only=True):
    """A cluster that does not exist yet, and what is asked about it."""

    tenants: int
    vectors: int
    dimension: int = 1_536
    writes: float = 0.0
    top_share: float | None = None
    large: int = 0
    large_vectors: int = 0
    sigma: float | None = None
    seed: int = 0


class Cost(Body):
    """How a bill is to be made up; ``top``: so many tenants, the dearest, instead of all."""

    offer: str | None = None
    overhead: list[str] | None = None
    budget: float | None = None
    shards: list[int] = msgspec.field(default_factory=list)
    prices: dict[str, Any] | None = None
    top: int | None = None


class AskCostHistory(Body):
    """So many days, today among them; ``top``: tenants of each day, the dearest; ``tenant``: that one instead."""

    days: int = 30
    top: int = 10
    tenant: str | None = None


class Adopt(Body):
    """Which existing index is to become a shard."""

    backend: str
    shard: str = "adopted"
    options: dict[str, str] = msgspec.field(default_factory=dict)
    dry_run: bool = False
