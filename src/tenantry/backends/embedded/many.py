"""The nearest rows of many snapshots together; pure functions of what they are given.

As in `tenantry.backends.embedded.search`, a first pass in float32 finds candidates and float64 decides. What is saved
against as many single searches: a namespace gives only the rows that can still be among the best of all those looked
at so far, so after the first few there are hardly any; these alone are scored in float64, and their metadata decoded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tenantry.backends.embedded.resident import SAFE_NORM, Snapshot
from tenantry.backends.embedded.search import (
    GATHER_BELOW,
    INDEX_TOP_K,
    Rows,
    exact_scores,
    first_pass,
    index_candidates,
    margin_of,
    metadata_of,
    search,
)
from tenantry.model.records import Hit, Query

#: A hit with the place of its namespace in the list: ties go by that, then by id.
Placed = tuple[int, Hit]


class Best:
    """What is known of the best after some of the namespaces. First-pass scores of all namespaces are of one scale,
    that of the query; each is within its namespace's error of the true one."""

    def __init__(self, top_k: int) -> None:
        self.top_k = top_k
        self.found: list[Placed] = []
        """From namespaces that float32 cannot take: hits of a search of their own."""
        self.threshold = -math.inf
        """A row whose upper bound is below this is not among the best."""
        self._least: NDArray[np.float64] = np.empty(0)
        """The greatest lower bounds of true scores so far, at most ``top_k``."""
        self._kept: list[tuple[int, Snapshot, Rows, NDArray[np.float64]]] = []
        """Place, snapshot, rows, upper bounds of their true scores."""

    def offer(self, place: int, snap: Snapshot, rows: Rows | None, scores: NDArray[np.float32], error: float) -> None:
        """Rows of a namespace (None: all) with their first-pass scores, each within ``error`` of the true one."""
        if float(scores.max()) + error < self.threshold:
            return
        wide = scores.astype(np.float64)
        able = np.flatnonzero(wide + error >= self.threshold)
        rows, wide = able if rows is None else rows[able], wide[able]
        if len(wide) > self.top_k:
            least = np.partition(wide, len(wide) - self.top_k)[len(wide) - self.top_k]
            able = wide + error >= least - error
            rows, wide = rows[able], wide[able]
        bounds = np.concatenate([self._least, wide - error])
        if len(bounds) > self.top_k:
            bounds = np.partition(bounds, len(bounds) - self.top_k)[-self.top_k :]
        self._least = bounds
        if len(bounds) == self.top_k:
            self.threshold = float(bounds.min())
        self._kept.append((place, snap, rows, wide + error))

    def candidates(self) -> list[tuple[int, Snapshot, Rows]]:
        """The rows that can be among the best, by namespace."""
        able = ((place, snap, rows[upper >= self.threshold]) for place, snap, rows, upper in self._kept)
        return [one for one in able if len(one[2])]


def look(best: Best, placed: Sequence[tuple[int, Snapshot]], query: Query, per_namespace: int | None) -> None:
    """Go through some namespaces; may run in a worker."""
    norm = math.sqrt(np.dot(query.vector, query.vector))
    for place, snap in placed:
        if snap.n == snap.dead:
            continue
        if per_namespace is not None or snap.wild or not 1 / SAFE_NORM < norm < SAFE_NORM:
            alone = query if per_namespace is None else _cut(query, per_namespace)
            best.found += [(place, hit) for hit in search(snap, alone)]
            continue
        rows, scores = _scored(snap, query, norm)
        if len(scores):
            best.offer(place, snap, rows, scores, margin_of(snap, norm) / 2)


def finish(best: Best, placed: Sequence[tuple[int, Snapshot]], query: Query, per_namespace: int | None) -> list[Placed]:
    """Go through the last namespaces; the best of all, in order. May run in a worker."""
    look(best, placed, query, per_namespace)
    order: list[tuple[float, int, str, int, Snapshot | None, Hit | None]] = [
        (-hit.score, place, hit.id, 0, None, hit) for place, hit in best.found
    ]
    for place, snap, rows in best.candidates():
        scores = exact_scores(snap, query.vector, rows).tolist()
        ids = snap.ids
        order += [(-score, place, ids[row], row, snap, None) for score, row in zip(scores, rows.tolist(), strict=True)]
    order.sort(key=lambda one: one[:3])
    return [(one[1], one[5] or _hit(one[4], one[3], -one[0], query)) for one in order[: best.top_k]]


def _scored(snap: Snapshot, query: Query, norm: float) -> tuple[Rows | None, NDArray[np.float32]]:
    """The rows of a namespace to look at (those that its index proposes, or all living ones that match; None: all that
    there are), with their first-pass scores."""
    chosen: Rows | None = None
    mask: NDArray[np.bool_] | None = None
    if query.filter is not None:
        mask = snap.columns.mask(query.filter, snap.n)
        if snap.dead:
            mask &= snap.alive()
        chosen = np.flatnonzero(mask)
        if not len(chosen):
            return chosen, np.empty(0, np.float32)
    if snap.ann is not None and query.top_k <= INDEX_TOP_K:
        proposed = index_candidates(snap, snap.ann, query, mask, chosen)
        if proposed is not None:
            return proposed, first_pass(snap, query.vector, norm, proposed)
    if chosen is not None and len(chosen) < GATHER_BELOW * snap.n:
        return chosen, first_pass(snap, query.vector, norm, chosen)
    scores = first_pass(snap, query.vector, norm, slice(0, snap.n))
    if chosen is None and snap.dead:
        chosen = np.flatnonzero(snap.alive())
    return chosen, scores if chosen is None else scores[chosen]


def _hit(snap: Snapshot | None, row: int, score: float, query: Query) -> Hit:
    assert snap is not None  # noqa: S101  a hit without one is there already
    return Hit(
        snap.ids[row],
        score,
        snap.matrix[row].copy() if query.include_values else None,
        metadata_of(snap.metadata[row]) if query.include_metadata else None,
    )


def _cut(query: Query, per_namespace: int) -> Query:
    if per_namespace >= query.top_k:
        return query
    return Query(query.vector, per_namespace, query.filter, query.include_values, query.include_metadata)
