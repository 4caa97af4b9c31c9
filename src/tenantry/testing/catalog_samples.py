"""What the catalog's contract suite is made with: names, and short ways to make, change and move tenants."""

# ruff: noqa: S101  (assertions are what a contract suite is made of)

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any

import msgspec

from tenantry.errors import NotFound
from tenantry.model.changes import Change, Clear
from tenantry.model.moves import Move, Phase
from tenantry.model.topology import (
    LogicalIndex,
    Mode,
    Place,
    Route,
    Shard,
    Tenant,
    TenantSpec,
    TenantState,
    namespace_of,
)
from tenantry.ports import Catalog

INDEX = "docs"
PLAIN = TenantSpec()
DEDICATED = TenantSpec(dedicated=True)
TO_FLIP = (Phase.CAPTURE, Phase.COPY, Phase.CATCH_UP, Phase.VERIFY, Phase.FLIP)
TO_SOAK = (*TO_FLIP, Phase.SETTLE, Phase.SOAK)
#: In order of code points, which is neither the order of UTF-16 nor of any language.
NAMES = sorted(
    ["A", "a", "a b", "a%", "a%b", "a_", "a_b", "ab", "a\\b", "b'; --", "é", "ß", "\ud7ff", "\ue000", "�", "😀", "😁"]
)


async def prepared(catalog: Catalog, shards: int = 3, room: int | None = None) -> None:
    """An index with shards ``s0``, ``s1``, ..."""
    await catalog.indexes.create(LogicalIndex(INDEX, 8))
    for i in range(shards):
        await catalog.shards.add(Shard(INDEX, f"s{i}", "embedded", max_tenants=room))


async def placed(catalog: Catalog, name: str, shard: str = "s0", spec: TenantSpec = PLAIN) -> Tenant:
    """A new, active tenant, at epoch 2 unless there was one before."""
    tenant = await catalog.tenants.place(INDEX, name, spec, shard, 1_000.5)
    return await catalog.tenants.set_state(INDEX, name, TenantState.ACTIVE, tenant.route.epoch)


async def buried(catalog: Catalog, tenant: Tenant) -> Tenant:
    """The tenant after it was deleted."""
    if tenant.state is not TenantState.DELETING:
        tenant = await catalog.tenants.set_state(tenant.index, tenant.name, TenantState.DELETING, tenant.route.epoch)
    return await catalog.tenants.set_state(tenant.index, tenant.name, TenantState.DELETED, tenant.route.epoch)


async def rerouted(catalog: Catalog, tenant: Tenant, place: Place, other: Place | None = None) -> Tenant:
    """The tenant with a route to ``place``."""
    route = Route(tenant.route.epoch + 1, place, Mode.DIRECT if other is None else Mode.LOGGED, other, tenant.state)
    return await catalog.tenants.set_route(tenant.index, tenant.name, route, tenant.route.epoch)


def move_of(tenant: Tenant, target: str = "s1", **fields: Any) -> Move:
    """A move of the tenant to a shard, not begun yet."""
    place = Place(target, namespace_of(tenant.name, tenant.generation + 1))
    given: dict[str, Any] = {"id": f"m-{tenant.name}-{tenant.generation}", "created_at": 1.5} | fields
    return Move(index=tenant.index, tenant=tenant.name, source=tenant.route.place, target=place, **given)


class Run:
    """A move that has begun, under a lease.

    Attributes:
        tenant, move: as they were when they were last saved.
    """

    def __init__(self, catalog: Catalog, tenant: Tenant, move: Move, fence: int) -> None:
        self.catalog, self.tenant, self.move, self.fence = catalog, tenant, move, fence

    @classmethod
    async def begin(cls, catalog: Catalog, name: str = "t", target: str = "s1", **fields: Any) -> Run:
        """Place the tenant unless it is there, and begin its move."""
        try:
            tenant = await catalog.tenants.get(INDEX, name)
        except NotFound:
            tenant = await placed(catalog, name)
        move = move_of(tenant, target, **fields)
        lease = await catalog.leases.claim(move.lease, "mover", None)
        return cls(catalog, await catalog.moves.begin(move, tenant.route.epoch), move, lease.fence)

    def changed(self, phase: Phase, **changes: Any) -> Move:
        """The move as it would be in a phase."""
        started = {**self.move.started, phase: 10.0 * len(self.move.started)}
        return msgspec.structs.replace(self.move, phase=phase, started=started, **changes)

    async def to(self, phase: Phase, head: int | None = None, **changes: Any) -> Tenant:
        """Take a step."""
        self.move, self.tenant = await self.catalog.moves.advance(self.changed(phase, **changes), self.fence, head=head)
        return self.tenant

    async def through(self, *phases: Phase) -> Tenant:
        """Take several steps."""
        for phase in phases:
            await self.to(phase)
        return self.tenant

    async def append(self, change: Change = Clear()) -> int:
        """Write to the tenant's log as a router that knows its present route."""
        return await self.catalog.log.append(INDEX, self.tenant.name, self.tenant.route.epoch, change)


async def counts(catalog: Catalog, index: str = INDEX) -> dict[str, int]:
    """Tenants by shard as the shards say, after checking that the tenants say the same."""
    said = {shard.name: shard.tenants for shard in await catalog.shards.list(index)}
    for shard, number in said.items():
        assert len(await catalog.tenants.list(index, limit=10_000, shard=shard)) == number
    await copies(catalog, index)
    return said


async def copies(catalog: Catalog, index: str = INDEX) -> dict[str, int]:
    """Second copies by shard as the shards say, after checking that the tenants say the same."""
    said = {shard.name: shard.copies for shard in await catalog.shards.list(index)}
    others = [tenant.route.other for tenant in await catalog.tenants.list(index, limit=10_000)]
    held = [place.shard for place in others if place is not None]
    assert {name: held.count(name) for name in said} == said
    return said


async def owners(catalog: Catalog) -> dict[str, str]:
    """Shard name to the tenant that has it for itself."""
    claims = await catalog.tenants.claims(INDEX)
    return {shard: claim.dedicated_to for shard, claim in claims.items() if claim.dedicated_to is not None}


async def outcomes(calls: Iterable[Awaitable[object]]) -> tuple[int, list[type[BaseException]]]:
    """How many of the calls, run at once, succeeded; and what the others raised."""
    done = await asyncio.gather(*calls, return_exceptions=True)
    failed = [type(one) for one in done if isinstance(one, BaseException)]
    return len(done) - len(failed), failed
