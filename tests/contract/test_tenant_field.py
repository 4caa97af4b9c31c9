"""The backend contract on tenants that share a collection which others laid out, told apart by a field."""

from __future__ import annotations

import itertools
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tenantry.backends.common.tenant_field import FieldTenants, Spelling
from tenantry.backends.pinecone import PineconeBackend, PineconeOptions
from tenantry.backends.pinecone.collection import PineconeCollection
from tenantry.errors import Refused
from tenantry.model.filters import Filter, matches, parse_filter
from tenantry.model.records import ByFilter, ByIds, Everything, Hit, Metric, Query, Record, Selector, Update
from tenantry.ports import Features
from tenantry.testing.backend_contract import BackendContract
from tenantry.testing.memory_backend import MemoryBackend

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk"))
from gateway_process import ADMIN_KEY, running_gateway

FIELD = "customer"
_numbers = itertools.count()


class MemoryCollection:
    """Implements `Collection` in dictionaries."""

    at_once = 1_000
    most_hits = 10_000

    def __init__(self, metric: Metric) -> None:
        self.store = MemoryBackend(metric)
        self.store.data["all"] = {}
        self.index = self.store.index("all")
        self.kind: type[str] | type[int] | None = None

    def takes(self, id: str) -> bool:
        return True

    async def kind_of(self, field: str) -> type[str] | type[int] | None:
        return self.kind

    async def put(self, records: Sequence[Record]) -> None:
        await self.index.upsert(records)

    async def remove(self, selector: Selector) -> None:
        await self.index.delete(selector)

    async def get(self, ids: Sequence[str]) -> list[Record]:
        assert len(ids) <= self.at_once
        return list((await self.index.fetch(ids)).values())

    async def metadata_of(self, ids: Sequence[str]) -> dict[str, Any]:
        return {record.id: record.metadata for record in await self.get(ids)}

    async def nearest(self, query: Query, top_k: int) -> list[Hit]:
        return await self.index.query(Query(**{**_fields(query), "top_k": top_k}))

    async def ids_where(self, condition: Filter) -> list[str]:
        return [key for key, record in self.records.items() if matches(condition, record.metadata)]

    async def values_of(self, field: str) -> AsyncIterator[list[tuple[str, Any]]]:
        yield [
            (key, record.metadata[field]) for key, record in self.records.items() if field in (record.metadata or {})
        ]

    async def count(self) -> int:
        return len(self.records)

    @property
    def records(self) -> dict[str, Record]:
        return self.store.data["all"]


class Shared(FieldTenants):
    """With what the contract fills it by."""

    dimension = 16
    metric = Metric.COSINE


def _fields(query: Query) -> dict[str, Any]:
    return {name: getattr(query, name) for name in query.__struct_fields__}


def in_memory(metric: Metric = Metric.COSINE) -> tuple[Shared, MemoryCollection]:
    collection = MemoryCollection(metric)
    shared = Shared(
        collection, FIELD, "memory", collection.store.features, collection.store.probe, collection.store.aclose
    )
    shared.metric = metric
    return shared, collection


class MemoryContract(BackendContract):
    metric = Metric.COSINE

    @pytest.fixture
    async def backend(self) -> FieldTenants:
        return in_memory(self.metric)[0]


class TestMemoryCosine(MemoryContract):
    pass


class TestMemoryEuclidean(MemoryContract):
    metric = Metric.EUCLIDEAN


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_gateway(tmp_path_factory.mktemp("pinecone") / "data") as gateway:
        yield gateway.url


class TestPinecone(BackendContract):
    @pytest.fixture
    async def backend(
        self, controller: str, tmp_path: Path, request: pytest.FixtureRequest
    ) -> AsyncIterator[FieldTenants]:
        given = request.node.callspec.params if hasattr(request.node, "callspec") else {}
        if len(given.get("id", "")) > 400:
            pytest.xfail("an id of Pinecone's has 512 characters, the tenant's hash among them")
        key = tmp_path / "key"
        key.write_text(ADMIN_KEY)
        options = PineconeOptions(
            api_key_file=str(key),
            controller=controller,
            cloud="aws",
            region="us-east-1",
            visible_s=0.0,
            adopted=True,
            tenant_field=FIELD,
        )
        one = PineconeBackend(16, Metric.COSINE, f"shard-{next(_numbers)}", options)
        await one.probe()
        await one.create("all")
        yield Shared(PineconeCollection(one, "all"), FIELD, "pinecone", one.features, one.probe, one.aclose)
        await one.aclose()


