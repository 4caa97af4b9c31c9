"""Putting together what parts answered, and telling whether anything can be missing. Pure.

The order of a search is by score, the highest first; ties by tenant, then by id. It is total, so two searches over the
same records give the same order, whatever came first.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import msgspec

from tenantry.model.records import Hit

#: A place in the order: negative score, tenant, id.
Key: TypeAlias = tuple[float, str, str]


class TenantHit(msgspec.Struct, frozen=True, eq=False):
    """A hit and the tenant that it belongs to."""

    tenant: str
    hit: Hit


class Part(msgspec.Struct, frozen=True, eq=False):
    """What one part gave: its best hits in the order, and how many it was asked for."""

    hits: list[TenantHit]
    asked: int

    @property
    def exhausted(self) -> bool:
        """It has nothing more to give."""
        return len(self.hits) < self.asked


def key_of(found: TenantHit) -> Key:
    """Its place in the order."""
    return (-found.hit.score, found.tenant, found.hit.id)


def merged(
    parts: Iterable[Part], most: int, after: Key | None = None, per_tenant: int | None = None
) -> list[TenantHit]:
    """The first ``most`` of all parts behind ``after``, of each tenant at most its ``per_tenant`` best.

    The best of a tenant are counted from its first, also where those are before ``after``.
    """
    whole = (found for part in parts for found in part.hits)
    if per_tenant is None:
        behind = whole if after is None else (found for found in whole if key_of(found) > after)
        return heapq.nsmallest(most, behind, key=key_of)
    taken: dict[str, int] = {}
    best: list[TenantHit] = []
    for found in sorted(whole, key=key_of):
        if taken.get(found.tenant, 0) == per_tenant:
            continue
        taken[found.tenant] = taken.get(found.tenant, 0) + 1
        if after is None or key_of(found) > after:
            best.append(found)
            if len(best) == most:
                break
    return best


def open_parts(parts: Sequence[Part], most: int) -> list[int]:
    """Places of the parts that may hide one of the ``most`` best: those that were asked for fewer and gave them all,
    with the last of them among the best. When there are none, the merge is proven: whatever a part holds back comes
    after its last, and that is not among the best."""
    unsure = [place for place, part in enumerate(parts) if part.asked < most and not part.exhausted]
    if not unsure:
        return []
    best = merged(parts, most)
    if len(best) < most:
        return unsure
    last = key_of(best[-1])
    return [place for place in unsure if key_of(parts[place].hits[-1]) <= last]
