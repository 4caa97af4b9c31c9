"""The engine as a whole: bounds, background work beside reads and writes, failures, life cycle."""

import asyncio
import os

import numpy as np
import pytest

from tenantry.backends.embedded import EmbeddedBackend, Engine
from tenantry.backends.embedded.connections import Role
from tenantry.errors import InvalidArgument, StorageFailed
from tenantry.model.filters import parse_filter
from tenantry.model.records import ByFilter, ByIds, Everything, Metric, Query, Record

DIMENSION = 32


@pytest.fixture
async def open_engine(tmp_path):
    engines = []

    def make(**options):
        engine = Engine(tmp_path, **options)
        engines.append(engine)
        return engine, EmbeddedBackend(engine, "shard", DIMENSION, Metric.COSINE)

    yield make
    for engine in engines:
        await engine.aclose()


def clustered(seed, count, dimension=DIMENSION):
    centres = np.random.default_rng(0).standard_normal((60, dimension))
    rng = np.random.default_rng(seed)
    noise = 0.5 * rng.standard_normal((count, dimension))
    return (centres[rng.integers(0, 60, count)] + noise).astype(np.float32)


async def fill(index, matrix, prefix="r", batch=1000, metadata=None):
    for start in range(0, len(matrix), batch):
        rows = range(start, min(len(matrix), start + batch))
        await index.upsert([Record(f"{prefix}{i}", matrix[i], metadata(i) if metadata else None) for i in rows])


def file_descriptors(under):
    count = 0
    for one in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{one}").startswith(str(under))
        except OSError:
            continue
    return count


# ------------------------------------------------------------------------------------ bounds


async def test_many_namespaces_take_bounded_memory_and_files(open_engine, tmp_path):
    engine, backend = open_engine(max_resident_bytes=200_000, max_connections=12)
    names = [f"tenant-{i:03d}" for i in range(320)]
    matrix = clustered(1, 20)

    async def use(name, i):
        await backend.create(name)
        index = backend.index(name)
        await index.upsert([Record(f"{name}-{j}", matrix[j], {"i": i}) for j in range(20)])
        assert len(await index.query(Query(matrix[0], 100))) == 20

    for start in range(0, 320, 16):
        await asyncio.gather(*(use(name, i) for i, name in enumerate(names[start : start + 16], start)))
        assert engine.resident_bytes <= 200_000
        # Between calls no more than these are open. Each is at most a database, its log, its index, and a descriptor
        # that SQLite keeps for a closed neighbour, whose locks would be lost with it.
        assert engine.pool.open_count <= 12
        assert file_descriptors(tmp_path) <= 4 * 12 + 1
    assert 1 < engine.resident_count < 100
    assert (await backend.stats()).vectors == 320 * 20
    for i in (0, 100, 319):
        hits = await backend.index(names[i]).query(Query(matrix[3], 1, include_metadata=True))
        assert (hits[0].id, hits[0].metadata) == (f"{names[i]}-3", {"i": i})


async def test_a_namespace_larger_than_the_budget_works(open_engine):
    engine, backend = open_engine(max_resident_bytes=1000)
    matrix = clustered(1, 500)
    for name in ("large", "other"):
        await backend.create(name)
        await fill(backend.index(name), matrix)
    for _ in range(2):
        for name in ("large", "other"):
            assert (await backend.index(name).query(Query(matrix[7], 1)))[0].id == "r7"
            assert engine.resident_count == 1


async def test_connections_sync_every_commit(open_engine):
    engine, backend = open_engine()
    await backend.create("main")
    await backend.index("main").upsert([Record("a", clustered(1, 1)[0])])
    for name in ("manifest.db", "ns-1.db"):
        with engine.pool.use(engine.root / "shard" / name, Role.WRITER) as connection:
            assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


# -------------------------------------------------------------------------------- background


async def test_recall_after_the_build_with_overwrites_and_deletes(open_engine):
    """20,000 vectors, a fifth overwritten, a tenth deleted, then reopened from the checkpoint."""
    engine, backend = open_engine(index_from_rows=10_000)
    await backend.create("main")
    index = backend.index("main")
    await index.query(Query(clustered(1, 1)[0], 1))
    matrix = clustered(1, 20_000)
    await fill(index, matrix, metadata=lambda i: {"n": i % 10})
    await backend.settled()
    current = dict(enumerate(matrix))
    rng = np.random.default_rng(2)
    chosen = rng.permutation(20_000)
    new = clustered(3, 4000)
    for start in range(0, 4000, 1000):
        part = range(start, start + 1000)
        await index.upsert([Record(f"r{chosen[j]}", new[j], {"n": int(chosen[j]) % 10}) for j in part])
    current.update({int(chosen[j]): new[j] for j in range(4000)})
    gone = [int(i) for i in chosen[3000:5000]]
    await index.delete(ByIds(tuple(f"r{i}" for i in gone)))
    for i in gone:
        del current[i]

    async def recall(of, condition=None):
        ids = [i for i in current if condition is None or i % 10 < 6]
        live = np.array([current[i] for i in ids])
        live /= np.linalg.norm(live, axis=1, keepdims=True)
        found = 0
        for query in clustered(9, 50):
            best = {f"r{ids[i]}" for i in np.argpartition(-(live @ query), 10)[:10]}
            found += len(best & {hit.id for hit in await of.query(Query(query, 10, condition))})
        return found / 500

    resident = backend._shard.by_name["main"].resident
    assert resident.ann is not None
    assert await recall(index) >= 0.98
    await backend.settled()
    assert await recall(index) >= 0.98
    assert await recall(index, parse_filter({"n": {"$lt": 6}})) >= 0.98
    await engine.aclose()

    _, again = open_engine(index_from_rows=10_000)
    assert (await again.stats("main")).vectors == 18_000
    assert await recall(again.index("main")) >= 0.98
    assert again._shard.by_name["main"].resident.ann is not None


