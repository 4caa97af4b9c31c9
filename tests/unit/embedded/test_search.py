"""Exact search and snapshots: order, ties, extreme values, dead rows, every metric."""

import numpy as np
import pytest

from tenantry.backends.embedded.resident import Change, Resident
from tenantry.backends.embedded.search import search
from tenantry.model.filters import parse_filter
from tenantry.model.records import Metric, Query
from tenantry.testing.backend_contract import expected_scores

METRICS = list(Metric)


def filled(matrix, metric=Metric.COSINE, metadata=None, ids=None):
    matrix = np.asarray(matrix, np.float32)
    resident = Resident(matrix.shape[1], metric)
    add(resident, matrix, ids or [f"r{i:05d}" for i in range(len(matrix))], metadata)
    return resident


def add(resident, matrix, ids, metadata=None, removed=()):
    change = Change(list(removed), list(ids), resident.n + 1, matrix, metadata or [None] * len(ids))
    resident.stage([(matrix, np.arange(change.first_seq, change.first_seq + len(ids)))])
    resident.apply([change])


def ids_of(hits):
    return [hit.id for hit in hits]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("n", "top_k"), [(1, 1), (7, 3), (2000, 10), (2000, 1500), (50, 50)])
def test_the_answer_is_that_of_exact_arithmetic(metric, n, top_k):
    rng = np.random.default_rng(n + top_k)
    matrix = rng.standard_normal((n, 33)).astype(np.float32) * rng.lognormal(size=(n, 1)).astype(np.float32)
    query = rng.standard_normal(33).astype(np.float32)
    hits = search(filled(matrix, metric).snapshot(), Query(query, top_k))
    scores = expected_scores(metric, query, matrix)
    best = sorted(range(n), key=lambda i: (-scores[i], i))[:top_k]
    assert ids_of(hits) == [f"r{i:05d}" for i in best]
    assert np.allclose([hit.score for hit in hits], [scores[i] for i in best], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_equal_vectors_tie_wherever_they_stand(metric):
    """A matrix product sums rows at its edge in another order; the second pass must not."""
    rng = np.random.default_rng(5)
    matrix = rng.standard_normal((1003, 77)).astype(np.float32)
    twins = [1, 64, 500, 1001, 1002]
    matrix[twins] = matrix[0]
    hits = search(filled(matrix, metric).snapshot(), Query(matrix[0] * np.float32(0.7), 1003))
    tied = [hit for hit in hits if hit.id in {f"r{i:05d}" for i in [0, *twins]}]
    assert len({hit.score for hit in tied}) == 1
    assert ids_of(tied) == sorted(ids_of(tied))
    everything = search(filled(np.tile(matrix[0], (300, 1)), metric).snapshot(), Query(matrix[0], 9))
    assert ids_of(everything) == [f"r{i:05d}" for i in range(9)]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("factor", [1e-30, 1e-20, 1e18, 1e30])
def test_extreme_lengths_are_ordered_rightly(metric, factor):
    rng = np.random.default_rng(6)
    matrix = rng.standard_normal((200, 16)).astype(np.float32)
    matrix[::3] *= np.float32(factor)
    query = rng.standard_normal(16).astype(np.float32) * np.float32(factor)
    with np.errstate(over="ignore"):
        hits = search(filled(matrix, metric).snapshot(), Query(query, 20))
    scores = expected_scores(metric, query, matrix)
    best = sorted(range(200), key=lambda i: (-scores[i], i))[:20]
    assert [hit.score for hit in hits] == pytest.approx([scores[i] for i in best], rel=1e-9)
    assert np.isfinite([hit.score for hit in hits]).all()


def test_cosine_stays_in_its_range():
    rng = np.random.default_rng(7)
    matrix = rng.standard_normal((500, 3)).astype(np.float32)
    resident = filled(np.concatenate([matrix, -matrix]))
    for row in matrix[:100]:
        scores = [hit.score for hit in search(resident.snapshot(), Query(row * np.float32(3.3), 1000))]
        assert max(scores) <= 1.0
        assert min(scores) >= -1.0
        assert scores[0] == pytest.approx(1.0)


def test_a_snapshot_keeps_its_moment():
    rng = np.random.default_rng(8)
    old, new = rng.standard_normal((2, 40, 8)).astype(np.float32)
    ids = [f"r{i}" for i in range(40)]
    resident = filled(old, ids=ids)
    before = resident.snapshot()
    add(resident, new, ids, removed=ids)
    add(resident, new[:5], [f"n{i}" for i in range(5)])
    resident.apply([Change(removed=["r3"])])
    for snapshot, matrix, wanted in (
        (before, old, set(ids)),
        (resident.snapshot(), new, {*ids, *(f"n{i}" for i in range(5))} - {"r3"}),
    ):
        hits = search(snapshot, Query(old[0], 1000, include_values=True))
        assert len(hits) == len(wanted)
        assert set(ids_of(hits)) == wanted
        for hit in hits:
            assert np.array_equal(hit.values, matrix[int(hit.id[1:])])
    assert resident.live == 44


@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
@pytest.mark.parametrize("metric", METRICS)
def test_filtered_search_is_exact_at_any_selectivity(metric, share):
    rng = np.random.default_rng(9)
    matrix = rng.standard_normal((3000, 20)).astype(np.float32)
    metadata = [b'{"x":%d}' % (1000 * value) for value in rng.random(3000)]
    resident = filled(matrix, metric, metadata)
    doomed = [f"r{i:05d}" for i in range(0, 3000, 7)]
    resident.apply([Change(removed=doomed)])
    query = rng.standard_normal(20).astype(np.float32)
    hits = search(resident.snapshot(), Query(query, 15, parse_filter({"x": {"$lt": 1000 * share}})))
    scores = expected_scores(metric, query, matrix)
    left = [i for i in range(3000) if i % 7 and int(metadata[i][5:-1]) < 1000 * share]
    assert ids_of(hits) == [f"r{i:05d}" for i in sorted(left, key=lambda i: -scores[i])[:15]]


def test_compaction_changes_nothing_to_see():
    rng = np.random.default_rng(10)
    matrix = rng.standard_normal((100, 8)).astype(np.float32)
    resident = filled(matrix, metadata=[b'{"n":%d}' % i for i in range(100)])
    resident.apply([Change(removed=[f"r{i:05d}" for i in range(0, 100, 2)])])
    query = Query(matrix[1], 100, parse_filter({"n": {"$gt": 10}}), True, True)
    before = search(resident.snapshot(), query)
    compacted = resident.compacted()
    after = search(compacted.snapshot(), query)
    assert compacted.n == compacted.live == 50
    assert [(hit.id, hit.score, hit.metadata) for hit in after] == [(hit.id, hit.score, hit.metadata) for hit in before]
    assert compacted.seqs[:50].tolist() == resident.seqs[1:100:2].tolist()
    assert compacted.nbytes < resident.nbytes


def test_several_matrices_staged_at_once_survive_growth():
    resident = Resident(4, Metric.DOTPRODUCT)
    blocks = [np.full((30, 4), i, np.float32) for i in range(5)]
    resident.stage((block, np.arange(30)) for block in blocks)
    resident.apply(
        [
            Change(ids=[f"{i}-{j}" for j in range(30)], matrix=block, metadata=[None] * 30)
            for i, block in enumerate(blocks)
        ]
    )
    for i in range(5):
        assert resident.matrix[resident.row_of[f"{i}-7"]].tolist() == [i] * 4
