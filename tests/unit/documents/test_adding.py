"""Adding, changing and deleting documents."""

import asyncio

import pytest

from tenantry.documents import adding
from tenantry.documents.check import check_document
from tenantry.documents.store import AddReport, Document
from tenantry.errors import Conflict, InvalidArgument, NotFound, Refused, TooLarge, Unavailable
from tenantry.model.limits import Limits
from tenantry.model.topology import ShardState

LONG = " ".join(f"Sentence number {n} says something new." for n in range(120))


def doc(id, text="some text", **metadata):
    return Document(id, text, metadata)


async def test_text_comes_back_with_its_place_and_metadata(desk):
    report = await desk.documents.add("default", "acme", [doc("guide", LONG, lang="en", year=2024, tags=["a"])])
    chunks = await desk.texts()
    assert report == AddReport(added=1, chunks_written=len(chunks["guide"]))
    assert len(chunks["guide"]) > 3
    [hit] = await desk.documents.search("default", "acme", "sentence number 100", 1)
    assert (hit.document, hit.metadata, hit.tenant) == ("guide", {"lang": "en", "year": 2024, "tags": ["a"]}, None)
    assert hit.text == chunks["guide"][hit.chunk]
    assert hit.score == pytest.approx(1.0, abs=1.0)


async def test_mappings_will_do(desk):
    await desk.documents.add(
        "default", "acme", [{"id": "a", "text": "one"}, {"id": "b", "text": "two", "metadata": None}]
    )
    assert await desk.texts() == {"a": ["one"], "b": ["two"]}


async def test_adding_again_does_nothing(desk):
    documents = [doc("a", LONG), doc("b", "short", kind="x")]
    await desk.documents.add("default", "acme", documents)
    desk.quiet()
    assert await desk.documents.add("default", "acme", documents) == AddReport(unchanged=2)
    assert desk.words.calls == []
    assert set(desk.calls) == {"scan"}


async def test_changed_text_replaces_only_the_chunks_that_changed(desk):
    await desk.documents.add("default", "acme", [doc("a", LONG), doc("b", LONG)])
    before = await desk.texts()
    desk.quiet()
    report = await desk.documents.add("default", "acme", [doc("a", LONG + " One more.")])
    assert report == AddReport(replaced=1, chunks_written=1, chunks_deleted=1)
    assert len(desk.words.texts) == 1
    after = await desk.texts()
    assert after["a"][:-1] == before["a"][:-1]
    assert after["a"][-1].endswith("One more.")
    assert after["b"] == before["b"]


async def test_a_shorter_text_leaves_nothing_behind(desk):
    await desk.documents.add("default", "acme", [doc("a", LONG)])
    report = await desk.documents.add("default", "acme", [doc("a", "short")])
    assert report.replaced == 1
    assert await desk.texts() == {"a": ["short"]}


async def test_changed_metadata_cost_no_embedding(desk):
    await desk.documents.add("default", "acme", [doc("a", LONG, version=1)])
    before = {one.metadata["_doc_chunk"]: one.values.tolist() for one in (await desk.stored()).values()}
    desk.quiet()
    report = await desk.documents.add("default", "acme", [doc("a", LONG, version=2)])
    assert (report.replaced, report.chunks_written, report.chunks_deleted) == (1, len(before), len(before))
    assert desk.words.calls == []
    after = (await desk.stored()).values()
    assert {one.metadata["version"] for one in after} == {2}
    assert {one.metadata["_doc_chunk"]: one.values.tolist() for one in after} == before


async def test_the_same_text_is_embedded_once(desk):
    same = [doc(f"d{n}", "the same text everywhere") for n in range(700)]
    await desk.documents.add("default", "acme", [*same, doc("other", "another text")])
    assert sorted(desk.words.texts) == ["another text", "the same text everywhere"]
    assert len(await desk.texts()) == 701


async def test_a_search_finds_the_document_at_every_moment_of_its_replacement(desk):
    await desk.documents.add("default", "acme", [doc("a", LONG)])
    seen = []

    async def look(call):
        seen.append((call, desk.rows()))

    desk.before = look
    await desk.documents.add("default", "acme", [doc("a", "All is new now. " * 100)])
    desk.before = None
    assert min(count for _, count in seen) > 0
    assert [call for call, _ in seen if call in ("upsert", "delete")] == ["upsert", "delete"]


