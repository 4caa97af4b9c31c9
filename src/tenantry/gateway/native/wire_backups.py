"""Requests and responses of the native API about backups, restores and deleted tenants."""

from __future__ import annotations

from typing import Any

import msgspec

from tenantry.backup.jobs import JobProgress
from tenantry.backup.manifest import Gone, Totals
from tenantry.gateway.native.wire import Body


class InArchive(Body):
    """Which archive; default: that of the gateway's settings."""

    archive: str | None = None


class CreateBackup(InArchive):
    """What to back up, and how; without index, shard and tenant: everything."""

    index: str | None = None
    shard: str | None = None
    tenant: str | None = None
    full: bool = False
    parallel: int | None = None
    rate: float | None = None


class Backup(msgspec.Struct):
    """A backup. ``catalog_at`` is the instant of its catalog, ``finished_at`` when it was there (Unix seconds); each
    tenant is as it was at an instant in between. ``error`` says why it cannot be read; the rest is empty then."""

    id: str
    scope: str = ""
    catalog_at: float | None = None
    finished_at: float | None = None
    version: str = ""
    encrypted: bool = False
    totals: Totals | None = None
    gone: list[Gone] = []
    error: str | None = None


class Backups(msgspec.Struct):
    """Backups, newest first."""

    archive: str
    backups: list[Backup]


class VerifyBackup(InArchive):
    """Nothing but the archive."""


class PruneBackups(InArchive):
    """How many hours, days and weeks back a backup is kept; what is left out takes its default."""

    hourly: int | None = None
    daily: int | None = None
    weekly: int | None = None
    dry_run: bool = False


class Schedule(msgspec.Struct):
    """When gateways make backups of everything; ``every_s`` is null when they do not."""

    every_s: float | None
    archive: str | None = None
    hourly: int | None = None
    daily: int | None = None
    weekly: int | None = None


class SetSchedule(Body):
    """As `Schedule`; null for never."""

    every_s: float | None
    archive: str | None = None
    hourly: int | None = None
    daily: int | None = None
    weekly: int | None = None


class RestoreTenant(InArchive):
    """Which backup (by id, or the newest at or before ``as_of``, Unix seconds), as what and where to."""

    backup: str | None = None
    as_of: float | None = None
    name: str | None = None
    into: str | None = None
    shard: str | None = None
    replace: bool = False
    dry_run: bool = False


class RestoreShard(InArchive):
    """As `RestoreTenant`, of every tenant that was on the shard."""

    backup: str | None = None
    as_of: float | None = None
    to: str | None = None
    replace: bool = False
    dry_run: bool = False


class Job(msgspec.Struct):
    """Long work of the gateway that was asked: ``backup``, ``verify``, ``prune`` or ``restore``; ``running``,
    ``done``, ``failed`` or ``cancelled``. What came of it is in ``result``."""

    id: str
    kind: str
    state: str
    started_at: float
    ended_at: float | None
    progress: JobProgress
    result: dict[str, Any] | None
    error: str | None
    code: str | None


class Jobs(msgspec.Struct):
    """The jobs of one gateway, newest first."""

    jobs: list[Job]


class DeleteTenant(Body):
    """Whether the data go at once."""

    now: bool = False


class DeletedTenant(msgspec.Struct):
    """A tenant that was deleted, and until when its data are kept (Unix seconds)."""

    tenant: str
    shard: str
    namespace: str
    purge_at: float


class DeletedTenants(msgspec.Struct):
    """The next to go first."""

    deleted: list[DeletedTenant]
