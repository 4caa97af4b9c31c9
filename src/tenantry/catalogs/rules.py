"""What every catalog holds to, whatever holds its rows: pure decisions about tenants, room and moves."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from tenantry.errors import AlreadyExists, Conflict, InvalidArgument, NotFound, Refused, TenantryError
from tenantry.model.leases import Copy, Lease
from tenantry.model.moves import Move, Phase, Wish, route_of
from tenantry.model.rollup import Rollup
from tenantry.model.topology import Mode, Place, Route, Shard, ShardState, Tenant, TenantState, namespace_of

_MAX_COUNT = 2**63 - 1

#: ``CREATING -> ACTIVE <-> SUSPENDED``, each ``-> DELETING -> DELETED``. Staying is allowed: a repeated call is
#: harmless. `place` records CREATING; the router activates once the namespace exists. Or RESTORING, which becomes
#: ACTIVE or SUSPENDED once all data are there.
NEXT: Mapping[TenantState, frozenset[TenantState]] = {
    TenantState.CREATING: frozenset({TenantState.CREATING, TenantState.ACTIVE, TenantState.DELETING}),
    TenantState.ACTIVE: frozenset({TenantState.ACTIVE, TenantState.SUSPENDED, TenantState.DELETING}),
    TenantState.SUSPENDED: frozenset({TenantState.SUSPENDED, TenantState.ACTIVE, TenantState.DELETING}),
    TenantState.RESTORING: frozenset(
        {TenantState.RESTORING, TenantState.ACTIVE, TenantState.SUSPENDED, TenantState.DELETING}
    ),
    TenantState.DELETING: frozenset({TenantState.DELETING, TenantState.DELETED}),
    TenantState.DELETED: frozenset(),  # only `place` revives
}

# ---------------------------------------------------------------------------------------- tenants


def rerouted(old: Tenant, route: Route) -> Tenant:
    """The tenant with another route. A namespace of a newer generation raises its generation.
    Raises Refused when its life does not go that way."""
    if route.state not in NEXT[old.state]:
        ways = ", ".join(sorted(NEXT[old.state] - {old.state}))
        raise Refused(f"tenant {old.name!r} is {old.state} and cannot become {route.state}, only {ways}")
    generation = max(old.generation, *(generation_of(old.name, place.namespace) for place in places(route)))
    return msgspec.structs.replace(old, route=planned(route, old.spec.plan), generation=generation)


def planned(route: Route, plan: str | None) -> Route:
    """The route with the plan of its tenant."""
    return route if route.plan == plan else msgspec.structs.replace(route, plan=plan)


def replanned(old: Tenant, plan: str | None) -> Tenant:
    """The tenant with another plan, one epoch higher."""
    route = msgspec.structs.replace(old.route, epoch=old.route.epoch + 1)
    return rerouted(msgspec.structs.replace(old, spec=msgspec.structs.replace(old.spec, plan=plan)), route)


def placed_at(name: str, shard: str, generation: int, state: TenantState) -> Route:
    """The first route of a tenant. Raises InvalidArgument for a state in which none begins."""
    if state not in (TenantState.CREATING, TenantState.RESTORING):
        raise InvalidArgument("state", str(state), "creating or restoring, for a new tenant")
    if generation < 1:
        raise InvalidArgument("generation", generation, "1 or more")
    return Route(1, Place(shard, namespace_of(name, generation)), state=state)


def newly_placed(tombstone: Tenant | None, new: Tenant) -> Tenant:
    """A new tenant under its plan, as it follows a deleted one of its name: epoch and generation go on growing."""
    new = msgspec.structs.replace(new, route=planned(new.route, new.spec.plan))
    if tombstone is None:
        return new
    generation = max(new.generation, tombstone.generation + 1)
    place = Place(new.route.place.shard, namespace_of(new.name, generation))
    route = msgspec.structs.replace(new.route, epoch=tombstone.route.epoch + 1, place=place)
    return msgspec.structs.replace(new, route=route, generation=generation)


def undeleted(tombstone: Tenant | None, copy: Copy) -> Tenant:
    """A deleted tenant as it lives again in the namespace that was kept. Raises AlreadyExists, NotFound."""
    if tombstone is None:
        raise NotFound("tenant", copy.tenant)
    if tombstone.state is not TenantState.DELETED:
        raise AlreadyExists("tenant", copy.tenant, "a tenant of that name lives: delete it first")
    if tombstone.route.place != copy.place:
        raise NotFound("copy", f"{copy.place.shard}/{copy.place.namespace}", "another tenant of the name came after it")
    route = Route(tombstone.route.epoch + 1, copy.place, state=TenantState.ACTIVE, plan=tombstone.spec.plan)
    return msgspec.structs.replace(tombstone, route=route)


def check_epoch(tenant: Tenant, epoch: int) -> None:
    """Raises Conflict when the tenant has another epoch."""
    if tenant.route.epoch != epoch:
        raise Conflict(f"tenant {tenant.name!r} is at epoch {tenant.route.epoch}, not {epoch}: somebody changed it")


def end_of_prefix(prefix: str) -> str | None:
    """The least string after every string that starts with ``prefix``; None when there is none."""
    for i in range(len(prefix) - 1, -1, -1):
        point = ord(prefix[i])
        if point < 0x10FFFF:
            following = 0xE000 if 0xD7FF <= point < 0xE000 else point + 1  # UTF-8 has no surrogates
            return prefix[:i] + chr(following)
    return None


def generation_of(tenant: str, namespace: str) -> int:
    """The generation that `namespace_of` wrote into a namespace; 0 when it is of other making."""
    if namespace == tenant:
        return 1
    digits = namespace[len(tenant) + 1 :]
    if namespace.startswith(f"{tenant}~") and digits.isascii() and digits.isdigit():
        return int(digits)
    return 0


def places(route: Route) -> tuple[Place, ...]:
    """The place of a route, and the other one if it has one."""
    return (route.place,) if route.other is None else (route.place, route.other)


def named(tenant: Tenant | None) -> frozenset[str]:
    """Shards that the route names; a deleted tenant's route names none."""
    if tenant is None or tenant.state is TenantState.DELETED:
        return frozenset()
    return frozenset(place.shard for place in places(tenant.route))


