"""Vectors that an engine keeps at length 1, given back at their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from tenantry.model.records import CLOSE, Vector, as_vector


def length_of(vector: Vector) -> float:
    """The Euclidean length."""
    return float(np.linalg.norm(vector.astype(np.float64)))


def at_length(values: Any, length: float) -> Vector:
    """The values at that length; as they are when they have it already."""
    wide = np.array(values, dtype=np.float64)
    scale = length / float(np.linalg.norm(wide))
    return as_vector(wide if abs(scale - 1.0) < CLOSE else wide * scale)
