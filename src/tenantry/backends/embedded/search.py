"""Nearest rows of a snapshot: exact, filtered or through the index; pure functions of what they are given.

A first pass in float32 finds candidates; those within its rounding error of the k-th best are scored again in
float64, row by row. So the answer is that of exact arithmetic, and equal vectors have equal scores wherever they
stand in the matrix, which makes the order of ties (by id) hold.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tenantry.backends.embedded.ann import Attached, proposals, query_form
from tenantry.backends.embedded.resident import SAFE_NORM, Snapshot
from tenantry.model.records import Hit, Metric, Query, Vector

Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]
INDEX_TOP_K = 256
"""Above, a search of the graph has to be so wide that exact search is as quick."""
GRAPH_FACTOR = 16
"""Rows that exact search scores in the time in which the graph is searched one wider: 0.18 us against 3 us at 768
dimensions. Beyond, exact search is quicker."""
SPARE_PROPOSALS = 4
GATHER_BELOW = 0.8
"""Share of the rows below which picking them out is cheaper than scoring all."""
WIDEN_BY = 4
GATHER_NUMBERS = 1 << 17
"""Vector components copied together at a time: half a megabyte, which stays in a core's cache."""
UNIT_ROUNDING = 6e-8
RESCORE_ROWS = 4096

decode_metadata = msgspec.json.Decoder(dict[str, Any]).decode


def search(snap: Snapshot, query: Query) -> list[Hit]:
    """At most ``top_k`` nearest living rows that match the filter, best first, ties by id."""
    if snap.n == snap.dead:
        return []
    chosen: Rows | None = None
    mask: Mask | None = None
    if query.filter is not None:
        mask = snap.columns.mask(query.filter, snap.n)
        if snap.dead:
            mask &= snap.alive()
        chosen = np.flatnonzero(mask)
        if not len(chosen):
            return []
    candidates: Rows | None = None
    if snap.ann is not None and query.top_k <= INDEX_TOP_K:
        candidates = index_candidates(snap, snap.ann, query, mask, chosen)
    if candidates is None:
        candidates = exact_candidates(snap, query.vector, query.top_k, chosen)
    return ranked(snap, query, candidates)


def index_candidates(
    snap: Snapshot, attached: Attached, query: Query, mask: Mask | None, chosen: Rows | None
) -> Rows | None:
    """Rows that the index and the tail propose; None when exact search is quicker.

    The graph is asked for so many nodes that enough of them should be alive and match; if they are not, for more.
    A selector inside the graph would be no cheaper and wrong where all that is near is excluded: what it meets on
    its way there then passes for the answer.
    """
    index, top_k = attached.index, query.top_k
    norm = math.sqrt(np.dot(query.vector, query.vector))
    if snap.wild or not 1 / SAFE_NORM < norm < SAFE_NORM:
        return None
    vector = query_form(query.vector, snap.metric)
    total = snap.n - snap.dead if chosen is None else len(chosen)
    count = proposals(top_k) if chosen is None else int(proposals(top_k) * snap.n / total)
    while GRAPH_FACTOR * (width := index.width_for(count)) < total:
        rows = attached.rows[index.search(vector, count, width)]
        rows = rows[rows >= 0]
        rows = rows[snap.died_at[rows] > snap.version] if mask is None else rows[mask[rows]]
        if len(rows) >= top_k + top_k // 4 + SPARE_PROPOSALS:
            break
        count *= WIDEN_BY
    else:
        return None
    tail = np.arange(attached.tail, snap.n)
    if mask is not None:
        tail = tail[mask[attached.tail : snap.n]]
    return np.concatenate([rows, _tail_candidates(snap, query.vector, norm, top_k, tail)])


def _tail_candidates(snap: Snapshot, vector: Vector, norm: float, top_k: int, tail: Rows) -> Rows:
    if snap.dead:
        tail = tail[snap.died_at[tail] > snap.version]
    if len(tail) <= top_k:
        return tail
    whole = len(tail) == snap.n - tail[0]
    scores = first_pass(snap, vector, norm, slice(int(tail[0]), snap.n) if whole else tail)
    return tail[_best(scores, top_k, margin_of(snap, norm))]


def exact_candidates(snap: Snapshot, vector: Vector, top_k: int, rows: Rows | None) -> Rows:
    """Living rows (of ``rows``, when given: living ones) among which the ``top_k`` nearest are."""
    total = snap.n - snap.dead if rows is None else len(rows)
    if total <= top_k:
        return np.flatnonzero(snap.alive()) if rows is None else rows
    norm = math.sqrt(np.dot(vector, vector))
    if snap.wild or not 1 / SAFE_NORM < norm < SAFE_NORM:
        return _wide_candidates(snap, vector, top_k, np.flatnonzero(snap.alive()) if rows is None else rows)
    if rows is not None and total < GATHER_BELOW * snap.n:
        scores = first_pass(snap, vector, norm, rows)
        return rows[_best(scores, top_k, margin_of(snap, norm))]
    scores = first_pass(snap, vector, norm, slice(0, snap.n))
    if rows is not None:
        picked = scores[rows]
        return rows[_best(picked, top_k, margin_of(snap, norm))]
    if snap.dead:
        scores[~snap.alive()] = -np.inf
    return _best(scores, top_k, margin_of(snap, norm))