async def test_reads_and_writes_go_on_while_an_index_is_built(open_engine):
    _, backend = open_engine(index_from_rows=5000)
    await backend.create("main")
    index = backend.index("main")
    matrix = clustered(1, 12_000)
    await fill(index, matrix)
    await index.query(Query(matrix[0], 1))
    namespace = backend._shard.by_name["main"]
    done = 0
    while namespace.resident.ann is None:
        await index.upsert([Record(f"new{done}", matrix[done] * np.float32(1.5))])
        hits = await index.query(Query(matrix[done], 2))
        if namespace.resident.ann is None:
            assert {hit.id for hit in hits} == {f"r{done}", f"new{done}"}
        done += 1
    await backend.settled()
    assert done > 10
    assert namespace.resident.n == 12_000 + done
    found = 0
    for i in range(done):
        found += len({hit.id for hit in await index.query(Query(matrix[i], 2))} & {f"r{i}", f"new{i}"})
    assert found >= 0.98 * 2 * done


async def test_a_damaged_checkpoint_is_made_anew(open_engine, tmp_path):
    engine, backend = open_engine(index_from_rows=2000)
    await backend.create("main")
    matrix = clustered(1, 3000)
    await fill(backend.index("main"), matrix)
    await backend.index("main").query(Query(matrix[0], 1))
    await backend.settled()
    await engine.aclose()
    path = tmp_path / "shard" / "ns-1.hnsw"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    damaged = path.read_bytes()
    engine, backend = open_engine(index_from_rows=2000)
    assert (await backend.index("main").query(Query(matrix[0], 1)))[0].id == "r0"
    await backend.settled()
    assert backend._shard.by_name["main"].resident.ann is not None
    assert path.read_bytes() != damaged


async def test_closing_does_not_wait_for_a_build(open_engine):
    engine, backend = open_engine(index_from_rows=5000)
    await backend.create("main")
    matrix = clustered(1, 10_000)
    await fill(backend.index("main"), matrix)
    await backend.index("main").query(Query(matrix[0], 1))
    await engine.aclose()
    _, again = open_engine(index_from_rows=5000)
    assert (await again.stats("main")).vectors == 10_000


async def test_overwrites_are_compacted_away(open_engine):
    _, backend = open_engine()
    await backend.create("main")
    index = backend.index("main")
    matrix = clustered(1, 4000)
    await index.query(Query(matrix[0], 1))
    for start in range(0, 4000, 400):
        await index.upsert([Record(f"r{i}", matrix[start + i], {"at": start}) for i in range(400)])
        assert len(await index.query(Query(matrix[0], 1000))) == 400
    await backend.settled()
    resident = backend._shard.by_name["main"].resident
    assert resident.live == 400
    assert resident.n < 2000
    hits = await index.query(Query(matrix[3601], 1, include_metadata=True))
    assert (hits[0].id, hits[0].metadata) == ("r1", {"at": 3600})


async def test_searches_in_workers_beside_overwrites_never_miss_a_record(open_engine):
    """Large enough that every search runs in a worker while the loop applies writes."""
    _, backend = open_engine(compute_workers=2)
    wide = EmbeddedBackend(backend._engine, "wide", 512, Metric.DOTPRODUCT)
    await wide.create("main")
    index = wide.index("main")
    matrix = clustered(1, 6000, 512)
    await fill(index, matrix)
    condition = parse_filter({"n": {"$exists": False}})

    async def overwrite():
        rng = np.random.default_rng(4)
        for _ in range(25):
            chosen = rng.permutation(6000)[:200]
            await index.upsert([Record(f"r{i}", matrix[(i * 7) % 6000]) for i in chosen])

    async def read(filter):
        count = 0
        while not writing.done():
            hits = await index.query(Query(matrix[count], 10_000, filter))
            assert len(hits) == 6000
            assert len({hit.id for hit in hits}) == 6000
            count += 1
        return count

    writing = asyncio.create_task(overwrite())
    counts = await asyncio.gather(read(None), read(condition), read(None))
    await writing
    assert min(counts) > 1


