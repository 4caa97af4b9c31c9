"""What goes into a namespace and what comes out of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from tenantry.model.filters import Filter

Vector: TypeAlias = NDArray[np.float32]
MetadataValue: TypeAlias = str | int | float | bool | list[str]
Metadata: TypeAlias = dict[str, MetadataValue]


class Metric(StrEnum):
    """How nearness is measured. Scores always grow with nearness, so that a merge means something.

    ========== =========================== ==============
    metric     score                       range
    ========== =========================== ==============
    cosine     a.b / (|a| |b|)             [-1, 1]
    dotproduct a.b                         (-inf, inf)
    euclidean  -|a - b|^2                  (-inf, 0]
    ========== =========================== ==============
    """

    COSINE = "cosine"
    DOTPRODUCT = "dotproduct"
    EUCLIDEAN = "euclidean"


class Record(msgspec.Struct, frozen=True, eq=False):
    """One stored vector.

    Attributes:
        id: 1 to 512 characters, unique in its namespace.
        values: float32, shape ``(dimension,)``; given back exactly as stored, whatever the metric.
        metadata: flat; strings, finite numbers, booleans and lists of strings. None means none.
    """

    id: str
    values: Vector
    metadata: Metadata | None = None


class Update(msgspec.Struct, frozen=True, eq=False):
    """A partial change of one record: new values, metadata fields to set, or both.

    Fields of ``set_metadata`` replace those of the same name; other fields stay.
    """

    id: str
    values: Vector | None = None
    set_metadata: Metadata | None = None


class Query(msgspec.Struct, frozen=True, eq=False):
    """A nearest-neighbour question to one namespace.

    Attributes:
        vector: float32, shape ``(dimension,)``.
        top_k: 1 to 10,000.
        filter: parsed filter, or None.
        include_values: put the stored values into each hit.
        include_metadata: put the metadata into each hit.
    """

    vector: Vector
    top_k: int
    filter: Filter | None = None
    include_values: bool = False
    include_metadata: bool = False


class Hit(msgspec.Struct, frozen=True, eq=False):
    """One answer to a query. Hits are ordered by score, highest first; ties by id, ascending."""

    id: str
    score: float
    values: Vector | None = None
    metadata: Metadata | None = None


class FoundIn(msgspec.Struct, frozen=True, eq=False):
    """A hit and the namespace that it is in."""

    namespace: str
    hit: Hit


class Found(msgspec.Struct, frozen=True, eq=False):
    """The answer of several namespaces together: hits in their order, and the namespaces that are not there."""

    hits: list[FoundIn]
    missing: tuple[str, ...] = ()


class Page(msgspec.Struct, frozen=True, eq=False):
    """One page of a scan, in ascending order of id. ``cursor`` is None on the last page."""

    records: list[Record]
    cursor: str | None = None


class IdPage(msgspec.Struct, frozen=True, eq=False):
    """One page of ids, ascending. ``cursor`` is None on the last page."""

    ids: list[str]
    cursor: str | None = None


class CopiedPage(msgspec.Struct, frozen=True):
    """What became of one page of a copy: where the next begins (None: nowhere), records and bytes written."""

    cursor: str | None = None
    records: int = 0
    bytes: int = 0


class ByIds(msgspec.Struct, frozen=True):
    """Select records by id. Ids that do not exist are passed over."""

    ids: tuple[str, ...]


class ByFilter(msgspec.Struct, frozen=True):
    """Select the records whose metadata match."""

    filter: Filter


class Everything(msgspec.Struct, frozen=True):
    """Select every record of the namespace."""


Selector: TypeAlias = ByIds | ByFilter | Everything


class NamespaceStats(msgspec.Struct, frozen=True):
    """Exact number of live vectors, and bytes on disk where the backend knows them (else 0)."""

    vectors: int
    bytes: int = 0


#: How far apart values may be, in lengths of the vector, that have been through a backend without ``exact_values``.
CLOSE = 1e-6


def close(one: Vector, other: Vector) -> bool:
    """Whether two vectors are the same but for what is lost when one is kept at length 1 (`CLOSE`)."""
    wide = one.astype(np.float64)
    return bool(np.linalg.norm(wide - other) <= CLOSE * np.linalg.norm(wide))


def as_vector(values: Any) -> Vector:
    """The values as a contiguous float32 array; does not copy one that is so already."""
    return np.ascontiguousarray(values, dtype=np.float32)
