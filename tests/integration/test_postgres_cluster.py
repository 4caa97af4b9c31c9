"""A whole cluster whose catalog is a real PostgreSQL."""

import asyncio

import pytest

from tenantry import Settings, init_cluster, open_cluster
from tenantry.errors import AlreadyExists, NotFound, Unavailable


def settings(folder, url):
    return Settings(data=folder, catalog_url=url)


async def test_the_main_job(tmp_path, postgres_url):
    chosen = settings(tmp_path, postgres_url)
    async with await init_cluster(chosen, dimension=3, shards=3) as cluster:
        assert not (tmp_path / "catalog.db").exists()
        await asyncio.gather(*(cluster.tenant(f"t{i}").upsert([("x", [1, 2, i])]) for i in range(12)))
        await cluster.tenants.delete("t3")
        _, secret = await cluster.keys.create("t1")
    async with await open_cluster(chosen) as cluster:
        found = await cluster.search_all([1, 2, 5], top_k=3)
        assert (found.hits[0].tenant, found.tenants_asked, found.partial) == ("t5", 11, False)
        assert (await cluster.keys.authenticate(secret)).tenant == "t1"
        assert (await cluster.verify_routing()).problems == []
        await cluster.tenant("t3").upsert([("new", [3, 2, 1])])
        assert list(await cluster.tenant("t3").fetch(["x", "new"])) == ["new"]
    with pytest.raises(AlreadyExists):
        await init_cluster(chosen, dimension=3)


async def test_queries_go_on_while_the_catalog_is_away(tmp_path, postgres_server, postgres_url):
    async with await init_cluster(settings(tmp_path, postgres_url), dimension=3) as cluster:
        acme = cluster.tenant("acme")
        await acme.upsert([("x", [1, 2, 3])])
        postgres_server.drop_database(postgres_url)
        assert [hit.id for hit in await acme.query([1, 2, 3])] == ["x"]
        assert await acme.upsert([("y", [3, 2, 1])]) == 1
        with pytest.raises((Unavailable, NotFound)):
            await cluster.tenants.create("other")
        assert (await acme.stats()).vectors == 2


async def test_an_unreachable_catalog_is_named_without_its_password(tmp_path):
    with pytest.raises(Unavailable) as caught:
        await open_cluster(settings(tmp_path, "postgresql://ann:verysecret@127.0.0.1:1/nowhere"))
    assert "127.0.0.1" in str(caught.value)
    assert "verysecret" not in str(caught.value)