async def test_a_caller_who_never_waits_lets_others_run(open_engine):
    _, backend = open_engine()
    await backend.create("main")
    index = backend.index("main")
    matrix = clustered(1, 100)
    await fill(index, matrix)
    await index.query(Query(matrix[0], 1))
    writing = asyncio.create_task(index.upsert([Record("new", matrix[0])]))
    for _ in range(100_000):
        await index.query(Query(matrix[0], 1))
        if writing.done():
            break
    assert writing.done()


# ------------------------------------------------------------------------------------ writes


async def test_writes_that_wait_together_fail_one_by_one(open_engine):
    _, backend = open_engine()
    await backend.create("main")
    index = backend.index("main")
    matrix = clustered(1, 10)
    results = await asyncio.gather(
        *(index.upsert([Record(f"r{i}", matrix[i] if i != 4 else matrix[i][:5])]) for i in range(10)),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [type(None)] * 4 + [InvalidArgument] + [type(None)] * 5
    assert (await backend.stats("main")).vectors == 9


@pytest.mark.parametrize(
    "record",
    [
        Record("\ud800", np.ones(DIMENSION, np.float32)),
        Record("a", np.ones(DIMENSION, np.float32), {"x": "\udfff"}),
        Record("a", np.ones(DIMENSION - 1, np.float32)),
        Record("a", np.ones((2, DIMENSION), np.float32)),
    ],
)
async def test_what_cannot_be_stored_is_refused_whole(open_engine, record):
    _, backend = open_engine()
    await backend.create("main")
    index = backend.index("main")
    with pytest.raises(InvalidArgument):
        await index.upsert([Record("good", clustered(1, 1)[0]), record])
    with pytest.raises(InvalidArgument):
        await index.upsert([Record("twice", clustered(1, 1)[0])] * 2)
    assert (await index.list_ids(None, 10)).ids == []
    assert await index.fetch(["\ud800", "good"]) == {}
    await index.delete(ByIds(("\ud800",)))
    assert (await index.list_ids("\ud800", 10, "\ud800")).ids == []


async def test_cancelled_callers_leave_file_and_memory_agreed(open_engine):
    engine, backend = open_engine()
    await backend.create("main")
    index = backend.index("main")
    matrix = clustered(1, 200)
    await index.query(Query(matrix[0], 1))
    rng = np.random.default_rng(5)
    for round_ in range(20):
        calls = [
            asyncio.create_task(index.upsert([Record(f"r{i}", matrix[i])]))
            for i in range(round_ * 10, round_ * 10 + 10)
        ]
        calls.append(asyncio.create_task(index.delete(ByIds((f"r{round_ * 10}",)))))
        for _ in range(rng.integers(0, 4)):
            await asyncio.sleep(0)
        for call in calls[:: int(rng.integers(1, 4))]:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    await engine.settled()
    in_memory = {hit.id for hit in await index.query(Query(matrix[0], 1000))}
    on_disk = set((await index.list_ids(None, 1000)).ids)
    assert in_memory == on_disk
    assert (await backend.stats("main")).vectors == len(on_disk)


async def test_a_full_file_is_storage_failed_and_passes(open_engine):
    engine, backend = open_engine()
    await backend.create("main")
    index = backend.index("main")
    matrix = clustered(1, 1000)
    await index.upsert([Record("a", matrix[0], {"x": 1})])
    await index.query(Query(matrix[0], 1))
    big = [Record(f"b{i}", matrix[i], {"text": "x" * 2000}) for i in range(500)]
    with engine.pool.use(engine.root / "shard" / "ns-1.db", Role.WRITER) as connection:
        connection.execute("PRAGMA max_page_count = 12")
    with pytest.raises(StorageFailed, match=r"ns-1\.db"):
        await index.upsert(big)
    assert [hit.id for hit in await index.query(Query(matrix[0], 1000))] == ["a"]
    assert (await index.list_ids(None, 10)).ids == ["a"]
    assert (await backend.stats("main")).vectors == 1
    await index.upsert(big)
    assert (await backend.stats("main")).vectors == 501


async def test_deleting_everything_gives_the_space_back(open_engine):
    _, backend = open_engine()
    await backend.create("main")
    index = backend.index("main")
    await fill(index, clustered(1, 10_000))
    before = (await backend.stats("main")).bytes
    await index.delete(Everything())
    await backend.aclose()
    path = backend._engine.root / "shard" / "ns-1.db"
    assert path.stat().st_size < before / 10


@pytest.mark.parametrize("resident", [True, False])
async def test_deleting_by_filter_with_and_without_memory(open_engine, resident):
    _, backend = open_engine()
    await backend.create("main")
    index = backend.index("main")
    matrix = clustered(1, 300)
    if resident:
        await index.query(Query(matrix[0], 1))
    await fill(index, matrix, metadata=lambda i: {"n": i})
    await index.delete(ByFilter(parse_filter({"n": {"$gte": 100}})))
    assert (await backend.stats("main")).vectors == 100
    assert len(await index.query(Query(matrix[0], 1000))) == 100
    assert (backend._shard.by_name["main"].resident is not None) is True
