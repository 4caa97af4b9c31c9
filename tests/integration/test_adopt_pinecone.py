"""The hard exercise: 50 tenants of one existing index, adopted, then spread over three shards while they are written.

The index is on a gateway in another process, in the place of Pinecone, reached by the official SDK.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tenantry.cluster import Cluster
from tenantry.errors import Refused
from tenantry.model.migration import Migration, State
from tenantry.wiring import init_cluster

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk"))
from gateway_process import ADMIN_KEY, running_gateway

TENANTS = [f"customer-{n:02}" for n in range(50)]
RECORDS = 20
PAUSE_MS = 5_000
DOLLARS = 5.75
PACE_S = 0.02
#: So many moves at once, on one index: it is the source of all of them.
AT_ONCE = {"moves_at_once": 8, "moves_per_shard": 8}


def fill(url: str) -> None:
    with httpx.Client(base_url=url, headers={"Api-Key": ADMIN_KEY}) as http:
        for name in TENANTS:
            vectors = [{"id": f"old-{n}", "values": [1.0, n, 0, 0], "metadata": {"n": n}} for n in range(RECORDS)]
            assert http.post("/vectors/upsert", json={"namespace": name, "vectors": vectors}).status_code == 200


@asynccontextmanager
async def load(cluster: Cluster, acknowledged: dict[str, list[str]]) -> AsyncIterator[None]:
    """Writes to one tenant after another, and reads of it, until the block ends; nothing may fail."""
    over = asyncio.Event()

    async def write(start: int) -> None:
        number = 0
        while not over.is_set():
            for name in TENANTS[start::5]:
                key = f"new-{number}"
                await cluster.tenant(name).upsert([(key, [0, 1, number, 1])])
                acknowledged.setdefault(name, []).append(key)
                assert await cluster.tenant(name).query([1, 0, 0, 0], top_k=1)
                await asyncio.sleep(PACE_S)
            number += 1

    tasks = [asyncio.create_task(write(start)) for start in range(5)]
    try:
        yield
    finally:
        over.set()
        await asyncio.gather(*tasks)


async def done(cluster: Cluster, id: str) -> AsyncIterator[Migration]:
    """A migration until every wave is through, or it stands still."""
    async for state in cluster.migrations.watch(id):
        yield state
        if state.state in (State.DONE, State.PAUSED):
            return


@pytest.mark.timeout(240)
async def test_fifty_tenants_of_one_index_to_three_shards_under_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINECONE_API_KEY", ADMIN_KEY)
    acknowledged: dict[str, list[str]] = {}
    with running_gateway(tmp_path / "pinecone", dimension=4) as gateway:
        fill(gateway.url)
        async with await init_cluster(tmp_path / "data", dimension=4, shards=3, settings=AT_ONCE) as cluster:
            options = {"host": gateway.url, "visible_s": "0"}
            report = await cluster.adoption.adopt("pinecone", options=options)
            assert report.adopted == TENANTS
            assert report.vectors == len(TENANTS) * RECORDS
            async with load(cluster, acknowledged):
                plan = await cluster.migrations.plan(sources=["adopted"], every_s=0, soak_s=1, at_once=8)
                assert plan.blockers == []
                assert [len(wave.tenants) for wave in plan.waves] == [1, 13, 12, 12, 12]  # a canary, then 25% at most
                begun = await cluster.migrations.start(sources=["adopted"], every_s=0, soak_s=1, at_once=8)
                ended = [state async for state in done(cluster, begun.id)][-1]
            assert ended.state is State.DONE, ended.reason
            told = await cluster.migrations.report(begun.id)
            assert (told.moved, told.failed) == (len(TENANTS), 0)
            assert told.pause_max_ms < PAUSE_MS
            assert (await cluster.migrations.finish(begun.id)).state is State.FINISHED
            moves = await cluster.moves.list("default", limit=1_000)
            pauses = [move.flip_ms for move in moves if move.flip_ms is not None]
            assert len(pauses) == len(TENANTS)
            print(f"writes held: median {statistics.median(pauses):.0f} ms, most {max(pauses):.0f} ms")
            assert max(pauses) < PAUSE_MS
            assert all(move.proof is not None for move in moves)

            for name in TENANTS:  # nothing that was acknowledged is lost, nothing old either
                ids = [f"old-{n}" for n in range(RECORDS)] + acknowledged[name]
                for start in range(0, len(ids), 500):
                    part = ids[start : start + 500]
                    assert list(await cluster.tenant(name).fetch(part)) == part
            shards = {each.shard.name: each.shard.tenants for each in await cluster.shards.list()}
            assert shards.pop("adopted") == 0
            assert all(tenants > 0 for tenants in shards.values())

            await cluster.shards.update("adopted", state="active")
            again = await cluster.adoption.adopt("pinecone", options=options)
            assert (again.adopted, again.known) == ([], 0)
            assert {each.reason for each in again.left_alone} == {"an old copy of a tenant that was moved away"}

            await cluster.moves.purge()
            await cluster.shards.remove("adopted")
            bill = await cluster.advice.cost(overhead=["redis", "postgresql"])
            assert bill.per_tenant is not None
            assert bill.per_tenant <= DOLLARS
            assert sum(each.cost for each in bill.tenants) == pytest.approx(bill.monthly)


async def test_an_index_of_another_dimension_is_refused_and_nothing_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINECONE_API_KEY", ADMIN_KEY)
    with running_gateway(tmp_path / "pinecone", dimension=4) as gateway:
        async with await init_cluster(tmp_path / "data", dimension=8, shards=0) as cluster:
            with pytest.raises(Refused, match="of 4 dimensions"):
                await cluster.adoption.adopt("pinecone", options={"host": gateway.url})
            assert await cluster.shards.list() == []
