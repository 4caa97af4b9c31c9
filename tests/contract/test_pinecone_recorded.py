"""The adapter for Pinecone against answers in the shapes that Pinecone's API documents (2025-10)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from tenantry.backends.pinecone import PineconeBackend, PineconeOptions
from tenantry.errors import CapacityExceeded, NotFound, Refused, Unsupported
from tenantry.model.filters import parse_filter
from tenantry.model.records import ByFilter, ByIds, Everything, Metric, Query, Record, Update
from tenantry.testing.stub_server import Answer, Asked, StubServer

STATS = {
    "namespaces": {"example-namespace": {"vectorCount": 80_000}, "": {"vectorCount": 20}},
    "dimension": 2,
    "indexFullness": 0.4,
    "totalVectorCount": 80_020,
    "metric": "cosine",
    "vectorType": "dense",
}
NAMESPACE = {"name": "example-namespace", "record_count": 20_000, "indexed_fields": {"fields": ["genre", "year"]}}
NAMESPACES = {"namespaces": [NAMESPACE], "pagination": {"next": "Tm90aGluZyB0byBzZWUgaGVyZQo="}, "total_count": 2}
LAST_NAMESPACES = {"namespaces": [{"name": "other~aaaaoj", "record_count": "3"}], "total_count": 2}
FETCH = {
    "vectors": {
        "id-1": {"id": "id-1", "values": [1.0, 1.5], "metadata": {"genre": "comedy", "year": 2020.0}},
        "~aaaaoj": {"id": "~aaaaoj", "values": [2.0, 1.0]},
    },
    "namespace": "example-namespace",
    "usage": {"readUnits": 1},
}
QUERY = {
    "matches": [
        {"id": "example-vector-1", "score": 0.08, "values": [0.1, 0.2], "metadata": {"genre": "documentary"}},
        {"id": "~abpgec", "score": 0.05, "values": [0.3, 0.2]},
    ],
    "namespace": "example-namespace",
    "usage": {"readUnits": 6},
}
PAGES = {
    None: {"vectors": [{"id": "document1#abb"}, {"id": "document1#abc"}], "pagination": {"next": "bmV4dA=="}},
    "bmV4dA==": {"vectors": [{"id": "document1#~aaaaoj"}], "namespace": "example-namespace"},
}
MISSING = Answer(404, {"code": 5, "message": "Namespace not found", "details": []})


class Recorded:
    """A Pinecone index as its documentation shows it."""

    def __init__(self) -> None:
        self.indexed = iter(range(10**9))
        self.stats: dict[str, Any] = STATS

    def __call__(self, asked: Asked) -> Answer:
        place = urlsplit(asked.path)
        given = {name: values[0] for name, values in parse_qs(place.query).items()}
        match asked.method, place.path:
            case "POST", "/describe_index_stats":
                return Answer(body=self.stats)
            case "GET", "/namespaces":
                return Answer(body=LAST_NAMESPACES if "paginationToken" in given else NAMESPACES)
            case "GET", "/namespaces/example-namespace":
                return Answer(body=NAMESPACE)
            case ("GET", _) if place.path.startswith("/namespaces/"):
                return MISSING
            case "POST", "/vectors/upsert":
                return Answer(body={"upsertedCount": 1}, headers={"x-pinecone-request-lsn": "3"})
            case "POST", "/vectors/update" | "/vectors/delete":
                return Answer(body={}, headers={"x-pinecone-request-lsn": "2"})
            case "POST", "/query":
                return Answer(body=QUERY, headers={"x-pinecone-max-indexed-lsn": str(next(self.indexed))})
            case "GET", "/vectors/fetch":
                return Answer(body=FETCH)
            case "GET", "/vectors/list":
                return Answer(body=PAGES[given.get("paginationToken")])
            case _:
                return Answer(404, {"message": f"{asked.method} {asked.path}"})


@pytest.fixture
async def server() -> AsyncIterator[StubServer]:
    async with StubServer(Recorded()) as server:
        yield server


@pytest.fixture
async def backend(server: StubServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PineconeBackend]:
    monkeypatch.setenv("KEY", "pc-key")
    backend = PineconeBackend(
        2, Metric.COSINE, "", PineconeOptions(host=server.url, api_key_env="KEY", namespaces=2, fresh_within_s=60)
    )
    yield backend
    await backend.aclose()


def bodies(server: StubServer, path: str) -> list[Any]:
    return [asked.json() for asked in server.asked if asked.path == path]


async def test_an_index_is_held_to_what_the_shard_needs(backend: PineconeBackend, server: StubServer) -> None:
    features = await backend.probe()
    assert (features.read_your_writes, features.visible_s) == (False, 60.0)
    assert server.asked[0].headers["api-key"] == "pc-key"
    other = PineconeBackend(3, Metric.EUCLIDEAN, "", backend.options)
    with pytest.raises(Refused, match="of 2 dimensions and cosine; needed: 3 and euclidean"):
        await other.probe()
    await other.aclose()


async def test_namespaces_are_listed_counted_and_bounded(backend: PineconeBackend) -> None:
    assert await backend.namespaces(None, 10) == ["example-namespace", "otheré"]
    assert (await backend.stats()).vectors == 80_020
    assert (await backend.stats("example-namespace")).vectors == 20_000
    with pytest.raises(NotFound):
        await backend.stats("absent")
    with pytest.raises(CapacityExceeded, match="2 namespaces"):
        await backend.create("third")
    await backend.create("example-namespace")


async def test_records_come_and_go_in_the_documented_shapes(backend: PineconeBackend, server: StubServer) -> None:
    index = backend.index("example-namespace")
    await index.upsert([Record("é", np.array([1, 2], np.float32), {"genre": "comedy", "n": 1})])
    (sent,) = bodies(server, "/vectors/upsert")
    assert sent["namespace"] == "example-namespace"
    assert sent["vectors"] == [{"id": "~aaaaoj", "values": [1.0, 2.0], "metadata": {"genre": "comedy", "n": 1}}]
    found = await index.fetch(["id-1", "é", "absent"])
    assert list(found) == ["id-1", "é"]
    assert found["id-1"].metadata == {"genre": "comedy", "year": 2020}
    assert found["é"].values.tolist() == [2.0, 1.0]
    assert await index.update(Update("id-1", set_metadata={"year": 2021}))
    assert bodies(server, "/vectors/update")[0]["setMetadata"] == {"year": 2021}
    await index.delete(ByIds(("id-1", "é")))
    await index.delete(ByFilter(parse_filter({"year": {"$lt": 2000}})))  # type: ignore[arg-type]
    await index.delete(Everything())
    ids, where, everything = bodies(server, "/vectors/delete")
    assert ids["ids"] == ["id-1", "~aaaaoj"]
    assert where["filter"] == {"year": {"$lt": 2000}}
    assert everything["deleteAll"] is True


async def test_a_query_waits_until_the_index_has_caught_up(backend: PineconeBackend, server: StubServer) -> None:
    index = backend.index("example-namespace")
    await index.upsert([Record("a", np.array([1, 2], np.float32))])
    hits = await index.query(Query(np.array([1, 0], np.float32), 5, include_values=True, include_metadata=True))
    assert [(hit.id, hit.score, hit.metadata) for hit in hits] == [
        ("example-vector-1", 0.08, {"genre": "documentary"}),
        ("🙂", 0.05, None),
    ]
    asked = bodies(server, "/query")
    assert len(asked) == 4  # the write is at position 3, and the index at 0, 1, 2, 3
    assert (asked[0]["topK"], asked[0]["includeValues"]) == (6, True)


async def test_ids_are_listed_by_pages_with_their_tokens(backend: PineconeBackend, server: StubServer) -> None:
    index = backend.index("example-namespace")
    first = await index.list_ids(None, 2, "document1#")
    assert (first.ids, first.cursor) == (["document1#abb", "document1#abc"], "document1#abc")
    second = await index.list_ids(first.cursor, 2, "document1#")
    assert (second.ids, second.cursor) == (["document1#é"], None)
    assert len([asked for asked in server.asked if asked.path.startswith("/vectors/list")]) == 2
    again = await index.list_ids(first.cursor, 2, "document1#")  # its token is used up: from the start
    assert again.ids == second.ids
    assert (await index.list_ids("document1#abb", 1, "document1#")).ids == ["document1#abc"]
    assert (await index.list_ids("document1#abc", 1, "document1#")).ids == ["document1#é"]


async def test_numbers_that_pinecone_would_change_are_refused(backend: PineconeBackend, server: StubServer) -> None:
    index = backend.index("example-namespace")
    with pytest.raises(Unsupported, match="float64"):
        await index.upsert([Record("a", np.array([1, 2], np.float32), {"n": 2**53 + 1})])
    with pytest.raises(Unsupported, match="float64"):
        await index.query(Query(np.array([1, 0], np.float32), 5, parse_filter({"n": 2**53 + 1})))
    assert not bodies(server, "/vectors/upsert")


async def test_a_namespace_that_is_not_there_is_not_made_by_writing(
    backend: PineconeBackend, server: StubServer
) -> None:
    with pytest.raises(NotFound):
        await backend.index("absent").upsert([Record("a", np.array([1, 2], np.float32))])
    assert not bodies(server, "/vectors/upsert")
