"""The hard goals: which tenants stay where they are, and which shards have room for the others.

No move of a plan breaks one, and neither does any number of its moves carried out in order: a move takes room on its
target before it frees its source. Which shard may take a tenant is the rule of placement (`placement.eligible`), asked
about the shards as they are at that point of the plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from math import floor

import msgspec

from tenantry.model.plan import Aim, PlanOptions, TenantLoad
from tenantry.model.topology import Claim, ShardState, ShardView, TenantSpec
from tenantry.placement.eligible import Rule, rule_against

ROUNDING = 1e-9


class Stay(Enum):
    """Why a tenant stays, whatever would be gained; the value completes "it is ..."."""

    FIXED = "fixed: {tenant.fixed}"
    PINNED = "pinned to {tenant.spec.shard}"
    DEDICATED = "dedicated, so only a drain moves it"
    COOLING = "cooling down: moved less than {options.cool_down_s:g} s ago"
    RETIRED = "on a retired shard"


def reason_to_stay(tenant: TenantLoad, home: ShardState, aim: Aim, options: PlanOptions, at: float) -> Stay | None:
    """The first hard goal that keeps this tenant where it is; None when it may move."""
    if tenant.fixed is not None:
        return Stay.FIXED
    if tenant.spec.shard is not None:
        return Stay.PINNED
    if tenant.spec.dedicated and aim in (Aim.BALANCE, Aim.CONSOLIDATE):
        return Stay.DEDICATED
    if tenant.moved_at is not None and at - tenant.moved_at < options.cool_down_s:
        return Stay.COOLING
    if home is ShardState.RETIRED:
        return Stay.RETIRED
    return None


def needs(tenant: TenantLoad) -> TenantSpec:
    """The tenant's spec with the room that it needs: what it holds, or what it is expected to hold if that is more."""
    return msgspec.structs.replace(tenant.spec, expected_vectors=max(tenant.vectors, tenant.spec.expected_vectors))


def filled_to(view: ShardView, fill: float) -> ShardView:
    """The shard with limits of which only the share ``fill`` may be used."""
    shard = view.shard
    return msgspec.structs.replace(
        view,
        shard=msgspec.structs.replace(
            shard,
            max_tenants=None if shard.max_tenants is None else floor(shard.max_tenants * fill + ROUNDING),
            max_vectors=None if shard.max_vectors is None else floor(shard.max_vectors * fill + ROUNDING),
        ),
    )


def without_limits(view: ShardView) -> ShardView:
    """The shard as if it were empty and had no limits: what is left are the rules that no move changes."""
    shard = msgspec.structs.replace(view.shard, max_tenants=None, max_vectors=None, tenants=0, copies=0)
    return ShardView(shard, 0, Claim(view.claim.dedicated_to))


def in_words(rule: Rule, tenant: TenantLoad) -> str:
    """Why shards do not take this tenant."""
    spec = needs(tenant)
    return rule.value.format(spec=spec, room=max(spec.expected_vectors, 1))


class Ledger:
    """What is on each shard while the moves of a plan are gone through one by one."""

    def __init__(self, shards: Sequence[ShardView], fill: float) -> None:
        self.shards = [filled_to(each, fill) for each in shards]

    def against(self, tenant: TenantLoad, target: int) -> Rule | None:
        """The rule that forbids to put this tenant onto that shard now; None when it may go there."""
        return rule_against(needs(tenant), self.shards[target])

    def move(self, tenant: TenantLoad, source: int, target: int) -> None:
        """Carry out a move: the target has taken the tenant, then the source is freed."""
        self._change(tenant, target, 1)
        self._change(tenant, source, -1)

    def _change(self, tenant: TenantLoad, place: int, sign: int) -> None:
        view = self.shards[place]
        dedicated_to = view.claim.dedicated_to
        if tenant.spec.dedicated:
            dedicated_to = tenant.name if sign > 0 else None
        self.shards[place] = ShardView(
            msgspec.structs.replace(view.shard, tenants=view.shard.tenants + sign),
            view.vectors + sign * tenant.vectors,
            Claim(dedicated_to, view.claim.expected_vectors + sign * tenant.spec.expected_vectors),
        )


class Budget:
    """What the limits of a plan leave: moves and bytes."""

    def __init__(self, options: PlanOptions) -> None:
        self.options = options
        self.moves = 0
        self.bytes = 0

    def refuses(self, tenants: Sequence[TenantLoad]) -> str:
        """Which limit forbids to move all of these as well, in words; empty when there is none."""
        options = self.options
        if self.moves + len(tenants) > options.max_moves:
            return f"the plan would be over max_moves ({options.max_moves:,})"
        size = self.bytes + sum(each.bytes for each in tenants)
        if options.max_bytes is not None and size > options.max_bytes:
            return f"the plan would be over max_bytes ({options.max_bytes:,})"
        return ""

    def spend(self, tenant: TenantLoad) -> None:
        """Count a move."""
        self.moves += 1
        self.bytes += tenant.bytes
