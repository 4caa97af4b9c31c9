"""What every `VectorBackend` must do, as a test class to subclass.

::

    class TestMyBackend(BackendContract):
        @pytest.fixture
        async def backend(self):
            backend = MyBackend(..., dimension=8, metric=Metric.COSINE)
            yield backend
            await backend.aclose()

The fixture gives a fresh backend with the attributes ``dimension`` (at least 4) and ``metric``. Run it once for each
metric. Tests that need a feature which the backend does not claim are skipped; a deviation of the vendor's is an
``xfail`` in the subclass, with its reason. Needs pytest and pytest-asyncio in auto mode.
"""

# ruff: noqa: S101  (assertions are what a contract suite is made of)

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any, cast

import numpy as np
import pytest

from tenantry.errors import InvalidArgument, NotFound
from tenantry.model.blocks import block_of
from tenantry.model.filters import Filter, matches, parse_filter
from tenantry.model.records import (
    ByFilter,
    ByIds,
    Everything,
    Hit,
    Metadata,
    Metric,
    Query,
    Record,
    Update,
    Vector,
)
from tenantry.ports import Index, Loading, VectorBackend
from tenantry.testing.backend_copies import CopyContract
from tenantry.testing.backend_expected import (
    SCORE_TOLERANCE,
    assert_same_record,
    expected_scores,
    same_values,
    scan_all,
    vectors_of,
)
from tenantry.testing.backend_injection import InjectionContract
from tenantry.testing.backend_many import ManyContract
from tenantry.testing.backend_samples import FILTERS, METADATA, UNUSUAL_IDS


