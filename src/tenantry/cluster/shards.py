"""The shard registry: add, describe, change, remove."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from tenantry.cluster.recording import recorded
from tenantry.errors import AlreadyExists, InvalidArgument, NotFound, Refused, TenantryError
from tenantry.model.limits import check_count, check_index_name
from tenantry.model.topology import DEFAULT_INDEX, Shard, ShardState
from tenantry.ports import Catalog, Clock, VectorBackend
from tenantry.router.shards import ShardPool

MUTABLE = ("max_tenants", "max_vectors", "weight", "region", "tier", "state")
NO_LIMIT = 2**53


class ShardStatus(msgspec.Struct, frozen=True):
    """A shard with what its backend measures now; ``error`` says why when it could not be asked."""

    shard: Shard
    vectors: int
    bytes: int
    error: str | None = None


class ShardAdmin:
    """Operations on shards."""

    def __init__(
        self, catalog: Catalog, pool: ShardPool, clock: Clock, default_backend: str, backends: tuple[str, ...]
    ) -> None:
        self._catalog = catalog
        self._clock = clock
        self._pool = pool
        self._default_backend = default_backend
        self._backends = backends

    @recorded("shard.add", index="index", shard="name")
    async def add(
        self,
        name: str,
        *,
        index: str = DEFAULT_INDEX,
        backend: str | None = None,
        options: dict[str, str] | None = None,
        max_tenants: int | None = None,
        max_vectors: int | None = None,
        weight: float = 1.0,
        region: str | None = None,
        tier: str | None = None,
    ) -> Shard:
        """Register a shard, for new tenants from now on; no tenant moves by itself.

        Raises:
            InvalidArgument: a field, or an option of the backend.
            NotFound: no such index.
            AlreadyExists: the name is taken.
            Unavailable, Refused, Unsupported: the store cannot be used; nothing was registered.
        """
        check_index_name(name)
        kind = backend or self._default_backend
        if kind not in self._backends:
            raise InvalidArgument("backend", kind, "one of " + ", ".join(self._backends))
        shard = Shard(
            index=index,
            name=name,
            backend=kind,
            options=dict(options or {}),
            max_tenants=max_tenants,
            max_vectors=max_vectors,
            weight=weight,
            region=region,
            tier=tier,
            created_at=self._clock.now(),
        )
        _check(shard)
        if any(known.name == name for known in await self._catalog.shards.list(index)):
            raise AlreadyExists("shard", name)
        await self._pool.try_out(shard)
        try:
            await self._catalog.shards.add(shard)
        except BaseException:
            await self._pool.close_shard(index, name)
            raise
        finally:
            await self._pool.refresh(index)
        return shard

    async def tried(self, shard: Shard) -> VectorBackend:
        """The backend of a shard that is not registered, found fit; the caller closes it. Raises as `add`."""
        if shard.backend not in self._backends:
            raise InvalidArgument("backend", shard.backend, "one of " + ", ".join(self._backends))
        return await self._pool.tried(shard)

    async def list(self, index: str = DEFAULT_INDEX) -> list[ShardStatus]:
        """All shards of an index, measured; a shard that cannot be asked is listed with the reason."""
        await self._catalog.indexes.get(index)
        return [await self._status(shard) for shard in await self._catalog.shards.list(index)]

    async def get(self, name: str, index: str = DEFAULT_INDEX) -> ShardStatus:
        """One shard, measured. Raises NotFound."""
        return await self._status(await self._find(index, name))

    @recorded("shard.change", index="index", shard="name")
    async def update(self, name: str, index: str = DEFAULT_INDEX, **changes: Any) -> Shard:
        """Change limits, weight, region, tier or state. Raises InvalidArgument, NotFound; Refused when a shard
        that still holds tenants is to be retired."""
        for field in changes:
            if field not in MUTABLE:
                raise InvalidArgument(field, changes[field], "a field that may change: " + ", ".join(MUTABLE))
        state = changes.pop("state", None)
        if state is not None and state not in list(ShardState):
            raise InvalidArgument("state", state, "one of " + ", ".join(ShardState))
        if state == ShardState.ROLLUP:
            raise InvalidArgument("state", state, "a state other than this one, which `tenantry rollup on` gives")
        changed = msgspec.structs.replace(await self._find(index, name), **changes)
        _check(changed)
        if changes:
            await self._catalog.shards.update(changed)
        if state is not None:
            await self._catalog.shards.set_state(index, name, ShardState(state))
        await self._pool.refresh(index)
        return await self._find(index, name)

    @recorded("shard.remove", index="index", shard="name")
    async def remove(self, name: str, index: str = DEFAULT_INDEX) -> None:
        """Take an empty shard out of the registry. Raises NotFound; Refused while it holds tenants."""
        shard = await self._find(index, name)
        if shard.tenants:
            raise Refused(f"shard {name!r} still holds {shard.tenants} tenants; they must leave it first")
        await self._catalog.shards.remove(index, name)
        await self._pool.close_shard(index, name)
        await self._pool.refresh(index)

    async def _find(self, index: str, name: str) -> Shard:
        await self._catalog.indexes.get(index)
        for shard in await self._catalog.shards.list(index):
            if shard.name == name:
                return shard
        raise NotFound("shard", name, f"see `tenantry shard list --index {index}`")

    async def _status(self, shard: Shard) -> ShardStatus:
        try:
            stats = await (await self._pool.backend(shard.index, shard.name)).stats()
        except TenantryError as error:
            return ShardStatus(shard, 0, 0, str(error))
        return ShardStatus(shard, stats.vectors, stats.bytes)


def _check(shard: Shard) -> None:
    for field in ("max_tenants", "max_vectors"):
        limit = getattr(shard, field)
        if limit is not None:
            check_count(limit, field, 0, NO_LIMIT)
    weight = shard.weight
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
        raise InvalidArgument("weight", weight, "a number over 0")
