"""The backend contract on collections of Milvus Lite that others laid out, and what else they may be like."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pymilvus import AsyncMilvusClient, CollectionSchema, DataType

from tenantry.backends.common.adopted import adopted
from tenantry.backends.common.collection import Collections
from tenantry.backends.common.tenant_field import FieldTenants
from tenantry.backends.milvus import MilvusBackend, MilvusOptions, of_shard
from tenantry.backends.milvus.adopted import AdoptedMilvus
from tenantry.errors import InvalidArgument, NotFound, Refused, Unsupported
from tenantry.model.filters import matches, parse_filter
from tenantry.model.records import Everything, Metric, Query, Record, as_vector
from tenantry.model.topology import LogicalIndex, Shard
from tenantry.testing.backend_contract import BackendContract

FIELD = "customer"
_numbers = itertools.count()


def opened(url: str, metric: Metric, dimension: int, **options: str) -> AdoptedMilvus:
    return AdoptedMilvus(MilvusBackend(dimension, metric, "shard", MilvusOptions(url=url, adopted=True, **options)))


def schema_of(dimension: int, dynamic: bool = True, **more: Any) -> CollectionSchema:
    schema: CollectionSchema = AsyncMilvusClient.create_schema(auto_id=False, enable_dynamic_field=dynamic, **more)
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=dimension)
    return schema


async def made(engine: AdoptedMilvus, name: str, schema: CollectionSchema) -> None:
    await engine.backend.make(name, schema, "embedding")


async def shared(engine: AdoptedMilvus, name: str, field: str) -> FieldTenants:
    await engine.probe()
    backend = adopted(engine, name, field, "milvus")
    assert isinstance(backend, FieldTenants)
    return backend


class OneCollection(BackendContract):
    metric = Metric.COSINE

    def schema(self) -> CollectionSchema:
        """Texts as ids, and all else dynamic."""
        schema = schema_of(16)
        schema.add_field("pk", DataType.VARCHAR, max_length=4_096, is_primary=True)
        return schema

    @pytest.fixture
    async def backend(self, milvus_url: str) -> AsyncIterator[FieldTenants]:
        name = f"one_{next(_numbers)}"
        engine = opened(milvus_url, self.metric, 16, collection=name, tenant_field=FIELD)
        await made(engine, name, self.schema())
        backend = await shared(engine, name, FIELD)
        backend.dimension, backend.metric = 16, self.metric  # type: ignore[attr-defined]  # what the contract fills it by
        yield backend
        await backend.aclose()


class TestDynamicFields(OneCollection):
    pass


class TestPartitionKeyAndWholeNumbersAsIds(OneCollection):
    """Ids of new records are kept beside."""

    metric = Metric.EUCLIDEAN

    def schema(self) -> CollectionSchema:
        schema = schema_of(16)
        schema.add_field("pk", DataType.INT64, is_primary=True)
        schema.add_field(FIELD, DataType.VARCHAR, max_length=512, is_partition_key=True)
        schema.add_field("color", DataType.VARCHAR, max_length=100, default_value="red")
        schema.add_field(
            "tags", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=9, max_length=20, nullable=True
        )
        schema.add_field("ok", DataType.BOOL, nullable=True)
        return schema


async def insert(engine: AdoptedMilvus, name: str, rows: list[dict[str, Any]]) -> None:
    await engine.backend.server.on(name, lambda client: client.insert(name, rows))


def typed(dynamic: bool = True) -> CollectionSchema:
    schema = schema_of(2, dynamic)
    schema.add_field("pk", DataType.INT64, is_primary=True)
    schema.add_field("tenant", DataType.INT64)
    schema.add_field("text", DataType.VARCHAR, max_length=10, nullable=True)
    schema.add_field("n", DataType.INT16, nullable=True)
    schema.add_field("f", DataType.FLOAT, nullable=True)
    schema.add_field("d", DataType.DOUBLE, nullable=True)
    schema.add_field("ok", DataType.BOOL, nullable=True)
    schema.add_field("kind", DataType.VARCHAR, max_length=10, default_value="none")
    schema.add_field("j", DataType.JSON, nullable=True)
    return schema


ZERO = as_vector([0.0, 0.0])


async def test_records_of_others_are_read_and_replaced_whole(milvus_url: str) -> None:
    name = f"one_{next(_numbers)}"
    engine = opened(milvus_url, Metric.EUCLIDEAN, 2, collection=name, tenant_field="tenant")
    await made(engine, name, typed())
    rows = [
        {
            "pk": 1,
            "embedding": [1, 0],
            "tenant": 7,
            "text": "a",
            "j": {"x": 1},
            "color": "red",
            "old": [1, 2],
            "no": None,
        },
        {"pk": 2, "embedding": [2, 0], "tenant": 7, "n": 3, "kind": "k"},
        {"pk": 3, "embedding": [3, 0], "tenant": 8, "d": 0.5},
    ]
    await insert(engine, name, rows)
    tenants = await shared(engine, name, "tenant")
    assert await tenants.namespaces(None, 10) == ["7", "8"]
    seven = tenants.index("7")
    assert {key: one.metadata for key, one in (await seven.fetch(["1", "2", "3"])).items()} == {
        "1": {"tenant": 7, "text": "a", "kind": "none", "j": {"x": 1}, "color": "red", "old": [1, 2]},
        "2": {"tenant": 7, "n": 3, "kind": "k"},
    }
    await seven.upsert([Record("1", as_vector([4, 0]), {"tenant": "7", "n": 5.0, "more": True})])
    await seven.upsert(
        [Record("3", as_vector([5, 0])), Record("doc", as_vector([6, 0]), {"kind": "none", "tenant": 7})]
    )
    assert {key: one.metadata for key, one in (await seven.fetch(["1", "3", "doc"])).items()} == {
        "1": {"tenant": "7", "n": 5, "more": True},
        "3": None,
        "doc": {"kind": "none", "tenant": 7},
    }
    condition = parse_filter({"kind": {"$exists": False}, "tenant": {"$ne": 7}})
    assert [hit.id for hit in await seven.query(Query(ZERO, 5, condition))] == ["1", "3"]
    plain = await engine.backend.server.on(
        name, lambda client: client.query(name, filter="pk >= 0", output_fields=["tenant", "embedding", "kind"])
    )
    assert {row["pk"]: (row["tenant"], row["embedding"][0]) for row in plain} == {1: (7, 4.0), 2: (7, 2.0), 3: (8, 3.0)}
    for metadata, said in (
        (
            {"text": "x" * 11},
            r"metadata\.text: got 'x+'; allowed: a text, no longer than the field \(field 'text'",
        ),
        ({"j": ["a", "b"]}, None),
        ({"j": "text"}, r"metadata\.j: got 'text'; allowed: a list"),
        ({"n": 2**15}, r"metadata\.n: got 32768; allowed: a whole number that it holds"),
        ({"f": 0.1}, r"metadata\.f: got 0\.1; allowed: a number that float32 holds as it is"),
        ({"pk": 1}, r"metadata\.pk: got 1; allowed: another name"),
        ({"_tenantry-id": 1}, None),
    ):
        if said is None:
            await seven.upsert([Record("odd", ZERO, metadata)])
            assert (await seven.fetch(["odd"]))["odd"].metadata == metadata
            continue
        with pytest.raises(InvalidArgument, match=said):
            await seven.upsert([Record("odd", ZERO, metadata)])
    with pytest.raises(InvalidArgument, match=r"metadata\.tenant: got 'acme'"):
        await tenants.index("acme").upsert([Record("1", ZERO)])
    await seven.delete(Everything())
    assert await engine.collection(name).ids_where(None) == ["3"]
    await tenants.aclose()


async def test_without_dynamic_fields_the_schema_is_all_there_is(milvus_url: str) -> None:
    name = f"one_{next(_numbers)}"
    engine = opened(milvus_url, Metric.EUCLIDEAN, 2, collection=name, tenant_field="tenant")
    await made(engine, name, typed(dynamic=False))
    await insert(engine, name, [{"pk": 1, "embedding": [1, 0], "tenant": 7, "text": "a"}])
    tenants = await shared(engine, name, "tenant")
    seven = tenants.index("7")
    await seven.upsert([Record("1", as_vector([2, 0]), {"tenant": 7, "text": "b", "kind": "k"})])
    assert (await seven.fetch(["1"]))["1"].metadata == {"tenant": 7, "text": "b", "kind": "k"}
    with pytest.raises(InvalidArgument, match=r"metadata\.color: got 'red'.* no others: tenant, "):
        await seven.upsert([Record("1", ZERO, {"tenant": 7, "kind": "k", "color": "red"})])
    with pytest.raises(InvalidArgument, match=r"metadata\.kind: got None.*in every record"):
        await seven.upsert([Record("1", ZERO, {"tenant": 7})])
    with pytest.raises(InvalidArgument, match="the tenant itself in each record's tenant field"):
        await seven.upsert([Record("1", ZERO, {"kind": "k"})])
    with pytest.raises(InvalidArgument, match=r"id: got .*ids that 'pk' of collection"):
        await seven.upsert([Record("2", ZERO, {"tenant": 7, "kind": "k"})])
    assert await seven.query(Query(ZERO, 5, parse_filter({"color": "red"}))) == []
    assert len(await seven.query(Query(ZERO, 5, parse_filter({"color": {"$ne": "red"}})))) == 1
    await tenants.aclose()


Change = Callable[[CollectionSchema], object]


@pytest.mark.parametrize(
    ("options", "change", "said"),
    [
        (
            {},
            lambda schema: schema.add_field("v2", DataType.FLOAT_VECTOR, dim=2),
            "name one by the option vector: embedding, v2",
        ),
        (
            {"vector": "v3"},
            lambda _: None,
            "has no field 'v3' of type FLOAT_VECTOR, which the option vector names: embedding",
        ),
        ({"tenant_field": "embedding"}, lambda _: None, "'embedding' is no field that can tell tenants apart"),
        ({"collection": "absent"}, lambda _: None, "has no collection 'absent'"),
    ],
)
async def test_what_cannot_be_told_is_refused(
    milvus_url: str, options: dict[str, str], change: Change, said: str
) -> None:
    name = f"one_{next(_numbers)}"
    schema = typed()
    change(schema)
    engine = opened(milvus_url, Metric.EUCLIDEAN, 2, **{"collection": name, "tenant_field": "tenant"} | options)
    await made(engine, name, schema)
    with pytest.raises(Refused, match=said):
        await engine.probe()
    await engine.aclose()


async def test_another_dimension_or_metric_is_refused_and_no_index_too(milvus_url: str) -> None:
    name = f"one_{next(_numbers)}"
    maker = opened(milvus_url, Metric.EUCLIDEAN, 2)
    await made(maker, name, typed())
    options = {"collection": name, "tenant_field": "tenant"}
    wide = opened(milvus_url, Metric.EUCLIDEAN, 3, **options)
    with pytest.raises(Refused, match="'embedding' has 2 dimensions, and the index has 3"):
        await wide.probe()
    other = opened(milvus_url, Metric.COSINE, 2, **options)
    with pytest.raises(Refused, match="'embedding' is indexed by L2, and the index is cosine"):
        await other.probe()
    bare = f"one_{next(_numbers)}"
    await maker.backend.server.call(lambda client: client.create_collection(bare, schema=typed()))
    named = opened(milvus_url, Metric.EUCLIDEAN, 2, collection=bare, tenant_field="tenant")
    with pytest.raises(Refused, match="'embedding' has no index, so that its metric is not known"):
        await named.probe()
    for engine in (maker, wide, other, named):
        await engine.aclose()


async def test_a_collection_that_gives_ids_itself_is_read_and_emptied_but_not_written(milvus_url: str) -> None:
    name = f"one_{next(_numbers)}"
    schema = AsyncMilvusClient.create_schema(auto_id=True, enable_dynamic_field=True)
    schema.add_field("pk", DataType.INT64, is_primary=True)
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=2)
    engine = opened(milvus_url, Metric.EUCLIDEAN, 2, collection=name, tenant_field=FIELD)
    await made(engine, name, schema)
    await insert(engine, name, [{"embedding": [n, 0], FIELD: "ab"[n % 2]} for n in range(6)])
    tenants = await shared(engine, name, FIELD)
    a = tenants.index("a")
    ids = (await a.list_ids(None, 10)).ids
    assert len(ids) == 3
    with pytest.raises(Refused, match=r"nothing can be written to collection.*gives ids itself"):
        await a.upsert([Record(ids[0], ZERO)])
    await a.delete(Everything())
    assert (await tenants.stats()).vectors == 3
    await tenants.aclose()


async def test_each_collection_that_fits_is_a_tenant(milvus_url: str) -> None:
    engine = opened(milvus_url, Metric.DOTPRODUCT, 5)
    ours = MilvusBackend(5, Metric.DOTPRODUCT, "tenantry_other", MilvusOptions(url=milvus_url))
    await ours.create("acme")
    names = [f"tenant_{next(_numbers):04}" for _ in range(2)]
    shard = Collections(engine)
    for name in names:
        await shard.create(name)
        await shard.create(name)
        await shard.index(name).upsert([Record("a", as_vector([1] * 5), {"n": 1}), Record("b", as_vector([2] * 5))])
    wide = opened(milvus_url, Metric.DOTPRODUCT, 6)
    await Collections(wide).create(f"tenant_{next(_numbers)}")
    assert await shard.namespaces(None, 10) == names
    index = shard.index(names[0])
    assert (await index.list_ids(None, 10)).ids == ["a", "b"]
    assert (await shard.sizes())[names[1]].vectors == 2
    await shard.drop(names[0])
    with pytest.raises(NotFound):
        await index.fetch(["a"])
    with pytest.raises(NotFound):
        await shard.stats(names[0])
    for one in (shard, wide, ours):
        await one.aclose()


async def test_what_is_not_found_among_the_nearest_is_refused(milvus_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"one_{next(_numbers)}"
    engine = opened(milvus_url, Metric.EUCLIDEAN, 2)
    await made(engine, name, typed())
    rows = [{"pk": n, "embedding": [n, 0], "tenant": 7, "f": 0.5 if n > 90 else 1.5} for n in range(100)]
    await insert(engine, name, rows)
    index = Collections(engine).index(name)
    far = Query(ZERO, 2, parse_filter({"f": 0.5}))
    assert [hit.id for hit in await index.query(far)] == ["91", "92"]
    monkeypatch.setattr("tenantry.backends.milvus.adopted.MOST_ROWS", 50)
    with pytest.raises(Unsupported, match="too few of the 50 nearest records match it"):
        await index.query(far)
    await engine.aclose()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"vector": "v"}, "options.vector: got 'v'; allowed: only with adopted=true"),
        ({"tenant_field": "x"}, "options.tenant_field: got 'x'; allowed: only with adopted=true"),
        ({"adopted": "true", "collection": "x"}, "options.tenant_field: got ''; allowed: both of collection"),
    ],
)
def test_options_that_do_not_go_together(given: dict[str, str], said: str) -> None:
    options = {"url": "http://milvus:19530", **given}
    with pytest.raises(InvalidArgument, match=said):
        of_shard(LogicalIndex("docs", 2), Shard("docs", "m", "milvus", options))


# ------------------------------------------------------------------------------ filters, against the reference

VALUES: dict[str, list[Any]] = {
    "text": ["red", "Red", "1", "", "é"],
    "n": [0, 1, -3, 2**15 - 1],
    "f": [1.0, 0.5, 0.1, 1e30],
    "d": [1.0, 0.1, -2.5, 1e300, float(2**53)],
    "ok": [True, False],
    "kind": ["red", "none"],
    "j": [{"x": 1}, ["red"], [1]],
    "color": ["red", 1, 1.0, True, ["red", "b"], [], [1], {"a": 1}, 0, "1", 2**53 + 1, 0.1],
    "a b": ["red", 1, ["red"], False, 0],
    "in": ["red", 2, ["red"]],
    'q"\\': ["red", 0.1],
}
ASKED: list[Any] = ["red", "Red", "1", "", "é", "b", "none", 0, 1, -3, 1.0, 0.5, 0.1, 2.5, -2.5, 1e300, 2**53 + 1]
ASKED += [2**53, 2**15 - 1, 2**15, -(2**63), True, False, 10**18, 1e30]


def some_filter(chance: random.Random, depth: int = 2) -> dict[str, Any]:
    if depth and chance.random() < 0.4:
        parts = [some_filter(chance, depth - 1) for _ in range(chance.randrange(1, 4))]
        return {chance.choice(["$and", "$or"]): parts}
    field = chance.choice([*VALUES, "absent"])
    match chance.randrange(5):
        case 0:
            return {field: chance.choice(ASKED)}
        case 1:
            return {field: {chance.choice(["$eq", "$ne"]): chance.choice(ASKED)}}
        case 2:
            return {field: {chance.choice(["$in", "$nin"]): chance.sample(ASKED, chance.randrange(6))}}
        case 3:
            bounds = [each for each in ASKED if isinstance(each, int | float) and not isinstance(each, bool)]
            return {field: {chance.choice(["$gt", "$gte", "$lt", "$lte"]): chance.choice(bounds)}}
        case _:
            return {field: {"$exists": chance.random() < 0.5}}


@pytest.mark.parametrize("dynamic", [True, False])
async def test_random_filters_mean_what_the_reference_says(milvus_url: str, dynamic: bool) -> None:
    chance = random.Random(3)
    name = f"one_{next(_numbers)}"
    engine = opened(milvus_url, Metric.EUCLIDEAN, 2)
    schema = typed(dynamic)
    await made(engine, name, schema)
    known = {field.name for field in schema.fields}
    rows = []
    for i in range(150):
        row = {"pk": i, "embedding": [i + 1, 1], "tenant": 1}
        for field, some in VALUES.items():
            if (dynamic or field in known) and chance.random() < 0.6:
                row[field] = chance.choice(some)
        rows.append(row)
    await insert(engine, name, rows)
    collection = engine.collection(name)
    ids = [str(i) for i in range(150)]
    metadata = await collection.metadata_of(ids)
    assert set(metadata) == set(ids)
    told_apart = 0
    for _ in range(300):
        raw = some_filter(chance)
        condition = parse_filter(raw)
        assert condition is not None
        wanted = {id for id in ids if matches(condition, metadata[id])}
        told_apart += 0 < len(wanted) < 150
        assert set(await collection.ids_where(condition)) == wanted, raw
        hits = await collection.nearest(Query(ZERO, 10, condition), 10)
        assert [hit.id for hit in hits] == sorted(wanted, key=int)[:10], raw
    assert told_apart > 50
    await engine.aclose()
