"""Requests and responses of the native API about the audit log."""

from __future__ import annotations

from typing import Any

import msgspec

from tenantry.gateway.native.wire import Body


class ListAudit(Body):
    """One page, newest first, before the entry ``before``; or, with ``after``, upwards from there. ``since`` and
    ``until`` are Unix seconds."""

    limit: int = 100
    before: int | None = None
    after: int | None = None
    index: str | None = None
    tenant: str | None = None
    actor: str | None = None
    action: str | None = None
    since: float | None = None
    until: float | None = None


class Entry(msgspec.Struct):
    """An entry. ``at`` is in Unix seconds, ``at_us`` the same exactly; ``hash`` is the SHA-256 of the JSON list of
    ``[seq, at_us, actor, scope, action, index, tenant, shard, subject, result, request_id, detail as text, previous]``;
    ``detail_text`` is the detail as it was written."""

    seq: int
    at: float
    at_us: int
    actor: str
    scope: str
    action: str
    index: str | None
    tenant: str | None
    shard: str | None
    subject: str | None
    result: str
    request_id: str
    detail: dict[str, Any]
    detail_text: str
    previous: str
    hash: str


class Entries(msgspec.Struct):
    """One page; go on with ``next``, as ``before`` or ``after``, whichever was asked with."""

    entries: list[Entry]
    next: int | None


class VerifyAudit(Body):
    """``last`` and ``head`` of an earlier verification, to be found again; or neither."""

    seq: int | None = None
    hash: str | None = None


class Flaw(msgspec.Struct):
    """Something wrong with the log, and at which entry."""

    seq: int
    what: str


class Proof(msgspec.Struct):
    """What a verification found; ``whole`` when nothing is wrong. Keep ``last`` and ``head`` elsewhere."""

    whole: bool
    entries: int
    first: int
    last: int
    head: str
    pruned: int
    flaws: list[Flaw]


class PruneAudit(Body):
    """Remove entries from before that time, Unix seconds."""

    before: float


class PrunedAudit(msgspec.Struct):
    """The entry that says what was removed; null when there was nothing so old."""

    entry: Entry | None
