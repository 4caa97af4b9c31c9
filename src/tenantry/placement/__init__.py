"""Which shard a new tenant goes to: pure policies over a view of the cluster."""

from __future__ import annotations

from collections.abc import Mapping

from tenantry.errors import InvalidArgument
from tenantry.placement.eligible import eligible
from tenantry.placement.least_loaded import LeastLoaded
from tenantry.placement.rendezvous import Rendezvous
from tenantry.placement.ring import Ring
from tenantry.ports import PlacementPolicy

__all__ = ["POLICIES", "LeastLoaded", "Rendezvous", "Ring", "eligible", "policy"]

#: Policies have no state of their own, so everybody can use the same ones.
POLICIES: Mapping[str, PlacementPolicy] = {
    "rendezvous": Rendezvous(),
    "ring": Ring(),
    "least-loaded": LeastLoaded(),
}


def policy(name: str) -> PlacementPolicy:
    """The policy of that name.

    Raises:
        InvalidArgument: no policy has that name; the message lists those there are.
    """
    found = POLICIES.get(name)
    if found is None:
        raise InvalidArgument("policy", name, ", ".join(POLICIES))
    return found
