"""Vectors of two models never meet."""

import asyncio

import pytest

from tenantry.documents.store import Document
from tenantry.errors import InvalidArgument, NotFound, Refused, Unavailable
from tenantry.model.topology import TenantSpec

DOCUMENTS = [Document("a", "apple pie", {})]


async def add(desk, tenant, index="default"):
    return await desk.documents.add(index, tenant, DOCUMENTS)


async def test_an_index_without_an_embedder_says_how_to_get_one(desk):
    await desk.cluster.indexes.create("plain", 32)
    for act in (
        lambda: add(desk, "acme", "plain"),
        lambda: desk.documents.search_all("plain", "text"),
    ):
        with pytest.raises(Refused, match=r"tenantry index set plain --embedder NAME"):
            await act()
    await desk.cluster.indexes.update("plain", embedder="words")
    assert (await add(desk, "acme", "plain")).added == 1


async def test_another_model_is_refused_once_documents_are_there(desk):
    await add(desk, "acme")
    await desk.documents.search("default", "acme", "pie")
    await desk.cluster.indexes.update("default", embedder="words:new")
    for act in (
        lambda: add(desk, "acme"),
        lambda: add(desk, "another"),
        lambda: desk.documents.search("default", "acme", "pie"),
        lambda: desk.documents.search_all("default", "pie"),
        lambda: desk.documents.search_all("default", "pie", tenants=["acme"]),
    ):
        with pytest.raises(Refused, match=r"'words:'.*'words:new'"):
            await act()
    assert desk.embedder("words:new").calls == []
    await desk.documents.delete("default", "acme", ["nothing"])
    await desk.cluster.indexes.update("default", embedder="words")
    assert [hit.document for hit in await desk.documents.search("default", "acme", "pie")] == ["a"]


async def test_the_model_may_change_while_nothing_is_stored(desk):
    desk.words.fail_with = Unavailable("the key is wrong")
    with pytest.raises(Unavailable):
        await add(desk, "acme")
    await desk.cluster.indexes.update("default", embedder="words:new")
    await add(desk, "acme")
    assert desk.embedder("words:new").texts == ["apple pie"]


async def test_an_index_made_again_starts_afresh(desk):
    await desk.cluster.indexes.create("more", 32, embedder="words")
    await add(desk, "acme", "more")
    await desk.cluster.indexes.delete("more")
    desk.clock.advance(1)
    await desk.cluster.indexes.create("more", 32, embedder="words:new")
    await add(desk, "acme", "more")
    assert len(await desk.documents.search("more", "acme", "pie")) == 1


async def test_two_processes_with_different_models_cannot_both_write(desk):
    """The other one recorded its model between our look and our first write."""
    name = f"documents.model/default@{(await desk.cluster.indexes.get('default')).created_at:.6f}"

    desk.words.gate.clear()
    writing = asyncio.create_task(add(desk, "acme"))
    await desk.words.asked.wait()
    await desk.catalog.settings.put_if_absent(name, "words:other")
    desk.words.gate.set()
    with pytest.raises(Refused, match="words:other"):
        await writing
    assert "upsert" not in desk.calls


async def test_the_record_is_one_for_all_tenants_of_the_index(desk):
    for n in range(20):
        await add(desk, f"t{n}")
    assert len([name for name in await desk.catalog.settings.all() if name.startswith("documents.")]) == 1


async def test_a_tenant_cannot_name_an_embedder_that_does_not_fit(desk):
    with pytest.raises(InvalidArgument, match=r"32 dimensions.*gives 16"):
        await desk.cluster.tenants.create("narrow", spec=TenantSpec(embedder="words:narrow@16"))
    with pytest.raises(InvalidArgument, match="nonsense"):
        await desk.cluster.tenants.create("odd", spec=TenantSpec(embedder="nonsense"))
    assert await desk.cluster.tenants.list() == []


class TestOwnEmbedder:
    @pytest.fixture
    async def two(self, desk):
        await desk.cluster.tenants.create("own", spec=TenantSpec(embedder="words:own"))
        await desk.cluster.tenants.create("like", spec=TenantSpec(embedder="words:own"))
        for tenant in ("plain", "own", "like"):
            await add(desk, tenant)
        return desk

    async def test_it_is_used(self, two):
        assert two.words.texts == ["apple pie"]
        assert two.embedder("words:own").texts == ["apple pie", "apple pie"]
        await two.documents.search("default", "own", "question")
        assert two.embedder("words:own").texts[-1] == "question"

    async def test_different_models_are_not_searched_together(self, two):
        for tenants in (None, ["plain", "own"]):
            with pytest.raises(Refused, match=r"words:: 'plain'; words:own: .*'own'"):
                await two.documents.search_all("default", "pie", tenants=tenants)

    async def test_tenants_of_one_model_are(self, two):
        found = await two.documents.search_all("default", "pie", tenants=["own", "like"])
        assert [hit.tenant for hit in found.hits] == ["like", "own"]
        assert two.embedder("words:own").texts[-1] == "pie"
        found = await two.documents.search_all("default", "pie", tenants=["plain"])
        assert [hit.tenant for hit in found.hits] == ["plain"]

    async def test_all_can_be_searched_once_the_others_are_gone(self, two):
        await two.cluster.tenants.delete("own")
        await two.cluster.tenants.suspend("like")
        found = await two.documents.search_all("default", "pie")
        assert [hit.tenant for hit in found.hits] == ["plain"]

    async def test_a_change_of_the_index_does_not_touch_it(self, two):
        await two.cluster.indexes.update("default", embedder=None)
        assert len(await two.documents.search("default", "own", "pie")) == 1
        with pytest.raises(Refused, match="no embedder"):
            await two.documents.search("default", "plain", "pie")

    async def test_made_again_with_another_embedder_it_starts_afresh(self, two):
        await two.documents.search("default", "own", "pie")
        await two.cluster.tenants.delete("own")
        two.clock.advance(1)
        await two.cluster.tenants.create("own", spec=TenantSpec(embedder="words:third"))
        await add(two, "own")
        await two.documents.search("default", "own", "question")
        assert two.embedder("words:third").texts == ["apple pie", "question"]

    async def test_a_deleted_tenant_is_not_found_though_its_binding_was_known(self, two):
        await two.documents.search("default", "own", "pie")
        await two.cluster.tenants.delete("own")
        with pytest.raises(NotFound):
            await two.documents.search("default", "own", "pie")
