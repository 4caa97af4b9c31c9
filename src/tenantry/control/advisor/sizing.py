"""Right-sizing: the least number of shards, of which none is planned fuller than its target."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tenantry.errors import InvalidArgument
from tenantry.model.advice import Sizing, Workload
from tenantry.model.cost import Capacity, TenantUse, Thresholds, Usage

Numbers = NDArray[np.float64]
NO_CAPACITY = Capacity(source="none", date="")
#: Makes up for what a product such as 0.8 * 100 loses in binary.
HAIR = 1e-9


def size(workload: Workload, capacity: Capacity | None, target: float = 0.8) -> Sizing:
    """Shards needed: the most of ``ceil(tenants / (target * namespaces))``, ``ceil(vectors / (target * capacity))``,
    ``ceil(qps / (target * capacity))`` and, where tenants' sizes are known, what they need as wholes (`packing`).

    Raises:
        InvalidArgument: ``target`` is not over 0 and at most 1.
    """
    if not 0 < target <= 1:
        raise InvalidArgument("target", target, "over 0, at most 1")
    held = capacity or NO_CAPACITY
    tenants, vectors = targets(held, workload.dimension, target)
    qps = None if held.qps is None else held.qps * target
    by: dict[str, int | None] = {
        "tenants": _ceil(workload.tenants, tenants),
        "vectors": _ceil(workload.vectors, vectors),
        "queries": None if workload.qps is None or not qps else max(1, -int(-workload.qps // qps)),
        "whole tenants": workload.packed,
    }
    needed = {name: number for name, number in by.items() if number is not None}
    shards = max(needed.values(), default=1)
    binding = (
        next((name for name, number in needed.items() if number == shards), "nothing") if shards > 1 else "nothing"
    )
    return Sizing(
        shards=shards,
        by_tenants=by["tenants"],
        by_vectors=by["vectors"],
        by_qps=by["queries"],
        packed=by["whole tenants"],
        binding=binding,
        tenants_per_shard=tenants,
        vectors_per_shard=vectors,
        qps_per_shard=qps,
        utilisation=utilisation(workload.tenants / shards, workload.vectors / shards, tenants, vectors),
    )


def targets(capacity: Capacity, dimension: int, target: float) -> tuple[int | None, int | None]:
    """Tenants and vectors that a shard is planned with; None where it has no limit."""
    return _share(capacity.namespaces, target), _share(capacity.vectors_of(dimension), target)


def utilisation(tenants: float, vectors: float, most_tenants: int | None, most_vectors: int | None) -> float | None:
    """Part of a shard that is used: the mean of its parts of both targets, each at most 1. Where only one of the two
    has a limit, that one; None where neither has."""
    parts = [min(1.0, held / most) for held, most in ((tenants, most_tenants), (vectors, most_vectors)) if most]
    return sum(parts) / len(parts) if parts else None


def packing(tenants: Sequence[TenantUse], capacity: Capacity | None, dimension: int, target: float = 0.8) -> int:
    """Shards on which the tenants were seen to fit as wholes: from the number that the totals need on, largest first,
    each to the shard that is the least full of those with room. A tenant that is too large for any shard's target gets
    one for itself. A number that works; now and then one less would too. O(tenants * shards) for each number tried."""
    held = capacity or NO_CAPACITY
    limits = (*targets(held, dimension, target), None if held.qps is None else held.qps * target)
    most = np.array([np.inf if each is None else each for each in limits])
    sizes = np.array([(1.0, each.vectors, each.qps) for each in tenants]).reshape(-1, 3)
    huge = (sizes > most).any(axis=1)
    parts = (sizes / most)[~huge]  # 0 where there is no limit
    parts = parts[np.lexsort((-parts[:, 2], -parts[:, 1]))]
    alone = int(huge.sum())
    shards = max(1, int(np.ceil(parts.sum(axis=0) - HAIR).max())) if len(parts) else 0
    while not _fit(parts, shards):
        shards += 1 + shards // 50
    return max(1, alone + shards)


def _fit(parts: Numbers, shards: int) -> bool:
    """Whether the greedy placement finds room for all; each part is at most 1, so one shard each is always enough."""
    if shards >= len(parts):
        return True
    full = np.zeros((shards, 3))
    for part in parts:
        after = (full + part).max(axis=1)
        best = int(after.argmin())
        if after[best] > 1 + HAIR:
            return False
        full[best] += part
    return True


def workload_of(usage: Usage, capacity: Capacity | None, thresholds: Thresholds) -> Workload:
    """A measured cluster as a workload."""
    vectors = [each.vectors for each in usage.tenants]
    whole = sum(vectors)
    large = [each for each in vectors if each >= thresholds.large_vectors]
    tenth = -(-len(vectors) // 10)
    qps = sum(each.qps for each in usage.tenants)
    return Workload(
        tenants=len(vectors),
        vectors=whole,
        dimension=usage.dimension,
        qps=qps * (1 - usage.write_share),
        writes=qps * usage.write_share,
        cross_tenant=usage.cross_tenant,
        p95_ms=usage.p95_ms,
        top_share=share_of_largest(vectors, tenth),
        ten_share=share_of_largest(vectors, 10),
        large=len(large),
        large_vectors=sum(large),
        largest=max(vectors, default=None),
        packed=packing(usage.tenants, capacity, usage.dimension, thresholds.target) if vectors else None,
        shards=len(usage.shards),
    )


def share_of_largest(vectors: Sequence[int], count: int) -> float | None:
    """Part of all vectors that the ``count`` largest tenants hold; None where there is nothing, or nobody else."""
    whole = sum(vectors)
    if not whole or count >= len(vectors):
        return None
    return sum(heapq.nlargest(count, vectors)) / whole


def _share(limit: int | None, target: float) -> int | None:
    return None if limit is None else max(1, int(limit * target + HAIR))


def _ceil(held: int, most: int | None) -> int | None:
    return None if most is None else max(1, -(-held // most))
