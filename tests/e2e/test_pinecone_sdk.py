"""The official SDK of today, unmodified, against a gateway in another process: every call that it has for vectors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from pinecone import (
    ApiError,
    ConflictError,
    ForbiddenError,
    Index,
    NotFoundError,
    PayloadTooLargeError,
    Pinecone,
    PineconeAsyncio,
    ServerlessSpec,
    ServiceError,
    UnauthorizedError,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk"))
from gateway_process import ADMIN_KEY, GatewayProcess, running_gateway

DIMENSION = 8
SPEC = ServerlessSpec(cloud="aws", region="us-east-1")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with running_gateway(tmp_path_factory.mktemp("sdk") / "data", dimension=DIMENSION) as running:
        yield running


@pytest.fixture(scope="module")
def pc(gateway: GatewayProcess) -> Iterator[Pinecone]:
    with Pinecone(api_key=ADMIN_KEY, host=gateway.url) as client:
        yield client


@pytest.fixture
def index_of(pc: Pinecone) -> Iterator[Callable[..., Index]]:
    """Index clients that are closed at the end."""
    with ExitStack() as opened:
        yield lambda *args, **kwargs: opened.enter_context(pc.Index(*args, **kwargs))


IndexOf = Callable[..., Index]


def vector(seed: int, size: int = DIMENSION) -> list[float]:
    return np.random.default_rng(seed).standard_normal(size, dtype=np.float32).tolist()


def records(count: int, start: int = 0) -> list[dict]:
    return [
        {"id": f"r{i:04}", "values": vector(i), "metadata": {"n": i, "even": i % 2 == 0, "tags": ["a", f"t{i % 3}"]}}
        for i in range(start, start + count)
    ]


def best(question: list[float], batch: list[dict], k: int) -> list[str]:
    q = np.array(question)
    scores = [
        (-float(np.dot(q, r["values"]) / np.linalg.norm(q) / np.linalg.norm(r["values"])), r["id"]) for r in batch
    ]
    return [key for _, key in sorted(scores)[:k]]


def test_the_control_plane(pc: Pinecone) -> None:
    made = pc.create_index(
        name="control", dimension=4, metric="dotproduct", spec=SPEC, deletion_protection="enabled", tags={"team": "x"}
    )
    assert (made.name, made.dimension, made.metric, made.vector_type) == ("control", 4, "dotproduct", "dense")
    assert made.status.ready
    assert made.host.endswith("/i/control")
    assert dict(made.tags) == {"team": "x"}
    with pytest.raises(ConflictError, match="exists already"):
        pc.create_index(name="control", dimension=4, spec=SPEC)
    assert pc.has_index("control")
    assert not pc.has_index("none")
    assert "control" in pc.list_indexes().names()
    assert pc.describe_index("control").deletion_protection == "enabled"
    with pytest.raises(ForbiddenError, match="Deletion protection is enabled"):
        pc.delete_index("control")
    pc.configure_index("control", deletion_protection="disabled", tags={"team": "", "env": "prod"})
    assert dict(pc.describe_index("control").tags) == {"env": "prod"}
    pc.delete_index("control")
    with pytest.raises(NotFoundError, match="'control' does not exist"):
        pc.describe_index("control")


def test_an_index_by_schema_and_deployment(pc: Pinecone, index_of: IndexOf) -> None:
    made = pc.indexes.create(
        name="by-schema",
        schema={"fields": {"_values": {"type": "dense_vector", "dimension": 3, "metric": "euclidean"}}},
        deployment={"deployment_type": "managed", "cloud": "gcp", "region": "us-east1"},
    )
    assert (made.dimension, made.metric) == (3, "euclidean")
    assert made.deployment.region == "local"
    index = index_of("by-schema")
    index.upsert(vectors=[("near", [1.0, 0.0, 0.0]), ("far", [0.0, 4.0, 0.0])])
    matches = index.query(vector=[0.0, 0.0, 0.0], top_k=2).matches
    assert [(m.id, m.score) for m in matches] == [("near", 1.0), ("far", 16.0)], "squared distance, nearest first"
    pc.indexes.delete("by-schema")


def test_what_is_not_served_says_so(pc: Pinecone, index_of: IndexOf) -> None:
    with pytest.raises(ServiceError, match="document indexes are not served") as refused:
        pc.indexes.create(
            name="docs", schema={"fields": {"v": {"type": "dense_vector", "dimension": 3, "metric": "cosine"}}}
        )
    assert refused.value.status_code == 501
    with pytest.raises(ServiceError, match="integrated embedding"):
        pc.indexes.create_for_model(
            name="m", cloud="aws", region="us-east-1", embed={"model": "e5", "field_map": {"text": "t"}}
        )
    with pytest.raises(ServiceError, match="collections"):
        pc.list_collections()
    index = index_of("default")
    with pytest.raises(ServiceError, match="records API"):
        index.upsert_records(namespace="n", records=[{"_id": "a", "text": "b"}])
    with pytest.raises(ServiceError, match="bulk import"):
        list(index.list_imports())
    with pytest.raises(ServiceError, match=r"vectors\[0\]\.sparseValues"):
        index.upsert(vectors=[{"id": "s", "values": vector(1), "sparse_values": {"indices": [1], "values": [0.5]}}])
    with pytest.raises(ApiError, match="cannot be filtered"):
        index.describe_index_stats(filter={"a": 1})


def test_the_data_plane(pc: Pinecone, index_of: IndexOf) -> None:
    index = index_of("default")
    batch = records(60)
    written = index.upsert(vectors=batch, namespace="acme/ü 1")
    assert written.upserted_count == 60
    assert written.response_info.lsn_committed

    found = index.query(vector=vector(500), top_k=10, namespace="acme/ü 1", include_metadata=True, include_values=True)
    assert [m.id for m in found.matches] == best(vector(500), batch, 10)
    assert found.namespace == "acme/ü 1"
    assert found.usage.read_units == 1
    assert found.response_info.is_reconciled(written.response_info.lsn_committed), "read-your-writes"
    by_id = {r["id"]: r for r in batch}
    for match in found.matches:
        assert match.values == by_id[match.id]["values"], "float32 come back exactly"
        assert match.metadata == by_id[match.id]["metadata"]
    bare = index.query(vector=vector(500), top_k=3, namespace="acme/ü 1").matches
    assert all(m.values == [] and m.metadata is None for m in bare)

    by_stored = index.query(id="r0007", top_k=1, namespace="acme/ü 1").matches
    assert by_stored[0].id == "r0007"
    assert by_stored[0].score == pytest.approx(1.0, abs=1e-5)
    assert index.query(id="nobody", top_k=1, namespace="acme/ü 1").matches == []

    even = index.query(vector=vector(500), top_k=60, namespace="acme/ü 1", filter={"even": True, "n": {"$lt": 20}})
    assert sorted(m.id for m in even.matches) == [f"r{i:04}" for i in range(0, 20, 2)]

    fetched = index.fetch(ids=["r0001", "r0002", "nobody"], namespace="acme/ü 1")
    assert set(fetched.vectors) == {"r0001", "r0002"}
    assert fetched.vectors["r0001"].values == batch[1]["values"]
    assert fetched.vectors["r0001"].metadata == batch[1]["metadata"]

    index.update(id="r0001", set_metadata={"extra": "yes"}, namespace="acme/ü 1")
    index.update(id="r0002", values=vector(9_000), namespace="acme/ü 1")
    index.update(id="nobody", set_metadata={"a": 1}, namespace="acme/ü 1")
    after = index.fetch(ids=["r0001", "r0002", "nobody"], namespace="acme/ü 1").vectors
    assert after["r0001"].metadata == {**batch[1]["metadata"], "extra": "yes"}
    assert after["r0002"].values == vector(9_000)
    assert "nobody" not in after

    index.delete(ids=["r0003", "nobody"], namespace="acme/ü 1")
    index.delete(filter={"tags": {"$in": ["t1"]}}, namespace="acme/ü 1")
    left = [r["id"] for r in batch if r["id"] != "r0003" and "t1" not in r["metadata"]["tags"]]
    listed = [item.id for page in index.list(namespace="acme/ü 1", limit=7) for item in page.vectors]
    assert listed == left
    assert index.describe_index_stats().namespaces["acme/ü 1"].vector_count == len(left)
    index.delete(delete_all=True, namespace="acme/ü 1")
    assert index.describe_index_stats().namespaces["acme/ü 1"].vector_count == 0


def test_namespaces(pc: Pinecone, index_of: IndexOf) -> None:
    made = pc.create_index(name="spaces", dimension=DIMENSION, spec=SPEC)
    index = index_of(host=made.host)
    assert index.create_namespace(name="made").record_count == 0
    with pytest.raises(ConflictError):
        index.create_namespace(name="made")
    for name in ("b", "a", "x/y z"):
        index.upsert(vectors=records(3), namespace=name)
    index.upsert(vectors=records(2))
    stats = index.describe_index_stats()
    assert {name: one.vector_count for name, one in stats.namespaces.items()} == {
        "__default__": 2, "a": 3, "b": 3, "made": 0, "x/y z": 3,
    }  # fmt: skip
    assert (stats.total_vector_count, stats.dimension, stats.metric) == (11, DIMENSION, "cosine")
    described = index.describe_namespace(name="x/y z")
    assert (described.name, described.record_count) == ("x/y z", 3)
    first = index.list_namespaces_paginated(limit=2)
    assert [one.name for one in first] == ["__default__", "a"]
    assert first.total_count == 5
    assert [one.name for page in index.list_namespaces(limit=2) for one in page] == [
        "__default__",
        "a",
        "b",
        "made",
        "x/y z",
    ]
    assert [one.name for one in index.list_namespaces_paginated(prefix="x")] == ["x/y z"]
    index.delete_namespace(name="x/y z")
    with pytest.raises(NotFoundError):
        index.describe_namespace(name="x/y z")
    with pytest.raises(NotFoundError):
        index.delete_namespace(name="x/y z")
    pc.delete_index("spaces")


def test_the_default_namespace_is_one_namespace(pc: Pinecone, index_of: IndexOf) -> None:
    index = index_of("default")
    index.upsert(vectors=[("only-here", vector(1))])
    index.upsert(vectors=[("elsewhere", vector(1))], namespace="other")
    assert [m.id for m in index.query(vector=vector(1), top_k=10).matches] == ["only-here"]
    assert [m.id for m in index.query(vector=vector(1), top_k=10, namespace="__default__").matches] == ["only-here"]
    index.delete_namespace(name="__default__")
    index.delete_namespace(name="other")


def test_a_namespace_that_does_not_exist(pc: Pinecone, index_of: IndexOf) -> None:
    index = index_of("default")
    assert index.query(vector=vector(1), top_k=3, namespace="nowhere").matches == []
    assert index.fetch(ids=["a"], namespace="nowhere").vectors == {}
    assert [item for page in index.list(namespace="nowhere") for item in page.vectors] == []
    assert index.fetch_by_metadata(filter={"a": 1}, namespace="nowhere").vectors == {}
    with pytest.raises(NotFoundError):
        index.delete(ids=["a"], namespace="nowhere")
    assert "nowhere" not in index.describe_index_stats().namespaces, "reading makes nothing"


def test_batches_and_many_namespaces(pc: Pinecone, index_of: IndexOf) -> None:
    index = index_of("default")
    written = index.upsert(vectors=records(250), namespace="m1", batch_size=60)
    assert written.upserted_count == 250
    assert not written.has_errors
    index.upsert(vectors=records(30, start=1_000), namespace="m2")
    merged = index.query_namespaces(
        vector=vector(77), namespaces=["m1", "m2", "m3"], metric="cosine", top_k=5, include_metadata=True
    )
    assert [m.id for m in merged.matches] == best(vector(77), records(250) + records(30, start=1_000), 5)
    found: dict = {}
    token = None
    while True:
        page = index.fetch_by_metadata(filter={"even": True}, namespace="m1", limit=40, pagination_token=token)
        assert len(page.vectors) <= 40
        found |= page.vectors
        if page.pagination is None:
            break
        token = page.pagination.next
    assert sorted(found) == [f"r{i:04}" for i in range(0, 250, 2)]
    dry = index.update(filter={"n": {"$gte": 240}}, set_metadata={"late": True}, namespace="m1", dry_run=True)
    assert dry.matched_records == 10
    assert index.fetch_by_metadata(filter={"late": True}, namespace="m1").vectors == {}
    done = index.update(filter={"n": {"$gte": 240}}, set_metadata={"late": True}, namespace="m1")
    assert done.matched_records == 10
    assert len(index.fetch_by_metadata(filter={"late": True}, namespace="m1").vectors) == 10


def test_errors_become_the_sdks_classes(gateway: GatewayProcess, pc: Pinecone, index_of: IndexOf) -> None:
    with Pinecone(api_key="wrong", host=gateway.url) as stranger:
        with pytest.raises(UnauthorizedError, match="not valid") as wrong_key:
            stranger.list_indexes()
        assert wrong_key.value.error_code == "UNAUTHENTICATED"
        assert wrong_key.value.request_id
        with stranger.Index(host=gateway.url) as index, pytest.raises(UnauthorizedError):
            index.query(vector=vector(1), top_k=1)
    index = index_of("default")
    with pytest.raises(ApiError, match="exactly 8, the dimension of the index") as dimension:
        index.upsert(vectors=[("a", [1.0, 2.0])])
    assert dimension.value.status_code == 400
    assert dimension.value.body["code"] == 3
    with pytest.raises(ApiError, match=r"\$almost"):
        index.query(vector=vector(1), top_k=1, filter={"a": {"$almost": 1}})
    with pytest.raises(NotFoundError, match="index 'gone'"):
        index_of(host=f"{gateway.url}/i/gone").query(vector=vector(1), top_k=1)
    with pytest.raises(PayloadTooLargeError, match="at most 2,097,152 bytes"):
        index.upsert(vectors=[(f"{i}", vector(i), {"text": "x" * 30_000}) for i in range(80)])


async def test_the_async_client(gateway: GatewayProcess) -> None:
    async with PineconeAsyncio(api_key=ADMIN_KEY, host=gateway.url) as pc:
        made = await pc.create_index(name="async", dimension=DIMENSION, spec=SPEC)
        async with pc.IndexAsyncio(host=made.host) as index:
            assert (await index.upsert(vectors=records(40), namespace="n")).upserted_count == 40
            found = await index.query(vector=vector(3), top_k=4, namespace="n", include_metadata=True)
            assert [m.id for m in found.matches] == best(vector(3), records(40), 4)
            assert set((await index.fetch(ids=["r0001"], namespace="n")).vectors) == {"r0001"}
            await index.update(id="r0001", set_metadata={"k": 1}, namespace="n")
            await index.delete(ids=["r0000"], namespace="n")
            listed = [item.id async for page in index.list(namespace="n", limit=15) for item in page.vectors]
            assert listed == [f"r{i:04}" for i in range(1, 40)]
            assert (await index.describe_index_stats()).total_vector_count == 39
            merged = await index.query_namespaces(
                vector=vector(3), namespaces=["n", "none"], metric="cosine", top_k=3, include_metadata=True
            )
            assert len(merged.matches) == 3
            assert [one.name async for page in index.list_namespaces() for one in page] == ["n"]
            await index.delete_namespace(name="n")
        await pc.delete_index("async")