def counted(tenant: Tenant | None, shard: str) -> tuple[int, int]:
    """What this tenant adds to the shard's ``tenants`` and ``copies``."""
    if tenant is None or tenant.state is TenantState.DELETED:
        return 0, 0
    other = tenant.route.other
    return int(tenant.route.place.shard == shard), int(other is not None and other.shard == shard)


def not_appendable(tenant: Tenant | None, name: str, epoch: int) -> TenantryError:
    """Why a change was not appended to the tenant's log."""
    if tenant is None or tenant.state is TenantState.DELETED:
        return NotFound("tenant", name)
    if tenant.state is TenantState.SUSPENDED:
        return Refused(f"tenant {name!r} is suspended; `tenantry tenant resume` opens it again")
    if tenant.state in (TenantState.DELETING, TenantState.RESTORING):
        return Refused(f"tenant {name!r} is {tenant.state}; finish with `tenantry tenant delete`, then create it again")
    route = tenant.route
    return Conflict(f"tenant {name!r} is {route.mode} at epoch {route.epoch}, so nothing is logged at epoch {epoch}")


# ------------------------------------------------------------------------------------------ shards


def check_limits(shard: Shard) -> None:
    """Raises InvalidArgument when a weight or limit makes no sense."""
    if not (math.isfinite(shard.weight) and shard.weight > 0):
        raise InvalidArgument("weight", shard.weight, "a finite number over 0")
    for field in ("max_tenants", "max_vectors"):
        limit = getattr(shard, field)
        if limit is not None and not 0 <= limit <= _MAX_COUNT:
            raise InvalidArgument(field, limit, "0 or more, or none for no limit")


def why_no_room(shard: Shard | None, name: str, owner: str | None, tenant: Tenant, planned: int) -> str | None:
    """Why a shard must not take a tenant, new or moving; None when it may.

    Args:
        shard: None when it is gone.
        owner: the tenant that it is dedicated to.
        planned: vectors that the tenants named there are expected to hold, this one included.
    """
    if shard is None:
        return f"shard {name!r} of index {tenant.index!r} is gone"
    if shard.state is not ShardState.ACTIVE:
        return f"shard {name!r} is {shard.state} and takes no new tenants"
    if owner is not None:
        return f"shard {name!r} is dedicated to tenant {owner!r}"
    held = shard.tenants + shard.copies
    if tenant.spec.dedicated and held:
        return f"shard {name!r} holds {held} tenants, so it cannot be dedicated to {tenant.name!r}"
    if shard.max_tenants is not None and held >= shard.max_tenants:
        moving = f" ({shard.copies} of them on the move)" if shard.copies else ""
        return f"shard {name!r} is full: {held} of {shard.max_tenants} tenants{moving}"
    if shard.max_vectors is not None and planned > shard.max_vectors:
        return (
            f"shard {name!r} has no room for what its tenants are expected to hold: at most {shard.max_vectors} vectors"
        )
    return None


