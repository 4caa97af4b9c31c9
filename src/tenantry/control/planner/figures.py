"""What a plan comes to in figures: shards before and after, skew of each goal, bytes, minutes and cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tenantry.control.planner.goals import GOALS, Yardstick, skew, yardstick
from tenantry.control.planner.picture import Numbers, Picture
from tenantry.model.plan import GoalFigures, Plan, PlannedMove, ShardFigures

BYTES_PER_GIB = 2**30

Step = tuple[int, int]
"""A tenant and the shard that it goes to, by position in the picture."""


def after(picture: Picture, steps: Sequence[Step]) -> Numbers:
    """What each shard holds when the moves are done: vectors, load, tenants."""
    held = picture.held.copy()
    for tenant, target in steps:
        held[picture.home[tenant]] -= picture.amounts[tenant]
        held[target] += picture.amounts[tenant]
    return np.asarray(np.maximum(held, 0.0))  # sums of loads may end a hair below nothing


def measured(picture: Picture, held: Numbers, members: Sequence[int]) -> Yardstick:
    """The yardstick of these members."""
    rows = list(members)
    weights = np.array([picture.shards[n].shard.weight for n in rows])
    return yardstick(held[rows], weights, picture.options.tolerance)


def skews(picture: Picture, held: Numbers, members: Sequence[int]) -> list[float]:
    """Of each goal, the fullest of these members over its fair share."""
    if not members:
        return [1.0] * len(GOALS)
    measure = measured(picture, held, members)
    return skew(held[list(members)] / measure.whole, measure)


def as_plan(
    picture: Picture,
    steps: Sequence[Step],
    whys: Sequence[str],
    notes: Sequence[str],
    *,
    members_before: Sequence[int],
    members_after: Sequence[int],
) -> Plan:
    """Put a plan together; the members are those that share the load before and after."""
    ends = after(picture, steps)
    moves = [_move(picture, step, why) for step, why in zip(steps, whys, strict=True)]
    size = sum(each.bytes for each in moves)
    speed = picture.view.copy_vectors_per_s
    before = skews(picture, picture.held, members_before)
    then = skews(picture, ends, members_after)
    return Plan(
        index=picture.view.cluster.index,
        aim=picture.aim,
        moves=moves,
        goals=[GoalFigures(goal, before[n], then[n]) for n, goal in enumerate(GOALS)],
        shards=[
            ShardFigures(
                shard=each.shard.name,
                tenants_before=int(picture.held[n, 2]),
                tenants_after=int(ends[n, 2]),
                vectors_before=int(picture.held[n, 0]),
                vectors_after=int(ends[n, 0]),
                load_before=float(picture.held[n, 1]),
                load_after=float(ends[n, 1]),
            )
            for n, each in enumerate(picture.shards)
        ],
        bytes=size,
        minutes=sum(each.vectors for each in moves) / speed / 60 if speed else None,
        cost=size / BYTES_PER_GIB * picture.options.dollars_per_gib,
        notes=list(notes),
    )


def _move(picture: Picture, step: Step, why: str) -> PlannedMove:
    tenant = picture.tenants[step[0]]
    return PlannedMove(
        tenant=tenant.name,
        source=tenant.shard,
        target=picture.shards[step[1]].shard.name,
        vectors=tenant.vectors,
        bytes=tenant.bytes,
        load=tenant.load,
        why=why,
    )
