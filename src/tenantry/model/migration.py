"""A migration: tenants that go to other shards in waves. Its states, and what commands make of it; all pure.

::

    running <-> paused --> rolling-back --> rolled-back (all of it)
       |          ^             |
       v          +-------------+ (a wave of it)
      done --> finished

`done` means that every wave is through; until it is `finished` it can be rolled back. A gate that finds a regression
pauses by itself, with the reason. What a tenant of it goes through is in `ItemState`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from tenantry.errors import Bug, InvalidArgument, Refused
from tenantry.model.topology import ShardState

#: Tenants of one migration.
MOST_TENANTS = 20_000
#: What happened is kept, the newest so many.
MOST_EVENTS = 200


class State(StrEnum):
    """Where a migration stands."""

    RUNNING = "running"
    PAUSED = "paused"
    """No move of it begins; those that run come to their end."""
    ROLLING_BACK = "rolling-back"
    DONE = "done"
    """Every wave is through. It can be rolled back until it is finished."""
    FINISHED = "finished"
    ROLLED_BACK = "rolled-back"


NEXT: Mapping[State, frozenset[State]] = {
    State.RUNNING: frozenset({State.PAUSED, State.ROLLING_BACK, State.DONE}),
    State.PAUSED: frozenset({State.RUNNING, State.ROLLING_BACK, State.FINISHED}),
    State.ROLLING_BACK: frozenset({State.PAUSED, State.ROLLED_BACK}),
    State.DONE: frozenset({State.ROLLING_BACK, State.FINISHED}),
    State.FINISHED: frozenset(),
    State.ROLLED_BACK: frozenset(),
}
ENDED = frozenset(state for state, following in NEXT.items() if not following)


class ItemState(StrEnum):
    """Where one tenant of a migration stands."""

    WAITING = "waiting"
    MOVING = "moving"
    MOVED = "moved"
    """Its move is committed: it is served from the target."""
    FAILED = "failed"
    """Its move ended without a commit: it is where it was."""
    RETURNING = "returning"
    RETURNED = "returned"
    """Back on its source."""
    GONE = "gone"
    """It was deleted meanwhile."""


#: Nothing is left to do for a wave whose tenants are all in one of these.
SETTLED = frozenset({ItemState.MOVED, ItemState.FAILED, ItemState.GONE})


class Options(msgspec.Struct, frozen=True):
    """How a migration is carried out.

    Attributes:
        share: most of all its tenants in one wave, over 0 to 1; rounded up to whole tenants.
        canaries: tenants in the first wave, 0 or more; None: one in fifty, at least one and at most ten.
        every_s: from the start of one wave to that of the next, seconds, 0 or more; 0: as soon as its gate lets it.
        soak_s: how long after a wave's last switch the gate watches before it opens, and how long each move can be
            taken back without copying, seconds, 0 or more.
        retention_s: how long old copies are kept after that, seconds, 0 or more.
        rate: most records copied a second, of each move; None: as fast as the load on the shards allows.
        at_once: moves of it that run at the same time, 1 to 64.
        fill: most of a target's limits that it uses, over 0 to 1; a target is filled to the limit rather than leave a
            tenant behind.
        errors: a share of failed operations that far above the baseline is a regression, 0 to 1.
        p95_factor: a P95 of queries that many times the baseline is a regression, 1 or more.
        p95_least_ms: below this no P95 is a regression, milliseconds.
        p95_most_ms: where there is no baseline: a P95 above this is a regression, milliseconds.
        least_operations: of fewer operations (or, for P95, queries) nothing is concluded, 1 or more.
        overlap: least share of the hits of shadow queries that both sides must agree on, 0 to 1.
        stall_s: a move that makes no progress for that long is a regression, seconds, over 0.
    """

    share: float = 0.25
    canaries: int | None = None
    every_s: float = 86_400.0
    soak_s: float = 600.0
    retention_s: float = 7 * 86_400.0
    rate: float | None = None
    at_once: int = 4
    fill: float = 0.9
    errors: float = 0.01
    p95_factor: float = 1.5
    p95_least_ms: float = 50.0
    p95_most_ms: float = 800.0
    least_operations: int = 100
    overlap: float = 0.9
    stall_s: float = 900.0


class Sample(msgspec.Struct, frozen=True):
    """What some tenants did over the window of measurement. ``bins``: latencies of their queries, as a sketch."""

    operations: int = 0
    queries: int = 0
    errors: int = 0
    bins: dict[int, int] = msgspec.field(default_factory=dict)

    @property
    def error_rate(self) -> float:
        """Share of the operations that failed, 0 to 1."""
        return self.errors / self.operations if self.operations else 0.0


class Verdict(msgspec.Struct, frozen=True):
    """What a gate found, last.

    Attributes:
        at: seconds since the Unix epoch.
        operations, queries: of the tenants moved so far, over the window; ``error_rate``, ``p95_ms`` of these.
        baseline_error_rate, baseline_p95_ms: of the same tenants before they moved; None: too little was measured.
        regressions: why it keeps the next wave back; empty: it does not.
        notes: what could not be judged, and why.
    """

    at: float
    operations: int
    queries: int
    error_rate: float
    p95_ms: float
    baseline_error_rate: float | None
    baseline_p95_ms: float | None
    regressions: list[str]
    notes: list[str]


class Wave(msgspec.Struct, frozen=True):
    """One wave. Times are seconds since the Unix epoch.

    Attributes:
        number: from 1.
        due_at: when it is to begin; None: when the one before has begun and its interval is known.
        moved_at: when its last tenant was settled; passed_at: when its gate opened.
        baseline: what its tenants did before it began.
        verdict: of its gate, the last one.
    """

    number: int
    canary: bool
    tenants: int
    due_at: float | None = None
    began_at: float | None = None
    moved_at: float | None = None
    passed_at: float | None = None
    baseline: Sample = Sample()
    verdict: Verdict | None = None


class Item(msgspec.Struct, frozen=True):
    """One tenant of a migration.

    Attributes:
        risk: 0 to 1, see `tenantry.control.migrate.risk`.
        vectors, bytes, load: as measured when it was planned.
        move, back: ids of its move, and of the one that took it back.
        pause_ms, back_ms: how long its writes waited at the switch, and at the way back, milliseconds.
        records: compared on both sides before the switch; healed: of these, mended first.
        overlap: share of the hits of shadow queries that both sides agreed on; None: it was not compared.
        error: why it failed, or what it waits for.
    """

    tenant: str
    wave: int
    source: str
    target: str
    vectors: int
    bytes: int
    load: float
    risk: float
    state: ItemState = ItemState.WAITING
    move: str | None = None
    back: str | None = None
    pause_ms: float | None = None
    back_ms: float | None = None
    records: int | None = None
    healed: int = 0
    overlap: float | None = None
    error: str | None = None


class Event(msgspec.Struct, frozen=True):
    """Something that happened to a migration; ``at`` in seconds since the Unix epoch."""

    at: float
    what: str


class Bill(msgspec.Struct, frozen=True):
    """A month's cost in dollars by the price book; ``why_not`` says why there is none."""

    monthly: float | None
    per_tenant: float | None
    why_not: str | None = None