@pytest.mark.parametrize("small", [True, False])
async def test_a_crash_at_any_call_is_repaired_by_the_next_add(desk, monkeypatch, small):
    monkeypatch.setattr(adding, "BATCH_CHUNKS", 2)
    before = [doc("a", LONG), doc("b", LONG[::-1], v=1), doc("c", "gone soon"), doc("same", "same")]
    after = [doc("a", LONG[500:]), doc("b", LONG[::-1], v=2), doc("c", "new text"), doc("same", "same"), doc("d", LONG)]
    if not small:
        many = [{"id": f"vector-{n}", "values": [1.0] * 32} for n in range(1_000)]
        for tenant in ("acme", "expected"):
            await desk.cluster.tenant(tenant).upsert(many)
    await desk.documents.add("default", "expected", after)
    expected = await desk.texts("expected")

    async def crash(call):
        crash.left -= 1
        if crash.left < 0:
            raise Unavailable("as scripted")

    for calls in range(1_000):
        await desk.documents.add("default", "acme", before)
        crash.left = calls
        desk.before = crash
        try:
            await desk.documents.add("default", "acme", after)
        except Unavailable:
            desk.before = None
        else:
            break
        await desk.documents.add("default", "acme", after)
        assert await desk.texts() == expected
        await desk.documents.delete("default", "acme", ["d"])
    assert calls > 8
    desk.before = None
    assert await desk.texts() == expected
    assert len(desk.documents._turns) == 0


async def test_deleting_takes_all_chunks_of_the_document_and_no_others(desk):
    names = ["a", "a#1", "a#000000", "a%23", "a%2", "ab", "A", "a ", "a#" + "0" * 32]
    await desk.documents.add("default", "acme", [doc(name, f"text of {name} " + LONG) for name in names])
    await desk.documents.delete("default", "acme", ["a", "never there"])
    assert sorted(await desk.texts()) == sorted(names[1:])
    for name in names[1:]:
        await desk.documents.delete("default", "acme", [name])
    assert await desk.stored() == {}


async def test_changing_a_document_leaves_others_alone_whose_ids_begin_the_same(desk):
    await desk.documents.add("default", "acme", [doc("a", LONG), doc("a#1", LONG), doc("ab", LONG)])
    await desk.documents.add("default", "acme", [doc("a", "short")])
    texts = await desk.texts()
    assert texts["a"] == ["short"]
    assert texts["a#1"] == texts["ab"]


async def test_vectors_of_the_tenants_own_are_left_alone(desk):
    own = [{"id": id, "values": [1.0] * 32} for id in ("a", "a#1", "a#000001", "a#000000.ab.cd")]
    await desk.cluster.tenant("acme").upsert(own)
    await desk.documents.add("default", "acme", [doc("a", LONG)])
    await desk.documents.add("default", "acme", [doc("a", "short")])
    await desk.documents.delete("default", "acme", ["a"])
    assert sorted(await desk.stored()) == sorted(one["id"] for one in own)


async def test_blank_parts_are_not_stored_but_the_text_around_them_is(desk):
    await desk.documents.add("default", "acme", [doc("a", "start" + " " * 5_000 + "end")])
    assert [text.strip() for text in (await desk.texts())["a"]] == ["start", "end"]


# ------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (doc("", "text"), "documents[1].id"),
        (doc("x" * 456, "text"), "documents[1].id"),
        (doc("#" * 152, "text"), "documents[1].id"),
        (doc("bad \ud800", "text"), "documents[1].id"),
        (doc("first", "text"), "documents[1].id"),
        (doc(7, "text"), "documents[1].id"),
        (doc("a", ""), "documents[1].text"),
        (doc("a", " \n\t"), "documents[1].text"),
        (doc("a", "bad \ud800"), "documents[1].text"),
        (doc("a", 7), "documents[1].text"),
        (doc("a", "x" * 10_000_001), "documents[1].text"),
        (doc("a", "text", _doc_text="mine"), "documents[1].metadata"),
        (doc("a", "text", big="x" * 35_000), "documents[1].metadata"),
        (doc("a", "text", bad="\ud800"), "documents[1].metadata"),
        (doc("a", "text", nested={"a": 1}), "documents[1].metadata.nested"),
        (Document("a", "text", ["not", "a", "mapping"]), "documents[1].metadata"),
        ({"id": "a"}, "documents[1]"),
        ({"id": "a", "text": "t", "txet": "t"}, "documents[1]"),
        ({"id": "a", "text": "t", "metadata": ""}, "documents[1].metadata"),
        ("text", "documents[1]"),
        (None, "documents[1]"),
    ],
)
async def test_one_bad_document_and_nothing_is_done(desk, bad, field):
    with pytest.raises(InvalidArgument) as caught:
        await desk.documents.add("default", "acme", [doc("first", LONG), bad])
    assert caught.value.field == field
    assert desk.words.calls == []
    assert desk.calls == []
    with pytest.raises(NotFound):
        await desk.cluster.tenants.get("acme")


@pytest.mark.parametrize("given", ["text", doc("a"), {"id": "a", "text": "t"}, None, 7])
async def test_what_is_no_list_of_documents(desk, given):
    with pytest.raises(InvalidArgument, match="documents"):
        await desk.documents.add("default", "acme", given)


