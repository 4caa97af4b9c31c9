"""Requests and responses of the native API about moves, plans and old copies."""

from __future__ import annotations

import msgspec

from tenantry.gateway.native.wire import Body
from tenantry.model.moves import Options, Proof
from tenantry.model.plan import Plan


class StartMove(Body):
    """Where a tenant is to go, and how; what is left out takes its default."""

    target: str
    soak_s: float | None = None
    retention_s: float | None = None
    rate: float | None = None
    page: int | None = None
    why: str = "manual"


class MoveProgress(msgspec.Struct):
    """How far the copy is. ``share`` is from 0 to 1; ``rate`` in vectors a second, ``eta_s`` in seconds of copying;
    both are null while nothing is known."""

    vectors: int
    bytes: int
    copied: int
    copied_bytes: int
    passes: int
    share: float
    rate: float | None
    eta_s: float | None


class Move(msgspec.Struct):
    """A move. ``started`` has the time at which each phase began, ``soak_until`` until when a rollback is possible
    (Unix seconds); ``lag`` counts log entries that one side is behind; ``flip_ms`` and ``back_ms`` are how long writes
    waited at the switch and at the way back."""

    id: str
    index: str
    tenant: str
    source: str
    target: str
    source_namespace: str
    target_namespace: str
    phase: str
    wish: str
    outcome: str | None
    why: str
    created_at: float
    started: dict[str, float]
    soak_until: float | None
    progress: MoveProgress
    lag: int | None
    flip_ms: float | None
    back_ms: float | None
    error: str | None
    proof: Proof | None
    options: Options


class ListMoves(Body):
    """One page of moves, newest first; go on with ``before`` = ``next``."""

    open: bool = False
    tenant: str | None = None
    limit: int = 100
    before: str | None = None


class Moves(msgspec.Struct):
    """One page of moves."""

    moves: list[Move]
    next: str | None = None


class MakePlan(Body):
    """What to plan. ``subject`` is the shard to drain or the tenant to isolate."""

    aim: str = "balance"
    subject: str | None = None
    max_moves: int | None = None
    max_bytes: int | None = None
    tolerance: float | None = None
    cool_down_s: float | None = None
    fill: float | None = None
    dollars_per_gib: float | None = None


class Rebalance(MakePlan):
    """What to plan and carry out, and how each move is done."""

    soak_s: float | None = None
    retention_s: float | None = None
    rate: float | None = None


class RunMove(msgspec.Struct):
    """One move of a run: ``waiting``, ``moving``, ``moved`` (committed) or ``failed``."""

    tenant: str
    source: str
    target: str
    state: str
    move: str | None
    phase: str | None
    error: str | None


class Run(msgspec.Struct):
    """A plan that is being carried out: ``running``, ``done`` or ``stopped``."""

    id: str
    index: str
    aim: str
    subject: str | None
    state: str
    plan: Plan
    moves: list[RunMove]
    moved: int
    failed: int
    waiting: int


class ListCopies(Body):
    """Which old copies."""

    shard: str | None = None
    tenant: str | None = None


class Copy(msgspec.Struct):
    """An old copy, kept until ``purge_at`` (Unix seconds)."""

    tenant: str
    shard: str
    namespace: str
    move: str
    purge_at: float


class Copies(msgspec.Struct):
    """Old copies, the next to go first."""

    copies: list[Copy]


class Purged(msgspec.Struct):
    """Old copies that are gone now."""

    purged: list[Copy]
