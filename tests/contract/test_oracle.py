"""Every engine against the embedded one on the same data: the same hits with the same scores, for any filter."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tenantry.backends.chroma import ChromaBackend, ChromaOptions
from tenantry.backends.embedded import EmbeddedBackend, Engine
from tenantry.backends.milvus import MilvusBackend, MilvusOptions
from tenantry.backends.pgvector import PgvectorBackend
from tenantry.backends.pinecone import PineconeBackend, PineconeOptions
from tenantry.backends.qdrant import QdrantBackend, QdrantOptions
from tenantry.model.filters import matches, parse_filter
from tenantry.model.records import ByFilter, Hit, Metadata, Metric, Query, Record
from tenantry.ports import Index, VectorBackend

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk"))
from gateway_process import ADMIN_KEY, running_gateway

DIMENSION = 24
RECORDS = 400
FILTERS = 150
NUMBERS = [0, 1, -1, 1.0, 2.5, -2.5, 1e10, 10**12, 2**53, 2**53 - 1, 0.1, -0.0]
TEXTS = ["", "red", "Red", "1", "true", "null", "é", "日本語 🙂", 'a"b', "a'b", "a\\b", "$and", "%", "x" * 200]
FIELDS = ["color", "n", "ok", "tags", "a.b", "é", 'q"', "metadata", "terms", "id", "namespace"]
SCORE_TOLERANCE = 1e-4
#: As large as they may be, or nearly. Chroma looks for each value by itself: 10 seconds with two cores free.
LARGE: list[dict[str, Any]] = [
    {"color": {"$in": [f"colour {i}" for i in range(9_990)] + TEXTS[:3]}},
    {"color": {"$nin": [f"colour {i}" for i in range(2_000)] + TEXTS[:3]}},
    {"$or": [{FIELDS[i % 4]: TEXTS[i % 14]} for i in range(1_000)]},
    {"$and": [{"n": {"$ne": i}} for i in range(250)] + [{"n": {"$lt": i}} for i in range(1, 251)]},
]


def some_metadata(chance: random.Random) -> Metadata | None:
    if chance.random() < 0.1:
        return None
    kinds: list[Any] = [
        lambda: chance.choice(TEXTS),
        lambda: chance.choice(NUMBERS),
        lambda: chance.random() < 0.5,
        lambda: chance.sample(TEXTS, chance.randrange(4)),
    ]
    return {field: chance.choice(kinds)() for field in chance.sample(FIELDS, chance.randrange(1, 7))}


def some_filter(chance: random.Random, depth: int = 2) -> dict[str, Any]:
    if depth and chance.random() < 0.4:
        parts = [some_filter(chance, depth - 1) for _ in range(chance.randrange(1, 4))]
        return {chance.choice(["$and", "$or"]): parts}
    field = chance.choice(FIELDS)
    scalar: list[Any] = [*TEXTS, *NUMBERS, True, False]
    match chance.randrange(5):
        case 0:
            return {field: chance.choice(scalar)}
        case 1:
            return {field: {chance.choice(["$eq", "$ne"]): chance.choice(scalar)}}
        case 2:
            return {field: {chance.choice(["$in", "$nin"]): chance.sample(scalar, chance.randrange(6))}}
        case 3:
            bounds = [each for each in NUMBERS if abs(each) < 2**53]
            return {field: {chance.choice(["$gt", "$gte", "$lt", "$lte"]): chance.choice(bounds)}}
        case _:
            return {field: {"$exists": chance.random() < 0.5}}


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_gateway(tmp_path_factory.mktemp("oracle") / "data") as gateway:
        yield gateway.url


@pytest.fixture(params=list(Metric), ids=str)
async def engines(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    postgres_url: str,
    chroma_url: str,
    milvus_url: str,
    controller: str,
) -> AsyncIterator[dict[str, VectorBackend]]:
    metric: Metric = request.param
    key = tmp_path / "key"
    key.write_text(ADMIN_KEY)
    engine = Engine(tmp_path / "embedded")
    pinecone = PineconeOptions(
        api_key_file=str(key), controller=controller, cloud="aws", region="us-east-1", visible_s=0.0
    )
    backends: dict[str, VectorBackend] = {
        "embedded": EmbeddedBackend(engine, "shard", DIMENSION, metric),
        "pgvector": PgvectorBackend(postgres_url, "shard", DIMENSION, metric),
        "chroma": ChromaBackend(DIMENSION, metric, f"oracle_{metric}", ChromaOptions(url=chroma_url, request_s=180.0)),
        "milvus": MilvusBackend(DIMENSION, metric, f"oracle_{metric}", MilvusOptions(url=milvus_url)),
        "qdrant": QdrantBackend(DIMENSION, metric, "oracle", QdrantOptions(path=":memory:")),
        "pinecone": PineconeBackend(DIMENSION, metric, f"oracle-{metric}", pinecone),
    }
    for backend in backends.values():
        await backend.probe()
        await backend.create("n")
    yield backends
    for backend in backends.values():
        await backend.aclose()
    await engine.aclose()


def agree(found: list[Hit], wanted: list[Hit]) -> None:
    """Score by score; ids wherever scores tell them apart."""
    assert len(found) == len(wanted)
    for mine, other in zip(found, wanted, strict=True):
        assert mine.score == pytest.approx(other.score, rel=SCORE_TOLERANCE, abs=SCORE_TOLERANCE)
    apart = [
        place
        for place in range(len(wanted) - 1)
        if wanted[place].score - wanted[place + 1].score > 2 * SCORE_TOLERANCE * max(1, abs(wanted[place].score))
    ]
    for begin, end in zip([0, *(place + 1 for place in apart)], [place + 1 for place in apart], strict=False):
        assert {hit.id for hit in found[begin:end]} == {hit.id for hit in wanted[begin:end]}


@pytest.mark.timeout(400)
async def test_all_engines_answer_as_the_embedded_one_does(engines: dict[str, VectorBackend]) -> None:
    chance = random.Random(11)
    rng = np.random.default_rng(11)
    vectors = (rng.standard_normal((RECORDS, DIMENSION)) * 1.7).astype(np.float32)
    records = [Record(f"r{i:03}", row, some_metadata(chance)) for i, row in enumerate(vectors)]
    filters = [some_filter(chance) for _ in range(FILTERS)]
    if engines["qdrant"].metric is Metric.COSINE:  # type: ignore[attr-defined]
        filters += LARGE
    indexes: dict[str, Index] = {name: backend.index("n") for name, backend in engines.items()}
    for index in indexes.values():
        await index.upsert(records)
    oracle = indexes.pop("embedded")
    for question in rng.standard_normal((20, DIMENSION)).astype(np.float32):
        wanted = await oracle.query(Query(question, 25, include_metadata=True))
        for found in await asyncio.gather(*(i.query(Query(question, 25)) for i in indexes.values())):
            agree(found, wanted)
    told_apart = 0
    for raw in filters:
        condition = parse_filter(raw)
        assert condition is not None
        query = Query(vectors[0], 1_000, condition)
        wanted = await oracle.query(query)
        told_apart += 0 < len(wanted) < RECORDS
        assert {hit.id for hit in wanted} == {each.id for each in records if matches(condition, each.metadata)}, raw
        for name, index in indexes.items():
            found = await index.query(query)
            assert {hit.id for hit in found} == {hit.id for hit in wanted}, (name, raw)
            agree(found, wanted)
    assert told_apart > FILTERS / 3
    for raw in filters[:40]:
        condition = parse_filter(raw)
        assert condition is not None
        await asyncio.gather(*(index.delete(ByFilter(condition)) for index in (oracle, *indexes.values())))
        left = (await oracle.list_ids(None, 1_000)).ids
        for name, index in indexes.items():
            assert (await index.list_ids(None, 1_000)).ids == left, (name, raw)
