"""Give one tenant a shard to itself."""

from __future__ import annotations

import msgspec

from tenantry.control.planner.explain import amount, rules_in_words, tenants
from tenantry.control.planner.figures import Step, as_plan
from tenantry.control.planner.hard import Budget, Ledger
from tenantry.control.planner.picture import Picture
from tenantry.model.plan import Plan


def isolate(picture: Picture, subject: int) -> Plan:
    """Move the tenant to an empty shard that it may use; without one, say what to add."""
    steps, whys, notes = _apart(picture, subject)
    members = picture.members()
    own = {target for _, target in steps} or {int(picture.home[subject])}
    return as_plan(
        picture,
        steps,
        whys,
        notes,
        members_before=members,
        members_after=[n for n in members if n not in own] if steps else members,
    )


def _apart(picture: Picture, subject: int) -> tuple[list[Step], list[str], list[str]]:
    tenant, home = picture.tenants[subject], int(picture.home[subject])
    others = int(picture.held[home, 2]) - 1
    if others == 0 and not picture.shards[home].shard.copies:
        return [], [], [f"no moves: {tenant.name} has {tenant.shard} to itself already"]
    why_not = picture.stays_because(subject)
    if why_not:
        return [], [], [f"no moves: {tenant.name} is {why_not}"]
    limit = Budget(picture.options).refuses([tenant])
    if limit:
        return [], [], [f"no moves: {limit}, as {tenant.name} has {tenant.bytes:,} bytes"]
    ledger = Ledger(picture.shards, 1.0)  # the limits whole: nobody else comes
    alone = msgspec.structs.replace(tenant, spec=msgspec.structs.replace(tenant.spec, dedicated=True))
    against = [ledger.against(alone, n) for n in range(len(picture.shards))]
    empty = [
        n
        for n, each in enumerate(picture.shards)
        if against[n] is None and not each.claim.expected_vectors and not each.shard.tenants
    ]
    if not empty:
        refused = rules_in_words([rule for n, rule in enumerate(against) if n != home], alone)
        return [], [], [f"no moves: no empty shard takes {tenant.name} (of the others: {refused}); add a shard for it"]
    best = min(empty, key=lambda n: (picture.shards[n].vectors, -picture.shards[n].shard.weight, n))
    target = picture.shards[best].shard.name
    why = (
        f"{tenant.name} ({amount(0, tenant.vectors)}, {amount(1, tenant.load)}) shares {tenant.shard} with "
        f"{tenants(others)}; {target} is empty, so it has that to itself"
    )
    note = f"{target} takes new tenants as long as {tenant.name} is not dedicated or the shard is not set aside"
    return [(subject, best)], [why], [] if tenant.spec.dedicated else [note]
