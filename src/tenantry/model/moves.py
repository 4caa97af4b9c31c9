"""A move of a tenant from one shard to another: its phases, what each may lead to, and what must hold in each.

::

    prepare -> capture -> copy -> catch-up -> verify -> flip -> settle -> soak -> close -> clean -> done
                                     ^                   |       |         |        |        |
                                     +---- too slow -----+       +-- back <+        |        +--> cancelled
    prepare .. flip --(cancel, or failure)--> close              |                  |        +--> failed
                                                           back-settle -------------+        +--> rolled-back

The route of the tenant follows from the phase (`ROUTES`): the two are always saved in one transaction.
`flip -> settle` is the commit: from then on the target is authoritative. `back -> back-settle` takes it back.
The protocol, its six rules (R1 to R6) and their proof are described in ``docs/explanation/moves.md`` and checked by
the model in ``spec/move.pml``, whose phases are these.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from tenantry.errors import Bug, Refused
from tenantry.model.topology import Mode, Place, Route, TenantState


class Phase(StrEnum):
    """Where a move stands."""

    PREPARE = "prepare"
    """Recorded, with room reserved on the target; the target's namespace is being made."""
    CAPTURE = "capture"
    """Writes go to the log from now on; waiting until no router writes to the source by itself any more (R2)."""
    COPY = "copy"
    """The source is copied page by page; the log keeps the target up to date with what changes meanwhile."""
    CATCH_UP = "catch-up"
    """Copied; waiting until the target is close behind the log."""
    VERIFY = "verify"
    """Comparing every record on both sides, healing what differs."""
    FLIP = "flip"
    """Appends wait; draining the log to both sides (R5), then the commit."""
    SETTLE = "settle"
    """Committed: the target is authoritative. Until no router reads the source any more, a write is acknowledged
    only when it is on both sides (R6)."""
    SOAK = "soak"
    """The source is kept up to date, so that the move can be rolled back."""
    BACK = "back"
    """Rolling back: as `FLIP`, with the sides swapped."""
    BACK_SETTLE = "back-settle"
    """Rolled back: as `SETTLE`, with the sides swapped."""
    CLOSE = "close"
    """Appends wait; draining the log to the authoritative side, then writes go direct."""
    CLEAN = "clean"
    """Direct; waiting until no router knows the log any more, then the other copy is retired or dropped."""
    DONE = "done"
    CANCELLED = "cancelled"
    ROLLED_BACK = "rolled-back"
    FAILED = "failed"


class Wish(StrEnum):
    """What is wanted of a move; whoever runs it obeys at the next step."""

    RUN = "run"
    PAUSE = "pause"
    CANCEL = "cancel"
    ROLL_BACK = "roll-back"
    FINALISE = "finalise"
    """End the soak now."""


NEXT: Mapping[Phase, frozenset[Phase]] = {
    Phase.PREPARE: frozenset({Phase.CAPTURE, Phase.CLOSE}),
    Phase.CAPTURE: frozenset({Phase.COPY, Phase.CLOSE}),
    Phase.COPY: frozenset({Phase.CATCH_UP, Phase.CLOSE}),
    Phase.CATCH_UP: frozenset({Phase.VERIFY, Phase.FLIP, Phase.CLOSE}),
    Phase.VERIFY: frozenset({Phase.FLIP, Phase.CATCH_UP, Phase.CLOSE}),
    Phase.FLIP: frozenset({Phase.SETTLE, Phase.CATCH_UP, Phase.CLOSE}),
    Phase.SETTLE: frozenset({Phase.SOAK}),
    Phase.SOAK: frozenset({Phase.CLOSE, Phase.BACK}),
    Phase.BACK: frozenset({Phase.BACK_SETTLE, Phase.SOAK}),
    Phase.BACK_SETTLE: frozenset({Phase.CLOSE}),
    Phase.CLOSE: frozenset({Phase.CLEAN}),
    Phase.CLEAN: frozenset({Phase.DONE, Phase.CANCELLED, Phase.ROLLED_BACK, Phase.FAILED}),
    Phase.DONE: frozenset(),
    Phase.CANCELLED: frozenset(),
    Phase.ROLLED_BACK: frozenset(),
    Phase.FAILED: frozenset(),
}

