"""What the catalog's contract suite is made with: names, and short ways to make and change tenants."""

# ruff: noqa: S101  (assertions are what a contract suite is made of)

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable

from tenantry.model.topology import LogicalIndex, Mode, Place, Route, Shard, Tenant, TenantSpec, TenantState
from tenantry.ports import Catalog

INDEX = "docs"
PLAIN = TenantSpec()
DEDICATED = TenantSpec(dedicated=True)
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


async def counts(catalog: Catalog, index: str = INDEX) -> dict[str, int]:
    """Tenants by shard as the shards say, after checking that the tenants say the same."""
    said = {shard.name: shard.tenants for shard in await catalog.shards.list(index)}
    for shard, number in said.items():
        assert len(await catalog.tenants.list(index, limit=10_000, shard=shard)) == number
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
