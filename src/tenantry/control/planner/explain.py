"""Moves and plans in words, with the numbers that led to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from tenantry.control.planner.figures import Step, after, measured
from tenantry.control.planner.goals import GOAL_WEIGHTS, GOALS, NO_GAIN
from tenantry.control.planner.hard import Budget, Ledger, Stay, in_words
from tenantry.control.planner.picture import Numbers, Picture, Places, Truths
from tenantry.model.plan import TenantLoad
from tenantry.model.topology import ShardState
from tenantry.placement.eligible import Rule

MOST_NAMED = 10
MOST_TARGETS_ASKED = 100
MOST_TENANTS_ASKED = 200
_UNITS = ("{:,.0f} vectors", "{:,.3g} operations/s", "{:,.0f} tenants")
_STAYING = {
    Stay.FIXED: "fixed",
    Stay.PINNED: "pinned",
    Stay.DEDICATED: "dedicated",
    Stay.COOLING: "cooling down",
    Stay.RETIRED: "on a retired shard",
}


def amount(goal: int, value: float) -> str:
    """A figure with its unit (``1,200 vectors``)."""
    text = _UNITS[goal].format(value)
    return text[:-1] if text == "1 tenants" else text


def against_fair(value: float, fair: float) -> str:
    """How far from the fair share (``64% over``)."""
    if fair <= 0:
        return "no fair share"
    share = round((value / fair - 1) * 100)
    return "its fair share" if share == 0 else f"{abs(share):,}% {'over' if share > 0 else 'under'}"


def names(found: Iterable[str]) -> str:
    """A list of names that does not grow without end."""
    every = list(found)
    more = f" and {len(every) - MOST_NAMED:,} more" if len(every) > MOST_NAMED else ""
    return ", ".join(every[:MOST_NAMED]) + more


def tenants(count: int) -> str:
    """A number of tenants."""
    return "1 tenant" if count == 1 else f"{count:,} tenants"


def balancing_reasons(picture: Picture, steps: Sequence[Step]) -> list[str]:
    """Why each move of a balancing plan is made, as things are when its turn comes."""
    members = picture.members()
    measure = measured(picture, picture.held, members)
    fair = np.zeros_like(picture.held)
    fair[members] = measure.fair[:, None] * measure.whole
    held, reasons = picture.held.copy(), []
    for tenant, target in steps:
        source = int(picture.home[tenant])
        moving = picture.amounts[tenant]
        reasons.append(_balancing_reason(picture, tenant, target, held, fair))
        held[source] -= moving
        held[target] += moving
    return reasons


def _balancing_reason(picture: Picture, tenant: int, target: int, held: Numbers, fair: Numbers) -> str:
    source, moving = int(picture.home[tenant]), picture.amounts[tenant]
    limit = fair[source] * (1 + picture.options.tolerance)
    over = np.maximum(0.0, held[source] - limit)
    relief = (over - np.maximum(0.0, held[source] - moving - limit)) / np.where(fair[source] > 0, fair[source], 1.0)
    goal = int((relief * GOAL_WEIGHTS).argmax())
    name, from_, to = (
        picture.tenants[tenant].name, picture.shards[source].shard.name, picture.shards[target].shard.name
    )  # fmt: skip
    now, then, there = held[source, goal], held[source, goal] - moving[goal], held[target, goal] + moving[goal]
    outcome = (
        f"without {name} ({amount(goal, moving[goal])}) it comes to {amount(goal, then)} "
        f"({against_fair(then, fair[source, goal])}), and {to} to {amount(goal, there)} "
        f"({against_fair(there, fair[target, goal])})"
    )
    if relief[goal] <= 0:
        return f"{from_} holds {amount(goal, now)}, and others of this plan take the place; {outcome}"
    share = f"{against_fair(now, fair[source, goal])} its fair share of {amount(goal, fair[source, goal])}"
    return f"{from_} holds {amount(goal, now)}, {share}; {outcome}"


def balancing_notes(picture: Picture, steps: Sequence[Step], waiting: int) -> list[str]:
    """What a balancing plan leaves as it is, and why."""
    notes = []
    members = picture.members()
    draining = [each.shard.name for each in picture.shards if each.shard.state is ShardState.DRAINING]
    if draining:
        notes.append(f"left out: {names(draining)}, which drains; a plan to drain it moves its tenants off")
    if len(members) < 2:
        found = "no shard" if not members else "only one shard"
        return [f"no moves: {found} shares the load (active or read-only, and dedicated to nobody)", *notes]
    measure = measured(picture, picture.held, members)
    parts = after(picture, steps)[members] / measure.whole
    over = parts > measure.limit[:, None] + NO_GAIN
    tolerance = picture.options.tolerance * 100
    if not over.any():
        worst = max(0.0, float((parts / measure.fair[:, None]).max() - 1) * 100)
        balanced = f"already balanced: no shard is more than {worst:.1f}% over its fair share of any goal"
        return notes if steps else [f"{balanced} (tolerance {tolerance:g}%)", *notes]
    if not steps:
        notes.insert(0, f"no moves: some shards are more than {tolerance:g}% over, but no move would help enough")
    if len(steps) >= picture.options.max_moves:
        notes.append(f"max_moves ({picture.options.max_moves:,}) is reached; plan again when these moves are done")
    if waiting:
        notes.append(f"{waiting:,} more moves must wait until these have made room; plan again then")
    return notes + _stuck_notes(picture, steps, members, parts / measure.fair[:, None], over)


def _stuck_notes(
    picture: Picture, steps: Sequence[Step], members: Sequence[int], ratio: Numbers, over: Truths
) -> list[str]:
    """What keeps each shard that stays over from being relieved; the worst shards first."""
    final = picture.home.copy()
    ledger, budget = Ledger(picture.shards, picture.options.fill), Budget(picture.options)
    for tenant, target in steps:
        final[tenant] = target
        ledger.move(picture.tenants[tenant], int(picture.home[tenant]), target)
        budget.spend(picture.tenants[tenant])
    heat = ratio @ np.array(GOAL_WEIGHTS)
    coolest = [members[n] for n in np.argsort(heat, kind="stable")[:MOST_TARGETS_ASKED].tolist()]
    worst_first = sorted(np.flatnonzero(over.any(axis=1)).tolist(), key=lambda n: -float(heat[n]))
    notes = []
    for n in worst_first[:MOST_NAMED]:
        figures = [
            f"{(ratio[n, g] - 1) * 100:,.0f}% over its fair share of {GOALS[g]}" for g in np.flatnonzero(over[n])
        ]
        why = _why_stuck(picture, members[n], final, ledger, budget, coolest)
        notes.append(f"{picture.shards[members[n]].shard.name} stays {' and '.join(figures)}: {why}")
    if len(worst_first) > MOST_NAMED:
        notes.append(f"{len(worst_first) - MOST_NAMED:,} more shards stay over")
    return notes


def _why_stuck(
    picture: Picture, shard: int, final: Places, ledger: Ledger, budget: Budget, targets: Sequence[int]
) -> str:
    found: Counter[str] = Counter()
    on = np.flatnonzero(final == shard)
    for n in on[:MOST_TENANTS_ASKED].tolist():
        stay, tenant = picture.stays[n], picture.tenants[n]
        if stay is not None:
            found[_STAYING[stay]] += 1
        elif int(picture.home[n]) != shard:
            found["moved there by this plan"] += 1
        else:
            against = [ledger.against(tenant, target) for target in targets if target != shard]
            if None not in against:
                found[f"without a shard that takes them ({rules_in_words(against, tenant)})"] += 1
            else:
                limit = budget.refuses([tenant])
                found[
                    f"left because {limit}"
                    if limit
                    else "not worth moving (it would shift the load or the gain is small)"
                ] += 1
    if not len(on):
        return "none of the known tenants is on it"
    return "of its tenants, " + "; ".join(f"{count:,} {reason}" for reason, count in found.most_common())


def rules_in_words(against: Sequence[Rule | None], tenant: TenantLoad) -> str:
    """How many shards refuse a tenant by which rule (``2 at their limit of tenants, 1 not in region 'eu'``)."""
    counted = Counter(rule for rule in against if rule is not None)
    return (
        ", ".join(f"{counted[rule]:,} {in_words(rule, tenant)}" for rule in Rule if counted[rule]) or "no other shard"
    )
