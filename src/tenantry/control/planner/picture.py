"""The view put in order: tenants and shards by name, who sits where, and who must stay."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from operator import attrgetter

import msgspec
import numpy as np
from numpy.typing import NDArray

from tenantry.control.planner.hard import Stay, reason_to_stay
from tenantry.errors import NotFound
from tenantry.model.plan import Aim, PlanOptions, PlanView, TenantLoad
from tenantry.model.topology import Claim, ShardState, ShardView

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]
Truths = NDArray[np.bool_]


@dataclass(frozen=True)
class Picture:
    """What every part of the planner starts from.

    Attributes:
        tenants, shards: by name, so that the order of the view has no influence.
        place: shard name to its position in `shards`.
        home: position of each tenant's shard.
        stays: why a tenant must stay; None: it may move.
        amounts: one row for each tenant: vectors, load, 1.
        held: one row for each shard: vectors, load, tenants; also what no known tenant accounts for.
        foreign: one number for each shard: tenants and copies that are not in `tenants`.
    """

    view: PlanView
    options: PlanOptions
    aim: Aim
    tenants: list[TenantLoad]
    shards: list[ShardView]
    place: dict[str, int]
    home: Places
    stays: list[Stay | None]
    amounts: Numbers
    held: Numbers
    foreign: Places

    def on(self, shard: int) -> list[int]:
        """The tenants of one shard, by name."""
        return [int(each) for each in np.flatnonzero(self.home == shard)]

    def members(self) -> list[int]:
        """The shards that share the load: active or read-only, and nobody's own."""
        return [
            n
            for n, each in enumerate(self.shards)
            if each.shard.state in (ShardState.ACTIVE, ShardState.READ_ONLY) and each.claim.dedicated_to is None
        ]

    def stays_because(self, tenant: int) -> str:
        """In words why this tenant stays; empty when it may move."""
        why = self.stays[tenant]
        return "" if why is None else why.value.format(tenant=self.tenants[tenant], options=self.options)


def picture_of(view: PlanView, options: PlanOptions, aim: Aim) -> Picture:
    """Put a view in order.

    Raises:
        NotFound: a tenant is on a shard that the view does not have.
    """
    tenants = sorted(view.tenants, key=attrgetter("name"))
    shards = sorted(view.cluster.shards, key=lambda each: each.shard.name)
    place = {each.shard.name: n for n, each in enumerate(shards)}
    for each in tenants:
        if each.shard not in place:
            raise NotFound("shard", each.shard, f"tenant {each.name!r} is said to be there")
    home = np.fromiter((place[each.shard] for each in tenants), np.int64, len(tenants))
    amounts = np.ones((len(tenants), 3))
    amounts[:, 0] = np.fromiter((each.vectors for each in tenants), np.float64, len(tenants))
    amounts[:, 1] = np.fromiter((each.load for each in tenants), np.float64, len(tenants))
    counted = Counter(home.tolist())
    known = np.bincount(home, weights=amounts[:, 0], minlength=len(shards))
    owners = {place[each.shard]: each.name for each in tenants if each.spec.dedicated}
    shards = [
        ShardView(
            msgspec.structs.replace(each.shard, tenants=max(each.shard.tenants, counted[n])),
            max(each.vectors, int(known[n])),
            Claim(each.claim.dedicated_to or owners.get(n), each.claim.expected_vectors),
        )
        for n, each in enumerate(shards)
    ]
    held = np.zeros((len(shards), 3))
    held[:, 0] = [each.vectors for each in shards]
    held[:, 1] = np.bincount(home, weights=amounts[:, 1], minlength=len(shards))
    held[:, 2] = [each.shard.tenants for each in shards]
    foreign = np.array(
        [each.shard.tenants + each.shard.copies - counted[n] for n, each in enumerate(shards)], dtype=np.int64
    )
    states = [each.shard.state for each in shards]
    stays = [
        reason_to_stay(each, states[at], aim, options, view.at) for each, at in zip(tenants, home.tolist(), strict=True)
    ]
    return Picture(view, options, aim, tenants, shards, place, home, stays, amounts, held, foreign)
