"""Requests and responses of the native API for people who watch."""

from __future__ import annotations

import msgspec

from tenantry.cluster.watching import Overview
from tenantry.gateway.native import wire_moves
from tenantry.gateway.native.wire import Body


class Live(msgspec.Struct, omit_defaults=True):
    """What an event of the live stream holds: one of these, that which it is named after."""

    move: wire_moves.Move | None = None
    overview: Overview | None = None


class Who(msgspec.Struct):
    """A key: its kind, what it is bound to, who that is in the audit log, and what it may (see `access.md`)."""

    scope: str
    index: str | None
    tenant: str | None
    actor: str
    rights: list[str]
    version: str


class AskTimeline(Body):
    """One shard, or how many: those with the highest P95 of late."""

    shard: str | None = None
    shards: int = 8


class AskRoster(Body):
    """Names that hold ``text``, on a shard; ``sort``: name, state, shard, vectors, bytes, per_second, error_rate or
    created_at."""

    text: str = ""
    shard: str | None = None
    sort: str = "name"
    descending: bool = False
    offset: int = 0
    limit: int = 50


class TenantLoad(msgspec.Struct):
    """A tenant over the window; latencies are of queries, in milliseconds, 0 without any."""

    name: str
    window_s: float
    operations: int
    queries: int
    reads: int
    writes: int
    errors: int
    per_second: float
    queries_per_second: float
    error_rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
