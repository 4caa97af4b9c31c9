"""Collections of Qdrant that others laid out: any payload, whole numbers and UUIDs as ids.

A record's metadata are its payload. Beside them is kept what Qdrant does not: an id of another kind, and, of records
that are written here, the vector's length under cosine, which Qdrant makes 1, and which lists are empty, which Qdrant
takes to be missing. Of payload that others wrote null and empty lists count as missing.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

from qdrant_client import AsyncQdrantClient, models

from tenantry.backends.common.collection import OURS
from tenantry.backends.common.lengths import at_length, length_of
from tenantry.backends.qdrant.backend import DISTANCES, REQUEST_BYTES, SCROLL, QdrantBackend
from tenantry.backends.qdrant.payload import EMPTY, payload_filter, payload_key
from tenantry.backends.qdrant.places import point_of
from tenantry.errors import NotFound, Refused
from tenantry.model.filters import Compare, Filter, Op
from tenantry.model.records import ByFilter, ByIds, Hit, Metadata, Metric, Query, Record, Selector, Vector, as_vector
from tenantry.ports import Features

T = TypeVar("T")
ID = f"{OURS}-id"
LENGTH = f"{OURS}-length"
#: Collections that are looked at at once.
ABREAST = 16
MOST_NUMBER = 2**64


class AdoptedQdrant:
    """Implements `tenantry.backends.common.collection.Engine`; the connection is that of a `QdrantBackend`."""

    def __init__(self, backend: QdrantBackend) -> None:
        self.backend = backend

    @property
    def features(self) -> Features:
        """As with collections of our own."""
        return self.backend.features

    async def probe(self) -> object:
        """List collections; hold the one that was named to the shard's dimension and metric. Raises Refused."""
        await self.backend.probe()
        name = self.backend.options.collection
        if name and not await self._fits(name):
            raise Refused(
                f"{self.backend.where}: collection {name!r} is not one of {self.backend.dimension} dimensions and "
                f"{self.backend.metric}"
            )
        return None

    async def names(self) -> list[str]:
        """Those with vectors as the shard has them."""
        listed = await self.backend.call(lambda client: client.get_collections())
        turn = asyncio.Semaphore(ABREAST)

        async def fits(name: str) -> bool:
            async with turn:
                return await self._fits(name)

        names = [each.name for each in listed.collections]
        return [name for name, good in zip(names, await asyncio.gather(*map(fits, names)), strict=True) if good]

    def collection(self, name: str) -> QdrantCollection:
        """A handle."""
        return QdrantCollection(self.backend, name)

    async def make(self, name: str) -> None:
        """With vectors as the shard has them."""
        call = self.backend.call
        if await call(lambda client: client.collection_exists(name)):
            return
        own = models.VectorParams(size=self.backend.dimension, distance=DISTANCES[self.backend.metric])
        vector = self.backend.options.vector
        try:
            await call(lambda client: client.create_collection(name, vectors_config={vector: own} if vector else own))
        except Refused:
            if not await call(lambda client: client.collection_exists(name)):
                raise

    async def drop(self, name: str) -> None:
        """The collection and all in it."""
        await self.backend.call(lambda client: client.delete_collection(name))

    async def aclose(self) -> None:
        """Close connections."""
        await self.backend.aclose()

    async def _fits(self, name: str) -> bool:
        try:
            found = await self.backend.call(lambda client: client.get_collection(name), name)
        except NotFound:
            return False
        vectors: Any = found.config.params.vectors
        vector = self.backend.options.vector
        if isinstance(vectors, dict) == (not vector):
            return False
        one = vectors.get(vector) if vector else vectors
        return one is not None and (one.size, one.distance) == (self.backend.dimension, DISTANCES[self.backend.metric])


