"""Copies between two files of the engine, reading many rows at once, and getting ready for queries."""

import numpy as np
import pytest

from tenantry.backends.embedded import EmbeddedBackend, Engine, indexing
from tenantry.errors import InvalidArgument
from tenantry.model.records import ByIds, Metric, Query, Record
from tenantry.testing.backend_copies import expected, held, records_of

DIMENSION = 8


@pytest.fixture
async def engine(tmp_path):
    engine = Engine(tmp_path, index_from_rows=300)
    yield engine
    await engine.aclose()


@pytest.fixture
async def backend(engine):
    return EmbeddedBackend(engine, "shard", DIMENSION, Metric.EUCLIDEAN)


async def pair_on(backend, other=None):
    await backend.create("source")
    await (other or backend).create("target")
    return backend.index("source"), (other or backend).index("target")


async def test_between_two_shards_of_the_engine(engine, backend):
    source, target = await pair_on(backend, EmbeddedBackend(engine, "second", DIMENSION, Metric.EUCLIDEAN))
    records = records_of(backend, ["a", "b\0c", "\x01", 'q"\\', "\u2028"], 1, "x")
    await source.upsert(records)
    page = await target.copy_page(source, None, 10, {"\x01"})
    assert (page.cursor, page.records) == (None, 4)
    assert await held(target) == expected([record for record in records if record.id != "\x01"])


async def test_another_dimension_is_refused(engine, backend):
    source, target = await pair_on(backend, EmbeddedBackend(engine, "second", DIMENSION + 1, Metric.EUCLIDEAN))
    with pytest.raises(InvalidArgument, match="dimension 9"):
        await target.copy_page(source, None, 10, ())
    with pytest.raises(InvalidArgument, match="embedded"):
        await target.copy_page(object(), None, 10, ())


async def test_records_read_in_many_stretches_are_whole(backend):
    """More than one stretch; with and without metadata; and each may be written to without harm to its neighbour."""
    await backend.create("n")
    index = backend.index("n")
    records = records_of(backend, [f"r{i:04}" for i in range(300)], 2, "é")
    await index.upsert(records)
    page = await index.scan(None, 1_000)
    page.records[0].values[:] = 0
    assert {one.id: one.values.tobytes() for one in page.records[1:]} == {
        one.id: one.values.tobytes() for one in records[1:]
    }
    assert await held(index) == expected(records)


async def test_warming_builds_the_index(engine, backend):
    await backend.create("n")
    index = backend.index("n")
    await index.upsert(records_of(backend, [f"r{i:04}" for i in range(400)], 3, "x"))
    namespace = await backend._shard.namespace("n")
    assert namespace.resident is None
    await index.warm()
    assert not await index.is_warm()
    await engine.settled()
    assert await index.is_warm()
    assert namespace.resident.ann is not None


async def warmed(engine, index, like=None):
    await index.warm(like)
    await engine.settled()
    return (await index._namespace()).resident


async def test_an_index_is_taken_over_from_the_source(engine, backend, monkeypatch):
    """Records that were changed, deleted and added on either side do no harm: those alone are indexed anew."""
    source, target = await pair_on(backend, EmbeddedBackend(engine, "second", DIMENSION, Metric.EUCLIDEAN))
    records = records_of(backend, [f"r{i:04}" for i in range(800)], 4, "x")
    await source.upsert(records)
    await source.upsert(records[:50])  # the same vectors again: two nodes for one record
    origin = await warmed(engine, source)
    await source.upsert(records_of(backend, [f"r{i:04}" for i in range(100, 120)], 5, "new"))
    await source.delete(ByIds([f"r{i:04}" for i in range(200, 210)]))
    await target.copy_page(source, None, 1_000, {"r0300"})
    await target.upsert(records_of(backend, ["r0400", "other"], 6, "new"))

    def built(*_):
        raise AssertionError("built anew")

    monkeypatch.setattr(indexing, "build", built)
    resident = await warmed(engine, target, source)
    assert resident.ann is not None
    assert resident.ann.index.width == origin.ann.index.width
    assert resident.ann.covers(resident.died_at[: resident.n] > resident.version)
    rows = resident.ann.rows[resident.ann.rows >= 0]
    assert len(set(rows.tolist())) == len(rows) == resident.live == 790
    there = await held(target)
    for record in [Record(key, np.frombuffer(values, np.float32)) for key, (values, _) in there.items()]:
        assert (await target.query(Query(record.values, 1)))[0].id == record.id


async def test_an_index_of_other_records_is_not_taken_over(engine, backend):
    source, target = await pair_on(backend)
    ids = [f"r{i:04}" for i in range(400)]
    await source.upsert(records_of(backend, ids, 7, "x"))
    await warmed(engine, source)
    await target.upsert(records_of(backend, ids, 8, "y"))
    resident = await warmed(engine, target, source)
    assert resident.ann is not None
    assert resident.ann.index.nodes == 400
