"""`VectorBackend` on Qdrant.

A record is a point whose id is a hash of the record's; its payload has the id, the metadata (as JSON text), their
terms and numbers, which filters look at (`tenantry.backends.common.terms`), and, under cosine, the vector's length,
since Qdrant keeps vectors at length 1.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

import msgspec
from qdrant_client import AsyncQdrantClient, models

from tenantry.backends.common.counting import counted, total
from tenantry.backends.common.gate import Gates
from tenantry.backends.common.index import CommonIndex
from tenantry.backends.common.lengths import at_length, length_of
from tenantry.backends.common.listing import Listings
from tenantry.backends.common.names import hashed
from tenantry.backends.common.terms import ALWAYS, Has, in_terms, numbers_of, terms_of
from tenantry.backends.qdrant.errors import translated
from tenantry.backends.qdrant.filters import NUMBERS, TERMS, filter_of
from tenantry.backends.qdrant.options import MEMORY, QdrantOptions
from tenantry.backends.qdrant.places import NAMESPACE, OwnCollections, TenantKey, point_of
from tenantry.model.records import (
    ByFilter,
    ByIds,
    Hit,
    Metadata,
    Metric,
    NamespaceStats,
    Query,
    Record,
    Selector,
    Vector,
    as_vector,
)
from tenantry.ports import Features

T = TypeVar("T")
DISTANCES = {
    Metric.COSINE: models.Distance.COSINE,
    Metric.DOTPRODUCT: models.Distance.DOT,
    Metric.EUCLIDEAN: models.Distance.EUCLID,
}
ID = "id"
WHOLE = "metadata"
LENGTH = "length"
SCROLL = 10_000
#: Bytes of the vectors of one request as JSON; the server takes 32 MiB unless told otherwise.
REQUEST_BYTES = 8 * 2**20


class QdrantBackend:
    """Implements `VectorBackend`."""

    def __init__(
        self, dimension: int, metric: Metric, prefix: str = "tenantry", options: QdrantOptions = QdrantOptions()
    ) -> None:
        options.check()
        self.dimension = dimension
        self.metric = metric
        self.options = options
        self.gates = Gates()
        self.listings = Listings()
        self.where = f"Qdrant at {options.url or options.path}"
        self._api_key = options.api_key()
        self._client: AsyncQdrantClient | None = None
        alone = options.layout == "collections"
        hnsw = models.HnswConfigDiff(
            m=options.m if alone else 0, payload_m=None if alone else options.m, ef_construct=options.ef_construct
        )
        vectors = models.VectorParams(size=dimension, distance=DISTANCES[metric], hnsw_config=hnsw)
        self.places = (OwnCollections if alone else TenantKey)(self.call, prefix, vectors, bool(options.url))

    @property
    def features(self) -> Features:
        """Under cosine values lose their last digits."""
        return Features(
            filters=True, read_your_writes=True, exact_counts=True, exact_values=self.metric is not Metric.COSINE
        )

    async def probe(self) -> Features:
        """List collections. Raises Unavailable."""
        await self.call(lambda client: client.get_collections())
        return self.features

    async def create(self, namespace: str) -> None:
        """As the layout has it."""
        await self.places.create(namespace)

    async def drop(self, namespace: str) -> None:
        """As the layout has it."""
        await self.places.drop(namespace)

    def index(self, namespace: str) -> QdrantIndex:
        """A handle."""
        return QdrantIndex(self, namespace)

    async def namespaces(self, after: str | None, limit: int) -> list[str]:
        """From the collection of names."""
        return sorted(name for name in await self.places.names() if after is None or name > after)[:limit]

    async def stats(self, namespace: str | None = None) -> NamespaceStats:
        """Counted by the server; of a whole shard by as many requests as it has namespaces. No bytes."""
        return total(await self.sizes()) if namespace is None else NamespaceStats(await self._count(namespace))

    async def sizes(self) -> dict[str, NamespaceStats]:
        """A count of each namespace."""
        return await counted(await self.places.names(), self._count)

    async def aclose(self) -> None:
        """Close connections; an engine in this process forgets what it had in memory only."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def call(self, work: Callable[[AsyncQdrantClient], Awaitable[T]], namespace: str = "") -> T:
        """Something with the client, within the time limit; what goes wrong comes out as an error of Tenantry."""
        with translated(self.where, namespace):
            if self._client is None:
                self._client = self._connected()
            return await work(self._client)

    def search_params(self, top_k: int) -> models.SearchParams | None:
        """For a server; the engine in this process searches exactly, and warns of them."""
        return models.SearchParams(hnsw_ef=max(self.options.ef_search, top_k)) if self.options.url else None

    def score(self, score: float) -> float:
        """Qdrant's as Tenantry gives it."""
        if self.metric is Metric.EUCLIDEAN:
            return -score * score
        return max(-1.0, min(1.0, score)) if self.metric is Metric.COSINE else score

    def _connected(self) -> AsyncQdrantClient:
        options = self.options
        if options.path:
            place = {"location": MEMORY} if options.path == MEMORY else {"path": options.path}
            return AsyncQdrantClient(**cast(dict[str, Any], place))
        return AsyncQdrantClient(
            url=options.url,
            api_key=self._api_key,
            timeout=options.request_s,
            pool_size=options.connections,
            check_compatibility=False,  # it would ask the server from within the constructor
        )

    async def _count(self, namespace: str) -> int:
        await self.places.check(namespace)
        found = await self.call(
            lambda client: client.count(
                self.places.collection(namespace), count_filter=self.places.condition(namespace), exact=True
            ),
            namespace,
        )
        return int(found.count)