async def test_the_longest_id_and_the_largest_metadata_fit(desk):
    id, large = "x" * 455, {"big": "y" * 32_000}
    await desk.documents.add("default", "acme", [Document(id, "\x01" * 999 + "x" + LONG, large)])
    assert list(await desk.texts()) == [id]
    assert max(map(len, await desk.stored())) == 512


def test_limits_without_room_for_text_name_the_setting():
    with pytest.raises(Refused, match="TENANTRY_MAX_METADATA_BYTES"):
        check_document(doc("a"), "documents[0]", Limits(metadata_bytes=4_096))


async def test_no_documents_are_no_work(desk):
    assert await desk.documents.add("default", "acme", []) == AddReport()
    assert desk.calls == []


async def test_a_tenant_that_may_not_be_made_is_refused_before_anything_is_embedded(desk):
    await desk.cluster.indexes.update("default", auto_create=False)
    with pytest.raises(NotFound, match="acme"):
        await desk.documents.add("default", "acme", [doc("a")])
    assert desk.words.calls == []


async def test_a_read_only_shard_is_refused_before_anything_is_embedded(desk):
    await desk.documents.add("default", "acme", [doc("a")])
    shard = (await desk.cluster.tenants.get("acme")).tenant.route.place.shard
    await desk.cluster.shards.update(shard, state=ShardState.READ_ONLY)
    desk.quiet()
    with pytest.raises(Refused, match="read-only"):
        await desk.documents.add("default", "acme", [doc("b")])
    with pytest.raises(Refused, match="read-only"):
        await desk.documents.delete("default", "acme", ["a"])
    assert desk.words.calls == []


async def test_bad_names_of_tenants(desk):
    for name in ("", "x" * 513, "acme~2"):
        with pytest.raises(InvalidArgument):
            await desk.documents.add("default", name, [doc("a")])
    assert desk.words.calls == []


async def test_deleting_checks_its_ids(desk):
    await desk.documents.add("default", "acme", [doc("a")])
    for wrong in ([], "a", [""], None):
        with pytest.raises(InvalidArgument):
            await desk.documents.delete("default", "acme", wrong)
    with pytest.raises(TooLarge):
        await desk.documents.delete("default", "acme", [f"d{n}" for n in range(1_001)])
    with pytest.raises(NotFound):
        await desk.documents.delete("default", "nobody", ["a"])
    assert await desk.texts() == {"a": ["some text"]}


async def test_trouble_of_the_embedder_comes_as_it_is_and_leaves_no_trace(desk):
    desk.words.fail_with = Unavailable("the service is down", 7.0)
    with pytest.raises(Unavailable, match="the service is down") as caught:
        await desk.documents.add("default", "acme", [doc("a")])
    assert caught.value.retry_after_s == 7.0
    assert "upsert" not in desk.calls
    assert not any("documents.model" in name for name in await desk.catalog.settings.all())
    assert len(desk.documents._turns) == 0


# ------------------------------------------------------------------------------------- large input


async def test_an_endless_iterator_is_taken_in_windows(desk):
    taken = finished = most = 0

    def documents():
        nonlocal taken, most
        for n in range(5_000):
            taken += 1
            most = max(most, taken - finished)
            yield doc(f"d{n:05d}", f"text number {n}")

    def progress(count):
        nonlocal finished
        finished += count

    report = await desk.documents.add("default", "acme", documents(), progress)
    assert report == AddReport(added=5_000, chunks_written=5_000)
    assert finished == 5_000
    assert most <= 1_500
    assert max(map(len, desk.words.calls)) <= 512
    assert len(desk.words.calls) <= 12


async def test_an_iterator_stops_at_a_bad_document_and_keeps_what_came_before(desk):
    def documents():
        for n in range(600):
            yield doc(f"d{n}")
        yield doc("d5")

    with pytest.raises(InvalidArgument) as caught:
        await desk.documents.add("default", "acme", documents())
    assert caught.value.field == "documents[600].id"
    await desk.documents.add("default", "acme", [doc(f"d{n}") for n in range(600)])
    assert len(await desk.texts()) == 600


async def test_one_large_document_is_written_in_batches(desk):
    text = "".join(f"Line {n} of a very long file.\n" for n in range(60_000))
    report = await desk.documents.add("default", "acme", [doc("big", text)])
    assert report.added == 1
    assert report.chunks_written > 1_500
    assert max(map(len, desk.words.calls)) <= 512
    desk.quiet()
    report = await desk.documents.add("default", "acme", [doc("big", text + "One line more.")])
    assert (report.replaced, report.chunks_written, report.chunks_deleted) == (1, 1, 1)
    assert len(desk.words.texts) == 1


