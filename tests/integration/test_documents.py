"""Documents on the real engine, catalog and embedders, over restarts and crashes."""

import signal
import subprocess
import sys
import textwrap

import pytest

from tenantry import init_cluster, open_cluster
from tenantry.documents.store import AddReport, Document
from tenantry.errors import InvalidArgument, Refused
from tenantry.settings import Settings
from tenantry.testing.openai_server import Fault, OpenAIServer

MANUAL = {
    "refunds": "You get your money back within five working days after we received the parcel.",
    "hours": "Our support answers the phone from nine to five, Monday to Friday.",
    "delivery": "Parcels leave the warehouse the same day and arrive within two days.",
    "passwords": "Choose 'forgot password' on the sign-in page and follow the link in the mail.",
}
DOCUMENTS = [Document(id, text, {"topic": id}) for id, text in MANUAL.items()]


async def test_meaning_is_found_and_everything_survives_a_restart(tmp_path):
    async with await init_cluster(tmp_path, shards=3) as cluster:
        for tenant in ("acme", "bolt"):
            assert (await cluster.tenant(tenant).documents.add(DOCUMENTS)).added == 4
    async with await open_cluster(tmp_path) as cluster:
        acme = cluster.tenant("acme").documents
        assert (await acme.search("When do I get a refund?"))[0].document == "refunds"
        assert (await acme.search("I cannot sign in", top_k=1))[0].document == "passwords"
        assert await acme.search("refund", filter={"topic": {"$in": []}}) == []
        assert await acme.add(DOCUMENTS) == AddReport(unchanged=4)
        await acme.add([Document("hours", "Our support never sleeps: call at any hour.")])
        await acme.delete(["delivery"])
    async with await open_cluster(tmp_path) as cluster:
        assert (await cluster.tenant("acme").stats()).vectors == 3
        assert (await cluster.tenant("bolt").stats()).vectors == 4
        [hit] = await cluster.tenant("acme").documents.search("when can I phone you?", top_k=1)
        assert (hit.document, hit.text) == ("hours", "Our support never sleeps: call at any hour.")
        found = await cluster.documents.search_all("default", "how fast is shipping?", 1)
        assert [(hit.tenant, hit.document) for hit in found.hits] == [("bolt", "delivery")]


async def test_a_large_document_on_the_real_engine(tmp_path):
    pages = [f"Page {n}. " + f"The number of this page is {n}. " * 20 for n in range(900)]
    async with await init_cluster(tmp_path) as cluster:
        book = cluster.tenant("reader").documents
        report = await book.add([Document("book", "\n\n".join(pages))])
        assert report.chunks_written == (await cluster.tenant("reader").stats()).vectors
        changed = await book.add([Document("book", "\n\n".join([*pages, "An afterword."]))])
        assert (changed.replaced, changed.chunks_written) == (1, 1)
        await book.delete(["book"])
        assert (await cluster.tenant("reader").stats()).vectors == 0


async def test_an_add_that_was_killed_is_completed_by_the_next(tmp_path):
    """A real process, killed without warning in the middle of replacing a thousand documents."""
    script = """
        import asyncio, os, signal, sys
        from tenantry import open_cluster
        async def main():
            async with await open_cluster(sys.argv[1]) as cluster:
                documents = ({"id": f"d{n}", "text": f"new text {n} " * 50, "metadata": {"v": 2}} for n in range(1000))
                await cluster.documents.add("default", "acme", documents, die)
        def die(done):
            os.kill(os.getpid(), signal.SIGKILL)
        asyncio.run(main())
    """
    old = [Document(f"d{n}", f"old text {n} " * 50, {"v": 1}) for n in range(1_000)]
    new = [Document(f"d{n}", f"new text {n} " * 50, {"v": 2}) for n in range(1_000)]
    async with await init_cluster(tmp_path) as cluster:
        await cluster.tenant("acme").documents.add(old)
        await cluster.tenant("expected").documents.add(new)
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    async with await open_cluster(tmp_path) as cluster:
        left = [record async for record in cluster.tenant("acme").scan()]
        assert {"old", "new"} == {record.metadata["_doc_text"][:3] for record in left}
        assert {record.metadata["_doc_id"] for record in left} == {one.id for one in new}
        report = await cluster.tenant("acme").documents.add(new)
        assert report.replaced > 0
        assert report.added == 0
        stored = [(one.id, one.metadata) async for one in cluster.tenant("acme").scan()]
        assert stored == [(one.id, one.metadata) async for one in cluster.tenant("expected").scan()]


class TestWithOpenAI:
    @pytest.fixture
    def server(self):
        with OpenAIServer("sk-good") as server:
            yield server

    def settings(self, server, key="sk-good"):
        return {"openai_api_key": key, "openai_base_url": server.url}

    async def test_the_main_job(self, tmp_path, server):
        server.faults.append(Fault("status", 429, "0.01"))
        name = "openai:text-embedding-3-small@64"
        async with await init_cluster(tmp_path, embedder=name, settings=self.settings(server)) as cluster:
            assert (await cluster.indexes.get("default")).dimension == 64
            await cluster.tenant("acme").documents.add(DOCUMENTS)
            [hit] = await cluster.tenant("acme").documents.search(MANUAL["hours"], top_k=1)
            assert (hit.document, round(hit.score, 3)) == ("hours", 1.0)
            asked = len(server.seen)
            await cluster.tenant("acme").documents.add(DOCUMENTS)
            assert len(server.seen) == asked

    async def test_a_wrong_key_stores_nothing_and_is_mended_by_a_right_one(self, tmp_path, server):
        name = "openai:tiny@8"
        async with await init_cluster(tmp_path, embedder=name, settings=self.settings(server, "sk-bad")) as cluster:
            with pytest.raises(Refused, match="TENANTRY_OPENAI_API_KEY"):
                await cluster.tenant("acme").documents.add(DOCUMENTS)
            assert await cluster.tenants.list() == []
        async with await open_cluster(Settings(data=tmp_path, **self.settings(server))) as cluster:
            assert (await cluster.tenant("acme").documents.add(DOCUMENTS)).added == 4

    async def test_another_model_of_the_same_dimension_is_refused_after_a_restart(self, tmp_path, server):
        async with await init_cluster(tmp_path, embedder="openai:tiny@8", settings=self.settings(server)) as cluster:
            await cluster.tenant("acme").documents.add(DOCUMENTS)
            await cluster.indexes.update("default", embedder="openai:text-embedding-3-large@8")
        async with await open_cluster(Settings(data=tmp_path, **self.settings(server))) as cluster:
            with pytest.raises(Refused, match=r"openai:tiny@8.*openai:text-embedding-3-large@8"):
                await cluster.tenant("acme").documents.search("text")

    async def test_an_outage_in_the_middle_is_repaired_by_adding_again(self, tmp_path, server):
        documents = [Document(f"d{n}", f"text {n} " * 20) for n in range(3_000)]
        async with await init_cluster(tmp_path, embedder="openai:tiny@8", settings=self.settings(server)) as cluster:
            acme = cluster.tenant("acme")

            def progress(count):
                server.always = Fault("status", 400)

            with pytest.raises(InvalidArgument, match="as scripted"):
                await cluster.documents.add("default", "acme", documents, progress)
            server.always = None
            assert 0 < (await acme.stats()).vectors < 3_000
            report = await acme.documents.add(documents)
            assert report.added + report.unchanged + report.replaced == 3_000
            assert report.unchanged > 0
            assert (await acme.stats()).vectors == 3_000
