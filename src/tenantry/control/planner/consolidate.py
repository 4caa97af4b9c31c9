"""Use as few shards as hold everything: empty the least used ones, one whole shard at a time."""

from __future__ import annotations

from copy import copy

from tenantry.control.planner.explain import amount, names, rules_in_words, tenants
from tenantry.control.planner.figures import Step, as_plan
from tenantry.control.planner.hard import Budget, Ledger
from tenantry.control.planner.picture import Picture
from tenantry.model.plan import Plan
from tenantry.model.topology import ShardState


def consolidate(picture: Picture) -> Plan:
    """Empty shards, the least used first, as long as the others take all of their tenants (first fit, largest
    first). A shard that has taken tenants in this plan is not emptied, so nobody moves twice."""
    members = picture.members()
    used = [n for n in _least_used_first(picture) if picture.shards[n].shard.tenants or picture.shards[n].shard.copies]
    vacant = [n for n in _least_used_first(picture) if n not in used]
    ledger, budget = Ledger(picture.shards, picture.options.fill), Budget(picture.options)
    kept, steps, whys, emptied, notes = list(used), [], [], [], []
    receivers: set[int] = set()
    for shard in used:
        if shard in receivers or len(kept) == 1:
            continue
        into = [n for n in reversed(kept) if n != shard and picture.shards[n].shard.state is ShardState.ACTIVE]
        found, why_not = _all_of(picture, shard, into, ledger, budget)
        if why_not:
            notes.append(f"{picture.shards[shard].shard.name} is kept: {why_not}")
            continue
        ledger, budget = _carried_out(picture, found, ledger, budget)
        steps += found
        whys += _reasons(picture, found)
        receivers |= {target for _, target in found}
        kept.remove(shard)
        emptied.append(shard)
    if emptied or vacant:
        every = sorted(picture.shards[n].shard.name for n in [*emptied, *vacant])
        when = "after these moves" if emptied else "already"
        notes.insert(0, f"empty {when} and can be removed: {names(every)}")
    if not steps:
        notes.insert(0, f"no moves: the {len(kept):,} shards in use are as few as this plan finds")
    if not kept and vacant:
        notes.append("all shards are empty: keep one for new tenants")
    gone = {*emptied, *vacant}
    return as_plan(
        picture, steps, whys, notes, members_before=members, members_after=[n for n in members if n not in gone]
    )


def _least_used_first(picture: Picture) -> list[int]:
    """Shards whose tenants could be brought together: active or draining, and nobody's own. Draining ones come
    first, since they are to be emptied anyway; then those with the least on them for their weight."""
    some = [
        n
        for n, each in enumerate(picture.shards)
        if each.shard.state in (ShardState.ACTIVE, ShardState.DRAINING) and each.claim.dedicated_to is None
    ]

    def use(n: int) -> tuple[bool, float, float, int]:
        shard = picture.shards[n].shard
        return (
            shard.state is ShardState.ACTIVE,
            picture.shards[n].load / shard.weight,
            shard.tenants / shard.weight,
            n,
        )

    return sorted(some, key=use)


def _all_of(picture: Picture, shard: int, into: list[int], ledger: Ledger, budget: Budget) -> tuple[list[Step], str]:
    """Moves for every tenant of a shard, or why there are none."""
    on = picture.on(shard)
    foreign = int(picture.foreign[shard])
    if foreign:
        return [], f"it holds {tenants(foreign)} or copies that this plan does not know of"
    for tenant in on:
        why_not = picture.stays_because(tenant)
        if why_not:
            return [], f"{picture.tenants[tenant].name} is {why_not}"
    limit = budget.refuses([picture.tenants[n] for n in on])
    if limit:
        return [], limit
    trial = copy(ledger)
    trial.shards = list(ledger.shards)
    found = []
    for tenant in sorted(on, key=lambda n: (*(-picture.amounts[n]), n)):
        load = picture.tenants[tenant]
        target = next((n for n in into if trial.against(load, n) is None), None)
        if target is None:
            rules = rules_in_words([trial.against(load, n) for n in into], load)
            return [], f"no other shard in use takes {load.name} ({rules})"
        trial.move(load, shard, target)
        found.append((tenant, target))
    return found, ""


def _carried_out(picture: Picture, steps: list[Step], ledger: Ledger, budget: Budget) -> tuple[Ledger, Budget]:
    for tenant, target in steps:
        ledger.move(picture.tenants[tenant], int(picture.home[tenant]), target)
        budget.spend(picture.tenants[tenant])
    return ledger, budget


def _reasons(picture: Picture, steps: list[Step]) -> list[str]:
    reasons = []
    for tenant, target in steps:
        load = picture.tenants[tenant]
        shard = picture.shards[int(picture.home[tenant])]
        reasons.append(
            f"others can take all of {load.shard} ({amount(0, shard.vectors)}, {tenants(shard.shard.tenants)}): "
            f"{picture.shards[target].shard.name} has room for {load.name} ({amount(0, load.vectors)})"
        )
    return reasons
