"""A plan: which tenants to move where, why, and what it comes to in figures."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from tenantry.model.topology import ClusterView, Shard, TenantSpec


class TenantLoad(msgspec.Struct, frozen=True):
    """A tenant as the planner sees it; every figure is measured.

    Attributes:
        vectors, bytes: what its namespace holds now.
        load: operations a second, over the last minutes.
        moved_at: end of its last move, seconds since the Unix epoch; None: never moved.
        fixed: why it must stay where it is (``suspended``, ``a move of it is running``...); None: it may move.
    """

    name: str
    shard: str
    vectors: int = 0
    bytes: int = 0
    load: float = 0.0
    spec: TenantSpec = TenantSpec()
    moved_at: float | None = None
    fixed: str | None = None


class PlanView(msgspec.Struct, frozen=True):
    """All that the planner may know, of one moment.

    Attributes:
        cluster: shards by name, with what is on them and spoken for; their vectors include what no tenant of
            `tenants` accounts for.
        tenants: by name.
        at: that moment, seconds since the Unix epoch.
        copy_vectors_per_s: speed of earlier moves, for the estimate; None: none was measured yet.
    """

    cluster: ClusterView
    tenants: tuple[TenantLoad, ...]
    at: float
    copy_vectors_per_s: float | None = None


class Aim(StrEnum):
    """What a plan is for."""

    BALANCE = "balance"
    """Even out the shards."""
    DRAIN = "drain"
    """Empty one shard."""
    ISOLATE = "isolate"
    """Give one tenant a shard to itself."""
    CONSOLIDATE = "consolidate"
    """Use as few shards as hold everything."""


class PlanOptions(msgspec.Struct, frozen=True):
    """Limits of a plan.

    Attributes:
        max_moves: 1 or more.
        max_bytes: most bytes to copy; None: no limit.
        tolerance: imbalance that is left alone: a shard may be that share over its fair part (0.1 is 10%).
        cool_down_s: a tenant moved less than that ago stays, seconds.
        fill: most of a shard's `max_tenants` and `max_vectors` that a plan uses, over 0 to 1. A drain goes over it
            rather than leave a tenant behind (and says so); the shard of an isolated tenant may be used whole.
        dollars_per_gib: price of copying, for the estimate.
    """

    max_moves: int = 50
    max_bytes: int | None = None
    tolerance: float = 0.1
    cool_down_s: float = 3_600.0
    fill: float = 0.9
    dollars_per_gib: float = 0.0


class PlannedMove(msgspec.Struct, frozen=True):
    """One move of a plan, with its reason in words."""

    tenant: str
    source: str
    target: str
    vectors: int
    bytes: int
    load: float
    why: str


class GoalFigures(msgspec.Struct, frozen=True):
    """Skew of one soft goal: the fullest shard over its fair share (1 is perfect balance), before and after."""

    goal: str
    before: float
    after: float


class ShardFigures(msgspec.Struct, frozen=True):
    """One shard before and after the plan."""

    shard: str
    tenants_before: int
    tenants_after: int
    vectors_before: int
    vectors_after: int
    load_before: float
    load_after: float


class Plan(msgspec.Struct, frozen=True):
    """What to do, and what it comes to.

    Attributes:
        moves: in the order in which to carry them out.
        goals: soft goals, the most important first.
        shards: all of the index, by name.
        bytes: to copy.
        minutes: estimate from the measured speed of copying; None: nothing was measured yet.
        cost: dollars, by `PlanOptions.dollars_per_gib`.
        notes: what could not be done and why; what the plan leaves alone. A plan without moves says why it has none.
    """

    index: str
    aim: Aim
    moves: list[PlannedMove]
    goals: list[GoalFigures]
    shards: list[ShardFigures]
    bytes: int
    minutes: float | None
    cost: float
    notes: list[str]


def home_shards(view: PlanView) -> dict[str, Shard]:
    """The shards of a view by name."""
    return {one.shard.name: one.shard for one in view.cluster.shards}