def why_not_named(shard: Shard | None, name: str, owner: str | None, tenant: Tenant) -> str | None:
    """Why a route must not newly name a shard, when room is not the question; None when it may."""
    if shard is None or shard.state in (ShardState.RETIRED, ShardState.ROLLUP):
        return f"shard {name!r} of index {tenant.index!r} is {'gone' if shard is None else shard.state}"
    if owner is not None:
        return f"shard {name!r} is dedicated to tenant {owner!r}"
    held = shard.tenants + shard.copies
    if tenant.spec.dedicated and held:
        return f"shard {name!r} holds {held} tenants, and {tenant.name!r} wants one for itself"
    return None


def owner_after(owner: str | None, old: Tenant | None, new: Tenant, shard: str) -> str | None:
    """To whom a shard is dedicated once a tenant's route has changed."""
    before, after = shard in named(old), shard in named(new)
    if new.spec.dedicated and before != after:
        return new.name if after else None
    return owner


# ----------------------------------------------------------------------------------------- roll-up


def to_copy_again(old: Tenant | None, new: Tenant) -> bool:
    """Whether a change of a tenant may have changed what of it belongs into a roll-up: it became active or ceased to
    be, or its write log was closed, which also held the writes of those that did not wait for them."""
    if old is None:
        return False  # nothing is in it yet
    if old.state is not new.state:
        return TenantState.ACTIVE in (old.state, new.state)
    return old.route.mode is not Mode.DIRECT and new.route.mode is Mode.DIRECT


def begun_rollup(old: Rollup | None, index: str, shard: str, now: float) -> Rollup:
    """A roll-up as it begins, or begins anew. Raises Refused when it is on another shard."""
    if old is not None and old.shard != shard:
        raise Refused(f"index {index!r} has its roll-up on shard {old.shard!r}; `tenantry rollup off` first")
    generation = max(int(now * 1e6), 1 if old is None else old.generation + 1)
    return Rollup(index, shard, f"rollup-{generation}", generation, now)


def no_such_rollup(index: str, generation: int) -> Conflict:
    """Whoever knows a roll-up of this generation knows an old one."""
    return Conflict(f"index {index!r} has no roll-up of generation {generation} (any more)")


def holds_rollup(shard: str, verb: str) -> Refused:
    """Refusal of a change to a shard that holds a roll-up."""
    return Refused(f"shard {shard!r} holds the roll-up: switch it off with `tenantry rollup off` before it is {verb}")


def check_rollup_shard(shard: Shard, moving: str | None, retired: int) -> None:
    """Whether a shard can get a roll-up. Raises Refused."""
    if shard.state not in (ShardState.ACTIVE, ShardState.ROLLUP):
        raise Refused(f"shard {shard.name!r} is {shard.state}; the roll-up needs one that is active")
    if shard.tenants or shard.copies or moving is not None or retired:
        held = f"{shard.tenants} tenants, {shard.copies} copies of tenants on the move, {retired} retired copies"
        raise Refused(f"shard {shard.name!r} is not empty ({held}); the roll-up needs one for itself")


# ------------------------------------------------------------------------------------------- moves


def begun(tenant: Tenant, move: Move, expected_epoch: int) -> Tenant:
    """The tenant as its move begins. Raises InvalidArgument, Conflict, Refused."""
    if move.phase is not Phase.PREPARE:
        raise InvalidArgument("move.phase", str(move.phase), "prepare, for a new move")
    check_epoch(tenant, expected_epoch)
    if tenant.state not in (TenantState.ACTIVE, TenantState.SUSPENDED):
        raise Refused(f"tenant {tenant.name!r} is {tenant.state}: only an active or suspended tenant can be moved")
    if tenant.route.place != move.source:
        raise Conflict(f"tenant {tenant.name!r} is on shard {tenant.route.place.shard!r}, not where the move begins")
    return rerouted(tenant, route_of(move, tenant.route.epoch + 1, tenant.state))


