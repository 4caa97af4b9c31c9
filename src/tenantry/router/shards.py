"""The backends of all shards, opened on first use and kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tenantry.errors import NotFound, Refused
from tenantry.model.topology import LogicalIndex, Place, Shard, ShardState
from tenantry.ports import Catalog, Index, VectorBackend

#: Makes the backend of a shard; the only place that knows vendors stands behind it.
OpenBackend = Callable[[LogicalIndex, Shard], VectorBackend]


class ShardPool:
    """What the router must know of indexes and shards without asking the catalog.

    Loaded per logical index on first use; `refresh` is called by whoever changes an index or a shard.
    """

    def __init__(self, catalog: Catalog, open_backend: OpenBackend) -> None:
        self._catalog = catalog
        self._open_backend = open_backend
        self._indexes: dict[str, LogicalIndex] = {}
        self._shards: dict[str, dict[str, Shard]] = {}
        self._backends: dict[tuple[str, str], VectorBackend] = {}
        self._loading = asyncio.Lock()

    async def index(self, name: str) -> LogicalIndex:
        """The logical index. Raises NotFound."""
        known = self._indexes.get(name)
        if known is None:
            await self._load(name)
            known = self._indexes[name]
        return known

    async def shards(self, index: str) -> list[Shard]:
        """The shards of an index as last loaded; their tenant counts may be older than the catalog's."""
        await self.index(index)
        return list(self._shards[index].values())

    async def refresh(self, index: str) -> None:
        """Forget what is known of this index, so that the next request loads it anew."""
        self._indexes.pop(index, None)

    async def namespace(self, index: str, place: Place) -> Index:
        """The handle of a physical namespace. Raises NotFound when the shard is not registered."""
        backend = self._backends.get((index, place.shard))
        if backend is None:
            backend = await self.backend(index, place.shard)
        return backend.index(place.namespace)

    async def backend(self, index: str, shard: str) -> VectorBackend:
        """The backend of a shard, opened if need be. Raises NotFound."""
        known = self._backends.get((index, shard))
        if known is not None:
            return known
        logical = await self.index(index)
        registered = self._shards[index].get(shard)
        if registered is None:
            await self._load(index)
            registered = self._shards[index].get(shard)
        if registered is None:
            raise NotFound("shard", shard, f"index {index!r} has no such shard; see `tenantry shard list`")
        return self._backends.setdefault((index, shard), self._open_backend(logical, registered))

    async def try_out(self, shard: Shard) -> None:
        """Open the backend of a shard that is to be registered, and keep it if it can be used. Raises what stands
        against that."""
        backend = await self.tried(shard)
        await self.close_shard(shard.index, shard.name)
        self._backends[shard.index, shard.name] = backend

    async def tried(self, shard: Shard) -> VectorBackend:
        """The backend of a shard that is not registered, if it can be used; the caller closes it. Raises what stands
        against that."""
        backend = self._open_backend(await self.index(shard.index), shard)
        try:
            await backend.probe()
        except BaseException:
            await backend.aclose()
            raise
        return backend

    def check_writable(self, index: str, shard: str) -> None:
        """Raises Refused when the shard is read-only."""
        registered = self._shards.get(index, {}).get(shard)
        if registered is not None and registered.state is ShardState.READ_ONLY:
            raise Refused(
                f"shard {shard!r} is read-only; set it active with `tenantry shard set {shard} --state active`"
            )

    async def close_shard(self, index: str, shard: str) -> None:
        """Close the backend of a shard that was removed."""
        backend = self._backends.pop((index, shard), None)
        self._shards.get(index, {}).pop(shard, None)
        if backend is not None:
            await backend.aclose()

    async def close_index(self, index: str) -> None:
        """Close every backend of an index that was deleted."""
        for key in [key for key in self._backends if key[0] == index]:
            await self._backends.pop(key).aclose()
        self._indexes.pop(index, None)
        self._shards.pop(index, None)

    async def aclose(self) -> None:
        """Close all backends."""
        backends, self._backends = list(self._backends.values()), {}
        for backend in backends:
            await backend.aclose()

    async def _load(self, name: str) -> None:
        async with self._loading:
            logical = await self._catalog.indexes.get(name)
            self._shards[name] = {shard.name: shard for shard in await self._catalog.shards.list(name)}
            self._indexes[name] = logical
