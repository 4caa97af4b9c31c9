"""Both embedders on the contract; then what is each one's own."""

import asyncio
import logging
import subprocess
import sys
import textwrap
import time
import traceback
from pathlib import Path

import anyio
import numpy as np
import pytest

from tenantry.embedders.local import LocalEmbedder
from tenantry.embedders.openai import OpenAIEmbedder, parse_model
from tenantry.errors import (
    DeadlineExceeded,
    InvalidArgument,
    RateLimited,
    Refused,
    TooLarge,
    Unavailable,
)
from tenantry.settings import Settings
from tenantry.testing.embedder_contract import EmbedderContract
from tenantry.testing.openai_server import Fault, OpenAIServer, vector_of

KEY = "sk-secret-of-the-test"


@pytest.fixture(scope="module")
def running():
    with OpenAIServer(KEY) as server:
        yield server


@pytest.fixture
def server(running):
    yield running
    running.reset(KEY)


@pytest.fixture
async def openai(server):
    made = OpenAIEmbedder("text-embedding-3-small@64", api_key=KEY, base_url=server.url)
    yield made
    await made.aclose()


@pytest.fixture
async def local():
    made = LocalEmbedder()
    yield made
    await made.aclose()


class TestLocalContract(EmbedderContract):
    @pytest.fixture
    def embedder(self, local):
        return local


class TestOpenAIContract(EmbedderContract):
    @pytest.fixture
    def embedder(self, openai):
        return openai


class TestOpenAIContractWithFloats(EmbedderContract):
    """Many compatible servers ignore ``encoding_format`` and send numbers."""

    @pytest.fixture
    def embedder(self, server, openai):
        server.send_floats = True
        return openai


class TestLocal:
    async def test_vectors_are_those_of_the_library(self, local):
        import wordllama

        texts = ["Delete a bucket.", "日本語", "one " * 5_000, "\x01", "  two  words "]
        package = Path(wordllama.__file__).parent
        theirs = wordllama.WordLlama.load(cache_dir=package, disable_download=True).embed(texts, norm=True)
        np.testing.assert_allclose(np.stack(await local.embed(texts)), theirs, atol=1e-5)

    async def test_near_in_meaning_is_near_in_space(self, local):
        question, answer, other = await local.embed(
            ["How do I remove a storage bucket?", "Deletes the bucket with all objects in it.", "Plays a song."]
        )
        assert question @ answer > question @ other + 0.2

    async def test_the_event_loop_stays_free_during_a_bulk_load(self, local):
        await local.embed(["load the model"])
        texts = [f"A description of some operation, number {n}, as long as a paragraph. " * 5 for n in range(3_000)]
        bulk = asyncio.create_task(local.embed(texts))
        turns, longest = 0, 0.0
        while not bulk.done():
            before = time.process_time()  # it stands still while the process does
            await asyncio.sleep(0)
            longest = max(longest, time.process_time() - before)
            turns += 1
        assert len(await bulk) == 3_000
        assert turns > 100
        assert longest < 0.5

    async def test_a_search_does_not_wait_for_the_whole_bulk_load(self, local):
        await local.embed(["load the model"])
        bulk = asyncio.create_task(local.embed(["some words in a row " * 20] * 20_000))
        await asyncio.sleep(0)
        await local.embed(["a question"])
        await local.embed(["a long question " * 100])
        assert not bulk.done()
        bulk.cancel()
        with pytest.raises(asyncio.CancelledError):
            await bulk

    async def test_a_text_over_the_limit(self, local):
        with pytest.raises(TooLarge, match=r"texts\[0\]"):
            await local.embed(["x" * 1_000_001])

    async def test_one_long_text_among_many_short_ones_costs_little_memory(self, local):
        import tracemalloc

        await local.embed(["load the model"])
        tracemalloc.start()
        await local.embed(["short"] * 100 + ["long text " * 20_000] + ["short"] * 100)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 64 * 2**20

    def test_only_the_one_model(self):
        assert LocalEmbedder.from_settings(Settings(), "").model == "local:l2_supercat"
        assert LocalEmbedder.from_settings(Settings(), "l2_supercat").dimension == 256
        with pytest.raises(InvalidArgument, match="local:l2_supercat"):
            LocalEmbedder.from_settings(Settings(), "gpt")

    def test_offline_in_a_fresh_process_that_leaves_logging_alone(self):
        script = """
            import asyncio, logging, socket, sys
            def refuse(*args, **kwargs): raise AssertionError("the network was used")
            socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
            from tenantry.embedders.local import LocalEmbedder
            made = LocalEmbedder()
            assert made.dimension == 256 and "wordllama" not in sys.modules
            print(len(asyncio.run(made.embed(["hello"]))[0]), logging.getLogger().handlers, logging.getLogger().level)
        """
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.stdout.strip(), done.returncode) == (f"256 [] {logging.WARNING}", 0), done.stderr


