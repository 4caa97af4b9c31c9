"""Searching by text, in one tenant and over many."""

import asyncio

import pytest

from tenantry.documents.store import Document
from tenantry.errors import DeadlineExceeded, InvalidArgument, NotFound, Refused, TooLarge, Unavailable
from tenantry.model.filters import parse_filter

FRUIT = ["apple tree", "pear tree", "apple pie", "pear pie"]


@pytest.fixture
async def stocked(desk):
    for tenant, kind in (("acme", "a"), ("bolt", "b"), ("coil", "c")):
        documents = [Document(f"{kind}{n}", text, {"kind": kind, "n": n}) for n, text in enumerate(FRUIT)]
        await desk.documents.add("default", tenant, documents)
    desk.quiet()
    return desk


async def test_best_first_without_internal_fields(stocked):
    hits = await stocked.documents.search("default", "acme", "apple pie", 4)
    assert hits[0].document == "a2"
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert hits[0].metadata == {"kind": "a", "n": 2}
    assert hits[0].chunk == 0


async def test_filters_reach_the_metadata_of_the_documents(stocked):
    hits = await stocked.documents.search("default", "acme", "apple pie", 4, parse_filter({"n": {"$lt": 2}}))
    assert {hit.document for hit in hits} == {"a0", "a1"}
    hits = await stocked.documents.search("default", "acme", "apple pie", 4, parse_filter({"_doc_id": "a3"}))
    assert [hit.document for hit in hits] == ["a3"]


async def test_a_search_asks_nothing_of_the_catalog_once_the_tenant_is_known(stocked):
    await stocked.documents.search("default", "acme", "apple", 1)
    stocked.quiet()
    await stocked.documents.search("default", "acme", "pear", 1)
    assert stocked.catalog.asked == []
    assert stocked.calls == ["query"]
    assert stocked.words.calls == [["pear"]]


async def test_the_first_search_in_a_tenant_asks_for_the_tenant_and_no_more(stocked):
    await stocked.documents.search("default", "acme", "apple", 1)
    stocked.quiet()
    await stocked.documents.search("default", "bolt", "pear", 1)
    assert stocked.catalog.asked == ["tenants.get"]


async def test_vectors_that_are_no_documents_are_passed_over(stocked):
    [near] = await stocked.words.embed(["apple pie"])
    own = [{"id": "plain", "values": near}, {"id": "v", "values": near, "metadata": {"_doc_text": "no id", "n": 2}}]
    await stocked.cluster.tenant("acme").upsert(own)
    hits = await stocked.documents.search("default", "acme", "apple pie", 3)
    assert [hit.document for hit in hits][:1] == ["a2"]
    assert len(hits) == 3
    hits = await stocked.documents.search("default", "acme", "apple pie", 3, parse_filter({"n": 2}))
    assert [hit.document for hit in hits] == ["a2"]
    found = await stocked.documents.search_all("default", "apple pie", 3)
    assert [hit.document for hit in found.hits] == ["a2", "b2", "c2"]


async def test_over_all_tenants(stocked):
    found = await stocked.documents.search_all("default", "apple pie", 5)
    assert [(hit.tenant, hit.document) for hit in found.hits[:3]] == [("acme", "a2"), ("bolt", "b2"), ("coil", "c2")]
    assert (found.partial, found.missing_shards, found.tenants_asked) == (False, {}, 3)
    assert len(found.hits) == 5
    assert found.hits[0].metadata == {"kind": "a", "n": 2}
    assert stocked.words.calls == [["apple pie"]]


async def test_over_chosen_tenants_with_a_filter(stocked):
    found = await stocked.documents.search_all("default", "pie", 9, parse_filter({"n": 3}), ["bolt", "coil", "bolt"])
    assert [(hit.tenant, hit.document) for hit in found.hits] == [("bolt", "b3"), ("coil", "c3")]
    assert found.tenants_asked == 2


async def test_a_shard_that_fails_is_named(stocked):
    shard = (await stocked.cluster.tenants.get("acme")).tenant.route.place.shard
    stocked.backends["default", shard].fail_with = Unavailable("as scripted")
    found = await stocked.documents.search_all("default", "apple pie", 12)
    assert found.partial
    assert found.missing_shards == {shard: "as scripted"}
    assert "acme" not in {hit.tenant for hit in found.hits}


async def test_the_deadline_covers_the_embedder(stocked):
    stocked.words.gate.clear()
    with pytest.raises(DeadlineExceeded, match="embedding"):
        await stocked.documents.search_all("default", "apple pie", deadline_s=0.01)


async def test_an_empty_index_has_no_answers(desk):
    found = await desk.documents.search_all("default", "anything")
    assert (found.hits, found.tenants_asked, found.shards_asked) == ([], 0, 0)
    assert (await desk.documents.search_all("default", "anything", tenants=[])).hits == []


@pytest.mark.parametrize(
    ("text", "top_k", "error"),
    [("", 1, InvalidArgument), (" \n", 1, InvalidArgument), (None, 1, InvalidArgument), ("\ud800", 1, InvalidArgument),
     ("x" * 32_769, 1, TooLarge), ("x", 0, InvalidArgument), ("x", 10_001, InvalidArgument)],
)  # fmt: skip
async def test_bad_questions_cost_nothing(stocked, text, top_k, error):
    for search in (
        lambda: stocked.documents.search("default", "acme", text, top_k),
        lambda: stocked.documents.search_all("default", text, top_k),
    ):
        with pytest.raises(error):
            await search()
    assert stocked.words.calls == []


async def test_unknown_and_closed_tenants(stocked):
    with pytest.raises(NotFound, match="nobody"):
        await stocked.documents.search("default", "nobody", "text")
    with pytest.raises(NotFound, match="nobody"):
        await stocked.documents.search_all("default", "text", tenants=["acme", "nobody"])
    with pytest.raises(NotFound, match="other"):
        await stocked.documents.search("other", "acme", "text")
    await stocked.cluster.tenants.suspend("bolt")
    with pytest.raises(Refused, match="suspended"):
        await stocked.documents.search("default", "bolt", "text")
    found = await stocked.documents.search_all("default", "apple pie", 12)
    assert {hit.tenant for hit in found.hits} == {"acme", "coil"}
    assert stocked.words.texts == ["apple pie"]


async def test_too_many_tenants_at_once(stocked):
    with pytest.raises(TooLarge, match="tenants"):
        await stocked.documents.search_all("default", "text", tenants=[f"t{n}" for n in range(100_001)])


async def test_a_search_during_an_add_sees_no_half_of_a_batch(stocked):
    documents = [Document(f"x{n}", f"plum {n}", {}) for n in range(50)]
    adding = asyncio.create_task(stocked.documents.add("default", "acme", documents))
    seen = set()
    while not adding.done():
        await asyncio.sleep(0)
        hits = await stocked.documents.search("default", "acme", "plum", 100)
        seen.add(sum(hit.document.startswith("x") for hit in hits))
    assert seen <= {0, 50}
