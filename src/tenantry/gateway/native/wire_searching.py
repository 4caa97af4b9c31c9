"""Bodies of searches across tenants."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from tenantry.gateway.native.wire import Body


class SearchAll(Body):
    """A cross-tenant search: exactly one of ``text`` and ``vector``. ``per_tenant``: at most so many hits of each;
    ``exactness``: under 1 the hits are the nearest with that probability; ``cursor``: of the page before, the rest
    being as it was; ``by_model``: tenants of different embedding models too, each model for itself; ``max_lag_s``: how
    far behind a roll-up may be to be used, 0 for the shards themselves."""

    text: str | None = None
    vector: list[float] | None = None
    tenants: list[str] | None = None
    top_k: int = 10
    filter: dict[str, Any] | None = None
    deadline_s: float | None = None
    per_tenant: int | None = None
    exactness: float = 1.0
    cursor: str | None = None
    by_model: bool = False
    include_metadata: bool = True
    max_lag_s: float | None = None


class AnyHit(msgspec.Struct):
    """A hit of a cross-tenant search: ``id`` for a vector; ``document``, ``chunk`` and ``text`` for a text."""

    tenant: str
    score: float
    id: str | UnsetType = UNSET
    document: str | UnsetType = UNSET
    chunk: int | UnsetType = UNSET
    text: str | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET


class ShardAnswer(msgspec.Struct):
    """How a shard fared in a search: ``ok``, ``late``, ``failed``, or ``open`` (left out, as it kept failing)."""

    shard: str
    outcome: str
    tenants: int
    calls: int
    hedges: int
    took_ms: float


class ModelHits(msgspec.Struct):
    """The hits among the tenants of one embedding model; empty name: vectors of unknown origin."""

    model: str
    hits: list[AnyHit]


class SearchedAll(msgspec.Struct):
    """Best hits over all tenants that were asked. ``partial``: a shard is missing, and named with the reason.
    ``exact``: nothing nearer is left out on the shards that answered. ``cursor``: for the next page, null on the last.
    ``groups``: in place of ``hits``, when asked by model. ``cached``: this was answered to the same key moments ago.
    ``source``: ``shards``, or ``roll-up``, which then lacks at most what was written in the ``lag_s`` seconds before;
    ``why_shards``: why the roll-up, which the index has, was not used."""

    hits: list[AnyHit]
    partial: bool
    missing_shards: dict[str, str]
    shards_asked: int
    tenants_asked: int
    took_ms: float
    exact: bool
    cursor: str | None
    shards: list[ShardAnswer]
    groups: list[ModelHits]
    cached: bool
    source: str
    lag_s: float | None
    why_shards: str