class TestOpenAI:
    async def test_vectors_are_the_servers_own(self, openai):
        texts = ["one", "two", "three"]
        for text, vector in zip(texts, await openai.embed(texts), strict=True):
            np.testing.assert_array_equal(vector, vector_of(text, 64))

    async def test_a_reply_out_of_order_is_put_in_order(self, server, openai):
        server.faults.append(Fault("shuffled"))
        first, last = await openai.embed(["first", "last"])
        np.testing.assert_array_equal(first, vector_of("first", 64))
        np.testing.assert_array_equal(last, vector_of("last", 64))

    async def test_requests_are_bounded_by_number_and_by_size(self, server, openai):
        texts = ["é" * 20_000] * 15 + ["short"] * 1_100
        assert len(await openai.embed(texts)) == len(texts)
        assert len(server.seen) > 3
        assert all(len(seen.inputs) <= 512 for seen in server.seen)
        assert all(sum(len(text.encode()) for text in seen.inputs) <= 250_000 for seen in server.seen)
        assert sum(len(seen.inputs) for seen in server.seen) == len(texts)

    async def test_dimensions_are_asked_for_only_when_the_model_is_shortened(self, server):
        for name, asked in [("text-embedding-3-small@64", 64), ("text-embedding-3-small", None), ("tiny@8", None)]:
            made = OpenAIEmbedder(name, api_key=KEY, base_url=server.url)
            [vector] = await made.embed(["text"])
            await made.aclose()
            assert vector.shape == (made.dimension,)
            assert server.seen[-1].body.get("dimensions") == asked

    @pytest.mark.parametrize("status", [429, 500, 503])
    async def test_passing_trouble_is_tried_again(self, server, openai, status):
        server.faults.extend([Fault("status", status, "0.01")] * 3)
        [vector] = await openai.embed(["text"])
        np.testing.assert_array_equal(vector, vector_of("text", 64))
        assert len(server.seen) == 4

    async def test_without_retry_after_the_waits_grow(self, server, openai, monkeypatch):
        waits, sleep = [], anyio.sleep

        async def noted(seconds):
            waits.append(seconds)
            await sleep(seconds)

        monkeypatch.setattr("anyio.sleep", noted)
        server.faults.extend([Fault("status", 500), Fault("hangup")])
        await openai.embed(["text"])
        assert len(server.seen) == 3
        first, second = waits
        assert 0.3 < first < second

    async def test_retry_after_is_kept(self, server, openai):
        server.faults.append(Fault("status", 429, "1.3"))
        await openai.embed(["text"])
        first, second = (seen.at for seen in server.seen)
        assert second - first >= 1.3

    async def test_a_rate_limit_that_stays_is_told_with_its_wait(self, server, openai):
        server.always = Fault("status", 429, "0.01")
        with pytest.raises(RateLimited) as caught:
            await openai.embed(["text"])
        assert caught.value.retry_after_s == 0.01
        assert len(server.seen) == 6

    async def test_a_wait_of_hours_is_not_waited_for(self, server, openai):
        server.always = Fault("status", 429, "7200")
        with pytest.raises(RateLimited) as caught:
            await openai.embed(["text"])
        assert caught.value.retry_after_s == 7200
        assert len(server.seen) == 1

    async def test_used_up_quota_is_for_the_operator(self, server, openai):
        server.always = Fault("status", 429, "0.01", "insufficient_quota")
        with pytest.raises(Refused, match="quota"):
            await openai.embed(["text"])

    async def test_a_server_that_stays_broken_is_unavailable(self, server, openai):
        server.always = Fault("status", 502, "0.01")
        with pytest.raises(Unavailable, match="502") as caught:
            await openai.embed(["text"])
        assert type(caught.value.__cause__).__name__ == "InternalServerError"

    async def test_no_answer_within_the_time_of_a_request(self, server):
        server.always = Fault("hang")
        made = OpenAIEmbedder("tiny@8", api_key=KEY, base_url=server.url, request_timeout_s=0.2, max_retries=0)
        with pytest.raises(DeadlineExceeded, match=r"0\.2 s"):
            await made.embed(["text"])
        await made.aclose()

    async def test_no_answer_within_the_time_in_all(self, server):
        server.always = Fault("hang")
        made = OpenAIEmbedder("tiny@8", api_key=KEY, base_url=server.url, total_timeout_s=0.2)
        with pytest.raises(DeadlineExceeded, match="2 texts"):
            await made.embed(["text", "text"])
        await made.aclose()

    @pytest.mark.parametrize("kind", ["missing", "nan", "garbage"])
    async def test_a_wrong_answer_is_not_taken(self, server, openai, kind):
        server.faults.append(Fault(kind))
        with pytest.raises(Unavailable):
            await openai.embed(["one", "two"])

    async def test_another_dimension_than_promised_names_the_right_one(self, server):
        made = OpenAIEmbedder("tiny@16", api_key=KEY, base_url=server.url)
        with pytest.raises(Refused, match="openai:tiny@8"):
            await made.embed(["text"])
        await made.aclose()

    async def test_a_bad_key_names_the_setting_and_never_shows_the_key(self, server, caplog):
        caplog.set_level(logging.DEBUG)
        made = OpenAIEmbedder("tiny@8", api_key="sk-wrong-but-secret", base_url=server.url)
        with pytest.raises(Refused, match="TENANTRY_OPENAI_API_KEY") as caught:
            await made.embed(["text"])
        await made.aclose()
        assert server.seen[0].authorization == "Bearer sk-wrong-but-secret"
        shown = "".join(traceback.format_exception(caught.value))
        assert "sk-wrong-but-secret" not in f"{caught.value!r} {shown} {caplog.text}"

    async def test_no_key_is_told_before_any_request(self, monkeypatch):
        monkeypatch.setenv("OPENAI_API_KEY", "sk-not-meant-for-us")
        with pytest.raises(Refused, match="TENANTRY_OPENAI_API_KEY"):
            await OpenAIEmbedder("", api_key=None).embed(["text"])

    async def test_a_server_of_ones_own_needs_no_key(self, server, monkeypatch):
        monkeypatch.setenv("OPENAI_API_KEY", "sk-not-meant-for-us")
        server.key = None
        made = OpenAIEmbedder.from_settings(Settings(openai_base_url=server.url), "tiny@8")
        await made.embed(["text"])
        await made.aclose()
        assert "not-meant" not in server.seen[0].authorization

    def test_the_key_goes_nowhere_but_where_our_settings_say(self, monkeypatch):
        monkeypatch.setenv("OPENAI_BASE_URL", "http://not-ours/v1")
        assert OpenAIEmbedder("", api_key=KEY)._open().base_url.host == "api.openai.com"

    async def test_an_unknown_model_is_for_the_operator(self, server):
        made = OpenAIEmbedder("unheard-of@8", api_key=KEY, base_url=server.url)
        with pytest.raises(Refused, match="unheard-of"):
            await made.embed(["text"])
        await made.aclose()

    async def test_nobody_there(self):
        made = OpenAIEmbedder("tiny@8", api_key=KEY, base_url="http://127.0.0.1:1/v1", max_retries=0)
        with pytest.raises(Unavailable, match="TENANTRY_OPENAI_BASE_URL"):
            await made.embed(["text"])
        await made.aclose()

    async def test_one_failed_request_ends_the_others(self, server, openai):
        server.faults.append(Fault("status", 400))
        server.always = None
        with pytest.raises(InvalidArgument, match="as scripted"):
            await openai.embed(["long text " * 10_000] * 12)

    async def test_over_long_text_by_its_place(self, openai):
        with pytest.raises(TooLarge, match=r"texts\[1\]"):
            await openai.embed(["short", "x" * 250_001])


