"""What a cross-tenant search is asked and what it answers."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from tenantry.router.scatter.merge import TenantHit


class SearchLimits(msgspec.Struct, frozen=True):
    """The bounds of cross-tenant searches in one process.

    Attributes:
        deadline_s: longest time of a search, unless the caller says less.
        per_shard: calls to one shard at once, of all searches together.
        hedge_share: second requests for each first one, at most; 0 for none.
        open_s, open_most_s: how long a shard that keeps failing is left out, first and at most, seconds.
        probe_s: longest wait for a shard that is tried again, seconds.
        cache_s: how long an answer may be given again to the same question of the same key, seconds; 0: never.
        cache_bytes: most bytes of such answers.
        sizes_s: how old the sizes of tenants may be that an inexact search counts on, seconds.
        rollup_lag_s: how far behind a roll-up may be to be used, unless the caller says, seconds; 0: it never is.
    """

    deadline_s: float = 3.0
    per_shard: int = 8
    hedge_share: float = 0.05
    open_s: float = 5.0
    open_most_s: float = 60.0
    probe_s: float = 0.5
    cache_s: float = 0.0
    cache_bytes: int = 32 * 2**20
    sizes_s: float = 60.0
    rollup_lag_s: float = 5.0


class Options(msgspec.Struct, frozen=True):
    """How to search, besides what for.

    Attributes:
        per_tenant: at most so many hits of each tenant; None: as many as there are.
        exactness: 1: the hits are the nearest. Less, over 0: with that probability at least, under the assumption of
            `tenantry.router.scatter.exactness`; cheaper where ``top_k`` is large.
        cursor: where the last page ended; of the same question.
        by_model: search tenants of different embedding models too, each model for itself.
        scope: whose question it is; answers are given again within one scope only.
        max_lag_s: how far behind a roll-up may be to be used, seconds; 0: ask the shards; None: as
            `SearchLimits.rollup_lag_s` says.
        bound: what a cursor is bound to in place of vector and filter, where those are derived from it.
    """

    per_tenant: int | None = None
    exactness: float = 1.0
    cursor: str | None = None
    by_model: bool = False
    scope: str = ""
    max_lag_s: float | None = None
    bound: str | None = None


class Source(StrEnum):
    """Where an answer is from."""

    SHARDS = "shards"
    """Each tenant's own shard: as of now."""
    ROLLUP = "roll-up"
    """The roll-up: as of at most ``lag_s`` before the search began."""


class Outcome(StrEnum):
    """What came of asking a shard."""

    OK = "ok"
    LATE = "late"
    FAILED = "failed"
    OPEN = "open"
    """Not asked: it kept failing (see `tenantry.router.scatter.breaker`)."""


class ShardTiming(msgspec.Struct, frozen=True):
    """How one shard fared in a search.

    Attributes:
        tenants: asked there.
        calls: requests to the shard, without second ones.
        hedges: second requests, as the first had taken longer than 95 of 100 do.
        took_ms: wall time in milliseconds.
    """

    shard: str
    outcome: Outcome
    tenants: int
    calls: int
    hedges: int
    took_ms: float


class ModelGroup(msgspec.Struct, frozen=True, eq=False):
    """The hits among the tenants of one embedding model; empty name: vectors of unknown origin."""

    model: str
    hits: list[TenantHit]


class ScatterResult(msgspec.Struct, frozen=True, eq=False):
    """The answer of a cross-tenant search.

    Attributes:
        hits: at most ``top_k`` over all tenants, by score, then tenant, then id; empty with ``by_model``.
        partial: some shard did not answer in time or failed; its tenants are missing from ``hits``.
        missing_shards: which, with the reason.
        shards_asked, tenants_asked: how many.
        took_ms: wall time in milliseconds.
        exact: nothing nearer is left out on the shards that answered, as far as their engines are exact; always so
            with ``exactness`` 1.
        cursor: the next page goes on from here; None: there is none.
        shards: how each shard fared.
        groups: with ``by_model``, the hits of each model, by its name.
        cached: this is an answer that was given before.
        source, lag_s: where it is from; with the roll-up how old it is at most, seconds.
        why_shards: why the roll-up, which the index has, was not used.
    """

    hits: list[TenantHit]
    partial: bool
    missing_shards: dict[str, str]
    shards_asked: int
    tenants_asked: int
    took_ms: float
    exact: bool = True
    cursor: str | None = None
    shards: tuple[ShardTiming, ...] = ()
    groups: tuple[ModelGroup, ...] = ()
    cached: bool = False
    source: Source = Source.SHARDS
    lag_s: float | None = None
    why_shards: str = ""
