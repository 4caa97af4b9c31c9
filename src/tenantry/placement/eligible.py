"""The hard rules of placement: which shards may take a tenant at all, and why the others may not.

Every policy chooses among eligible shards only, so pins, dedicated shards, regions, tiers and limits hold
under all of them. The catalog checks state, room and dedication once more when the tenant is recorded.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum

from tenantry.errors import CapacityExceeded
from tenantry.model.topology import ClusterView, ShardState, ShardView, TenantSpec


class Rule(Enum):
    """Why a shard falls out, in the order in which the rules are applied; the value completes "N ...".
    A shard counts under the first rule that it fails."""

    PIN = "not the pinned shard {spec.shard!r}"
    STATE = "draining, read-only or retired"
    REGION = "not in region {spec.region!r}"
    TIER = "not of tier {spec.tier!r}"
    DEDICATED = "dedicated to another tenant"
    OCCUPIED = "not empty, while this tenant wants a shard for itself"
    TENANTS = "at their limit of tenants"
    VECTORS = "without room for {room} more vectors"


def eligible(spec: TenantSpec, view: ClusterView) -> list[ShardView]:
    """The shards that may take a new tenant of this spec, in the order of the view. O(shards)."""
    return [shard for shard in view.shards if rule_against(spec, shard) is None]


def candidates(tenant: str, spec: TenantSpec, view: ClusterView) -> list[ShardView]:
    """As `eligible`, never empty.

    Raises:
        CapacityExceeded: no shard is eligible; the message counts the shards per rule and names the fix.
    """
    found = eligible(spec, view)
    if not found:
        raise CapacityExceeded(explanation(tenant, spec, view))
    return found


def rule_against(spec: TenantSpec, candidate: ShardView) -> Rule | None:
    """The first rule that forbids this shard to take a new tenant of this spec; None when it may."""
    shard = candidate.shard
    if spec.shard is not None and spec.shard != shard.name:
        return Rule.PIN
    if shard.state is not ShardState.ACTIVE:
        return Rule.STATE
    if spec.region is not None and spec.region != shard.region:
        return Rule.REGION
    if spec.tier is not None and spec.tier != shard.tier:
        return Rule.TIER
    if candidate.claim.dedicated_to is not None:
        return Rule.DEDICATED
    held = shard.tenants + shard.copies  # a tenant on the move has room on both sides
    if spec.dedicated and held:
        return Rule.OCCUPIED
    if shard.max_tenants is not None and held >= shard.max_tenants:
        return Rule.TENANTS
    if shard.max_vectors is not None and candidate.load + _room(spec) > shard.max_vectors:
        return Rule.VECTORS
    return None


def explanation(tenant: str, spec: TenantSpec, view: ClusterView) -> str:
    """Why no shard is eligible, for people: how many fell out by which rule, and what to do."""
    add = f"tenantry shard add NAME --index {view.index}"
    head = f"no shard of index {view.index!r} can take tenant {tenant!r}"
    if not view.shards:
        return f"{head}: it has no shards; add one: {add}"
    if spec.shard is not None and all(each.shard.name != spec.shard for each in view.shards):
        return f"{head}: it is pinned to {spec.shard!r}, which does not exist; add it ({add}) or change the pin"
    fallen = Counter(rule_against(spec, each) for each in view.shards)
    reasons = [f"{fallen[rule]} {rule.value.format(spec=spec, room=_room(spec))}" for rule in Rule if fallen[rule]]
    wanted = "".join(
        f" --{name} {value}" for name, value in (("region", spec.region), ("tier", spec.tier)) if value is not None
    )
    raise_limit = " or raise a shard's limit" if fallen[Rule.TENANTS] or fallen[Rule.VECTORS] else ""
    return f"{head}; of {len(view.shards)}: {', '.join(reasons)}. Add a shard{raise_limit}: {add}{wanted}"


def _room(spec: TenantSpec) -> int:
    """Vectors that must fit: what is planned, and at least one."""
    return max(spec.expected_vectors, 1)
