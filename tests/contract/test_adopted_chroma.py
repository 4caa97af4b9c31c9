"""The backend contract on collections of a Chroma server that others laid out: one of all tenants, and one for each."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tenantry.backends.chroma import ChromaBackend, ChromaOptions
from tenantry.backends.chroma.adopted import AdoptedChroma
from tenantry.backends.common.collection import Collections
from tenantry.backends.common.tenant_field import FieldTenants
from tenantry.errors import NotFound, Refused, Unsupported
from tenantry.model.filters import parse_filter
from tenantry.model.records import Everything, Metric, Query, Record, as_vector
from tenantry.testing.backend_contract import BackendContract

FIELD = "customer"
_numbers = itertools.count()


def opened(url: str, metric: Metric, **options: str) -> AdoptedChroma:
    return AdoptedChroma(ChromaBackend(16, metric, "shard", ChromaOptions(url=url, adopted=True, **options)))


class OneCollection(BackendContract):
    metric = Metric.COSINE
    exists = False

    @pytest.fixture
    async def backend(self, chroma_url: str, request: pytest.FixtureRequest) -> AsyncIterator[FieldTenants]:
        given = request.node.callspec.params if hasattr(request.node, "callspec") else {}
        if "$exists" in str(given.get("raw")):
            pytest.skip("Chroma has no word for $exists, so it is refused")
        name = f"one-{next(_numbers)}"
        engine = opened(chroma_url, self.metric, collection=name, tenant_field=FIELD)
        await engine.make(name)
        made = FieldTenants(engine.collection(name), FIELD, "chroma", engine.features, engine.probe, engine.aclose)
        made.dimension, made.metric = 16, self.metric  # type: ignore[attr-defined]  # what the contract fills it by
        yield made
        await made.aclose()


class TestCosine(OneCollection):
    pass


class TestEuclidean(OneCollection):
    metric = Metric.EUCLIDEAN


async def filled(engine: AdoptedChroma, name: str) -> None:
    """As Chroma's users do it."""
    await engine.make(name)
    body = {
        "ids": ["a1", "a2", "n1", "x"],
        "embeddings": [[1.0] * 16, [2.0] * 16, [3.0] * 16, [4.0] * 16],
        "metadatas": [{FIELD: "acme", "n": 1, "old": True}, {FIELD: "acme"}, {FIELD: 12}, None],
        "documents": ["a text", None, None, "nobody's"],
        "uris": [None, "file:///a2", None, None],
    }
    await engine.collection(name)._post("upsert", Any, body)


async def test_records_of_others_are_read_and_replaced_whole(chroma_url: str) -> None:
    name = f"one-{next(_numbers)}"
    engine = opened(chroma_url, Metric.EUCLIDEAN, collection=name, tenant_field=FIELD)
    await filled(engine, name)
    await engine.probe()
    shared = FieldTenants(engine.collection(name), FIELD, "chroma", engine.features, engine.probe, engine.aclose)
    assert await shared.namespaces(None, 10) == ["12", "acme"]
    acme = shared.index("acme")
    found = await acme.fetch(["a1", "a2", "n1", "x"])
    assert {key: one.metadata for key, one in found.items()} == {
        "a1": {FIELD: "acme", "n": 1, "old": True, "document": "a text"},
        "a2": {FIELD: "acme", "uri": "file:///a2"},
    }
    hits = await acme.query(Query(as_vector([0.0] * 16), 5, parse_filter({"n": {"$ne": 1}}), include_metadata=True))
    assert [(hit.id, hit.metadata) for hit in hits] == [("a2", {FIELD: "acme", "uri": "file:///a2"})]
    with pytest.raises(Unsupported, match="'document'"):
        await acme.query(Query(as_vector([0.0] * 16), 5, parse_filter({"document": "a text"})))
    await acme.upsert([Record("a1", as_vector([5.0] * 16), {FIELD: "acme", "none": []})])
    assert (await acme.fetch(["a1"]))["a1"].metadata == {FIELD: "acme", "none": []}
    await acme.delete(Everything())
    assert sorted(await engine.collection(name).ids_where(None)) == ["n1", "x"]
    await shared.aclose()


async def test_each_collection_is_a_tenant(chroma_url: str) -> None:
    engine = opened(chroma_url, Metric.EUCLIDEAN)
    names = [f"tenant-{next(_numbers)}" for _ in range(2)]
    for name in names:
        await filled(engine, name)
    shard = Collections(engine)
    listed = await shard.namespaces(None, 1_000)
    assert set(names) <= set(listed)
    assert not [name for name in listed if name.startswith("tenantry")]
    index = shard.index(names[0])
    assert (await index.list_ids(None, 10)).ids == ["a1", "a2", "n1", "x"]
    assert (await shard.stats(names[0])).vectors == 4
    await shard.drop(names[0])
    with pytest.raises(NotFound):
        await index.fetch(["a1"])
    for name in ("..", "a", "a/b", "main~2"):
        with pytest.raises(NotFound):
            await shard.index(name).fetch(["a1"])
        with pytest.raises(Refused, match="no collection can be called"):
            await shard.create(name)
    await shard.aclose()


async def test_a_named_collection_of_another_kind_is_refused(chroma_url: str) -> None:
    name = f"one-{next(_numbers)}"
    other = opened(chroma_url, Metric.EUCLIDEAN)
    await filled(other, name)
    engine = opened(chroma_url, Metric.COSINE, collection=name, tenant_field=FIELD)
    with pytest.raises(Refused, match="is not one of 16 dimensions and cosine"):
        await engine.probe()
    missing = opened(chroma_url, Metric.COSINE, collection="missing", tenant_field=FIELD)
    with pytest.raises(Refused, match="has no collection 'missing'"):
        await missing.probe()
    for one in (other, engine, missing):
        await one.aclose()