# ------------------------------------------------------------------------------------- at the same time


async def test_nobody_waits_for_an_embedder(desk):
    await desk.documents.add("default", "acme", [doc("a", "old text"), doc("b", "text b")])
    desk.words.gate.clear()
    desk.words.asked.clear()
    slow = asyncio.create_task(desk.documents.add("default", "acme", [doc("a", "slow text")]))
    await desk.words.asked.wait()
    await asyncio.wait_for(desk.documents.delete("default", "acme", ["a", "b"]), 5)
    assert await desk.texts() == {}
    desk.words.gate.set()
    await slow
    assert await desk.texts() == {"a": ["slow text"]}


async def test_of_two_versions_at_once_exactly_one_stays(desk):
    for round in range(10):
        versions = [f"version {n} of round {round}. " * (5 + 50 * n) for n in range(4)]
        await asyncio.gather(*(desk.documents.add("default", "acme", [doc("a", text)]) for text in versions))
        stored = (await desk.texts())["a"]
        assert stored in [adding.chunk_text(text) for text in versions]
    assert len(desk.documents._turns) == 0


async def test_a_writer_whose_chunks_another_removed_writes_them_again(desk, monkeypatch):
    """The slow writer has written some of its chunks when the quick one comes, removes them as stale and ends."""
    monkeypatch.setattr(adding, "BATCH_CHUNKS", 2)
    desk.words.held = "Sentence"

    async def hold(call):
        if call == "upsert":
            desk.words.gate.clear()  # the slow writer waits for its next batch

    desk.before = hold
    slow = asyncio.create_task(desk.documents.add("default", "acme", [doc("a", LONG)]))
    while desk.words.gate.is_set() or not desk.rows():
        await asyncio.sleep(0)
    desk.before = None
    assert 0 < len((await desk.texts())["a"]) < len(adding.chunk_text(LONG))
    await desk.documents.add("default", "acme", [doc("a", "quick")])
    assert await desk.texts() == {"a": ["quick"]}
    desk.words.gate.set()
    assert (await slow).chunks_deleted == 1
    assert (await desk.texts())["a"] == adding.chunk_text(LONG)


async def test_a_document_that_others_change_all_the_time_is_given_up(desk):
    """Somebody deletes it again and again, always between our writing and our looking."""
    await desk.documents.add("default", "acme", [doc("a", "first"), doc("b", "second")])
    turns = desk.documents._turns

    async def always(call):
        if call in ("upsert", "scan"):
            for backend in desk.backends.values():
                for rows in backend.data.values():
                    for id in [id for id in rows if id.startswith("a#")]:
                        del rows[id]
            turn = turns.take("default", "acme", "a#")
            turn.finished()
            turn.leave()

    desk.before = always
    with pytest.raises(Conflict, match="'a'"):
        await desk.documents.add("default", "acme", [doc("a", "third")])
    desk.before = None
    assert len(turns) == 0
    assert (await desk.documents.add("default", "acme", [doc("a", "third")])).chunks_written == 1


async def test_a_cancelled_add_leaves_no_task_and_is_repaired_by_the_next(desk):
    desk.words.gate.clear()
    task = asyncio.create_task(desk.documents.add("default", "acme", [doc("a", LONG)]))
    await desk.words.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(asyncio.all_tasks()) == 1
    assert len(desk.documents._turns) == 0
    desk.words.gate.set()
    await desk.documents.add("default", "acme", [doc("a", LONG)])
    assert (await desk.texts())["a"] == adding.chunk_text(LONG)


async def test_cancelling_does_not_wait_for_a_slow_shard(desk, monkeypatch):
    """It comes while one batch is being written and the next embedded."""
    monkeypatch.setattr(adding, "BATCH_CHUNKS", 1)
    reached, never = asyncio.Event(), asyncio.Event()

    async def stuck(call):
        if call == "upsert":
            reached.set()
            await never.wait()

    desk.before = stuck
    desk.words.held = "Sentence number 40 "  # in the second chunk
    desk.words.gate.clear()
    task = asyncio.create_task(desk.documents.add("default", "acme", [doc("a", LONG)]))
    await reached.wait()
    task.cancel()
    await asyncio.wait([task], timeout=2)
    assert task.cancelled()
    assert len(asyncio.all_tasks()) == 2  # the write that the shard has in hand runs to its end, and nothing else does
    never.set()
    await asyncio.sleep(0.01)
    assert len(asyncio.all_tasks()) == 1


async def test_progress_counts_every_document_once(desk):
    seen = []
    documents = [doc("a", LONG), doc("b"), doc("c")]
    await desk.documents.add("default", "acme", documents[:2])
    await desk.documents.add("default", "acme", documents, seen.append)
    assert sum(seen) == 3