class Migration(msgspec.Struct, frozen=True):
    """A migration, as the catalog keeps it; its tenants are kept beside it, as `Item`.

    Attributes:
        sources: shards that it empties, with the state that each had before; no new tenant is put there meanwhile.
            Empty where it moves tenants that were named, and lets the others be.
        targets: shards that it spreads over.
        reason: why it is paused; held: a gate did it.
        rolling_back: numbers of the waves that are taken back.
        calm_until: no gate judges before that time: what it would see is from before a regression was mended.
        hurry: the next wave does not wait for its time.
        before, after: the bill of the index when it began, and when it was finished.
        revision: grows by one with each change.
    """

    id: str
    index: str
    created_at: float
    options: Options
    targets: list[str]
    waves: list[Wave]
    sources: dict[str, ShardState] = msgspec.field(default_factory=dict)
    state: State = State.RUNNING
    reason: str | None = None
    held: bool = False
    rolling_back: list[int] = msgspec.field(default_factory=list)
    calm_until: float = 0.0
    hurry: bool = False
    before: Bill | None = None
    after: Bill | None = None
    events: list[Event] = msgspec.field(default_factory=list)
    revision: int = 0

    @property
    def ended(self) -> bool:
        """Whether nothing will happen any more."""
        return self.state in ENDED

    @property
    def why(self) -> str:
        """What its moves say of themselves."""
        return f"migration {self.id}"

    def current(self) -> Wave | None:
        """The first wave whose gate has not opened; None: all have."""
        return next((wave for wave in self.waves if wave.passed_at is None), None)


