"""Clusters with data in them, for benches to measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import data
from tenantry.cluster import Cluster
from tenantry.model.records import Record

BATCH = 500


async def new_cluster(folder: Path, shards: int = 4, **settings: Any) -> Cluster:
    from tenantry.wiring import init_cluster

    return await init_cluster(folder, dimension=data.DIMENSION, shards=shards, settings=settings)


def records(count: int, seed: int) -> list[Record]:
    rows = zip(data.ids(count), data.vectors(count, seed), data.metadata(count, seed), strict=True)
    return [Record(id, values, metadata) for id, values, metadata in rows]


def batches(rows: Sequence[Record], size: int = BATCH) -> list[Sequence[Record]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


async def fill(cluster: Cluster, sizes: Mapping[str, int], seed: int = 100) -> None:
    """Tenants with that many records each; tenant number i has its own topics."""
    for number, (name, size) in enumerate(sizes.items()):
        for batch in batches(records(size, tenant_seed(number, seed))):
            await cluster.tenant(name).upsert(batch)


def tenant_seed(number: int, seed: int = 100) -> int:
    """Seed of a tenant's data; its upper part chooses the topics, so that queries can be drawn from the same ones."""
    return (seed + number) << 8


def queries(number: int, count: int, seed: int = 100) -> Any:
    """Query vectors near tenant ``number``'s data, none of them in it."""
    return data.vectors(count, tenant_seed(number, seed) + 1)


async def settled(cluster: Cluster) -> None:
    """Wait until the embedded engine has no background work left."""
    for shard in await cluster.router.pool.shards("default"):
        backend: Any = await cluster.router.pool.backend("default", shard.name)
        if hasattr(backend, "settled"):
            await backend.settled()
