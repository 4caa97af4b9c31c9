"""Vectors between the wire and the core."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct

import numpy as np

from tenantry.model.records import Metric, Vector


def to_vector(values: Sequence[float]) -> Vector:
    """Float32 from decoded JSON numbers; numbers beyond float32 become infinite, which the core's checks refuse.

    A third of the time of ``np.asarray``, as the numbers are known to be floats.
    """
    try:
        packed = _layout(len(values)).pack(*values)
    except OverflowError:
        with np.errstate(over="ignore"):
            return np.fromiter(values, np.float32, len(values))
    return np.frombuffer(bytearray(packed), np.float32)  # a copy that may be written to, as any other vector


@lru_cache(maxsize=64)
def _layout(count: int) -> Struct:
    return Struct(f"{count}f")


def pinecone_score(score: float, metric: Metric) -> float:
    """The score as Pinecone tells it: for euclidean the squared distance, so that the nearest has the lowest."""
    return 0.0 - score if metric is Metric.EUCLIDEAN else score


def numbers(values: Vector) -> list[float]:
    """Plain floats, equal to the float32 that are stored."""
    found: list[float] = values.tolist()
    return found