ENDED = frozenset(phase for phase, following in NEXT.items() if not following)
BEFORE_COMMIT = frozenset({Phase.PREPARE, Phase.CAPTURE, Phase.COPY, Phase.CATCH_UP, Phase.VERIFY, Phase.FLIP})
#: In these, writers wait.
FENCED = frozenset({Phase.FLIP, Phase.BACK, Phase.CLOSE})
#: In these, a write is acknowledged only when both sides have it (R6).
BOTH_SIDES = frozenset({Phase.SETTLE, Phase.BACK_SETTLE})


class Options(msgspec.Struct, frozen=True):
    """How a move is carried out.

    Attributes:
        soak_s: how long it can be rolled back after the commit, seconds, 0 or more.
        retention_s: how long the old copy is kept after that, seconds, 0 or more.
        page: records copied in one step, 1 to 1,000.
        rate: most records copied a second; None: as fast as the load on the shards allows.
        fence_s: longest time that writers wait at a flip before it is put off, seconds.
        samples: own vectors of the tenant that are asked of both sides before the flip, 0 or more.
    """

    soak_s: float = 600.0
    retention_s: float = 7 * 86_400.0
    page: int = 500
    rate: float | None = None
    fence_s: float = 1.0
    samples: int = 10


class Progress(msgspec.Struct, frozen=True):
    """How far the copy is.

    Attributes:
        vectors, bytes: size of the source as measured at the start.
        copied, copied_bytes: records written to the target by the copier, their approximate bytes.
        cursor: last id that was copied; what comes after it is still to do.
        passes: passes over the source that are complete.
        copy_s: time spent copying so far, seconds.
    """

    vectors: int = 0
    bytes: int = 0
    copied: int = 0
    copied_bytes: int = 0
    cursor: str | None = None
    passes: int = 0
    copy_s: float = 0.0


class Proof(msgspec.Struct, frozen=True):
    """What was compared before the flip. Digests cover id, float32 bytes and sorted metadata of each record.

    Attributes:
        records: compared on each side.
        digest: of the whole namespace (order-independent), the same on both sides when it was taken, but for the
            tolerance; then it is the source's.
        missing, extra, different: on the target at first sight; all healed since.
        rounds: comparisons until nothing differed.
        samples, overlap: shadow queries, and the mean share of their hits that both sides agree on, 0 to 1.
        log_from, log_to: entries of the log that belong to the move, until the comparison.
        verified_at: seconds since the Unix epoch.
        took_s: seconds.
        tolerance: how far apart values may be, in lengths of the vector, and count as the same: 0 unless one side
            keeps vectors at length 1 and gives them back rounded (`tenantry.ports.Features.exact_values`).
    """

    records: int
    digest: str
    missing: int
    extra: int
    different: int
    rounds: int
    samples: int
    overlap: float
    log_from: int
    log_to: int
    verified_at: float
    took_s: float
    tolerance: float = 0.0


class Move(msgspec.Struct, frozen=True):
    """One move, as the catalog keeps it.

    Attributes:
        id: short and random.
        source, target: shard and physical namespace of both sides.
        outcome: the terminal phase that it is going to, once `close` has begun.
        why: who or what asked for it (``manual``, ``rebalance``, ``drain``...).
        s0: head of the log at the end of `capture`; entries after it are the target's too. None before.
        source_mark, target_mark: every log entry up to it is applied to that side.
        started: phase to the time when it was last entered, seconds since the Unix epoch.
        flip_ms: how long writers were held at the commit (and at the way back), milliseconds.
        error: why it failed, or what it is waiting for.
        wish: what is wanted of it; changed by operators at any time.
    """

    id: str
    index: str
    tenant: str
    source: Place
    target: Place
    created_at: float
    phase: Phase = Phase.PREPARE
    wish: Wish = Wish.RUN
    outcome: Phase | None = None
    options: Options = Options()
    why: str = "manual"
    s0: int | None = None
    source_mark: int = 0
    target_mark: int = 0
    progress: Progress = Progress()
    proof: Proof | None = None
    started: dict[str, float] = msgspec.field(default_factory=dict)
    flip_ms: float | None = None
    back_ms: float | None = None
    error: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing will happen any more."""
        return self.phase in ENDED

    @property
    def committed(self) -> bool:
        """Whether the target is, or is to stay, authoritative."""
        return target_rules(self)

    @property
    def lease(self) -> str:
        """Name of the lease of whoever runs it."""
        return f"move/{self.id}"

    def mark(self, place: Place) -> int:
        """Watermark of a side."""
        return self.source_mark if place == self.source else self.target_mark

    def acknowledged(self) -> int:
        """Writers of entries up to here may be answered."""
        if self.phase in BOTH_SIDES:
            return min(self.source_mark, self.target_mark)
        return self.target_mark if target_rules(self) else self.source_mark


def target_rules(move: Move) -> bool:
    """Whether the target is authoritative in the move's phase."""
    if move.phase in (Phase.SETTLE, Phase.SOAK, Phase.BACK, Phase.DONE):
        return True
    return move.phase in (Phase.CLOSE, Phase.CLEAN) and move.outcome is Phase.DONE


