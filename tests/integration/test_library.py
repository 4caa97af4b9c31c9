"""The library on the real engine, in folders that are opened, closed, locked and broken."""

import asyncio
import subprocess
import sys

import pytest

from tenantry import Settings, init_cluster, open_cluster
from tenantry.errors import AlreadyExists, CapacityExceeded, Corrupt, InvalidArgument, Locked, NotFound
from tenantry.model.topology import TenantSpec


async def test_a_cluster_outlives_its_process(tmp_path):
    async with await init_cluster(tmp_path, dimension=3, shards=3, metric="euclidean") as cluster:
        for name in ("a", "b", "c"):
            await cluster.tenant(name).upsert([("x", [1, 2, 3], {"who": name})])
        places = {s.tenant.name: s.tenant.route.place for s in await cluster.tenants.list()}
    async with await open_cluster(tmp_path) as cluster:
        await cluster.shards.add("shard-9")
        for name in ("a", "b", "c"):
            [hit] = await cluster.tenant(name).query([1, 2, 3.5], top_k=3)
            assert (hit.id, hit.metadata) == ("x", {"who": name})
            assert hit.score == pytest.approx(-0.25)
        assert places == {s.tenant.name: s.tenant.route.place for s in await cluster.tenants.list()}


async def test_opening_what_is_not_there_names_the_command(tmp_path):
    with pytest.raises(NotFound, match="tenantry init --data"):
        await open_cluster(tmp_path / "typo")
    assert not (tmp_path / "typo").exists()


async def test_init_never_changes_an_existing_cluster(tmp_path):
    async with await init_cluster(tmp_path, dimension=3) as cluster:
        await cluster.tenant("a").upsert([("x", [1, 2, 3])])
    with pytest.raises(AlreadyExists, match="default"):
        await init_cluster(tmp_path, dimension=5, shards=4)
    async with await open_cluster(tmp_path) as cluster:
        assert (await cluster.indexes.get("default")).dimension == 3
        assert len(await cluster.shards.list()) == 1


@pytest.mark.parametrize("bad", [{"dimension": 0}, {"metric": "x"}, {"shards": -1}, {"policy": "dice"}])
async def test_a_bad_init_leaves_no_index(tmp_path, bad):
    with pytest.raises(InvalidArgument):
        await init_cluster(tmp_path, **{"dimension": 3, **bad})
    async with await init_cluster(tmp_path, dimension=4) as cluster:
        assert (await cluster.indexes.get("default")).dimension == 4


async def test_a_second_process_is_told_who_has_the_folder(tmp_path):
    async with await init_cluster(tmp_path, dimension=3) as cluster:
        await cluster.tenant("a").upsert([("x", [1, 2, 3])])
        script = (
            "import asyncio, sys, tenantry\n"
            "async def main():\n"
            "    async with await tenantry.open_cluster(sys.argv[1]) as cluster:\n"
            "        print([s.tenant.name for s in await cluster.tenants.list()][:1])\n"
            "        await cluster.tenant('a').query([1, 2, 3])\n"
            "asyncio.run(main())\n"
        )
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 1
        assert "['a']" in done.stdout  # the catalog can be read beside a serving process
        assert Locked.__name__ in done.stderr
        assert "process" in done.stderr


async def test_a_corrupt_catalog_is_named(tmp_path):
    async with await init_cluster(tmp_path, dimension=3):
        pass
    for leftover in tmp_path.glob("catalog.db-*"):
        leftover.unlink()
    (tmp_path / "catalog.db").write_bytes(b"not a database at all" * 500)
    with pytest.raises(Corrupt, match=r"catalog\.db"):
        await open_cluster(tmp_path)


@pytest.mark.parametrize("lost", ["missing", "empty"])
async def test_a_lost_catalog_is_no_fresh_start(tmp_path, lost):
    async with await init_cluster(tmp_path, dimension=3) as cluster:
        await cluster.tenant("a").upsert([("x", [1, 2, 3])])
    for file in tmp_path.glob("catalog.db*"):
        file.unlink()
    if lost == "empty":
        (tmp_path / "catalog.db").touch()
    for act in (open_cluster(tmp_path), init_cluster(tmp_path, dimension=3)):
        with pytest.raises(Corrupt, match=f"catalog.db is {lost}, yet"):
            await act


async def test_fifty_tenants_at_once_never_exceed_capacity(tmp_path):
    async with await init_cluster(tmp_path, dimension=3, shards=3) as cluster:
        for number in range(3):
            await cluster.shards.update(f"shard-{number}", max_tenants=10)
        results = await asyncio.gather(*(cluster.tenants.create(f"t{i}") for i in range(50)), return_exceptions=True)
        assert sum(isinstance(result, CapacityExceeded) for result in results) == 20
        assert [status.shard.tenants for status in await cluster.shards.list()] == [10, 10, 10]
        with pytest.raises(CapacityExceeded, match="tenantry shard add"):
            await cluster.tenants.create("one-more")


async def test_pinned_and_dedicated_tenants(tmp_path):
    async with await init_cluster(tmp_path, dimension=3, shards=3) as cluster:
        await cluster.tenants.create("vip", spec=TenantSpec(shard="shard-1", dedicated=True))
        for i in range(30):
            made = await cluster.tenants.create(f"t{i}")
            assert made.route.place.shard != "shard-1"
        with pytest.raises(CapacityExceeded):
            await cluster.tenants.create("other", spec=TenantSpec(shard="shard-1"))


async def test_settings_reach_the_limits(tmp_path):
    settings = Settings(data=tmp_path, max_batch_records=2, max_top_k=5)
    async with await init_cluster(settings, dimension=3) as cluster:
        acme = cluster.tenant("acme")
        with pytest.raises(InvalidArgument, match="at most 2"):
            await acme.upsert([(str(i), [1, 2, 3]) for i in range(3)])
        await acme.upsert([("a", [1, 2, 3])])
        with pytest.raises(InvalidArgument, match="1 to 5"):
            await acme.query([1, 2, 3], top_k=6)
