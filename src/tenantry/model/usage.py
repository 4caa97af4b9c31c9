"""What tenants used, counted by the hour."""

from __future__ import annotations

import msgspec

HOUR_S = 3_600
DAY_S = 86_400


class Load(msgspec.Struct, frozen=True, gc=False):
    """What one operation asks of a shard, and what it counts as.

    Attributes:
        cost: in units of a small query, 1 to `tenantry.router.fair.MOST_COST`.
        own: the tenant's own doing, which its limits hold and its usage shows; else a part of a search across tenants.
        write: it changes records.
        queries, reads, writes, vectors, bytes: what it adds to the tenant's usage; see `Usage`.
    """

    cost: int = 1
    own: bool = True
    write: bool = False
    queries: int = 0
    reads: int = 0
    writes: int = 0
    vectors: int = 0
    bytes: int = 0


class Usage(msgspec.Struct, frozen=True):
    """What a tenant used in one hour, or, summed, in one day (UTC). Parts of it, of several processes, add up.

    Attributes:
        start: seconds since the Unix epoch, of the hour or day.
        queries: nearest-neighbour queries that were answered.
        reads: answered fetches, listings and scans.
        writes: acknowledged upserts, updates and deletes, a batch counting once.
        vectors: vectors that were upserted, new or not.
        bytes: what was upserted: vectors as float32, ids, metadata as JSON.
        vectors_stored, bytes_stored: the most that was measured then; None when nothing was measured.
    """

    index: str
    tenant: str
    start: int
    queries: int = 0
    reads: int = 0
    writes: int = 0
    vectors: int = 0
    bytes: int = 0
    vectors_stored: int | None = None
    bytes_stored: int | None = None

    def plus(self, other: Usage) -> Usage:
        """Both together; the start is this one's."""
        return Usage(
            self.index,
            self.tenant,
            self.start,
            self.queries + other.queries,
            self.reads + other.reads,
            self.writes + other.writes,
            self.vectors + other.vectors,
            self.bytes + other.bytes,
            _most(self.vectors_stored, other.vectors_stored),
            _most(self.bytes_stored, other.bytes_stored),
        )


def hour_of(now: float) -> int:
    """When the hour began that a moment is in."""
    return int(now) // HOUR_S * HOUR_S


def _most(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else max(one, other)