def vector(*values: float) -> np.ndarray:
    return np.array([*values, *[0.0] * (4 - len(values))], np.float32)


def filled() -> tuple[Shared, MemoryCollection]:
    """As others left it: two tenants by name, one by number, a record of nobody."""
    shared, collection = in_memory()
    for id, customer in {"a1": "acme", "a2": "acme", "g1": "globex", "n1": 42, "n2": 42.0}.items():
        collection.records[id] = Record(id, vector(1, len(collection.records)), {FIELD: customer, "n": 1})
    collection.records["nobody"] = Record("nobody", vector(1), {"n": 1})
    return shared, collection


async def test_values_of_the_field_are_the_namespaces() -> None:
    shared, _ = filled()
    assert await shared.namespaces(None, 10) == ["42", "acme", "globex"]
    assert {name: each.vectors for name, each in (await shared.sizes()).items()} == {"42": 2, "acme": 2, "globex": 1}
    assert (await shared.stats()).vectors == 6


async def test_what_is_there_is_read_and_stays_as_it_is() -> None:
    shared, collection = filled()
    before = dict(collection.records)
    acme = shared.index("acme")
    assert (await acme.list_ids(None, 10)).ids == ["a1", "a2"]
    assert set(await acme.fetch(["a1", "g1", "nobody"])) == {"a1"}
    assert [hit.id for hit in await acme.query(Query(vector(1), 10))] == ["a1", "a2"]
    assert [hit.id for hit in await shared.index("42").query(Query(vector(1), 10))] == ["n1", "n2"]
    assert collection.records == before


async def test_a_tenant_cannot_touch_another_ones_record_by_its_id() -> None:
    shared, collection = filled()
    globex = collection.records["g1"]
    acme = shared.index("acme")
    await acme.upsert([Record("g1", vector(0, 1), {"mine": True})])
    assert not await acme.update(Update("nobody", vector(0, 1)))
    assert (await acme.fetch(["g1"]))["g1"].metadata == {"mine": True}
    assert (await shared.index("globex").fetch(["g1"]))["g1"].metadata == globex.metadata
    await acme.delete(ByIds(("g1", "nobody")))
    assert await acme.fetch(["g1"]) == {}
    assert collection.records["g1"] == globex
    await acme.delete(Everything())
    assert sorted(collection.records) == ["g1", "n1", "n2", "nobody"]


async def test_a_record_that_was_there_is_replaced_under_its_own_id() -> None:
    shared, collection = filled()
    await shared.index("acme").upsert([Record("a1", vector(0, 1), {FIELD: "acme", "n": 2})])
    assert collection.records["a1"].metadata == {FIELD: "acme", "n": 2}
    assert len(collection.records) == 6


@pytest.mark.parametrize("kind", [str, int])
@pytest.mark.parametrize("given", [None, {FIELD: 42}, {FIELD: "42"}, {FIELD: 42.0}, {FIELD: "globex"}, {"n": 1}])
async def test_a_field_of_one_kind_of_values_names_the_tenant_in_that_kind(
    kind: type[str] | type[int], given: dict[str, Any] | None
) -> None:
    shared, collection = filled()
    collection.kind = kind
    index = shared.index("42")
    await index.upsert([Record("new", vector(0, 0, 1), given)])
    kept = collection.records[Spelling(FIELD, "42").added("new")].metadata or {}
    assert (type(kept[FIELD]), kept[FIELD]) == (kind, kind(42))
    found = (await index.fetch(["new"]))["new"].metadata
    assert found == given
    assert type((found or {}).get(FIELD)) is type((given or {}).get(FIELD))
    for raw in ({FIELD: 42}, {FIELD: "42"}, {FIELD: {"$exists": True}}):
        condition = parse_filter(raw)
        assert condition is not None
        assert ("new" in {hit.id for hit in await index.query(Query(vector(1), 9, condition))}) == matches(
            condition, given
        )


