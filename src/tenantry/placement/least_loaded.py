"""The shard with the least to carry."""

from __future__ import annotations

from tenantry.model.topology import ClusterView, TenantSpec
from tenantry.placement.eligible import candidates


class LeastLoaded:
    """The eligible shard that would have the fewest vectors for its weight, planned ones included;
    among equals the fewest tenants for its weight, then the first by name.

    Follows the loads as the view has them: tenants of very uneven sizes spread well, at the price that the same
    tenant would go elsewhere at another time.

    Complexity: O(shards), no state.
    """

    def choose(self, tenant: str, spec: TenantSpec, view: ClusterView) -> str:
        """Name of the chosen shard. Raises CapacityExceeded when no shard is eligible."""
        return min(
            (
                (each.load + spec.expected_vectors) / each.shard.weight,
                (each.shard.tenants + 1) / each.shard.weight,
                each.shard.name,
            )
            for each in candidates(tenant, spec, view)
        )[2]
