"""What goes into a document store and what comes out of it."""

from __future__ import annotations

from typing import Any

import msgspec

from tenantry.router.scatter import ShardTiming, Source


class Document(msgspec.Struct, frozen=True):
    """A text with a name of its own within its tenant. ``metadata`` is flat, as a record's."""

    id: str
    text: str
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)


class AddReport(msgspec.Struct, frozen=True):
    """What adding documents did: documents by outcome, and chunks written and removed."""

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    chunks_written: int = 0
    chunks_deleted: int = 0


class TextHit(msgspec.Struct, frozen=True):
    """A chunk that answers a search."""

    document: str
    chunk: int
    text: str
    score: float
    metadata: dict[str, Any]
    tenant: str | None = None


class TextScatterResult(msgspec.Struct, frozen=True):
    """As `ScatterResult`, with texts; ``groups`` has the hits of each model by its name."""

    hits: list[TextHit]
    partial: bool
    missing_shards: dict[str, str]
    shards_asked: int
    tenants_asked: int
    took_ms: float
    exact: bool = True
    cursor: str | None = None
    shards: tuple[ShardTiming, ...] = ()
    groups: tuple[tuple[str, list[TextHit]], ...] = ()
    cached: bool = False
    source: Source = Source.SHARDS
    lag_s: float | None = None
    why_shards: str = ""
