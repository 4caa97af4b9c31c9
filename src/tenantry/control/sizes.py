"""How much every tenant of an index holds: one request to each shard's store, however many tenants there are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from tenantry.errors import TenantryError
from tenantry.model.records import NamespaceStats
from tenantry.model.topology import Place, Shard, Tenant, TenantState
from tenantry.router.shards import ShardPool

#: Shards that are asked at once.
AT_ONCE = 16
#: Their namespaces may be there or not, and what is in them is nobody's yet.
UNFINISHED = (TenantState.CREATING, TenantState.RESTORING, TenantState.DELETING)
_NOTHING = NamespaceStats(0)


class ShardSize(msgspec.Struct, frozen=True):
    """What a shard holds, by namespace; or why that is not known (``error``)."""

    namespaces: dict[str, NamespaceStats]
    error: str | None = None

    @property
    def whole(self) -> NamespaceStats:
        """All of it, whoever's it is."""
        every = self.namespaces.values()
        return NamespaceStats(sum(one.vectors for one in every), sum(one.bytes for one in every))


class Sizes(msgspec.Struct, frozen=True):
    """Of all shards of an index, by name."""

    shards: dict[str, ShardSize]

    def of(self, tenant: Tenant) -> tuple[NamespaceStats, str | None]:
        """What the tenant holds, and why that is not known. One that is being made, restored or deleted holds
        nothing."""
        if tenant.state in UNFINISHED:
            return _NOTHING, None
        return self.at(tenant.route.place)

    def at(self, place: Place) -> tuple[NamespaceStats, str | None]:
        """What is in a namespace, and why that is not known."""
        shard = self.shards.get(place.shard)
        if shard is None:
            return _NOTHING, f"shard {place.shard} is not there"
        if shard.error is not None:
            return _NOTHING, shard.error
        found = shard.namespaces.get(place.namespace)
        return (_NOTHING, f"shard {place.shard} has no namespace {place.namespace}") if found is None else (found, None)


async def sizes_of(pool: ShardPool, shards: Sequence[Shard], within_s: float) -> Sizes:
    """Ask all shards; one that does not answer within that many seconds is in the answer with its error."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def measure(shard: Shard) -> ShardSize:
        async with turn:
            try:
                async with asyncio.timeout(within_s):
                    return ShardSize(await (await pool.backend(shard.index, shard.name)).sizes())
            except TimeoutError:
                return ShardSize({}, f"no answer within {within_s:g} s")
            except TenantryError as error:
                return ShardSize({}, str(error))

    found = await asyncio.gather(*map(measure, shards))
    return Sizes({shard.name: size for shard, size in zip(shards, found, strict=True)})