class QdrantIndex(CommonIndex):
    """Implements `Index`."""

    def __init__(self, backend: QdrantBackend, namespace: str) -> None:
        super().__init__(namespace, backend.gates, backend.listings)
        self._backend = backend
        self._places = backend.places
        self._collection = backend.places.collection(namespace)
        self._own = backend.places.condition(namespace)
        self._consistency: Any = backend.options.read_consistency()
        self.at_once = max(1, min(1_000, REQUEST_BYTES // (12 * backend.dimension)))

    async def put(self, records: Sequence[Record]) -> None:
        """One request."""
        points = [
            models.PointStruct(id=self._point(record.id), vector=record.values.tolist(), payload=self._stored(record))
            for record in records
        ]
        await self._call(lambda client: client.upsert(self._collection, points, wait=True))

    async def remove(self, selector: Selector) -> None:
        """By ids in batches, else in one request."""
        if isinstance(selector, ByIds):
            for start in range(0, len(selector.ids), self.at_once):
                points = [self._point(key) for key in selector.ids[start : start + self.at_once]]
                await self._delete(points)
            return
        condition = in_terms(selector.filter) if isinstance(selector, ByFilter) else Has((ALWAYS,))
        await self._delete(models.FilterSelector(filter=self._within(filter_of(condition))))

    async def get(self, ids: Sequence[str]) -> list[Record]:
        """One request."""
        points = [self._point(key) for key in ids]
        found = await self._call(
            lambda client: client.retrieve(
                self._collection, points, with_payload=True, with_vectors=True, consistency=self._consistency
            )
        )
        return [
            Record((point.payload or {})[ID], self._values(point.vector, point.payload), _metadata(point.payload))
            for point in found
        ]

    async def nearest(self, query: Query, top_k: int) -> list[Hit]:
        """One request."""
        fields = [ID, *[WHOLE] * query.include_metadata, *[LENGTH] * query.include_values]
        condition = self._own if query.filter is None else self._within(filter_of(in_terms(query.filter)))
        found = await self._call(
            lambda client: client.query_points(
                self._collection,
                query=query.vector.tolist(),
                query_filter=condition,
                limit=top_k,
                search_params=self._backend.search_params(top_k),
                with_payload=fields,
                with_vectors=query.include_values,
                consistency=self._consistency,
            )
        )
        return [
            Hit(
                (point.payload or {})[ID],
                self._backend.score(point.score),
                self._values(point.vector, point.payload) if query.include_values else None,
                _metadata(point.payload) if query.include_metadata else None,
            )
            for point in found.points
        ]

    async def every_id(self, prefix: str) -> list[str]:
        """Page by page, in the order of points."""
        found: list[str] = []
        offset: Any = None
        while True:
            points, offset = await self._call(
                lambda client, at=offset: client.scroll(  # type: ignore[misc]
                    self._collection,
                    scroll_filter=self._own,
                    limit=SCROLL,
                    offset=at,
                    with_payload=[ID],
                    with_vectors=False,
                    consistency=self._consistency,
                )
            )
            found += [(point.payload or {})[ID] for point in points]
            if offset is None:
                return found

    async def _call(self, work: Callable[[AsyncQdrantClient], Awaitable[T]]) -> T:
        await self._places.check(self.namespace)
        return await self._backend.call(work, self.namespace)

    async def _delete(self, selector: Any) -> None:
        await self._call(lambda client: client.delete(self._collection, selector, wait=True))

    def _within(self, condition: models.Filter) -> models.Filter:
        return condition if self._own is None else models.Filter(must=[self._own, condition])

    def _point(self, id: str) -> str:
        return point_of(self.namespace, id)

    def _stored(self, record: Record) -> dict[str, Any]:
        stored: dict[str, Any] = {
            ID: record.id,
            NAMESPACE: hashed(self.namespace),
            WHOLE: msgspec.json.encode(record.metadata or {}).decode(),
            TERMS: terms_of(record.metadata),
            NUMBERS: numbers_of(record.metadata),
        }
        if self._backend.metric is Metric.COSINE:
            stored[LENGTH] = length_of(record.values)
        return stored

    def _values(self, values: Any, stored: dict[str, Any] | None) -> Vector:
        if self._backend.metric is not Metric.COSINE:
            return as_vector(values)
        return at_length(values, float((stored or {})[LENGTH]))


def _metadata(stored: dict[str, Any] | None) -> Metadata | None:
    found: Metadata = msgspec.json.decode((stored or {})[WHOLE])
    return found or None
