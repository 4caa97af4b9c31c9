"""Rendezvous hashing: each tenant ranks all shards by a hash of both names; the highest eligible one has it."""

from __future__ import annotations

from math import inf, log

from tenantry.model.topology import ClusterView, TenantSpec
from tenantry.placement.eligible import candidates
from tenantry.placement.hashing import SEPARATOR, hash128

_SCALE = 2.0**-53


class Rendezvous:
    """Weighted highest-random-weight hashing; the default policy.

    A shard's share of the tenants is its weight over the sum of the weights. A new shard takes its share
    evenly from all the others, and nothing goes between those; a shard that falls out spreads what it
    would have taken evenly. Looks at no loads, so it balances as well as chance does: of 1,000 tenants on
    10 equal shards, the fullest has about 1.15 times the mean.

    Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM Transactions
    on Networking 6(1), 1998; weights by the logarithm method of Schindelhauer and Schomaker, "Weighted
    distributed hash tables", SPAA 2005: with ``u`` uniform in (0, 1), ``-ln(u) / weight`` is exponentially
    distributed with rate ``weight``, and the least of several such is the i-th with probability proportional to
    its rate.

    Complexity: O(shards) hashes, no state.
    """

    def choose(self, tenant: str, spec: TenantSpec, view: ClusterView) -> str:
        """Name of the chosen shard. Raises CapacityExceeded when no shard is eligible."""
        suffix = SEPARATOR + tenant.encode()
        best, least = "", inf
        for each in candidates(tenant, spec, view):
            shard = each.shard
            # 53 bits are all that a float holds; half a step keeps u off 0 and 1.
            u = ((hash128(shard.name.encode() + suffix)[0] >> 11) + 0.5) * _SCALE
            cost = -log(u) / shard.weight
            if cost < least or (cost == least and shard.name < best):
                best, least = shard.name, cost
        return best
