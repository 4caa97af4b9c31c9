"""Whether a move may begin, and the record that it begins with."""

from __future__ import annotations

import math
from typing import Any

from tenantry.control.mover.context import Context
from tenantry.errors import AlreadyExists, CapacityExceeded, InvalidArgument, NotFound, Refused
from tenantry.model.limits import Limits, check_count
from tenantry.model.moves import Move, Options
from tenantry.model.topology import Place, Shard, ShardState, Tenant, TenantState, namespace_of

#: Longest soak and retention: a year.
MOST_S = 366 * 86_400.0
MOST_SAMPLES = 1_000


def check_options(options: Options, limits: Limits) -> None:
    """Raises InvalidArgument."""
    for field in ("soak_s", "retention_s"):
        _check_number(field, getattr(options, field), 0.0, MOST_S, "seconds")
    _check_number("fence_s", options.fence_s, 0.001, 60.0, "seconds")
    check_count(options.page, "page", 1, limits.scan_page)
    check_count(options.samples, "samples", 0, MOST_SAMPLES)
    if options.rate is not None:
        _check_number("rate", options.rate, 0.1, 1e9, "records a second")


async def check_target(context: Context, tenant: Tenant, target: str) -> Shard:
    """The target shard, if the tenant may go there. What the catalog itself makes sure of when the move begins is
    tested here too, for the sake of a clear answer.

    Raises:
        NotFound: no such shard.
        InvalidArgument: the tenant is there already.
        AlreadyExists: a move of the tenant is running.
        Refused: the target or the tenant is not in a state for it.
        CapacityExceeded: the target has no room.
    """
    index, name = tenant.index, tenant.name
    running = await context.catalog.moves.list(index, open_only=True, tenant=name, limit=1)
    if running:
        one = running[0]
        hint = f"it goes to {one.target.shard!r} ({one.phase}); see `tenantry moves show {one.id}`"
        raise AlreadyExists("move of tenant", name, hint)
    if tenant.state not in (TenantState.ACTIVE, TenantState.SUSPENDED):
        raise Refused(f"tenant {name!r} is {tenant.state}; only an active or suspended tenant can be moved")
    shard = next((one for one in await context.catalog.shards.list(index) if one.name == target), None)
    if shard is None:
        raise NotFound("shard", target, f"see `tenantry shard list --index {index}`")
    if shard.name == tenant.route.place.shard:
        raise InvalidArgument("target", target, f"another shard: tenant {name!r} is on that one already")
    if shard.state is not ShardState.ACTIVE:
        raise Refused(f"shard {target!r} is {shard.state} and takes no tenants; `tenantry shard set` changes that")
    await _check_room(context, tenant, shard)
    return shard


async def _check_room(context: Context, tenant: Tenant, shard: Shard) -> None:
    held = shard.tenants + shard.copies
    if shard.max_tenants is not None and held >= shard.max_tenants:
        raise CapacityExceeded(
            f"shard {shard.name!r} is full: {held} of {shard.max_tenants} tenants (those on their way included)"
        )
    claim = (await context.catalog.tenants.claims(tenant.index)).get(shard.name)
    if claim is not None and claim.dedicated_to is not None:
        raise Refused(f"shard {shard.name!r} is dedicated to tenant {claim.dedicated_to!r}")
    if tenant.spec.dedicated and held:
        raise Refused(f"shard {shard.name!r} holds {held} tenants, and {tenant.name!r} wants one for itself")
    if shard.max_vectors is None:
        return
    place = tenant.route.place
    coming = (await (await context.pool.backend(tenant.index, place.shard)).stats(place.namespace)).vectors
    there = (await (await context.pool.backend(tenant.index, shard.name)).stats()).vectors
    if there + coming > shard.max_vectors:
        raise CapacityExceeded(
            f"shard {shard.name!r} has no room for {coming:,} vectors: it holds {there:,} of {shard.max_vectors:,}"
        )


async def new_move(context: Context, tenant: Tenant, target: str, options: Options, why: str, id: str) -> Move:
    """The record of a move that begins: its target is a namespace that never was, its marks are at the log's end."""
    head = await context.catalog.log.head(tenant.index, tenant.name)
    now = context.clock.now()
    return Move(
        id=id,
        index=tenant.index,
        tenant=tenant.name,
        source=tenant.route.place,
        target=Place(target, namespace_of(tenant.name, tenant.generation + 1)),
        created_at=now,
        options=options,
        why=why,
        source_mark=head,
        target_mark=head,
        started={"prepare": now},
    )


def _check_number(field: str, given: Any, least: float, most: float, unit: str) -> None:
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise InvalidArgument(field, given, f"a number of {unit}")
    if not least <= given <= most:
        raise InvalidArgument(field, given, f"{least:g} to {most:g} {unit}")