@pytest.mark.parametrize("given", [None, {FIELD: "globex"}, {FIELD: ["acme", "globex"]}, {FIELD: True}, {"n": 1}])
async def test_what_is_written_in_the_field_is_read_back_and_gives_nothing_away(given: dict[str, Any] | None) -> None:
    shared, _ = filled()
    acme, globex = shared.index("acme"), shared.index("globex")
    await acme.upsert([Record("new", vector(0, 0, 1), given)])
    assert (await acme.fetch(["new"]))["new"].metadata == given
    assert (await acme.query(Query(vector(0, 0, 1), 1, include_metadata=True)))[0].metadata == given
    assert [hit.id for hit in await globex.query(Query(vector(0, 0, 1), 10))] == ["g1"]
    for raw in ({FIELD: "acme"}, {FIELD: {"$ne": "acme"}}, {FIELD: "globex"}, {FIELD: {"$exists": False}}):
        condition = parse_filter(raw)
        assert condition is not None
        found = {hit.id for hit in await acme.query(Query(vector(0, 0, 1), 10, condition))}
        assert ("new" in found) == matches(condition, given), raw
        assert ("a1" in found) == matches(condition, {FIELD: "acme"}), raw


async def test_keys_and_ids_of_our_own_spelling_are_the_tenants_too() -> None:
    shared, _ = filled()
    acme = shared.index("acme")
    odd = {"_tenantry-own": True, f"_tenantry-was-{FIELD}": "globex", "_tenantry": 1, "n": 1}
    ids = ["_tenantry", Spelling(FIELD, "acme").added("a1"), Spelling(FIELD, "globex").added("g1")]
    await acme.upsert([Record(id, vector(1), odd) for id in ids])
    found = await acme.fetch([*ids, "a1"])
    assert {id: found[id].metadata for id in ids} == dict.fromkeys(ids, odd)
    assert found["a1"].metadata == {FIELD: "acme", "n": 1}
    condition = parse_filter({"_tenantry-own": True})
    assert {hit.id for hit in await acme.query(Query(vector(1), 10, condition))} == set(ids)


async def test_a_record_of_no_single_tenant_is_named() -> None:
    shared, collection = filled()
    collection.records["both"] = Record("both", vector(1), {FIELD: ["acme", "globex"]})
    with pytest.raises(Refused, match="'both' has \\['acme', 'globex'\\] in 'customer'"):
        await shared.namespaces(None, 10)


async def test_what_two_racing_writes_left_is_one_record() -> None:
    """One replaced the old record, another did not find it any more and added its own."""
    shared, collection = filled()
    added = Spelling(FIELD, "acme").added("a1")
    collection.records[added] = Record(added, vector(0, 1), {FIELD: "acme", "n": 9})
    acme = shared.index("acme")
    assert (await acme.list_ids(None, 10)).ids == ["a1", "a2"]
    assert (await acme.fetch(["a1"]))["a1"].metadata == {FIELD: "acme", "n": 9}
    assert sorted(hit.id for hit in await acme.query(Query(vector(0, 1), 5))) == ["a1", "a2"]
    await acme.delete(ByFilter(parse_filter({"n": 9}) or Spelling(FIELD, "acme").own))
    await acme.delete(ByIds(("a1",)))
    assert await acme.fetch(["a1"]) == {}


def test_features_that_rest_on_namespaces_are_not_claimed() -> None:
    collection = MemoryCollection(Metric.COSINE)
    given = Features(snapshots=True, many_namespace_query=True, warms=True, native_copy="x", exact_counts=True)
    made = FieldTenants(collection, FIELD, "memory", given, collection.store.probe, collection.store.aclose).features
    assert (made.snapshots, made.many_namespace_query, made.warms, made.native_copy) == (False, False, False, "")
    assert not made.tells_missing
