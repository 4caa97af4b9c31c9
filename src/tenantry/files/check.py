"""Makes records of rows: the same checks as for a request, and whose each record is."""

from __future__ import annotations

from typing import Any

import mmh3
import msgspec
import numpy as np
from numpy.typing import NDArray

from tenantry.errors import InvalidArgument
from tenantry.files.rows import Problem, Row
from tenantry.model.limits import Limits, check_id, check_metadata, check_tenant_name, check_vector
from tenantry.model.records import Metric, Record

#: Ids that are remembered to find those that come twice; 8 bytes each.
MOST_REMEMBERED = 20_000_000
MERGED_FROM = 8
MOST_DEPTH = 16


class Whose(msgspec.Struct, frozen=True):
    """How it is told whose a record is: by name, by a field, or else by what the file or its folder says.

    Attributes:
        tenant: all records are this tenant's.
        field: the field that names the tenant: ``tenant`` of a record, or one of its metadata, where it stays.
        folder: the tenant that the file's place names.
    """

    tenant: str | None = None
    field: str | None = None
    folder: str | None = None


class Checker:
    """Checks rows one by one.

    Args:
        flatten: metadata within metadata become fields ``outer.inner``, instead of being refused.
    """

    def __init__(self, dimension: int, metric: Metric, limits: Limits, *, flatten: bool = False) -> None:
        self._dimension, self._metric, self._limits = dimension, metric, limits
        self._flatten = flatten
        self._seen = Seen()

    @property
    def all_remembered(self) -> bool:
        """Whether every id was compared with all before it."""
        return not self._seen.full

    def check(self, row: Row, whose: Whose) -> tuple[str, Record] | Problem:
        """The record and its tenant, or what is wrong with it."""
        if row.problem is not None:
            return row.problem
        try:
            tenant = check_tenant_name(_tenant(row, whose), self._limits)
            id = check_id(row.id, "id", self._limits)
            values = check_vector(_numbers(row.values), "values", self._dimension, self._metric)
            metadata = row.metadata
            if self._flatten and isinstance(metadata, dict):
                metadata = flattened(metadata)
            record = Record(id, values, check_metadata(metadata, "metadata", self._limits))
        except InvalidArgument as error:
            return Problem(error.field, str(error))
        if not self._seen.add(f"{tenant}\x00{id}"):
            return Problem("id", f"id: {id!r} comes twice for tenant {tenant!r}; the first one is kept")
        return tenant, record


def _tenant(row: Row, whose: Whose) -> Any:
    if whose.tenant is not None:
        return whose.tenant
    if whose.field is not None:
        if whose.field in ("tenant", "namespace") and row.tenant is not None:
            return row.tenant
        found = row.metadata.get(whose.field) if isinstance(row.metadata, dict) else None
        if isinstance(found, int) and not isinstance(found, bool):
            return str(found)
        if not isinstance(found, str) or not found:
            raise InvalidArgument(f"metadata.{whose.field}", found, "the name of a tenant, for --tenant-field")
        return found
    if row.tenant is not None:
        return row.tenant
    if whose.folder is None:
        raise InvalidArgument(
            "tenant", None, "a tenant: the file names none; say whose with --tenant or --tenant-field"
        )
    return whose.folder


def _numbers(values: Any) -> Any:
    """Refuses what numpy would take for numbers, such as ``true`` and ``"1"``."""
    if isinstance(values, list):
        for place, one in enumerate(values):
            if type(one) is not float and type(one) is not int:
                raise InvalidArgument(f"values[{place}]", one, "numbers")
    elif not isinstance(values, np.ndarray):
        raise InvalidArgument("values", values, "a list of numbers")
    return values


def flattened(metadata: dict[str, Any]) -> dict[str, Any]:
    """Metadata without metadata within. Raises InvalidArgument: two fields come to have one name, or it is too deep."""
    flat: dict[str, Any] = {}

    def take(inner: dict[str, Any], before: str, depth: int) -> None:
        if depth > MOST_DEPTH:
            raise InvalidArgument("metadata", f"{depth} levels", f"at most {MOST_DEPTH} levels")
        for key, value in inner.items():
            name = f"{before}{key}"
            if isinstance(value, dict):
                take(value, f"{name}.", depth + 1)
            elif name in flat:
                raise InvalidArgument(f"metadata.{name}", value, "names that are still different when flattened")
            else:
                flat[name] = value

    take(metadata, "", 1)
    return flat


class Seen:
    """Which names there were: 64-bit hashes of them, so that of 20 million names two are taken for one with a
    probability of 1 in 90,000 (birthday bound).

    Args:
        part: so many are sorted at once.
    """

    def __init__(self, part: int = 1 << 16) -> None:
        self._part = part
        self._recent: set[int] = set()
        self._older: list[NDArray[np.uint64]] = []
        self._count = 0

    @property
    def full(self) -> bool:
        """Whether no more are remembered."""
        return self._count >= MOST_REMEMBERED

    def add(self, name: str) -> bool:
        """Whether it is new."""
        hashed = mmh3.hash64(name.encode(errors="surrogatepass"), signed=False)[0]
        if hashed in self._recent or any(_holds(part, hashed) for part in self._older):
            return False
        if self.full:
            return True
        self._recent.add(hashed)
        self._count += 1
        if len(self._recent) >= self._part:
            self._older.append(np.sort(np.fromiter(self._recent, np.uint64, len(self._recent))))
            self._recent = set()
            if len(self._older) > MERGED_FROM:
                self._older = [np.sort(np.concatenate(self._older))]
        return True


def _holds(part: NDArray[np.uint64], hashed: int) -> bool:
    place = int(np.searchsorted(part, np.uint64(hashed)))
    return place < len(part) and int(part[place]) == hashed
