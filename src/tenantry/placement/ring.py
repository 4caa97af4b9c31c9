"""Consistent hashing with bounded loads: the next shard round a ring that is not over its share."""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from math import ceil, frexp

from tenantry.errors import InvalidArgument
from tenantry.model.topology import ClusterView, ShardView, TenantSpec
from tenantry.placement.eligible import candidates
from tenantry.placement.hashing import SEPARATOR, hash128

VIRTUAL_NODES = 256
_RINGS_KEPT = 8

#: Names and weights of all shards of a view, in order of name.
Members = tuple[tuple[str, float], ...]


class Ring:
    """A ring with virtual nodes, on which no shard takes more than ``c`` times its share.

    Each shard stands at many points of a ring of 2**64; a tenant goes to the first eligible shard clockwise of
    its own hash that holds fewer tenants than ``ceil(c * (n + 1) * weight / weights)``, where ``n`` counts the
    tenants of all eligible shards, ``weights`` sums their weights, and the one is the tenant to be placed. So a
    placement never lifts a shard over ``c`` times its share (rounded up), and one with room always exists. A new
    shard takes over only from its neighbours on the ring.

    Source: Karger et al., "Consistent hashing and random trees", STOC 1997; Mirrokni, Thorup and Zadimoghaddam,
    "Consistent hashing with bounded loads", SODA 2018.

    Complexity: O(shards) to look at the loads and O(log(points)) to find the place on the ring, which is built
    in O(points log points) once for each set of names and weights; the last few rings are kept.

    Args:
        c: the bound, over 1. Smaller is more even, larger keeps more tenants at their first choice.
        virtual_nodes: points of a shard whose weight is the largest, rounded down to a power of two.
    """

    def __init__(self, c: float = 1.25, virtual_nodes: int = VIRTUAL_NODES) -> None:
        if not c > 1.0:
            raise InvalidArgument("c", c, "a number over 1")
        if virtual_nodes < 1:
            raise InvalidArgument("virtual_nodes", virtual_nodes, "1 or more")
        self._c, self._virtual_nodes = c, virtual_nodes

    def choose(self, tenant: str, spec: TenantSpec, view: ClusterView) -> str:
        """Name of the chosen shard. Raises CapacityExceeded when no shard is eligible."""
        free = self._under_bound(candidates(tenant, spec, view))
        # All shards stand on the ring, eligible or not: one that drains changes no other shard's arcs.
        members = tuple(sorted((each.shard.name, each.shard.weight) for each in view.shards))
        points, owners = _ring(members, self._virtual_nodes)
        start = bisect_right(points, hash128(tenant.encode())[0])
        for i in range(start, start + len(points)):
            owner = owners[i % len(owners)]
            if owner in free:
                return owner
        return min(free)  # unreachable: every shard of the view is on the ring

    def _under_bound(self, shards: list[ShardView]) -> set[str]:
        weights = sum(each.shard.weight for each in shards)
        share = self._c * (sum(each.shard.tenants for each in shards) + 1) / weights
        free = {each.shard.name for each in shards if each.shard.tenants < ceil(share * each.shard.weight)}
        # Rounding of floats cannot take the last one away for c over 1, unless weights differ by 15 orders.
        return free or {
            min(shards, key=lambda each: (each.shard.tenants / each.shard.weight, each.shard.name)).shard.name
        }


@lru_cache(_RINGS_KEPT)
def _ring(members: Members, virtual_nodes: int) -> tuple[list[int], list[str]]:
    """Points in ascending order, and the shard that stands at each.

    The unit is a power of two, so that a further shard of a like weight leaves the others' points alone.
    """
    unit = 2.0 ** (frexp(max(weight for _, weight in members))[1] - 1)
    placed: list[tuple[int, str]] = []
    for name, weight in members:
        count = max(1, round(virtual_nodes * weight / unit))
        for i in range((count + 1) // 2):  # a hash gives two points
            first, second = hash128(name.encode() + SEPARATOR + str(i).encode())
            placed.append((first, name))
            if 2 * i + 1 < count:
                placed.append((second, name))
    placed.sort()
    return [point for point, _ in placed], [name for _, name in placed]
