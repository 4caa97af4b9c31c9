"""The approximate index: recall with deletes, growth by clones, checkpoints that are checked."""

import numpy as np
import pytest

from tenantry.backends.embedded import checkpoint
from tenantry.backends.embedded.ann import Attached, NotWanted, Source, build, extend
from tenantry.backends.embedded.resident import ALIVE, Change, Resident
from tenantry.backends.embedded.search import exact_candidates, ranked, search
from tenantry.model.filters import parse_filter
from tenantry.model.records import Metric, Query

N, DIMENSION = 4000, 24


def clustered(rng, count):
    centres = np.random.default_rng(0).standard_normal((40, DIMENSION))
    return (centres[rng.integers(0, 40, count)] + 0.4 * rng.standard_normal((count, DIMENSION))).astype(np.float32)


def add(resident, matrix, ids, metadata=None, removed=()):
    first = int(resident.seqs[resident.n - 1]) + 1 if resident.n else 1
    resident.stage([(matrix, np.arange(first, first + len(ids)))])
    resident.apply([Change(list(removed), list(ids), first, matrix, metadata or [None] * len(ids))])


def source_of(resident):
    living = np.flatnonzero(resident.died_at[: resident.n] == ALIVE)
    return Source(resident.matrix, resident.scale, resident.seqs, living, resident.metric)


def indexed(metric=Metric.COSINE, seed=1):
    resident = Resident(DIMENSION, metric)
    rng = np.random.default_rng(seed)
    add(resident, clustered(rng, N), [f"r{i}" for i in range(N)], [b'{"n":%d}' % (i % 100) for i in range(N)])
    index = build(source_of(resident), lambda: True, 1)
    resident.ann = Attached(index, resident.seqs[: resident.n])
    return resident


def recall(resident, filter=None, top_k=10):
    snapshot = resident.snapshot()
    found = total = 0
    for vector in clustered(np.random.default_rng(99), 60):
        query = Query(vector, top_k, filter)
        rows = None
        if filter is not None:
            rows = np.flatnonzero(snapshot.columns.mask(filter, snapshot.n) & snapshot.alive())
        exact = ranked(snapshot, query, exact_candidates(snapshot, vector, top_k, rows))
        hits = search(snapshot, query)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert len(hits) == len(exact)
        found += len({hit.id for hit in hits} & {hit.id for hit in exact})
        total += len(exact)
    return found / total


@pytest.mark.parametrize("metric", list(Metric))
def test_recall_with_overwrites_deletes_and_a_tail(metric):
    resident = indexed(metric)
    assert resident.ann.index.nodes == N
    assert recall(resident) >= 0.98
    rng = np.random.default_rng(2)
    overwritten = [f"r{i}" for i in rng.permutation(N)[:600]]
    add(resident, clustered(rng, 600), overwritten, removed=overwritten)
    add(resident, clustered(rng, 100), [f"new{i}" for i in range(100)])
    resident.apply([Change(removed=list(resident.row_of)[:300])])
    assert resident.n - resident.ann.tail == 700
    assert recall(resident) >= 0.98
    assert recall(resident, top_k=100) >= 0.98


def test_a_wiped_out_neighbourhood_still_fills_the_answer():
    """All that the graph proposes first is dead: the search has to go on behind it."""
    resident = indexed()
    query = Query(resident.matrix[0].copy(), 10)
    near = [hit.id for hit in search(resident.snapshot(), Query(query.vector, 250))]
    resident.apply([Change(removed=near)])
    snapshot = resident.snapshot()
    exact = ranked(snapshot, query, exact_candidates(snapshot, query.vector, 10, None))
    hits = search(snapshot, query)
    assert len(hits) == 10
    assert len({hit.id for hit in hits} & {hit.id for hit in exact}) >= 9


@pytest.mark.parametrize("raw", [{"n": {"$lt": 3}}, {"n": {"$lt": 50}}, {"n": {"$ne": 5}}])
def test_filters_narrow_the_search_of_the_index(raw):
    resident = indexed()
    rng = np.random.default_rng(3)
    add(resident, clustered(rng, 200), [f"t{i}" for i in range(200)], [b'{"n":%d}' % (i % 100) for i in range(200)])
    resident.apply([Change(removed=[f"r{i}" for i in range(0, N, 5)])])
    assert recall(resident, parse_filter(raw)) >= 0.98


def test_scores_are_exact():
    resident = indexed()
    snapshot = resident.snapshot()
    vector = clustered(np.random.default_rng(4), 1)[0]
    for hit in search(snapshot, Query(vector, 20)):
        row = resident.matrix[resident.row_of[hit.id]].astype(float)
        wide = vector.astype(float)
        assert hit.score == pytest.approx(row @ wide / np.linalg.norm(row) / np.linalg.norm(wide), abs=1e-12)


