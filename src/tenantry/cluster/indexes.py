"""Logical indexes: create, describe, configure, delete."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tenantry.cluster.embedding import check_embedder
from tenantry.cluster.keys import KeyAdmin
from tenantry.cluster.recording import recorded
from tenantry.cluster.shards import ShardAdmin
from tenantry.errors import InvalidArgument, Refused
from tenantry.model.limits import MAX_DIMENSION, check_count, check_index_name
from tenantry.model.records import Metric
from tenantry.model.topology import LogicalIndex
from tenantry.ports import Catalog, Clock, Embedder, PlacementPolicy
from tenantry.router.resolve import Resolver
from tenantry.router.shards import ShardPool

MUTABLE = ("policy", "auto_create", "embedder", "deletion_protection", "tags")
MAX_SHARDS_AT_ONCE = 1_000


class IndexAdmin:
    """Operations on logical indexes."""

    def __init__(
        self,
        catalog: Catalog,
        pool: ShardPool,
        resolver: Resolver,
        shards: ShardAdmin,
        policy: Callable[[str], PlacementPolicy],
        embedder: Callable[[str], Embedder],
        clock: Clock,
        keys: KeyAdmin,
    ) -> None:
        self._catalog = catalog
        self._pool = pool
        self._resolver = resolver
        self._shards = shards
        self._policy = policy
        self._embedder = embedder
        self._clock = clock
        self._keys = keys

    @recorded("index.create", index="name")
    async def create(
        self,
        name: str,
        dimension: int,
        metric: str = Metric.COSINE,
        *,
        shards: int = 1,
        policy: str = "rendezvous",
        auto_create: bool = True,
        embedder: str | None = None,
        deletion_protection: bool = False,
        tags: Mapping[str, str] | None = None,
    ) -> LogicalIndex:
        """Make a logical index with ``shards`` new shards (``shard-0``, ...) on the default backend.

        Raises InvalidArgument for a bad name, dimension (1 to 20,000), metric, policy or embedder;
        AlreadyExists.
        """
        check_index_name(name)
        check_count(dimension, "dimension", 1, MAX_DIMENSION)
        check_count(shards, "shards", 0, MAX_SHARDS_AT_ONCE)
        if metric not in list(Metric):
            raise InvalidArgument("metric", metric, "one of " + ", ".join(Metric))
        self._policy(policy)
        if embedder is not None:
            check_embedder(self._embedder, embedder, dimension)
        index = LogicalIndex(
            name=name,
            dimension=dimension,
            metric=Metric(metric),
            policy=policy,
            auto_create=auto_create,
            embedder=embedder,
            deletion_protection=deletion_protection,
            tags=dict(tags or {}),
            created_at=self._clock.now(),
        )
        await self._catalog.indexes.create(index)
        for number in range(shards):
            await self._shards.add(f"shard-{number}", index=name)
        return index

    async def get(self, name: str) -> LogicalIndex:
        """Raises NotFound."""
        return await self._catalog.indexes.get(name)

    async def list(self) -> list[LogicalIndex]:
        """All logical indexes, by name."""
        return await self._catalog.indexes.list()

    @recorded("index.change", index="name")
    async def update(self, name: str, **changes: Any) -> LogicalIndex:
        """Change what may change: policy, auto_create, embedder, deletion_protection, tags.

        Raises InvalidArgument for any other field: dimension and metric are for life.
        """
        for field in changes:
            if field not in MUTABLE:
                raise InvalidArgument(field, changes[field], "a field that may change: " + ", ".join(MUTABLE))
        current = await self._catalog.indexes.get(name)
        if "policy" in changes:
            self._policy(changes["policy"])
        if changes.get("embedder") is not None:
            check_embedder(self._embedder, changes["embedder"], current.dimension)
        changed = msgspec.structs.replace(current, **changes)
        await self._catalog.indexes.update(changed)
        await self._pool.refresh(name)
        return changed

    @recorded("index.delete", index="name")
    async def delete(self, name: str) -> None:
        """Delete an index with all its tenants, their data and keys; repeatable after a crash.

        Raises NotFound; Refused while deletion protection is on.
        """
        index = await self._catalog.indexes.get(name)
        if index.deletion_protection:
            raise Refused(f"index {name!r} is protected from deletion; switch deletion_protection off first")
        await self._keys.revoke_all(name)
        while page := await self._catalog.tenants.list(name, None, 1_000):
            for tenant in page:
                await self._resolver.delete(name, tenant.name)
        await self._resolver.purge_deleted(name)
        await self._catalog.indexes.delete(name)
        await self._pool.close_index(name)
