"""Answers that are given again: for a few seconds, to the same question of the same key.

An answer is let go as soon as this process has written to the index or changed a route in it. What other processes
write is seen when its time is over.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from tenantry.router.scatter.merge import TenantHit
from tenantry.router.scatter.shapes import ScatterResult

MOST_ENTRIES = 1_024
#: What a hit and an answer count besides their texts and values.
HIT_BYTES = 200
ANSWER_BYTES = 500

#: Whose question, of which index, and the question itself.
Asked = tuple[str, str, bytes]


class _Kept(msgspec.Struct, frozen=True, eq=False):
    result: ScatterResult
    version: tuple[int, int]
    until: float
    bytes: int


class Answers:
    """Bounded in entries and bytes; the least recently used go first. Incomplete answers are not kept.

    Args:
        keep_s: how long an answer may be given again, seconds; 0: none is kept.
        most_bytes: of all answers together.
    """

    def __init__(self, keep_s: float, most_bytes: int) -> None:
        self._keep_s = keep_s
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Asked, _Kept] = OrderedDict()
        self.bytes = 0

    @property
    def is_on(self) -> bool:
        """Whether any answer is kept."""
        return self._keep_s > 0

    def get(self, asked: Asked, version: tuple[int, int], now: float) -> ScatterResult | None:
        """The answer, if there is one of this version of the index that is young enough."""
        kept = self._kept.get(asked)
        if kept is None:
            return None
        if kept.version != version or now >= kept.until:
            self._drop(asked)
            return None
        self._kept.move_to_end(asked)
        return msgspec.structs.replace(kept.result, hits=[_own(found) for found in kept.result.hits], cached=True)

    def put(self, asked: Asked, version: tuple[int, int], now: float, result: ScatterResult) -> None:
        """Keep an answer. ``version`` and ``now`` are of before the search began."""
        if not self.is_on or result.partial or result.groups:
            return
        size = ANSWER_BYTES + sum(map(_bytes_of, result.hits))
        if size > self._most_bytes:
            return
        self._drop(asked)
        self._kept[asked] = _Kept(result, version, now + self._keep_s, size)
        self.bytes += size
        while self.bytes > self._most_bytes or len(self._kept) > MOST_ENTRIES:
            self._drop(next(iter(self._kept)))

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def _drop(self, asked: Asked) -> None:
        gone = self._kept.pop(asked, None)
        if gone is not None:
            self.bytes -= gone.bytes


def _own(found: TenantHit) -> TenantHit:
    """A hit whose metadata the caller may change."""
    hit = found.hit
    if hit.metadata is None:
        return found
    return TenantHit(found.tenant, msgspec.structs.replace(hit, metadata=dict(hit.metadata)))


def _bytes_of(found: TenantHit) -> int:
    hit = found.hit
    values = 0 if hit.values is None else hit.values.nbytes
    metadata = 0 if hit.metadata is None else 2 * len(msgspec.json.encode(hit.metadata))
    return HIT_BYTES + len(found.tenant) + len(hit.id) + values + metadata
