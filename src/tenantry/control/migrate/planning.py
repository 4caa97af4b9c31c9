"""Makes a migration's plan of what is measured: who goes where, in which wave, and what stands against it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from tenantry.control.advisor.pricing import record_bytes
from tenantry.control.measure.readings import Readings
from tenantry.control.migrate.gates import sample_of
from tenantry.control.migrate.risk import risks
from tenantry.control.migrate.waves import cut
from tenantry.control.planner import plan as make_plan
from tenantry.errors import InvalidArgument, NotFound
from tenantry.model.migration import MOST_TENANTS, Item, Options, in_words
from tenantry.model.migration_plan import MigrationPlan, PlannedWave, TargetCheck
from tenantry.model.plan import Aim, PlanOptions, PlanView, TenantLoad
from tenantry.model.topology import Claim, ClusterView, ShardState, ShardView

#: Free disk that is asked for, in sizes of what comes: vectors and their index.
DISK_FACTOR = 2
NAMED_MOST = 10


class Wanted(msgspec.Struct, frozen=True):
    """What is to be migrated. Either ``sources``, all of whose tenants go, or ``tenants``.

    Attributes:
        targets: shards to spread over; empty: all active ones that are not sources (only with ``sources``).
    """

    sources: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


class Facts(msgspec.Struct, frozen=True):
    """What was measured for a plan.

    Attributes:
        created: tenant to when it was made, seconds since the Unix epoch.
        free_bytes: of the disks of those shards that tell.
        unreachable: shard to why it does not answer.
        parallel: moves that can run at the same time from one shard.
    """

    view: PlanView
    readings: Readings
    dimension: int
    created: Mapping[str, float]
    free_bytes: Mapping[str, int]
    unreachable: Mapping[str, str]
    parallel: int


def plan_migration(facts: Facts, wanted: Wanted, options: Options) -> MigrationPlan:
    """Plan. Room is held to the same rules as for a drain (`tenantry.control.planner.drain`), which chooses targets.

    Raises:
        NotFound: a shard or tenant is not there.
        InvalidArgument: the request contradicts itself, or is over `MOST_TENANTS`.
    """
    shards = {each.shard.name: each for each in facts.view.cluster.shards}
    _check(wanted, shards, {each.name for each in facts.view.tenants})
    targets = _targets(wanted, shards)
    going, notes = _going(facts.view, wanted, targets)
    homes, planned_notes = _homes(facts.view, going, targets, options.fill)
    blockers = [f"shard {name!r} does not answer: {why}" for name, why in facts.unreachable.items() if name in targets]
    homeless = [each.name for each in going if each.name not in homes]
    if homeless:
        blockers.append(f"no target takes {_names(homeless)}: {'; '.join(planned_notes) or 'there is no target'}")
    elif not going:
        blockers.append("there is no tenant to move")
    else:
        notes += planned_notes
    moving = [each for each in going if each.name in homes]
    risk = risks(moving, facts.created, facts.view.at)
    waves = cut(risk, options.share, options.canaries)
    load = {each.name: each for each in moving}
    items = [
        Item(name, n, load[name].shard, homes[name], load[name].vectors, load[name].bytes, load[name].load, risk[name])
        for n, names in enumerate(waves, start=1)
        for name in names
    ]
    capacity = _capacity(facts, items, targets)
    blockers += [f"shard {each.shard!r}: {each.problem}" for each in capacity if each.problem]
    notes += _judging(facts, options, going)
    shown = _waves(facts, options, waves, items)
    return MigrationPlan(
        index=facts.view.cluster.index,
        options=options,
        sources=list(wanted.sources),
        targets=targets,
        items=items,
        waves=shown,
        capacity=capacity,
        vectors=sum(each.vectors for each in items),
        bytes=sum(each.bytes for each in items),
        expected_s=_whole_s(shown, options),
        blockers=blockers,
        notes=notes,
    )


def _check(wanted: Wanted, shards: Mapping[str, ShardView], tenants: set[str]) -> None:
    if bool(wanted.sources) == bool(wanted.tenants):
        raise InvalidArgument("sources", list(wanted.sources), "shards to empty, or tenants by name: one of the two")
    if wanted.tenants and not wanted.targets:
        raise InvalidArgument("targets", [], "at least one shard, where tenants are named")
    for field, names in (("sources", wanted.sources), ("tenants", wanted.tenants), ("targets", wanted.targets)):
        if len(set(names)) != len(names):
            raise InvalidArgument(field, list(names), "each name once")
    for name in (*wanted.sources, *wanted.targets):
        if name not in shards:
            raise NotFound("shard", name, "see `tenantry shard list`")
    for name in wanted.tenants:
        if name not in tenants:
            raise NotFound("tenant", name)
    both = sorted(set(wanted.sources) & set(wanted.targets))
    if both:
        raise InvalidArgument("targets", both, "shards that are not sources")


def _targets(wanted: Wanted, shards: Mapping[str, ShardView]) -> list[str]:
    if wanted.targets:
        return list(wanted.targets)
    return [
        name
        for name, each in shards.items()
        if each.shard.state is ShardState.ACTIVE and each.claim.dedicated_to is None and name not in wanted.sources
    ]


def _going(view: PlanView, wanted: Wanted, targets: Sequence[str]) -> tuple[list[TenantLoad], list[str]]:
    if wanted.sources:
        going = [each for each in view.tenants if each.shard in wanted.sources]
        there: list[str] = []
    else:
        named = [each for each in view.tenants if each.name in set(wanted.tenants)]
        going = [each for each in named if each.shard not in targets]
        there = [each.name for each in named if each.shard in targets]
    if len(going) > MOST_TENANTS:
        raise InvalidArgument("tenants", len(going), f"at most {MOST_TENANTS:,} in one migration; name a part of them")
    return going, [f"on a target already, and left there: {_names(there)}"] if there else []


def _homes(
    view: PlanView, going: Sequence[TenantLoad], targets: Sequence[str], fill: float
) -> tuple[dict[str, str], list[str]]:
    """Tenant to target, and what the planner says: one drain for each shard that tenants leave."""
    shards = {each.shard.name: each for each in view.cluster.shards}
    aboard = {each.name: each for each in view.tenants if each.shard in targets}
    homes: dict[str, str] = {}
    notes: list[str] = []
    options = PlanOptions(max_moves=max(1, len(going)), cool_down_s=0.0, fill=fill)
    for source in dict.fromkeys(each.shard for each in going):
        leaving = {each.name: each for each in going if each.shard == source}
        left = msgspec.structs.replace(shards[source].shard, state=ShardState.DRAINING, tenants=len(leaving), copies=0)
        held = sum(each.vectors for each in leaving.values())
        cluster = ClusterView(
            view.cluster.index, (ShardView(left, held), *(shards[name] for name in targets))
        )  # fmt: skip
        seen = msgspec.structs.replace(view, cluster=cluster, tenants=(*leaving.values(), *aboard.values()))
        made = make_plan(seen, options, Aim.DRAIN, source)
        notes += [note for note in made.notes if not note.startswith(f"{source} is empty")]
        for move in made.moves:
            homes[move.tenant] = move.target
            shards[move.target] = _with(shards[move.target], leaving[move.tenant])
            aboard[move.tenant] = msgspec.structs.replace(leaving[move.tenant], shard=move.target)
    return homes, notes


def _with(view: ShardView, tenant: TenantLoad) -> ShardView:
    """A shard with one more tenant on it."""
    owner = tenant.name if tenant.spec.dedicated else view.claim.dedicated_to
    return ShardView(
        msgspec.structs.replace(view.shard, tenants=view.shard.tenants + 1),
        view.vectors + tenant.vectors,
        Claim(owner, view.claim.expected_vectors + tenant.spec.expected_vectors),
    )


def _capacity(facts: Facts, items: Sequence[Item], targets: Sequence[str]) -> list[TargetCheck]:
    views = {each.shard.name: each for each in facts.view.cluster.shards}
    size = {
        name: sum(each.vectors for each in items if each.target == name) * record_bytes(facts.dimension)
        for name in targets
    }
    # Shards that tell of their disk may share it.
    on_disks = sum(size[name] for name in targets if name in facts.free_bytes)
    found = []
    for name in targets:
        view, coming = views[name], [each for each in items if each.target == name]
        shard, free = view.shard, facts.free_bytes.get(name)
        tenants, vectors = shard.tenants + len(coming), view.vectors + sum(each.vectors for each in coming)
        problem = None
        if shard.state is not ShardState.ACTIVE:
            problem = f"it is {shard.state} and takes no tenants; `tenantry shard set {name} --state active`"
        elif free is not None and free < DISK_FACTOR * on_disks:
            problem = f"{free / 2**30:.1f} GiB of disk are free, {DISK_FACTOR * on_disks / 2**30:.1f} GiB are needed"
        found.append(
            TargetCheck(
                shard=name,
                backend=shard.backend,
                tenants_before=shard.tenants,
                tenants_after=tenants,
                max_tenants=shard.max_tenants,
                vectors_before=view.vectors,
                vectors_after=vectors,
                max_vectors=shard.max_vectors,
                coming_bytes=size[name],
                free_bytes=free,
                problem=problem,
            )
        )
    return found


def _judging(facts: Facts, options: Options, going: Sequence[TenantLoad]) -> list[str]:
    """What the gates could not judge as things are."""
    now = sample_of(facts.readings, (each.name for each in going))
    found = []
    if now.queries < options.least_operations:
        found.append(
            f"{now.queries:,} queries of these tenants were measured of late, {options.least_operations:,} are needed "
            f"for a baseline: without one, P95 is held to {options.p95_most_ms:g} ms"
        )
    if now.operations >= options.least_operations and now.error_rate > options.errors:
        found.append(f"{now.error_rate:.1%} of their operations fail already; gates look for more than that")
    if facts.view.copy_vectors_per_s is None:
        found.append("no move was measured yet, so there is no estimate of the time for copying")
    return found


def _waves(
    facts: Facts, options: Options, waves: Sequence[Sequence[str]], items: Sequence[Item]
) -> list[PlannedWave]:  # fmt: skip
    found = []
    due = facts.view.at
    for number, names in enumerate(waves, start=1):
        mine = [each for each in items if each.wave == number]
        vectors = sum(each.vectors for each in mine)
        speed = facts.view.copy_vectors_per_s
        sources = len({each.source for each in mine})
        parallel = max(1, min(options.at_once, facts.parallel * sources, len(mine)))
        expected = None if speed is None else vectors / (speed * parallel) + options.soak_s
        found.append(
            PlannedWave(
                number=number,
                canary=number == 1 and options.canaries != 0,
                tenants=list(names),
                vectors=vectors,
                bytes=sum(each.bytes for each in mine),
                due_at=due,
                expected_s=expected,
                risk_least=mine[0].risk,
                risk_most=mine[-1].risk,
            )
        )
        due = max(due + options.every_s, due + (expected or options.soak_s))
    return found


def _whole_s(waves: Sequence[PlannedWave], options: Options) -> float | None:
    if not waves or any(each.expected_s is None for each in waves):
        return None
    return waves[-1].due_at + (waves[-1].expected_s or options.soak_s) - waves[0].due_at


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMED_MOST])
    return f"{in_words(len(names))} ({shown}{', ...' if len(names) > NAMED_MOST else ''})"