@pytest.mark.parametrize(
    ("given", "parsed"),
    [
        ("", ("text-embedding-3-small", 1536, None)),
        ("text-embedding-3-large", ("text-embedding-3-large", 3072, None)),
        ("text-embedding-3-large@256", ("text-embedding-3-large", 256, 256)),
        ("text-embedding-3-small@1536", ("text-embedding-3-small", 1536, None)),
        ("text-embedding-ada-002", ("text-embedding-ada-002", 1536, None)),
        ("org/model@v2@1024", ("org/model@v2", 1024, None)),
    ],
)
def test_names_of_openai_models(given, parsed):
    assert parse_model(given) == parsed


@pytest.mark.parametrize(
    "given",
    ["unknown", "unknown@", "unknown@x", "@5", "unknown@0", "unknown@٣", "text-embedding-3-small@2000",
     "text-embedding-ada-002@256", "unknown@20001"],
)  # fmt: skip
def test_names_that_say_no_dimension_are_refused(given):
    with pytest.raises(InvalidArgument, match="openai:"):
        parse_model(given)


def test_the_recorded_name_says_the_dimension_only_where_it_is_not_the_models_own():
    name = lambda given: OpenAIEmbedder(given, api_key=None).model  # noqa: E731
    assert name("") == name("text-embedding-3-small@1536") == "openai:text-embedding-3-small"
    assert name("text-embedding-3-small@256") == "openai:text-embedding-3-small@256"
    assert name("other@256") == "openai:other@256"


def test_a_missing_sdk_names_the_extra():
    script = """
        import asyncio, sys
        sys.modules["openai"] = None
        from tenantry.embedders.openai import OpenAIEmbedder
        from tenantry.errors import Refused
        try:
            asyncio.run(OpenAIEmbedder("", api_key="k").embed(["text"]))
        except Refused as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60, check=True
    )
    assert "pip install tenantry[openai]" in done.stdout