def test_extending_leaves_the_old_index_alone():
    resident = indexed()
    old = resident.ann
    rng = np.random.default_rng(5)
    add(resident, clustered(rng, 1500), [f"t{i}" for i in range(1500)])
    resident.apply([Change(removed=["t7", "r7"])])
    index = extend(old, source_of(resident), lambda: True, 1)
    assert old.index.nodes == old.index.graph.ntotal == N
    assert index.nodes == index.graph.ntotal == N + 1499
    resident.ann = Attached(index, resident.seqs[: resident.n])
    assert resident.ann.tail == resident.n
    assert resident.ann.covers(resident.died_at[: resident.n] == ALIVE)
    assert recall(resident) >= 0.98


def test_a_build_that_nobody_wants_stops():
    resident = Resident(DIMENSION, Metric.COSINE)
    add(resident, clustered(np.random.default_rng(1), N), [f"r{i}" for i in range(N)])
    answers = iter([True, True, False])
    with pytest.raises(NotWanted):
        build(source_of(resident), lambda: next(answers), 1)


def test_an_index_that_cannot_find_is_unfit():
    """Inner products of unit noise with lengths over six orders of magnitude: no graph walks there. Whatever it is
    worth is measured, and `width` 0 keeps it from use."""
    rng = np.random.default_rng(6)
    matrix = rng.standard_normal((N, DIMENSION)) * 10 ** rng.uniform(-3, 3, (N, 1))
    resident = Resident(DIMENSION, Metric.EUCLIDEAN)
    add(resident, matrix.astype(np.float32), [f"r{i}" for i in range(N)])
    index = build(source_of(resident), lambda: True, 1)
    if index.width:
        resident.ann = Attached(index, resident.seqs[: resident.n])
    assert recall(resident) >= 0.98


# -------------------------------------------------------------------------------- checkpoint


@pytest.fixture
def saved(tmp_path):
    resident = indexed()
    path = tmp_path / "ns-1.hnsw"
    assert checkpoint.save(resident.ann.index, path)
    return resident, path


def test_a_checkpoint_gives_the_same_index_back(saved):
    resident, path = saved
    index = checkpoint.load(path, DIMENSION, Metric.COSINE)
    assert index.nodes == N
    assert index.width == resident.ann.index.width
    assert index.watermark == resident.ann.index.watermark
    assert index.seqs.tolist() == resident.ann.index.seqs.tolist()
    resident.ann = Attached(index, resident.seqs[: resident.n])
    assert recall(resident) >= 0.98
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("place", [0, 20, 60, 300, 5000, 40_000, -1])
def test_one_wrong_byte_is_noticed(saved, place):
    _, path = saved
    raw = bytearray(path.read_bytes())
    raw[place] ^= 0x5A
    path.write_bytes(raw)
    assert checkpoint.load(path, DIMENSION, Metric.COSINE) is None


@pytest.mark.parametrize("size", [0, 10, 50, 1000, -1])
def test_a_cut_file_is_noticed(saved, size):
    _, path = saved
    path.write_bytes(path.read_bytes()[:size])
    assert checkpoint.load(path, DIMENSION, Metric.COSINE) is None


def test_another_use_is_noticed(saved):
    _, path = saved
    assert checkpoint.load(path, DIMENSION, Metric.EUCLIDEAN) is None
    assert checkpoint.load(path, DIMENSION + 1, Metric.COSINE) is None
    assert checkpoint.load(path.with_name("absent"), DIMENSION, Metric.COSINE) is None


def test_a_checkpoint_that_cannot_be_written_is_no_harm(saved, tmp_path):
    resident, _ = saved
    assert checkpoint.save(resident.ann.index, tmp_path / "no-such-folder" / "x.hnsw") is False


def test_an_index_of_other_data_is_not_taken_for_this_one():
    """A file put back from before a deletion holds records that the index does not know."""
    resident = Resident(DIMENSION, Metric.COSINE)
    add(resident, clustered(np.random.default_rng(1), N), [f"r{i}" for i in range(N)])
    before = resident.compacted()
    resident.apply([Change(removed=[f"r{i}" for i in range(5)])])
    index = build(source_of(resident), lambda: True, 1)
    assert Attached(index, resident.seqs[:N]).covers(resident.died_at[:N] == ALIVE)
    assert not Attached(index, before.seqs[:N]).covers(before.died_at[:N] == ALIVE)
    assert Attached(index, resident.seqs[:N] + N).gone(np.ones(N, bool)) == 1.0