class QdrantCollection:
    """Implements `tenantry.backends.common.collection.Collection`."""

    most_hits = 16_384

    def __init__(self, backend: QdrantBackend, name: str) -> None:
        self._backend = backend
        self._name = name
        self._vector = backend.options.vector
        self._consistency: Any = backend.options.read_consistency()
        self._cosine = backend.metric is Metric.COSINE
        self.at_once = max(2, min(1_000, REQUEST_BYTES // (12 * backend.dimension)))

    def takes(self, id: str) -> bool:
        """A whole number, or a UUID."""
        return isinstance(_point(id), int) or _is_uuid(id)

    async def kind_of(self, field: str) -> None:
        """Either, as there are no columns."""

    async def put(self, records: Sequence[Record]) -> None:
        """One request."""
        points = [
            models.PointStruct(
                id=_point(record.id),
                vector={self._vector: record.values.tolist()} if self._vector else record.values.tolist(),
                payload=self._stored(record),
            )
            for record in records
        ]
        await self._call(lambda client: client.upsert(self._name, points, wait=True))

    async def remove(self, selector: Selector) -> None:
        """By ids in batches, else in one request."""
        if isinstance(selector, ByIds):
            for start in range(0, len(selector.ids), self.at_once):
                points: Any = [_point(key) for key in selector.ids[start : start + self.at_once]]
                await self._call(lambda client, some=points: client.delete(self._name, some, wait=True))  # type: ignore[misc]
            return
        condition = payload_filter(selector.filter) if isinstance(selector, ByFilter) else models.Filter()
        chosen = models.FilterSelector(filter=condition)
        await self._call(lambda client: client.delete(self._name, chosen, wait=True))

    async def get(self, ids: Sequence[str]) -> list[Record]:
        """One request."""
        points = [_point(key) for key in ids]
        found = await self._call(
            lambda client: client.retrieve(
                self._name, points, with_payload=True, with_vectors=self._wanted, consistency=self._consistency
            )
        )
        return [Record(_id(one), self._values(one), _metadata(one.payload)) for one in found]

    async def metadata_of(self, ids: Sequence[str]) -> dict[str, Metadata | None]:
        """One request."""
        points = [_point(key) for key in ids]
        found = await self._call(
            lambda client: client.retrieve(self._name, points, with_payload=True, consistency=self._consistency)
        )
        return {_id(one): _metadata(one.payload) for one in found}

    async def nearest(self, query: Query, top_k: int) -> list[Hit]:
        """One request."""
        condition = None if query.filter is None else payload_filter(query.filter)
        found = await self._call(
            lambda client: client.query_points(
                self._name,
                query=query.vector.tolist(),
                using=self._vector or None,
                query_filter=condition,
                limit=top_k,
                search_params=self._backend.search_params(top_k),
                with_payload=True if query.include_metadata else [ID, LENGTH],
                with_vectors=self._wanted if query.include_values else False,
                consistency=self._consistency,
            )
        )
        return [
            Hit(
                _id(one),
                self._backend.score(one.score),
                self._values(one) if query.include_values else None,
                _metadata(one.payload) if query.include_metadata else None,
            )
            for one in found.points
        ]

    async def ids_where(self, condition: Filter | None) -> list[str]:
        """Page by page."""
        return [_id(one) async for page in self._pages(condition, [ID]) for one in page]

    async def values_of(self, field: str) -> AsyncIterator[list[tuple[str, Any]]]:
        """Page by page."""
        async for page in self._pages(Compare(field, Op.EXISTS, True), [ID, payload_key(field)]):
            yield [(_id(one), (one.payload or {})[field]) for one in page]

    async def count(self) -> int:
        """By the server."""
        return int((await self._call(lambda client: client.count(self._name, exact=True))).count)

    @property
    def _wanted(self) -> Any:
        return [self._vector] if self._vector else True

    async def _pages(self, condition: Filter | None, fields: list[str]) -> AsyncIterator[list[Any]]:
        own = None if condition is None else payload_filter(condition)
        offset: Any = None
        while True:
            points, offset = await self._call(
                lambda client, at=offset: client.scroll(  # type: ignore[misc]
                    self._name,
                    scroll_filter=own,
                    limit=SCROLL,
                    offset=at,
                    with_payload=fields,
                    with_vectors=False,
                    consistency=self._consistency,
                )
            )
            yield points
            if offset is None:
                return

    async def _call(self, work: Callable[[AsyncQdrantClient], Awaitable[T]]) -> T:
        return await self._backend.call(work, self._name)

    def _stored(self, record: Record) -> dict[str, Any]:
        stored = dict(record.metadata or {})
        if not self.takes(record.id):
            stored[ID] = record.id
        if self._cosine:
            stored[LENGTH] = length_of(record.values)
        empty = [key for key, value in stored.items() if value == []]
        return stored | {EMPTY: empty} if empty else stored

    def _values(self, point: Any) -> Vector:
        values = point.vector[self._vector] if self._vector else point.vector
        length = (point.payload or {}).get(LENGTH)
        return as_vector(values) if length is None else at_length(values, float(length))


def _point(id: str) -> int | str:
    """The id of a record's point: its own where Qdrant takes it, else a UUID made of it."""
    if id.isascii() and id.isdigit() and id == str(int(id)) and int(id) < MOST_NUMBER:
        return int(id)
    return id if _is_uuid(id) else point_of(id)


def _is_uuid(id: str) -> bool:
    try:
        return str(uuid.UUID(id)) == id
    except ValueError:
        return False


def _id(point: Any) -> str:
    return str((point.payload or {}).get(ID, point.id))


def _metadata(stored: dict[str, Any] | None) -> Metadata | None:
    given = stored or {}
    empty = given.get(EMPTY, [])
    found = {
        key: value
        for key, value in given.items()
        if key not in (ID, LENGTH, EMPTY) and value is not None and (value != [] or key in empty)
    }
    return found or None