def sides(move: Move) -> tuple[Place, Place]:
    """The authoritative side and the other one."""
    return (move.target, move.source) if target_rules(move) else (move.source, move.target)


def mode_of(phase: Phase) -> Mode:
    """How writes travel in a phase."""
    if phase in FENCED:
        return Mode.FENCED
    if phase in (Phase.PREPARE, Phase.CLEAN) or phase in ENDED:
        return Mode.DIRECT
    return Mode.LOGGED


def route_of(move: Move, epoch: int, state: TenantState) -> Route:
    """The route that belongs to a move's phase."""
    place, other = sides(move)
    gone = move.phase is Phase.CLEAN or move.ended
    return Route(epoch, place, mode_of(move.phase), None if gone else other, state)


def check_step(move: Move, phase: Phase, head: int | None = None) -> None:
    """Hold a step to the table and to what must be true of the move when it is taken.

    Args:
        head: newest entry of the tenant's log, where the step needs it drained.

    Raises:
        Bug: the step must not be taken.
    """
    if phase not in NEXT[move.phase]:
        raise Bug(f"move {move.id}: {move.phase} cannot lead to {phase}")
    if phase is Phase.COPY and (move.s0 is None or move.source_mark < move.s0):
        raise Bug(f"move {move.id}: a copy may start only when the source has every entry up to s0 (R3)")
    if phase in (Phase.SETTLE, Phase.BACK_SETTLE) and (
        head is None or move.source_mark != head or move.target_mark != head
    ):
        raise Bug(f"move {move.id}: a flip needs both sides at the head of the log (R5)")
    if phase is Phase.FLIP and move.proof is None:
        raise Bug(f"move {move.id}: a flip needs a proof")
    if phase is Phase.CLEAN and (head is None or move.mark(sides(move)[0]) != head):
        raise Bug(f"move {move.id}: writes may go direct only when the authoritative side is at the head of the log")
    if phase is Phase.CLOSE and move.phase in BEFORE_COMMIT and move.outcome not in (Phase.CANCELLED, Phase.FAILED):
        raise Bug(f"move {move.id}: before the commit it can only be cancelled or fail")
    if phase in ENDED and phase is not move.outcome:
        raise Bug(f"move {move.id}: it ends as {move.outcome}, not as {phase}")


def check_wish(move: Move, wish: Wish) -> None:
    """Raises Refused when this cannot be wished of the move as it stands, with the way out."""
    if move.ended:
        raise Refused(f"move {move.id} has ended ({move.phase}); start another with `tenantry move`")
    if wish is move.wish:
        return
    closing = move.phase in (Phase.CLOSE, Phase.CLEAN)
    back = move.phase in (Phase.BACK, Phase.BACK_SETTLE)
    if wish is Wish.CANCEL and move.phase not in BEFORE_COMMIT and not (closing and move.outcome is Phase.CANCELLED):
        raise Refused(
            f"move {move.id} is past its commit ({move.phase}) and cannot be cancelled; "
            f"take it back with `tenantry moves rollback {move.id}`"
        )
    if wish is Wish.ROLL_BACK and (move.phase in BEFORE_COMMIT or (closing and move.outcome is not Phase.ROLLED_BACK)):
        why = "has not been committed: cancel it" if move.phase in BEFORE_COMMIT else "is being finalised"
        raise Refused(f"move {move.id} {why}; it cannot be rolled back ({move.phase})")
    if wish is Wish.FINALISE and (back or move.wish is Wish.ROLL_BACK):
        raise Refused(f"move {move.id} is being rolled back")
    if wish is Wish.FINALISE and move.phase in BEFORE_COMMIT:
        raise Refused(f"move {move.id} has not been committed ({move.phase}): there is nothing to finalise yet")
    if wish in (Wish.PAUSE, Wish.RUN) and move.wish in (Wish.CANCEL, Wish.ROLL_BACK, Wish.FINALISE):
        raise Refused(f"move {move.id} is on its way to {move.wish}, which cannot be undone")