def first_pass(snap: Snapshot, vector: Vector, norm: float, rows: Any) -> NDArray[np.float32]:
    """Scores in float32 that grow with nearness; for cosine times the query's norm, for euclidean plus its square."""
    scores = snap.matrix[rows] @ vector if isinstance(rows, slice) else _picked_products(snap, vector, rows)
    if snap.metric is Metric.COSINE:
        scores *= snap.scale[rows]
    elif snap.metric is Metric.EUCLIDEAN:
        scores *= 2.0
        scores -= snap.scale[rows]
    return scores


def _picked_products(snap: Snapshot, vector: Vector, rows: Rows) -> NDArray[np.float32]:
    """Products with chosen rows, copied together a cache-full at a time: one big copy costs thrice as much."""
    step = max(1, GATHER_NUMBERS // len(vector))
    buffer = np.empty((min(step, len(rows)), len(vector)), np.float32)
    products = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        picked = buffer[: len(part)]
        snap.matrix.take(part, axis=0, out=picked, mode="clip")
        np.dot(picked, vector, out=products[start : start + step])
    return products


def margin_of(snap: Snapshot, norm: float) -> float:
    """Twice the largest error of a first-pass score."""
    rounding = UNIT_ROUNDING * (8 + len(snap.matrix[0]) / 16)
    if snap.metric is Metric.COSINE:
        return 2 * rounding * norm
    if snap.metric is Metric.DOTPRODUCT:
        return 2 * rounding * norm * snap.max_norm
    return 4 * rounding * (snap.max_norm * norm + snap.max_norm**2)


def _best(scores: NDArray[Any], top_k: int, margin: float) -> Rows:
    """Places of the ``top_k`` greatest scores and of all within ``margin`` of the last of them."""
    least = len(scores) - top_k
    threshold = np.partition(scores, least)[least] - margin
    return np.flatnonzero(scores >= threshold)


def _wide_candidates(snap: Snapshot, vector: Vector, top_k: int, rows: Rows) -> Rows:
    """For norms that float32 arithmetic cannot take."""
    scores = exact_scores(snap, vector, rows)
    return rows[_best(scores, top_k, 0.0)]


def exact_scores(snap: Snapshot, vector: Vector, rows: Rows) -> NDArray[np.float64]:
    """Scores as `Metric` documents them, in float64; shape ``(len(rows),)``."""
    if len(rows) > RESCORE_ROWS:
        parts = [exact_scores(snap, vector, rows[i : i + RESCORE_ROWS]) for i in range(0, len(rows), RESCORE_ROWS)]
        return np.concatenate(parts)
    wide = vector.astype(np.float64)
    matrix = snap.matrix[rows].astype(np.float64)
    if snap.metric is Metric.EUCLIDEAN:
        matrix -= wide
        squares: NDArray[np.float64] = np.vecdot(matrix, matrix)
        return 0.0 - squares
    scores: NDArray[np.float64] = np.vecdot(matrix, wide)
    if snap.metric is Metric.COSINE:
        lengths = snap.norms[rows] * math.sqrt(np.dot(wide, wide))
        lengths[lengths == 0.0] = 1.0  # a zero vector has no angle; its product is 0, so let its score be
        scores /= lengths
        np.minimum(scores, 1.0, out=scores)
        np.maximum(scores, -1.0, out=scores)
    return scores


def ranked(snap: Snapshot, query: Query, candidates: Rows) -> list[Hit]:
    """The best ``top_k`` of the candidates as hits."""
    scores = exact_scores(snap, query.vector, candidates)
    if len(scores) > 2 * query.top_k:
        keep = _best(scores, query.top_k, 0.0)
        candidates, scores = candidates[keep], scores[keep]
    ids = snap.ids
    order = sorted((-score, ids[row], row) for score, row in zip(scores.tolist(), candidates.tolist(), strict=True))
    del order[query.top_k :]
    if not (query.include_values or query.include_metadata):
        return [Hit(id, -score) for score, id, _ in order]
    return [
        Hit(
            id,
            -score,
            snap.matrix[row].copy() if query.include_values else None,
            metadata_of(snap.metadata[row]) if query.include_metadata else None,
        )
        for score, id, row in order
    ]


def metadata_of(raw: bytes | None) -> dict[str, Any] | None:
    """Stored metadata as it was given; None stays None."""
    return None if raw is None else decode_metadata(raw)
