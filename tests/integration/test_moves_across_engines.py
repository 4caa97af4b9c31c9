"""One tenant goes through every kind of engine while it is written to and read: nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import numpy as np
import pytest

from tenantry.cluster import Cluster
from tenantry.errors import Unavailable
from tenantry.model.records import CLOSE, Metadata, Vector
from tenantry.wiring import init_cluster

DIMENSION = 16
RECORDS = 400
WRITERS = 3


class Load:
    """Writers that each have their own ids, a reader, and what everything must come to."""

    def __init__(self, cluster: Cluster) -> None:
        self.tenant = cluster.tenant("acme")
        self.wanted: dict[str, tuple[Vector, Metadata]] = {}
        self.writes = 0
        self.reads = 0
        self.over = False
        self._rng = np.random.default_rng(7)
        self._chance = random.Random(7)

    def vector(self) -> Vector:
        return self._rng.standard_normal(DIMENSION).astype(np.float32) * np.float32(2.5)

    async def fill(self) -> None:
        for start in range(0, RECORDS, 200):
            some = {f"old-{i:04}": (self.vector(), self.metadata(i)) for i in range(start, start + 200)}
            await self.tenant.upsert([{"id": key, "values": v, "metadata": m} for key, (v, m) in some.items()])
            self.wanted |= some

    def metadata(self, number: int) -> Metadata:
        return {"n": number, "half": number / 2, "even": number % 2 == 0, "tags": ["all", f"t{number % 3}"]}

    async def write(self, writer: int) -> None:
        """Upserts, updates, deletes; each is repeated until it is acknowledged."""
        number = 0
        while not self.over:
            number += 1
            key = f"w{writer}-{self._chance.randrange(40):02}"
            what = self._chance.random()
            if what < 0.5 or key not in self.wanted:
                vector, metadata = self.vector(), self.metadata(number)
                await self._until(lambda k=key, v=vector, m=metadata: self.tenant.upsert([(k, v, m)]))
                self.wanted[key] = (vector, metadata)
            elif what < 0.75:
                await self._until(lambda k=key, n=number: self.tenant.update(k, set_metadata={"n": n}))
                self.wanted[key] = (self.wanted[key][0], {**self.wanted[key][1], "n": number})
            else:
                await self._until(lambda k=key: self.tenant.delete(ids=[k]))
                del self.wanted[key]
            self.writes += 1
            await asyncio.sleep(0.002)

    async def read(self) -> None:
        """A record that nobody changes is always found, by id and by its own vector."""
        while not self.over:
            key = f"old-{self._chance.randrange(RECORDS):04}"
            hits = await self.tenant.query(self.wanted[key][0], top_k=3)
            assert key in {hit.id for hit in hits}
            assert set(await self.tenant.fetch([key])) == {key}
            self.reads += 1
            await asyncio.sleep(0.002)

    async def _until(self, call) -> None:
        while True:
            with contextlib.suppress(Unavailable):
                await call()
                return
            await asyncio.sleep(0.01)

    async def check(self, rounded: int) -> None:
        """Everything is there, as it was written, but for what ``rounded`` keepings at length 1 may take away."""
        found = {}
        async for record in self.tenant.scan():
            found[record.id] = record
        assert set(found) == set(self.wanted)
        for key, (vector, metadata) in self.wanted.items():
            assert found[key].metadata == metadata
            apart = np.linalg.norm(found[key].values.astype(np.float64) - vector)
            assert apart <= rounded * CLOSE * np.linalg.norm(vector), key


@pytest.mark.timeout(300)
async def test_a_tenant_goes_through_all_engines_under_load(
    tmp_path: Path, postgres_url: str, chroma_url: str, milvus_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_URL", postgres_url)
    async with await init_cluster(tmp_path / "data", dimension=DIMENSION) as cluster:
        home = (await cluster.tenants.create("acme")).route.place.shard
        await cluster.shards.add("pg", backend="pgvector", options={"url_env": "PG_URL"})
        await cluster.shards.add("chroma", backend="chroma", options={"url": chroma_url})
        await cluster.shards.add("milvus", backend="milvus", options={"url": milvus_url})
        await cluster.shards.add("qdrant", backend="qdrant", options={"path": str(tmp_path / "qdrant")})
        load = Load(cluster)
        await load.fill()
        tasks = [asyncio.create_task(load.write(writer)) for writer in range(WRITERS)]
        tasks.append(asyncio.create_task(load.read()))
        rounded = 0
        for shard, tolerance in (("pg", 0), ("chroma", CLOSE), ("milvus", CLOSE), ("qdrant", CLOSE), (home, CLOSE)):
            before = load.writes, load.reads
            move = await cluster.moves.wait((await cluster.moves.start("acme", shard, soak_s=0)).id)
            assert move.phase == "done", move.error
            assert move.proof is not None
            assert move.proof.records >= RECORDS
            assert move.proof.tolerance == tolerance
            assert load.writes > before[0]
            assert load.reads > before[1]
            assert not [task for task in tasks if task.done()]
            rounded += 1
        load.over = True
        await asyncio.gather(*tasks)
        await load.check(rounded)
