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
from tenantry.model.moves import Phase
from tenantry.wiring import init_cluster

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk"))
from gateway_process import ADMIN_KEY, running_gateway

TENANTS = [f"customer-{n:02}" for n in range(50)]
RECORDS = 20
#: Of one collection. The number is one in the metadata, too.
FIELDS = ["acme", "globex", "initech", 7]
PAUSE_MS = 5_000
DOLLARS = 5.75
PACE_S = 0.02
#: So many moves at once, on one index: it is the source of all of them.
AT_ONCE = {"moves_at_once": 8, "moves_per_shard": 8}


def fill(url: str) -> None:
    with httpx.Client(base_url=url, headers={"Api-Key": ADMIN_KEY}, timeout=60) as http:
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


def fill_one(url: str) -> None:
    """Everybody in the default namespace, told apart by a field, as an application without tenants would do it."""
    vectors = [
        {"id": f"doc~{n}", "values": [1.0, n, 0, 0], "metadata": {"customer": FIELDS[n % len(FIELDS)], "n": n}}
        for n in range(120)
    ]
    vectors.append({"id": "nobody", "values": [1, 1, 1, 1]})
    with httpx.Client(base_url=url, headers={"Api-Key": ADMIN_KEY}, timeout=60) as http:
        assert http.post("/vectors/upsert", json={"vectors": vectors}).status_code == 200


async def moved(cluster: Cluster, name: str, shard: str) -> None:
    """Move a tenant while it is written."""
    over = asyncio.Event()
    written: list[str] = []

    async def write() -> None:
        while not over.is_set():
            await cluster.tenant(name).upsert([(f"new~{len(written)}", [0, 1, 1, 1], {"n": len(written)})])
            written.append(f"new~{len(written)}")
            await asyncio.sleep(PACE_S)

    writer = asyncio.create_task(write())
    move = await cluster.moves.start(name, shard, soak_s=0.5)
    ended = [state async for state in cluster.moves.watch(move.id)][-1]
    over.set()
    await writer
    assert ended.phase is Phase.DONE, ended
    assert list(await cluster.tenant(name).fetch(written)) == written


async def test_tenants_of_one_collection_are_adopted_by_a_field_and_moved_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINECONE_API_KEY", ADMIN_KEY)
    with running_gateway(tmp_path / "pinecone", dimension=4) as gateway:
        fill_one(gateway.url)
        async with await init_cluster(tmp_path / "data", dimension=4, shards=1) as cluster:
            options = {"host": gateway.url, "visible_s": "0", "tenant_field": "customer"}
            seen = await cluster.adoption.adopt("pinecone", options=options, dry_run=True)
            assert (seen.found, seen.adopted, seen.vectors) == (4, ["7", "acme", "globex", "initech"], 120)
            report = await cluster.adoption.adopt("pinecone", options=options)
            assert report.adopted == seen.adopted
            assert [each.reason for each in report.left_alone] == ["1 record without 'customer' belongs to no tenant"]
            again = await cluster.adoption.adopt("pinecone", options=options)
            assert (again.adopted, again.known) == ([], 4)
            assert (await cluster.verify_routing()).problems == []

            hits = await cluster.tenant("acme").query([1.0, 0, 0, 0], top_k=100, include_metadata=True)
            assert len(hits) == 30
            assert {hit.metadata["customer"] for hit in hits if hit.metadata} == {"acme"}
            assert set(await cluster.tenant("7").fetch(["doc~0", "doc~3"])) == {"doc~3"}
            for name in ("acme", "7"):
                await moved(cluster, name, "shard-0")
                assert len(await cluster.tenant(name).fetch([f"doc~{n}" for n in range(120)])) == 30
            await cluster.moves.purge()
            with httpx.Client(base_url=gateway.url, headers={"Api-Key": ADMIN_KEY}, timeout=60) as http:
                left = http.get("/vectors/list", params={"limit": 100}).json()["vectors"]
            assert len(left) == 61  # those of the others, as they were, and nobody's
            assert not [one["id"] for one in left if one["id"].startswith("_tenantry")]


async def test_an_index_of_another_dimension_is_refused_and_nothing_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINECONE_API_KEY", ADMIN_KEY)
    with running_gateway(tmp_path / "pinecone", dimension=4) as gateway:
        async with await init_cluster(tmp_path / "data", dimension=8, shards=0) as cluster:
            with pytest.raises(Refused, match="of 4 dimensions"):
                await cluster.adoption.adopt("pinecone", options={"host": gateway.url})
            assert await cluster.shards.list() == []
