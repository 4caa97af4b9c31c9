"""Shards on servers that are away, slow, guarded, overloaded or odd: each says what is the matter, in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tenantry.backends.chroma import ChromaBackend, ChromaOptions
from tenantry.backends.milvus import MilvusBackend, MilvusOptions
from tenantry.backends.pinecone import PineconeBackend, PineconeOptions
from tenantry.backends.qdrant import QdrantBackend, QdrantOptions
from tenantry.errors import (
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    RateLimited,
    Refused,
    TenantryError,
    Unavailable,
)
from tenantry.model.records import ByIds, Metric, Query, Record
from tenantry.model.topology import LogicalIndex, Shard
from tenantry.ports import VectorBackend
from tenantry.settings import Settings
from tenantry.testing.servers import free_port, started
from tenantry.testing.stub_server import Answer, StubServer
from tenantry.testing.vector_servers import VectorServer
from tenantry.wiring import Wiring, init_cluster

DIMENSION = 8
ONE = Record("a", np.ones(DIMENSION, np.float32), {"n": 1})
QUESTION = Query(ONE.values, 3)
Make = Callable[..., VectorBackend]
#: For one request, where an answer comes: a busy machine takes its time.
PATIENT_S, SHORT_S = 30.0, 0.5


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINECONE_API_KEY", "a-secret-key")


def chroma(url: str, request_s: float = PATIENT_S) -> VectorBackend:
    return ChromaBackend(DIMENSION, Metric.COSINE, "shard", ChromaOptions(url=url, request_s=request_s))


def qdrant(url: str, request_s: float = PATIENT_S) -> VectorBackend:
    options = QdrantOptions(url=url, request_s=max(1, int(request_s)), layout="collections")
    return QdrantBackend(DIMENSION, Metric.COSINE, "shard", options)


def pinecone(url: str, request_s: float = PATIENT_S) -> VectorBackend:
    options = PineconeOptions(host=url, request_s=request_s, call_s=4 * request_s, visible_s=0)
    return PineconeBackend(DIMENSION, Metric.COSINE, "shard", options)


def milvus(url: str, request_s: float = PATIENT_S) -> VectorBackend:
    return MilvusBackend(DIMENSION, Metric.COSINE, "shard", MilvusOptions(url=url, request_s=request_s))


HTTP = [chroma, qdrant, pinecone]


@pytest.mark.parametrize("make", [*HTTP, milvus])
async def test_a_server_that_is_away_is_unavailable(make: Make) -> None:
    backend = make(f"http://127.0.0.1:{free_port()}", SHORT_S)
    began = time.monotonic()
    for call in (backend.probe, lambda: backend.create("n"), lambda: backend.index("n").query(QUESTION)):
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1"):
            await call()
    assert time.monotonic() - began < 25
    await backend.aclose()


@pytest.mark.parametrize("make", [*HTTP, milvus])
async def test_a_server_that_never_answers_is_not_waited_for(make: Make) -> None:
    async with StubServer(lambda _: Answer(None)) as server:
        backend = make(server.url, SHORT_S)
        began = time.monotonic()
        with pytest.raises((DeadlineExceeded, Unavailable)):
            await backend.index("n").query(QUESTION)
        assert time.monotonic() - began < 25  # by default it would be 30 s
        await backend.aclose()


@pytest.mark.parametrize("make", HTTP)
async def test_a_refused_login_names_the_option(make: Make) -> None:
    async with StubServer(lambda _: Answer(401, {"message": "no such key"})) as server:
        backend = make(server.url)
        for call in (backend.probe, lambda: backend.index("n").upsert([ONE])):
            with pytest.raises(Unavailable, match=r"login is refused|refuses the login") as caught:
                await call()
            assert "_env" in str(caught.value)
            assert "a-secret-key" not in str(caught.value)
        await backend.aclose()


@pytest.mark.parametrize("make", HTTP)
async def test_being_throttled_says_for_how_long(make: Make) -> None:
    pause = "0.05" if make is pinecone else "7"  # its SDK waits that long by itself, three times
    async with StubServer(lambda _: Answer(429, {"message": "slow down"}, {"Retry-After": pause})) as server:
        backend = make(server.url)
        with pytest.raises(RateLimited) as caught:
            await backend.index("n").query(QUESTION)
        assert caught.value.retry_after_s == float(pause)
        assert len(server.asked) == (4 if make is pinecone else 1)
        await backend.aclose()


@pytest.mark.parametrize("make", HTTP)
@pytest.mark.parametrize("status", [400, 413, 500, 503])
async def test_what_a_server_refuses_comes_out_as_an_error_of_ours(make: Make, status: int) -> None:
    async with StubServer(lambda _: Answer(status, {"message": "the reason"})) as server:
        backend = make(server.url, SHORT_S if status >= 500 else PATIENT_S)  # an SDK may try again what may pass
        for call in (
            backend.probe,
            lambda: backend.create("n"),
            lambda: backend.index("n").fetch(["a"]),
            lambda: backend.index("n").delete(ByIds(("a",))),
        ):
            with pytest.raises(TenantryError) as caught:
                await call()
            assert isinstance(caught.value, Unavailable) is (status >= 500)
        await backend.aclose()


@pytest.mark.parametrize("make", HTTP)
@pytest.mark.parametrize("body", ["<html>welcome</html>", {"unexpected": []}, [], "null"])
async def test_what_makes_no_sense_comes_out_as_an_error_of_ours(make: Make, body: object) -> None:
    async with StubServer(lambda _: Answer(200, body)) as server:
        backend = make(server.url)

        async def use() -> None:
            await backend.probe()
            await backend.create("n")
            await backend.index("n").query(QUESTION)

        with pytest.raises(TenantryError):
            await use()
        await backend.aclose()


@pytest.mark.parametrize("kind", ["chroma", "milvus"])
async def test_a_server_that_was_killed_is_used_again_when_it_is_back(kind: str, servers) -> None:
    server, make = servers[kind]
    backend = make(server.url)
    await backend.create("n")
    index = backend.index("n")
    await index.upsert([Record(f"r{i}", ONE.values * (i + 1), {"n": i}) for i in range(50)])
    server.stop_for_a_while()
    with pytest.raises((Unavailable, DeadlineExceeded)):
        await index.query(QUESTION)
    server.come_back()
    for _ in range(100):
        try:
            assert len(await index.fetch([f"r{i}" for i in range(50)])) == 50
            break
        except (Unavailable, DeadlineExceeded):
            await asyncio.sleep(0.1)
    else:
        raise AssertionError("it does not come back")
    await index.upsert([ONE])
    assert (await backend.stats("n")).vectors == 51
    await backend.drop("n")
    await backend.aclose()


@pytest.mark.parametrize("kind", ["chroma", "milvus"])
async def test_processes_may_make_and_drop_the_same_namespace_at_once(kind: str, servers) -> None:
    server, make = servers[kind]
    backends = [make(server.url) for _ in range(3)]
    for _ in range(3):
        await asyncio.gather(*(backend.create("same") for backend in backends))
        await asyncio.gather(*(backend.index("same").upsert([ONE]) for backend in backends))
        assert await backends[0].namespaces(None, 10) == ["same"]
        await backends[1].drop("same")
        with pytest.raises(NotFound):
            await backends[2].index("same").upsert([ONE])
        await asyncio.gather(*(backend.drop("same") for backend in backends))
        assert await backends[0].namespaces(None, 10) == []
    for backend in backends:
        await backend.aclose()


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, tuple[VectorServer, Make]]]:
    """Of their own: they are killed."""
    with started(VectorServer.chroma) as one, started(VectorServer.milvus) as two:
        yield {"chroma": (one, chroma), "milvus": (two, milvus)}


@pytest.mark.parametrize(
    ("kind", "options", "names"),
    [
        ("chroma", {}, "options.url"),
        ("chroma", {"url": "redis://h:1"}, "options.url"),
        ("chroma", {"url": "http://user:pass-word@h:1"}, "options.url"),
        ("chroma", {"url": "http://h:1", "token_env": "NOT_SET"}, "options.token_env"),
        ("chroma", {"url": "http://h:1", "prefix": "Bad-Prefix"}, "options.prefix"),
        ("milvus", {"url": "h:1"}, "options.url"),
        ("milvus", {"url": "http://h:1", "consistency": "Eventually"}, "options.consistency"),
        ("milvus", {"url": "http://h:1", "token_file": "/nowhere"}, "options.token_file"),
        ("qdrant", {}, "options.url"),
        ("qdrant", {"url": "http://h:1", "path": ":memory:"}, "options.url"),
        ("qdrant", {"url": "http://h:1", "layout": "rows"}, "options.layout"),
        ("qdrant", {"url": "http://h:1", "consistency": "most"}, "options.consistency"),
        ("pinecone", {"index": "i", "api_key_env": "NOT_SET"}, "options.api_key_env"),
        ("pinecone", {"index": "i", "cloud": "aws"}, "options.region"),
        ("pinecone", {"index": "i", "call_s": "long"}, "options.call_s"),
    ],
)
def test_options_are_held_to_what_is_allowed(kind: str, options: dict[str, str], names: str, tmp_path: Path) -> None:
    wiring = Wiring(Settings(data=tmp_path))
    with pytest.raises(InvalidArgument, match=names) as caught:
        wiring.open_backend(LogicalIndex("docs", DIMENSION), Shard("docs", "s", kind, options))
    assert "pass-word" not in str(caught.value)


async def test_a_shard_that_cannot_be_reached_is_not_registered(tmp_path: Path) -> None:
    async with await init_cluster(tmp_path / "data", dimension=DIMENSION) as cluster:
        away = f"http://127.0.0.1:{free_port()}"
        for kind in ("chroma", "milvus", "qdrant"):
            with pytest.raises(Unavailable, match=kind.capitalize()):
                await cluster.shards.add("far", backend=kind, options={"url": away, "request_s": "1"})
        with pytest.raises(Unavailable, match="Pinecone"):
            await cluster.shards.add("far", backend="pinecone", options={"host": away, "call_s": "3"})
        assert len(await cluster.shards.list()) == 1


async def test_a_collection_of_another_dimension_is_refused(servers) -> None:
    server, make = servers["chroma"]
    backend = make(server.url)
    await backend.create("wide")
    await backend.index("wide").upsert([ONE])
    other = ChromaBackend(DIMENSION + 1, Metric.COSINE, "shard", ChromaOptions(url=server.url))
    with pytest.raises(Refused, match="prefix"):
        await other.create("wide")
    await backend.drop("wide")
    await backend.aclose()
    await other.aclose()