class BackendContract(CopyContract, InjectionContract, ManyContract):
    """Subclass it and give it a ``backend`` fixture; see the module's docstring."""

    @pytest.fixture
    async def index(self, backend: VectorBackend) -> Index:
        """A fresh, empty namespace."""
        await backend.create("main")
        return backend.index("main")

    def needs(self, backend: VectorBackend, feature: str) -> None:
        """Skip the test when the backend does not claim the feature."""
        if not getattr(backend.features, feature):
            pytest.skip(f"the backend does not claim {feature}")

    # ------------------------------------------------------------------------- namespaces

    async def test_create_and_drop_may_be_repeated(self, backend: VectorBackend) -> None:
        """Each is success when there is nothing to do; a dropped namespace comes back empty."""
        await backend.create("one")
        await backend.create("one")
        index = backend.index("one")
        await index.upsert([Record("a", vectors_of(backend, 1)[0])])
        await backend.create("one")
        assert set(await index.fetch(["a"])) == {"a"}
        await backend.drop("one")
        await backend.drop("one")
        if backend.features.tells_missing:
            with pytest.raises(NotFound):
                await index.fetch(["a"])
        await backend.create("one")
        assert await index.fetch(["a"]) == {}
        assert await index.query(Query(vectors_of(backend, 1)[0], 5)) == []

    async def test_every_call_on_a_missing_namespace_says_so(self, backend: VectorBackend) -> None:
        """NotFound of kind ``namespace``, and nothing is made by asking."""
        self.needs(backend, "tells_missing")
        index = backend.index("absent")
        vector = vectors_of(backend, 1)[0]
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: index.upsert([Record("a", vector)]),
            lambda: index.update(Update("a", vector)),
            lambda: index.delete(ByIds(("a",))),
            lambda: index.delete(Everything()),
            lambda: index.fetch(["a"]),
            lambda: index.query(Query(vector, 1)),
            lambda: index.scan(None, 10),
            lambda: index.list_ids(None, 10),
            lambda: backend.stats("absent"),
        ]
        for call in calls:
            with pytest.raises(NotFound) as caught:
                await call()
            assert caught.value.kind == "namespace"
        assert await backend.namespaces(None, 10) == []

    async def test_namespaces_are_listed_in_pages(self, backend: VectorBackend) -> None:
        """Ascending, each once."""
        self.needs(backend, "tells_missing")
        names = [f"tenant-{i:02d}" for i in range(7)] + ["a", "Zeta~2", "été"]
        for name in names:
            await backend.create(name)
        listed: list[str] = []
        while page := await backend.namespaces(listed[-1] if listed else None, 3):
            listed += page
        assert listed == sorted(names)

    async def test_two_namespaces_share_nothing(self, backend: VectorBackend) -> None:
        """The same id in two namespaces is two records."""
        left, right = vectors_of(backend, 2)
        for name in ("left", "right"):
            await backend.create(name)
        await backend.index("left").upsert([Record("same", left, {"side": "left"})])
        await backend.index("right").upsert([Record("same", right, {"side": "right"})])
        await backend.index("left").upsert([Record("more", left)])
        found = await backend.index("right").fetch(["same", "more"])
        assert set(found) == {"same"}
        assert found["same"].metadata == {"side": "right"}
        await backend.index("left").delete(Everything())
        assert [hit.id for hit in await backend.index("right").query(Query(left, 10))] == ["same"]
        await backend.drop("left")
        assert set(await backend.index("right").fetch(["same"])) == {"same"}

    # ----------------------------------------------------------------------------- records

    async def test_records_come_back_exactly(self, backend: VectorBackend, index: Index) -> None:
        """Values as exact as claimed, metadata of every kind, absent ids left out."""
        vectors = vectors_of(backend, len(METADATA))
        records = [
            Record(f"r{i}", vector * np.float32(3.7), metadata)
            for i, (vector, metadata) in enumerate(zip(vectors, METADATA, strict=True))
        ]
        await index.upsert(records)
        found = await index.fetch([record.id for record in records] + ["absent"])
        assert set(found) == {record.id for record in records}
        for record in records:
            assert_same_record(backend, found[record.id], record)
        kinds = (await index.fetch(["r2"]))["r2"].metadata or {}
        assert kinds["ok"] is True
        assert kinds["tags"] == ["a", "b"]

    async def test_an_upsert_replaces_the_whole_record(self, backend: VectorBackend, index: Index) -> None:
        """Also when it is repeated; old metadata do not linger."""
        old, new = vectors_of(backend, 2)
        await index.upsert([Record("a", old, {"x": 1, "y": 2})])
        for _ in range(2):
            await index.upsert([Record("a", new, {"x": 3})])
        assert_same_record(backend, (await index.fetch(["a"]))["a"], Record("a", new, {"x": 3}))
        hits = await index.query(Query(new, 10, include_metadata=True))
        assert [hit.id for hit in hits] == ["a"]
        assert hits[0].metadata == {"x": 3}

    @pytest.mark.parametrize("id", UNUSUAL_IDS)
    async def test_unusual_ids_work_everywhere(self, backend: VectorBackend, index: Index, id: str) -> None:
        """Long, non-ASCII and punctuated ids are ids like any other."""
        vector = vectors_of(backend, 1)[0]
        await index.upsert([Record(id, vector, {"n": 1}), Record("other", -vector)])
        assert set(await index.fetch([id])) == {id}
        assert (await index.query(Query(vector, 1)))[0].id == id
        assert [record.id async for record in scan_all(index, 1)] == sorted([id, "other"])
        assert (await index.list_ids(None, 10, id)).ids == [id]
        assert await index.update(Update(id, set_metadata={"n": 2}))
        await index.delete(ByIds((id,)))
        assert await index.fetch([id]) == {}

    async def test_update_merges_metadata_and_sets_values(self, backend: VectorBackend, index: Index) -> None:
        """Fields that are named are replaced, others stay; no record, no change."""
        old, new = vectors_of(backend, 2)
        await index.upsert([Record("a", old, {"x": 1, "tags": ["p", "q"], "z": "keep"}), Record("bare", old)])
        assert await index.update(Update("a", set_metadata={"x": 2, "tags": ["r"], "new": True}))
        wanted: Metadata = {"x": 2, "tags": ["r"], "z": "keep", "new": True}
        assert_same_record(backend, (await index.fetch(["a"]))["a"], Record("a", old, wanted))
        assert await index.update(Update("a", values=new))
        assert_same_record(backend, (await index.fetch(["a"]))["a"], Record("a", new, wanted))
        assert await index.update(Update("bare", set_metadata={"x": 9}))
        assert_same_record(backend, (await index.fetch(["bare"]))["bare"], Record("bare", old, {"x": 9}))
        assert await index.update(Update("absent", values=new)) is False
        assert await index.fetch(["absent"]) == {}

    async def test_delete_by_ids(self, backend: VectorBackend, index: Index) -> None:
        """Absent ids and repetition are success; a deleted id can be written again."""
        vectors = vectors_of(backend, 4)
        await index.upsert([Record(f"r{i}", vector) for i, vector in enumerate(vectors)])
        for _ in range(2):
            await index.delete(ByIds(("r1", "r3", "absent")))
        assert set(await index.fetch(["r0", "r1", "r2", "r3"])) == {"r0", "r2"}
        assert {hit.id for hit in await index.query(Query(vectors[1], 10))} == {"r0", "r2"}
        await index.upsert([Record("r1", vectors[3])])
        assert_same_record(backend, (await index.fetch(["r1"]))["r1"], Record("r1", vectors[3]))

    async def test_delete_by_filter(self, backend: VectorBackend, index: Index) -> None:
        """Exactly what matches goes."""
        self.needs(backend, "filters")
        records = await self._filled(backend, index)
        condition = _parsed({"color": "red"})
        for _ in range(2):
            await index.delete(ByFilter(condition))
        left = {record.id for record in records if not matches(condition, record.metadata)}
        assert {record.id async for record in scan_all(index, 5)} == left

    async def test_delete_everything(self, backend: VectorBackend, index: Index) -> None:
        """The namespace stays, empty and usable."""
        records = await self._filled(backend, index)
        for _ in range(2):
            await index.delete(Everything())
        assert await index.query(Query(records[0].values, 10)) == []
        assert (await index.scan(None, 10)).records == []
        await index.upsert(records[:2])
        assert len(await index.query(Query(records[0].values, 10))) == 2

    # ------------------------------------------------------------------------------- query

    async def test_scores_and_order_are_those_of_the_metric(self, backend: VectorBackend, index: Index) -> None:
        """Higher is nearer, in the documented range, best first."""
        vectors = vectors_of(backend, 300)
        await index.upsert([Record(f"r{i:03d}", vector) for i, vector in enumerate(vectors)])
        metric: Metric = backend.metric  # type: ignore[attr-defined]
        for query in (*vectors_of(backend, 5, seed=1), vectors[17]):
            wanted = expected_scores(metric, query, vectors)
            best = sorted(range(len(vectors)), key=lambda i: -wanted[i])[:20]
            hits = await index.query(Query(query, 20))
            assert [hit.id for hit in hits] == [f"r{i:03d}" for i in best]
            for hit, i in zip(hits, best, strict=True):
                assert hit.score == pytest.approx(wanted[i], rel=SCORE_TOLERANCE, abs=SCORE_TOLERANCE)
            self._check_range(metric, hits)

    async def test_equal_scores_are_ordered_by_id(self, backend: VectorBackend, index: Index) -> None:
        """Also where the cut at ``top_k`` falls among them."""
        vector, other = vectors_of(backend, 2)
        ids = [f"same-{i:02d}" for i in range(40)]
        shuffled = [ids[i] for i in np.random.default_rng(3).permutation(len(ids))]
        await index.upsert([Record(id, vector) for id in shuffled])
        await index.upsert([Record("far", -vector), Record("aside", other)])
        assert [hit.id for hit in await index.query(Query(vector, 40))] == ids
        assert [hit.id for hit in await index.query(Query(vector, 7))] == ids[:7]

    async def test_top_k_may_exceed_the_size(self, backend: VectorBackend, index: Index) -> None:
        """Then every record is an answer; an empty namespace has none."""
        vectors = vectors_of(backend, 5)
        assert await index.query(Query(vectors[0], 10)) == []
        await index.upsert([Record(str(i), vector) for i, vector in enumerate(vectors)])
        for top_k in (5, 6, 10_000):
            hits = await index.query(Query(vectors[0], top_k))
            assert {hit.id for hit in hits} == {"0", "1", "2", "3", "4"}

    async def test_hits_carry_what_was_asked_for(self, backend: VectorBackend, index: Index) -> None:
        """Values and metadata only on request."""
        vector = vectors_of(backend, 1)[0]
        await index.upsert([Record("a", vector, {"x": 1}), Record("b", -vector)])
        for values, metadata in itertools.product((False, True), repeat=2):
            hits = await index.query(Query(vector, 2, include_values=values, include_metadata=metadata))
            assert [hit.id for hit in hits] == ["a", "b"]
            if values:
                assert same_values(backend, hits[0].values, vector)
            else:
                assert hits[0].values is None
            assert hits[0].metadata == ({"x": 1} if metadata else None)
            assert not hits[1].metadata

    @pytest.mark.parametrize("raw", FILTERS, ids=str)
    async def test_filters_mean_what_the_reference_says(
        self, backend: VectorBackend, index: Index, raw: dict[str, Any]
    ) -> None:
        """Exactly the records that `matches` accepts, in order of score."""
        self.needs(backend, "filters")
        records = await self._filled(backend, index)
        condition = _parsed(raw)
        query = records[0].values
        wanted = {record.id for record in records if matches(condition, record.metadata)}
        hits = await index.query(Query(query, 1000, condition))
        assert {hit.id for hit in hits} == wanted
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        few = await index.query(Query(query, 2, condition))
        assert [hit.id for hit in few] == [hit.id for hit in hits[:2]]

    # -------------------------------------------------------------------------------- scan

    async def test_scan_pages_by_id(self, backend: VectorBackend, index: Index) -> None:
        """Each record once, ascending, whole; also with a prefix; any page size."""
        ids = [f"doc{i}#chunk{j}" for i in range(6) for j in range(4)] + ["doc", "e", "é", "dob", "doc1"]
        vectors = vectors_of(backend, len(ids))
        records = {id: Record(id, vector, {"id": id}) for id, vector in zip(ids, vectors, strict=True)}
        await index.upsert(list(records.values()))
        for limit in (1, 4, 29, 1000):
            found = [record async for record in scan_all(index, limit)]
            assert [record.id for record in found] == sorted(ids)
            for record in found:
                assert_same_record(backend, record, records[record.id])
        wanted = sorted(id for id in ids if id.startswith("doc1"))
        assert [record.id async for record in scan_all(index, 2, "doc1")] == wanted
        page = await index.list_ids(None, 3, "doc1")
        rest = await index.list_ids(page.cursor, 100, "doc1")
        assert page.ids + rest.ids == wanted
        assert rest.cursor is None
        assert (await index.list_ids(None, 10, "nothing")).ids == []
        assert (await index.list_ids("zzz", 10)).ids == ["é"]

    async def test_a_scan_beside_writes_sees_what_stays_exactly_once(
        self, backend: VectorBackend, index: Index
    ) -> None:
        """Overwrites, inserts and deletes between pages neither repeat nor hide a record that stays."""
        vectors = vectors_of(backend, 200)
        stays = [f"s{i:03d}" for i in range(100)]
        await index.upsert([Record(id, vector) for id, vector in zip(stays, vectors, strict=False)])
        await index.upsert([Record(f"t{i:03d}", vectors[i]) for i in range(50)])
        seen: list[str] = []
        cursor: str | None = None
        for step in itertools.count():
            page = await index.scan(cursor, 7)
            seen += [record.id for record in page.records]
            cursor = page.cursor
            if cursor is None:
                break
            await index.upsert([Record(stays[(step * 13) % 100], vectors[step]), Record(f"a{step}", vectors[step])])
            await index.upsert([Record(f"s{step:03d}x", vectors[step])])
            await index.delete(ByIds((f"t{step:03d}",)))
        assert seen == sorted(set(seen))
        assert set(stays) <= set(seen)

    async def test_ten_thousand_records(self, backend: VectorBackend, index: Index) -> None:
        """Batches up to the usual limit, then everything is there once."""
        vectors = vectors_of(backend, 10_000)
        ids = [f"{i:05d}" for i in range(10_000)]
        for start in range(0, 10_000, 1000):
            part = range(start, start + 1000)
            await index.upsert([Record(ids[i], vectors[i], {"n": i}) for i in part])
        listed: list[str] = []
        cursor: str | None = None
        while True:
            page = await index.list_ids(cursor, 1000)
            listed += page.ids
            cursor = page.cursor
            if cursor is None:
                break
        assert listed == ids
        hits = await index.query(Query(vectors[1234], 1))
        metric: Metric = backend.metric  # type: ignore[attr-defined]
        if metric is not Metric.DOTPRODUCT:
            assert hits[0].id == "01234"
        assert len(await index.fetch(ids[::20])) == 500

    # ------------------------------------------------------------------------------- stats

    async def test_counts_are_exact(self, backend: VectorBackend, index: Index) -> None:
        """Under re-upsert, update and every kind of delete."""
        self.needs(backend, "exact_counts")
        vectors = vectors_of(backend, 10)
        records = [Record(f"r{i}", vector, {"n": i}) for i, vector in enumerate(vectors)]

        async def counted() -> tuple[int, int]:
            each = {name: await backend.stats(name) for name in await backend.namespaces(None, 100)}
            sizes = await backend.sizes()
            assert {name: one.vectors for name, one in sizes.items()} == {
                name: one.vectors for name, one in each.items()
            }
            return each["main"].vectors, (await backend.stats()).vectors

        assert await counted() == (0, 0)
        await index.upsert(records)
        await index.upsert(records[3:7])
        assert await counted() == (10, 10)
        await index.update(Update("r1", set_metadata={"x": 1}))
        await index.update(Update("absent", set_metadata={"x": 1}))
        assert await counted() == (10, 10)
        await index.delete(ByIds(("r0", "absent")))
        await index.delete(ByIds(("r0",)))
        assert await counted() == (9, 9)
        await backend.create("second")
        await backend.index("second").upsert(records[:4])
        assert await counted() == (9, 13)
        if backend.features.filters:
            await index.delete(ByFilter(_parsed({"n": {"$gte": 8}})))
            assert await counted() == (7, 11)
        await index.delete(Everything())
        assert await counted() == (0, 4)
        await backend.drop("second")
        assert await counted() == (0, 0)

    # -------------------------------------------------------------------------- concurrency

    async def test_a_write_is_read_after_its_acknowledgement(self, backend: VectorBackend, index: Index) -> None:
        """Through fetch, query and scan alike."""
        self.needs(backend, "read_your_writes")
        vectors = vectors_of(backend, 30)
        for i, vector in enumerate(vectors):
            await index.upsert([Record("hot", vector, {"n": i}), Record(f"r{i}", vector)])
            assert ((await index.fetch(["hot"]))["hot"].metadata or {})["n"] == i
            hits = await index.query(Query(vector, 1000, include_values=True))
            assert len(hits) == i + 2
            hot = next(hit for hit in hits if hit.id == "hot")
            assert same_values(backend, hot.values, vector)
            assert len((await index.list_ids(None, 100)).ids) == i + 2

    async def test_concurrent_writers_lose_nothing(self, backend: VectorBackend, index: Index) -> None:
        """Many writers at once, on their own ids and on shared ones."""
        vectors = vectors_of(backend, 40)

        async def write(i: int) -> None:
            await index.upsert([Record(f"own-{i:02d}", vectors[i], {"n": i}), Record("shared", vectors[i], {"n": i})])
            if i % 4 == 0:
                await index.delete(ByIds((f"own-{i:02d}",)))

        await asyncio.gather(*(write(i) for i in range(40)))
        wanted = sorted([f"own-{i:02d}" for i in range(40) if i % 4] + ["shared"])
        assert [record.id async for record in scan_all(index, 10)] == wanted
        shared = (await index.fetch(["shared"]))["shared"]
        assert same_values(backend, shared.values, vectors[int((shared.metadata or {})["n"])])  # type: ignore[arg-type]
        if backend.features.exact_counts:
            assert (await backend.stats("main")).vectors == len(wanted)

    async def test_concurrent_updates_lose_nothing(self, backend: VectorBackend, index: Index) -> None:
        """Updates of different fields of one record all arrive."""
        self.needs(backend, "atomic_update")
        await index.upsert([Record("a", vectors_of(backend, 1)[0], {"base": 0})])
        done = await asyncio.gather(*(index.update(Update("a", set_metadata={f"f{i}": i})) for i in range(25)))
        assert all(done)
        assert (await index.fetch(["a"]))["a"].metadata == {"base": 0} | {f"f{i}": i for i in range(25)}

    async def test_readers_beside_overwrites_always_find_the_record(self, backend: VectorBackend, index: Index) -> None:
        """Old or new, never neither, never both."""
        vectors = vectors_of(backend, 60)
        await index.upsert([Record(f"r{i}", vectors[i]) for i in range(20)])
        writing = asyncio.create_task(self._overwrite(index, vectors))
        while not writing.done():
            hits = await index.query(Query(vectors[0], 100))
            assert sorted(hit.id for hit in hits) == sorted(f"r{i}" for i in range(20))
            assert len(await index.fetch([f"r{i}" for i in range(20)])) == 20
            await asyncio.sleep(0)  # a backend in memory may never suspend, and the writer must get its turn
        await writing

    async def test_columns_are_written_as_records_are(self, backend: VectorBackend, index: Index) -> None:
        """Those that are there are replaced; one that is refused takes none of the others with it."""
        self.needs(backend, "loads")
        values = vectors_of(backend, 600)
        await index.upsert([Record("r00007", values[0], {"old": True})])
        records = [Record(f"r{i:05}", row, {"n": i} if i % 3 else None) for i, row in enumerate(values)]
        handle = cast(Loading, index)
        await handle.load(block_of(records[:400], len(values[0])))
        await handle.load(block_of(records[300:], len(values[0])))
        found = await index.fetch([record.id for record in records])
        for record in records:
            assert_same_record(backend, found[record.id], record)
        with pytest.raises(InvalidArgument):
            await handle.load(block_of([Record("new", values[0]), records[0], records[0]], len(values[0])))
        assert await index.fetch(["new"]) == {}

    async def test_closing_twice_is_safe(self, backend: VectorBackend, index: Index) -> None:
        """The second time there is nothing to do."""
        await index.upsert([Record("a", vectors_of(backend, 1)[0])])
        await backend.aclose()
        await backend.aclose()

    # ----------------------------------------------------------------------------- support

    async def _filled(self, backend: VectorBackend, index: Index) -> list[Record]:
        vectors = vectors_of(backend, 3 * len(METADATA))
        records = [Record(f"r{i:02d}", vector, METADATA[i % len(METADATA)]) for i, vector in enumerate(vectors)]
        await index.upsert(records)
        return records

    async def _overwrite(self, index: Index, vectors: list[Vector]) -> None:
        for round_ in range(30):
            await index.upsert([Record(f"r{i}", vectors[(i + round_) % len(vectors)]) for i in range(20)])

    def _check_range(self, metric: Metric, hits: list[Hit]) -> None:
        for hit in hits:
            if metric is Metric.COSINE:
                assert -1.0 <= hit.score <= 1.0
            elif metric is Metric.EUCLIDEAN:
                assert hit.score <= 0.0


def _parsed(raw: dict[str, Any]) -> Filter:
    condition = parse_filter(raw)
    assert condition is not None
    return condition
