"""What contract suites expect of records and scores."""

# ruff: noqa: S101  (assertions are what a contract suite is made of)

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np

from tenantry.model.records import Metric, Record, Vector, close
from tenantry.ports import Index, VectorBackend

SCORE_TOLERANCE = 1e-4


def vectors_of(backend: Any, count: int, seed: int = 0) -> list[Vector]:
    """``count`` random vectors of the backend's dimension; the same seed gives the same ones."""
    made = np.random.default_rng(seed).standard_normal((count, backend.dimension)).astype(np.float32)
    return list(made)


def expected_scores(metric: Metric, vector: Vector, matrix: Sequence[Vector]) -> list[float]:
    """Scores as `Metric` documents them, computed plainly in float64."""
    query = vector.astype(np.float64)
    rows = np.array(matrix, dtype=np.float64)
    if metric is Metric.EUCLIDEAN:
        scores = -((rows - query) ** 2).sum(axis=1)
    else:
        scores = rows @ query
        if metric is Metric.COSINE:
            scores = scores / (np.linalg.norm(rows, axis=1) * np.linalg.norm(query))
    return [float(score) for score in scores]


def same_values(backend: VectorBackend, found: Vector | None, wanted: Vector) -> bool:
    """Bit for bit, or as near as the backend claims."""
    assert found is not None
    assert found.dtype == np.float32
    return np.array_equal(found, wanted) if backend.features.exact_values else close(found, wanted)


def assert_same_record(backend: VectorBackend, found: Record, wanted: Record) -> None:
    """Id, values, metadata."""
    assert found.id == wanted.id
    assert same_values(backend, found.values, wanted.values)
    assert (found.metadata or None) == (wanted.metadata or None)


async def scan_all(index: Index, limit: int, prefix: str = "") -> AsyncIterator[Record]:
    """Every record, page by page."""
    cursor: str | None = None
    while True:
        page = await index.scan(cursor, limit, prefix)
        assert len(page.records) <= limit
        for record in page.records:
            yield record
        if page.cursor is None:
            return
        cursor = page.cursor
