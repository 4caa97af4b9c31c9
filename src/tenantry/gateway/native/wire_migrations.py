"""Requests and responses of the native API about migrations."""

from __future__ import annotations

import msgspec

from tenantry.gateway.native.wire import Body
from tenantry.model.migration import Bill, Event, Item, Options, Verdict
from tenantry.model.topology import DEFAULT_INDEX


class MakeMigration(Body):
    """What is to go where, and how; what is left out takes its default (`tenantry.model.migration.Options`). Either
    ``sources`` (shards to empty) or ``tenants``; no ``targets``: all active shards but the sources."""

    index: str = DEFAULT_INDEX
    sources: list[str] = msgspec.field(default_factory=list)
    tenants: list[str] = msgspec.field(default_factory=list)
    targets: list[str] = msgspec.field(default_factory=list)
    share: float | None = None
    canaries: int | None = None
    every_s: float | None = None
    soak_s: float | None = None
    retention_s: float | None = None
    rate: float | None = None
    at_once: int | None = None
    fill: float | None = None
    errors: float | None = None
    p95_factor: float | None = None
    p95_least_ms: float | None = None
    p95_most_ms: float | None = None
    least_operations: int | None = None
    overlap: float | None = None
    stall_s: float | None = None


class ListMigrations(Body):
    """Which migrations, the newest first."""

    index: str | None = None
    open: bool = False
    limit: int = 100


class ResumeMigration(Body):
    """``now``: the next wave does not wait for its time."""

    now: bool = False


class RollBackMigration(Body):
    """``wave``: only that one; null: all of them."""

    wave: int | None = None


class FinishMigration(Body):
    """``partial``: also when tenants remain."""

    partial: bool = False


class MigrationWave(msgspec.Struct):
    """One wave. Times are Unix seconds."""

    number: int
    canary: bool
    tenants: int
    moved: int
    failed: int
    due_at: float | None
    began_at: float | None
    moved_at: float | None
    passed_at: float | None
    gate: Verdict | None


class Migration(msgspec.Struct):
    """A migration. ``moved``, ``failed`` and ``waiting`` count tenants; ``next_at`` is when the next wave may begin,
    ``idle`` whether nothing happens until then (or until somebody does something), ``held`` whether a gate paused
    it."""

    id: str
    index: str
    state: str
    reason: str | None
    held: bool
    created_at: float
    sources: list[str]
    targets: list[str]
    options: Options
    tenants: int
    moved: int
    failed: int
    waiting: int
    moving: list[str]
    next_at: float | None
    idle: bool
    rolling_back: list[int]
    waves: list[MigrationWave]
    before: Bill | None
    after: Bill | None
    events: list[Event]
    revision: int


class Migrations(msgspec.Struct):
    """Migrations, the newest first."""

    migrations: list[Migration]


class MigrationItems(msgspec.Struct):
    """Tenants of a migration, in the order of their waves."""

    tenants: list[Item]


class ReportMarkdown(msgspec.Struct):
    """The report as a page of Markdown."""

    markdown: str
