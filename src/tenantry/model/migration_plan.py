"""What a migration would do: its waves, whether its targets have room, what would stop it."""

from __future__ import annotations

import msgspec

from tenantry.model.migration import Bill, Item, Migration, Options, Wave


class PlannedWave(msgspec.Struct, frozen=True):
    """One wave of a plan.

    Attributes:
        due_at: when it begins at the earliest, seconds since the Unix epoch.
        expected_s: copying and soak, seconds; None: no speed was measured yet.
        risk_least, risk_most: of its tenants, 0 to 1.
    """

    number: int
    canary: bool
    tenants: list[str]
    vectors: int
    bytes: int
    due_at: float
    expected_s: float | None
    risk_least: float
    risk_most: float


class TargetCheck(msgspec.Struct, frozen=True):
    """Whether a target has room. Vectors and tenants after it count what is on their way.

    Attributes:
        coming_bytes: estimated size there.
        free_bytes: of its disk; None: the engine does not tell.
        problem: why it cannot take what is planned; None: it can.
    """

    shard: str
    backend: str
    tenants_before: int
    tenants_after: int
    max_tenants: int | None
    vectors_before: int
    vectors_after: int
    max_vectors: int | None
    coming_bytes: int
    free_bytes: int | None
    problem: str | None


class MigrationPlan(msgspec.Struct, frozen=True):
    """A dry run.

    Attributes:
        sources: shards that it would empty; none where tenants were named.
        items: its tenants in the order of their waves.
        expected_s: from its start to the last gate, seconds; None: no speed was measured yet.
        blockers: why it cannot begin; notes: what it would do all the same that one may not expect, what its gates
            could not judge.
        before, after: the bill of the index now, and with the sources gone.
    """

    index: str
    options: Options
    sources: list[str]
    targets: list[str]
    items: list[Item]
    waves: list[PlannedWave]
    capacity: list[TargetCheck]
    vectors: int
    bytes: int
    expected_s: float | None
    blockers: list[str]
    notes: list[str]
    before: Bill | None = None
    after: Bill | None = None


class WaveReport(msgspec.Struct, frozen=True):
    """What became of a wave. Pauses are how long writes waited at the switch, milliseconds; None: nobody switched."""

    wave: Wave
    moved: int
    waiting: int
    failed: int
    vectors: int
    records: int
    healed: int
    pause_p50_ms: float | None
    pause_p99_ms: float | None
    pause_max_ms: float | None


class MigrationReport(msgspec.Struct, frozen=True):
    """What became of a migration.

    Attributes:
        after: the bill once the sources are gone; as it was when the migration was finished.
    """

    migration: Migration
    waves: list[WaveReport]
    items: list[Item]
    moved: int
    failed: int
    records: int
    healed: int
    pause_p50_ms: float | None
    pause_p99_ms: float | None
    pause_max_ms: float | None
    before: Bill | None
    after: Bill | None