def changed(migration: Migration, at: float, what: str, **fields: object) -> Migration:
    """The migration with fields changed and the change noted. Raises Bug for a step that `NEXT` does not know."""
    state = fields.get("state", migration.state)
    if state is not migration.state and state not in NEXT[migration.state]:
        raise Bug(f"migration {migration.id}: {migration.state} cannot lead to {state}")
    events = [*migration.events, Event(at, what)][-MOST_EVENTS:]
    return msgspec.structs.replace(migration, events=events, **fields)


def with_wave(migration: Migration, wave: Wave) -> Migration:
    """The migration with one of its waves replaced."""
    waves = [wave if each.number == wave.number else each for each in migration.waves]
    return msgspec.structs.replace(migration, waves=waves)


def paused(migration: Migration, at: float, reason: str, *, held: bool = False) -> Migration:
    """Paused for a reason. Pausing what is paused changes nothing. Raises Refused where nothing is left to pause."""
    if migration.state is State.PAUSED:
        return migration
    if migration.state is not State.RUNNING:
        raise Refused(f"migration {migration.id} is {migration.state}: only a running one can be paused")
    return changed(migration, at, f"paused: {reason}", state=State.PAUSED, reason=reason, held=held)


def resumed(migration: Migration, at: float, *, hurry: bool, calm_s: float) -> Migration:
    """Going on. Resuming what runs changes nothing, except that with ``hurry`` its next wave does not wait.

    Args:
        calm_s: after so long nothing is in the window that was measured before. Where a gate held it, so long gates do
            not judge what was measured, and unless in a hurry no wave begins: it would be from before the cause was
            mended.

    Raises:
        Refused: it is being rolled back, or is over.
    """
    if migration.state is State.RUNNING:
        if not hurry or migration.hurry:
            return migration
        return changed(migration, at, "the next wave is not to wait for its time", hurry=True)
    if migration.state is not State.PAUSED:
        raise Refused(f"migration {migration.id} is {migration.state}: only a paused one can be resumed")
    current = migration.current()
    waves = [_again(wave, wave is current, wave.number in migration.rolling_back, at) for wave in migration.waves]
    return changed(
        migration,
        at,
        "resumed" + (", at once" if hurry else ""),
        state=State.RUNNING,
        reason=None,
        held=False,
        rolling_back=[],
        waves=waves,
        hurry=hurry or migration.hurry,
        calm_until=at + calm_s if migration.held else migration.calm_until,
    )


def _again(wave: Wave, current: bool, undone: bool, at: float) -> Wave:
    """A wave of a migration that goes on: one that was taken back begins from the start."""
    if undone:
        return Wave(wave.number, wave.canary, wave.tenants, None if wave.due_at is None else max(wave.due_at, at))
    return msgspec.structs.replace(wave, moved_at=None) if current else wave  # its soak begins anew


def roll_back(migration: Migration, at: float, wave: int | None) -> Migration:
    """On the way back: the whole migration, or one wave of it. The same again changes nothing.

    Raises:
        InvalidArgument: there is no such wave.
        Refused: it is over, or something else is being taken back.
    """
    if wave is not None and wave not in [each.number for each in migration.waves]:
        raise InvalidArgument("wave", wave, f"a wave of migration {migration.id}: 1 to {len(migration.waves)}")
    wanted = [each.number for each in migration.waves] if wave is None else [wave]
    if migration.state is State.ROLLING_BACK and set(wanted) <= set(migration.rolling_back):
        return migration
    if migration.state is State.ROLLED_BACK:
        return migration
    if migration.ended:
        raise Refused(
            f"migration {migration.id} is {migration.state} and cannot be rolled back; "
            "start another one the other way round"
        )
    what = "rolling back " + ("all of it" if wave is None else f"wave {wave}")
    back = sorted({*wanted, *migration.rolling_back})
    if migration.state is State.ROLLING_BACK:
        return changed(migration, at, what, rolling_back=back)
    return changed(migration, at, what, state=State.ROLLING_BACK, rolling_back=back, reason=None, held=False)


def in_words(count: int, noun: str = "tenant") -> str:
    """``1 tenant``, ``2 tenants``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def afresh(items: Iterable[Item]) -> list[Item]:
    """Of these tenants the ones that a resumed migration tries once more, as they begin again."""
    again = (ItemState.FAILED, ItemState.RETURNED)
    return [
        Item(each.tenant, each.wave, each.source, each.target, each.vectors, each.bytes, each.load, each.risk)
        for each in items
        if each.state in again
    ]
