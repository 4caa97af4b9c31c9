"""The backend contract on collections of Qdrant that others laid out: one for each tenant, and one of all."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest
from qdrant_client import models

from tenantry.backends.common.collection import Collections
from tenantry.backends.common.tenant_field import FieldTenants
from tenantry.backends.qdrant import QdrantBackend, QdrantOptions
from tenantry.backends.qdrant.adopted import AdoptedQdrant
from tenantry.errors import Refused, Unsupported
from tenantry.model.filters import parse_filter
from tenantry.model.records import Metric, Query, Record, as_vector
from tenantry.testing.backend_contract import BackendContract

FIELD = "customer"
#: Qdrant's paths have no way to spell a quotation mark.
FIELDS = tuple(name for name in BackendContract.fields if '"' not in name)


def opened(metric: Metric, **options: str) -> QdrantBackend:
    return QdrantBackend(16, metric, "shard", QdrantOptions(path=":memory:", adopted=True, **options))


class ManyCollections(BackendContract):
    metric = Metric.COSINE
    vector = ""
    fields = FIELDS
    names = ("Main", "main~2", "main 2", "a.b", "é", "e\u0301", "null", "default")  # Qdrant's rules, not ours

    @pytest.fixture
    async def backend(self) -> AsyncIterator[Collections]:
        made = Collections(AdoptedQdrant(opened(self.metric, vector=self.vector)))
        made.dimension, made.metric = 16, self.metric  # type: ignore[attr-defined]  # what the contract fills it by
        yield made
        await made.aclose()


class TestCollectionsCosine(ManyCollections):
    pass


class TestCollectionsEuclidean(ManyCollections):
    metric = Metric.EUCLIDEAN


class TestCollectionsOfNamedVectors(ManyCollections):
    vector = "text"
    metric = Metric.DOTPRODUCT


class TestOneCollection(BackendContract):
    fields = FIELDS

    @pytest.fixture
    async def backend(self) -> AsyncIterator[FieldTenants]:
        engine = AdoptedQdrant(opened(Metric.COSINE, collection="all", tenant_field=FIELD))
        await engine.make("all")
        made = FieldTenants(engine.collection("all"), FIELD, "qdrant", engine.features, engine.probe, engine.aclose)
        made.dimension, made.metric = 16, Metric.COSINE  # type: ignore[attr-defined]  # what the contract fills it by
        yield made
        await made.aclose()


async def test_points_of_others_are_records_and_stay_as_they_are() -> None:
    backend = opened(Metric.EUCLIDEAN, collection="all", tenant_field=FIELD)
    engine = AdoptedQdrant(backend)
    await engine.make("all")
    named = str(uuid.UUID(int=7))
    points = [
        models.PointStruct(id=1, vector=[1.0] * 16, payload={FIELD: "acme", "deep": {"x": [1, 2]}, "gone": None}),
        models.PointStruct(id=named, vector=[2.0] * 16, payload={FIELD: "acme"}),
        models.PointStruct(id=3, vector=[3.0] * 16, payload={FIELD: 12}),
        models.PointStruct(id=4, vector=[4.0] * 16, payload={}),
    ]
    await backend.call(lambda client: client.upsert("all", points))
    shared = FieldTenants(engine.collection("all"), FIELD, "qdrant", engine.features, engine.probe, engine.aclose)
    assert await shared.namespaces(None, 10) == ["12", "acme"]
    acme = shared.index("acme")
    assert (await acme.list_ids(None, 10)).ids == [named, "1"]
    assert (await acme.fetch(["1", "3"]))["1"].metadata == {FIELD: "acme", "deep": {"x": [1, 2]}}
    assert [hit.id for hit in await shared.index("12").query(Query(as_vector([0.0] * 16), 5))] == ["3"]
    await acme.upsert([Record("3", as_vector([9.0] * 16)), Record("doc-1", as_vector([8.0] * 16))])
    await acme.upsert([Record("1", as_vector([7.0] * 16), {FIELD: "acme"})])
    found = await backend.call(lambda client: client.scroll("all", with_vectors=True, limit=100))
    kept = {point.id: (point.vector[0], point.payload) for point in found[0]}
    assert kept[1] == (7.0, {FIELD: "acme"})
    assert kept[3] == (3.0, {FIELD: 12})
    assert len(kept) == 6
    assert sorted((await acme.list_ids(None, 10)).ids) == sorted([named, "1", "3", "doc-1"])
    await shared.aclose()


async def test_only_collections_of_the_shards_kind_are_its_namespaces() -> None:
    backend = opened(Metric.EUCLIDEAN)
    engine = AdoptedQdrant(backend)
    for name, size in {"acme": 16, "globex": 16, "images": 8}.items():
        vectors = models.VectorParams(size=size, distance=models.Distance.EUCLID)
        await backend.call(lambda client, name=name, vectors=vectors: client.create_collection(name, vectors))
    assert await Collections(engine).namespaces(None, 10) == ["acme", "globex"]
    await engine.aclose()


async def test_a_named_collection_of_another_kind_is_refused() -> None:
    engine = AdoptedQdrant(opened(Metric.EUCLIDEAN, collection="all", tenant_field=FIELD))
    with pytest.raises(Refused, match="'all' is not one of 16 dimensions and euclidean"):
        await engine.probe()
    await engine.aclose()


async def test_a_field_that_qdrant_cannot_name_is_refused() -> None:
    engine = AdoptedQdrant(opened(Metric.EUCLIDEAN))
    await engine.make("acme")
    condition = parse_filter({'a"b': 1})
    with pytest.raises(Unsupported, match="quotation mark"):
        await Collections(engine).index("acme").query(Query(as_vector([0.0] * 16), 1, condition))
    await engine.aclose()
