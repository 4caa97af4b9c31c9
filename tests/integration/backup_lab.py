"""What the tests of backups share: clusters with data, and a comparison of every record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tenantry.cluster import Cluster
from tenantry.model.records import CLOSE, Record
from tenantry.settings import Settings
from tenantry.wiring import init_cluster, restoring_cluster

DIMENSION = 8
SIZES = {"acme": 900, "bigcorp": 400, "calm": 120, "dots.and/slashes": 5, "empty": 0}


def rows(name: str, count: int) -> list[Record]:
    rng = np.random.default_rng(sum(name.encode()))
    made = rng.standard_normal((count, DIMENSION)).astype(np.float32)
    return [
        Record(f"r{i:05}", made[i], None if i % 7 == 0 else {"n": i, "half": i / 2, "tags": ["a", name]})
        for i in range(count)
    ]


async def filled(folder: Path, shards: int = 3, sizes: dict[str, int] | None = None, **settings: Any) -> Cluster:
    """A cluster with tenants."""
    cluster = await init_cluster(folder, dimension=DIMENSION, shards=shards, settings=settings)
    for name, size in (SIZES if sizes is None else sizes).items():
        await cluster.tenants.create(name)
        made = rows(name, size)
        for start in range(0, size, 500):
            await cluster.tenant(name).upsert(made[start : start + 500])
    return cluster


async def content(cluster: Cluster, name: str) -> dict[str, tuple[bytes, Any]]:
    """Every record, exactly."""
    return {one.id: (one.values.tobytes(), one.metadata) async for one in cluster.tenant(name).scan()}


async def everything(cluster: Cluster) -> dict[str, dict[str, tuple[bytes, Any]]]:
    return {one.tenant.name: await content(cluster, one.tenant.name) for one in await cluster.tenants.list(limit=1_000)}


def close(one: dict[str, tuple[bytes, Any]], other: dict[str, tuple[bytes, Any]]) -> bool:
    """The same but for rounding of an engine that keeps vectors at length 1."""
    if one.keys() != other.keys():
        return False
    for id, (values, metadata) in one.items():
        mine, theirs = (np.frombuffer(each, np.float32).astype(float) for each in (values, other[id][0]))
        if np.linalg.norm(mine - theirs) > CLOSE * np.linalg.norm(mine) or (metadata or {}) != (other[id][1] or {}):
            return False
    return True


def restoring(folder: Path, **settings: Any) -> Any:
    return restoring_cluster(Settings(data=folder, **settings))
