"""Empty one shard: each tenant to the shard that suits the soft goals best."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from tenantry.control.planner.explain import against_fair, amount, names, rules_in_words, tenants
from tenantry.control.planner.figures import Step, as_plan, measured
from tenantry.control.planner.goals import GOAL_WEIGHTS, Yardstick
from tenantry.control.planner.hard import Budget, Ledger
from tenantry.control.planner.picture import Numbers, Picture, Places
from tenantry.model.plan import Plan
from tenantry.model.topology import ShardState

#: A shard that stays within its share is better than one that does not, whatever they hold otherwise.
OVER_COUNTS = 1_000.0


def drain(picture: Picture, subject: int) -> Plan:
    """Move every tenant off the shard; those that cannot go are named with the reason."""
    members = picture.members()
    others = [n for n in members if n != subject]
    steps, whys, notes = _off(picture, subject, others)
    shard = picture.shards[subject].shard
    if shard.state is ShardState.ACTIVE:
        notes.append(f"{shard.name} is active and still takes new tenants: set it to draining before these moves run")
    left = len(picture.on(subject)) - len(steps)
    foreign = int(picture.foreign[subject])
    if foreign:
        notes.append(f"{shard.name} also holds {tenants(foreign)} or copies that this plan does not know of")
    elif not left:
        notes.append(f"{shard.name} is empty {'after these moves' if steps else 'already'} and can be removed")
    return as_plan(picture, steps, whys, notes, members_before=members, members_after=others)


def _off(picture: Picture, subject: int, others: list[int]) -> tuple[list[Step], list[str], list[str]]:
    leaving = picture.on(subject)
    held = picture.held.copy()
    held[subject] = 0.0
    total = held.copy()
    if others:
        total[others[0]] += picture.amounts[leaving].sum(axis=0)  # so that the fair shares count those who come
    measure = measured(picture, total, others) if others else None
    careful, whole = Ledger(picture.shards, picture.options.fill), Ledger(picture.shards, 1.0)
    budget = Budget(picture.options)
    refused: dict[str, list[str]] = defaultdict(list)
    steps, whys, squeezed = [], [], []
    for tenant in _largest_first(picture, leaving):
        load = picture.tenants[tenant]
        why_not = picture.stays_because(tenant)
        limit = budget.refuses([load])
        if why_not or limit:
            refused[why_not or f"{limit}; plan again when these moves are done"].append(load.name)
            continue
        order = _best_first(picture, tenant, others, held, measure)
        target = next((n for n in order if careful.against(load, n) is None), None)
        if target is None:
            target = next((n for n in order if whole.against(load, n) is None), None)
            if target is not None:
                squeezed.append(load.name)
        if target is None or measure is None:
            against = [whole.against(load, n) for n in range(len(picture.shards)) if n != subject]
            refused[f"no shard takes it: {rules_in_words(against, load)}"].append(load.name)
            continue
        for ledger in (careful, whole):
            ledger.move(load, subject, target)
        budget.spend(load)
        held[target] += picture.amounts[tenant]
        fair = float(measure.fair[others.index(target)] * measure.whole[0])
        steps.append((tenant, target))
        whys.append(
            f"{load.shard} is drained; of the shards that may take {load.name} ({amount(0, load.vectors)}), "
            f"{picture.shards[target].shard.name} suits best: it comes to {amount(0, held[target, 0])} "
            f"({against_fair(held[target, 0], fair)} of {amount(0, fair)})"
        )
    notes = [f"{tenants(len(who))} cannot go ({why}): {names(who)}" for why, who in refused.items()]
    if squeezed:
        notes.append(f"fuller than {picture.options.fill:.0%} of a limit becomes the shard of: {names(squeezed)}")
    return steps, whys, notes


def _largest_first(picture: Picture, some: list[int]) -> list[int]:
    """Those that want a shard of their own first, while there are empty ones; then by size."""
    return sorted(some, key=lambda n: (not picture.tenants[n].spec.dedicated, *(-picture.amounts[n]), n))


def _best_first(
    picture: Picture, tenant: int, others: list[int], held: Numbers, measure: Yardstick | None
) -> list[int]:
    """Shards by what the soft goals say of them with this tenant on them."""
    if measure is None:
        return []
    fair: Numbers = measure.fair[:, None]
    ratio = (held[others] + picture.amounts[tenant]) / measure.whole / fair
    before = held[others] / measure.whole / fair
    bound = 1 + picture.options.tolerance
    growth = np.maximum(0.0, ratio - bound) - np.maximum(0.0, before - bound)
    score = (OVER_COUNTS * growth + ratio) @ np.array(GOAL_WEIGHTS)
    order: Places = np.argsort(score, kind="stable")
    return [others[n] for n in order.tolist()]
