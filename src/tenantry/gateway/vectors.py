"""Vectors between the wire and the core."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tenantry.model.records import Metric, Vector


def to_vector(values: Sequence[float]) -> Vector:
    """Float32 from decoded JSON numbers; numbers beyond float32 become infinite, which the core's checks refuse.

    Half the time of ``np.asarray``, as the numbers are known to be floats.
    """
    with np.errstate(over="ignore"):
        return np.fromiter(values, np.float32, len(values))


def pinecone_score(score: float, metric: Metric) -> float:
    """The score as Pinecone tells it: for euclidean the squared distance, so that the nearest has the lowest."""
    return 0.0 - score if metric is Metric.EUCLIDEAN else score


def numbers(values: Vector) -> list[float]:
    """Plain floats, equal to the float32 that are stored."""
    found: list[float] = values.tolist()
    return found