def merged(stored: Move, given: Move) -> Move:
    """The move in its new phase: the wish is the stored one, and marks never go back."""
    return msgspec.structs.replace(
        given,
        wish=stored.wish,
        source_mark=max(stored.source_mark, given.source_mark),
        target_mark=max(stored.target_mark, given.target_mark),
    )


def saved(stored: Move, given: Move) -> Move:
    """The stored move with what `save` may change. Marks are facts whatever the phase; the rest belongs to the phase
    that it was found in, so a save that comes after a step brings its marks only."""
    marks = {
        "source_mark": max(stored.source_mark, given.source_mark),
        "target_mark": max(stored.target_mark, given.target_mark),
    }
    if given.phase is not stored.phase:
        return msgspec.structs.replace(stored, **marks)
    return msgspec.structs.replace(
        stored,
        progress=given.progress,
        proof=given.proof,
        error=given.error,
        s0=stored.s0 if given.s0 is None else given.s0,
        flip_ms=stored.flip_ms if given.flip_ms is None else given.flip_ms,
        back_ms=stored.back_ms if given.back_ms is None else given.back_ms,
        **marks,
    )


def check_fence(lease: Lease | None, name: str, fence: int) -> None:
    """Raises Conflict unless the lease is held under this fence."""
    if lease is None or lease.owner is None or lease.fence != fence:
        now = "nobody holds it" if lease is None or lease.owner is None else f"{lease.owner!r} has it now"
        raise Conflict(f"lease {name!r} was lost: {now}")


def check_wished(move: Move) -> None:
    """Hold a step to the wish as it is stored. Raises Conflict when that forbids it."""
    if move.phase is Phase.SETTLE and move.wish is Wish.CANCEL:
        raise Conflict(f"move {move.id} is to be cancelled and must not be committed")
    if move.phase is Phase.CLOSE and move.outcome is Phase.DONE and move.wish is Wish.ROLL_BACK:
        raise Conflict(f"move {move.id} is to be rolled back and must not be finalised")


def stepped(tenant: Tenant, move: Move) -> Tenant | None:
    """The tenant as a move's new phase wants it; itself when nothing changes but the epoch; None when the tenant that
    was moved is gone, which an ended phase alone may find. Raises NotFound, Conflict."""
    both = {move.source, move.target}
    at_home = both.issuperset(places(tenant.route))
    # A tenant made anew under the name has its own namespace, of a generation that no move before could have.
    newest = max(generation_of(tenant.name, place.namespace) for place in both)
    if tenant.state is TenantState.DELETED or (not at_home and tenant.generation > newest):
        if not move.ended:
            raise NotFound("tenant", tenant.name, f"so move {move.id} can only be ended")
        return None
    if not at_home:
        raise Conflict(f"tenant {tenant.name!r} has a route that is not of move {move.id}: somebody changed it")
    route = planned(route_of(move, tenant.route.epoch, tenant.state), tenant.spec.plan)
    if route == tenant.route:
        return tenant
    return rerouted(tenant, msgspec.structs.replace(route, epoch=route.epoch + 1))


def retired(stored: Move, move: Move) -> Copy | None:
    """The copy that is left when a move is done, at the moment when it is."""
    if move.phase is not Phase.DONE or stored.phase is Phase.DONE:
        return None
    since = move.started.get(Phase.DONE)
    if since is None:
        raise InvalidArgument("move.started", dict(move.started), "the time at which it was done, under 'done'")
    return Copy(move.index, move.tenant, move.source, move.id, since + move.options.retention_s)


def has_part(shard: str, tenant: str, verb: str) -> Refused:
    """Refusal of a change to a shard that an open move uses."""
    return Refused(
        f"shard {shard!r} has a part in the move of tenant {tenant!r}: let it end, or cancel it, before it is {verb}; "
        "see `tenantry moves list`"
    )


def has_retired(what: str, count: int, verb: str) -> Refused:
    """Refusal of a change to what holds retired copies."""
    return Refused(
        f"{what} holds {count} retired copies of moved tenants: drop them with `tenantry moves purge` "
        f"before it is {verb}"
    )
