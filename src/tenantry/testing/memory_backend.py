"""A vector backend in plain dictionaries: the simplest thing that keeps the contract.

For tests of what stands above the backends. Faults are set from outside: `MemoryBackend.fail_with` makes every
call raise, `MemoryBackend.gate` makes every call wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import numpy as np

from tenantry.errors import NotFound, TenantryError
from tenantry.model.filters import matches
from tenantry.model.records import (
    ByFilter,
    ByIds,
    Found,
    FoundIn,
    Hit,
    IdPage,
    Metric,
    NamespaceStats,
    Page,
    Query,
    Record,
    Selector,
    Update,
    Vector,
)
from tenantry.ports import Features


class MemoryBackend:
    """Implements `VectorBackend`; exact, forgetful, for small data.

    Attributes:
        metric: of the scores.
        dimension: what the contract suite fills it with; not enforced.
        fail_with: raised by every call on data while it is set.
        gate: every call on data waits until it is set.
        calls: names of the calls on data, in order.
        many: claims, and keeps, ``Features.many_namespace_query``.
    """

    def __init__(self, metric: Metric = Metric.COSINE, dimension: int = 8, many: bool = False) -> None:
        self.many = many
        self.metric = metric
        self.dimension = dimension
        self.data: dict[str, dict[str, Record]] = {}
        self.fail_with: TenantryError | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.calls: list[str] = []
        self.closed = False

    @property
    def features(self) -> Features:
        """All but what only engines have."""
        return Features(
            filters=True,
            atomic_update=True,
            read_your_writes=True,
            exact_counts=True,
            many_namespace_query=self.many,
        )

    async def probe(self) -> Features:
        """It is there."""
        return self.features

    async def create(self, namespace: str) -> None:
        """Idempotent."""
        await self.enter("create")
        self.data.setdefault(namespace, {})

    async def drop(self, namespace: str) -> None:
        """Idempotent."""
        await self.enter("drop")
        self.data.pop(namespace, None)

    def index(self, namespace: str) -> MemoryIndex:
        """A handle."""
        return MemoryIndex(self, namespace)

    async def namespaces(self, after: str | None, limit: int) -> list[str]:
        """By name."""
        await self.enter("namespaces")
        return sorted(name for name in self.data if after is None or name > after)[:limit]

    async def stats(self, namespace: str | None = None) -> NamespaceStats:
        """Exact vectors; no bytes."""
        await self.enter("stats")
        if namespace is None:
            return NamespaceStats(sum(map(len, self.data.values())))
        return NamespaceStats(len(self.rows(namespace)))

    async def sizes(self) -> dict[str, NamespaceStats]:
        """As `stats`."""
        await self.enter("sizes")
        return {name: NamespaceStats(len(rows)) for name, rows in self.data.items()}

    async def aclose(self) -> None:
        """Remembers that it was closed."""
        self.closed = True

    async def query_many(self, namespaces: Sequence[str], query: Query, per_namespace: int | None = None) -> Found:
        """One by one, at one moment."""
        await self.enter("query_many")
        missing = tuple(name for name in namespaces if name not in self.data)
        hits = [
            (place, FoundIn(name, hit))
            for place, name in enumerate(namespaces)
            if name in self.data
            for hit in nearest(self.metric, self.data[name], query)[:per_namespace]
        ]
        hits.sort(key=lambda one: (-one[1].hit.score, one[0], one[1].hit.id))
        return Found([found for _, found in hits[: query.top_k]], missing)

    async def enter(self, call: str) -> None:
        """What every call goes through first."""
        self.calls.append(call)
        await self.gate.wait()
        if self.fail_with is not None:
            raise self.fail_with

    def rows(self, namespace: str) -> dict[str, Record]:
        """Records of a namespace. Raises NotFound."""
        if namespace not in self.data:
            raise NotFound("namespace", namespace)
        return self.data[namespace]


class MemoryIndex:
    """Implements `Index`."""

    def __init__(self, backend: MemoryBackend, namespace: str) -> None:
        self._backend = backend
        self._namespace = namespace

    async def upsert(self, records: Sequence[Record]) -> None:
        """Replace by id."""
        (await self._rows("upsert")).update({record.id: record for record in records})

    async def update(self, update: Update) -> bool:
        """Merge metadata, replace values."""
        rows = await self._rows("update")
        old = rows.get(update.id)
        if old is None:
            return False
        values = old.values if update.values is None else update.values
        metadata = {**(old.metadata or {}), **(update.set_metadata or {})} or None
        rows[update.id] = Record(update.id, values, metadata)
        return True

    async def delete(self, selector: Selector) -> None:
        """By ids, by filter or all."""
        rows = await self._rows("delete")
        if isinstance(selector, ByIds):
            gone = [key for key in selector.ids if key in rows]
        elif isinstance(selector, ByFilter):
            gone = [key for key, record in rows.items() if matches(selector.filter, record.metadata)]
        else:
            gone = list(rows)
        for key in gone:
            del rows[key]

    async def fetch(self, ids: Sequence[str]) -> dict[str, Record]:
        """Those that exist."""
        rows = await self._rows("fetch")
        return {key: rows[key] for key in ids if key in rows}

    async def query(self, query: Query) -> list[Hit]:
        """Exact, by looking at everything."""
        return nearest(self._backend.metric, await self._rows("query"), query)

    async def scan(self, cursor: str | None, limit: int, prefix: str = "") -> Page:
        """By id."""
        rows = await self._rows("scan")
        ids = sorted(key for key in rows if key.startswith(prefix) and (cursor is None or key > cursor))
        page = [rows[key] for key in ids[:limit]]
        return Page(page, page[-1].id if len(ids) > limit else None)

    async def list_ids(self, cursor: str | None, limit: int, prefix: str = "") -> IdPage:
        """By id."""
        page = await self.scan(cursor, limit, prefix)
        return IdPage([record.id for record in page.records], page.cursor)

    async def _rows(self, call: str) -> dict[str, Record]:
        await self._backend.enter(call)
        return self._backend.rows(self._namespace)


def nearest(metric: Metric, rows: Mapping[str, Record], query: Query) -> list[Hit]:
    """The answer of a namespace with these records."""
    chosen = [r for r in rows.values() if query.filter is None or matches(query.filter, r.metadata)]
    scored = sorted((-score(metric, r.values, query.vector), r.id) for r in chosen)
    return [
        Hit(
            key,
            -negative,
            rows[key].values if query.include_values else None,
            rows[key].metadata if query.include_metadata else None,
        )
        for negative, key in scored[: query.top_k]
    ]


def score(metric: Metric, left: Vector, right: Vector) -> float:
    """The score that `Metric` defines, in float64."""
    a, b = left.astype(np.float64), right.astype(np.float64)
    if metric is Metric.COSINE:
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    if metric is Metric.DOTPRODUCT:
        return float(a @ b)
    return -float(((a - b) ** 2).sum())
