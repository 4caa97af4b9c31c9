"""Where a namespace's points are, in each layout, and which namespaces there are.

Names are kept in a collection of their own, as points without a meaning: a name is written before what it names is
made, and removed after that is gone; so a crash may leave a name of nothing behind, and a drop can be repeated.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from qdrant_client import AsyncQdrantClient, models

from tenantry.backends.common.known import Known
from tenantry.backends.common.names import hashed
from tenantry.backends.qdrant.filters import TERMS
from tenantry.errors import NotFound, Refused

T = TypeVar("T")
NAMESPACE = "namespace"
PAGE = 1_000


class Caller(Protocol):
    """Calls the client within the time limit; what goes wrong comes out as an error of Tenantry."""

    async def __call__(self, work: Callable[[AsyncQdrantClient], Awaitable[T]], namespace: str = "") -> T:
        """The result of ``work``."""


def point_of(*parts: str) -> str:
    """The id of a point, which Qdrant wants as a UUID: the first half of a hash."""
    return str(uuid.UUID(hashed("\x00".join(parts))[:32]))


class Places:
    """What both layouts share.

    Args:
        vectors: of the collections with records.
        remote: whether there is a server, which is helped by indexes of payload.
    """

    def __init__(self, call: Caller, prefix: str, vectors: models.VectorParams, remote: bool) -> None:
        self._call = call
        self._prefix = prefix
        self._vectors = vectors
        self._remote = remote
        self._names = f"{prefix}_names"
        self._has_names = False

    async def names(self) -> list[str]:
        """Of all namespaces."""
        if not await self._call(lambda client: client.collection_exists(self._names)):
            return []
        found: list[str] = []
        offset: Any = None
        while True:
            points, offset = await self._call(
                lambda client, at=offset: client.scroll(  # type: ignore[misc]
                    self._names, limit=PAGE, offset=at, with_payload=True, with_vectors=False
                )
            )
            found += [(point.payload or {})["name"] for point in points]
            if offset is None:
                return found

    async def _note(self, namespace: str) -> None:
        if not self._has_names:
            await self._make(self._names, models.VectorParams(size=1, distance=models.Distance.DOT))
            self._has_names = True
        point = models.PointStruct(id=point_of(namespace), vector=[1.0], payload={"name": namespace})
        await self._call(lambda client: client.upsert(self._names, [point], wait=True))

    async def _forget(self, namespace: str) -> None:
        if await self._call(lambda client: client.collection_exists(self._names)):
            await self._call(lambda client: client.delete(self._names, [point_of(namespace)], wait=True))

    async def _make(self, collection: str, vectors: models.VectorParams, **indexes: Any) -> None:
        """The collection, also when another process makes it at the same time."""
        if not await self._call(lambda client: client.collection_exists(collection)):
            try:
                await self._call(lambda client: client.create_collection(collection, vectors_config=vectors))
            except Refused:
                if not await self._call(lambda client: client.collection_exists(collection)):
                    raise
        for field, kind in indexes.items() if self._remote else ():
            await self._call(
                lambda client, field=field, kind=kind: client.create_payload_index(collection, field, kind, wait=True)  # type: ignore[misc]
            )


class OwnCollections(Places):
    """The layout ``collections``."""

    def collection(self, namespace: str) -> str:
        """Where its points are."""
        return f"{self._prefix}_{hashed(namespace)}"

    def condition(self, namespace: str) -> models.Filter | None:
        """Which of the points there are its own: all."""
        return None

    async def check(self, namespace: str) -> None:
        """The server says so itself when the namespace is not there."""

    async def create(self, namespace: str) -> None:
        """Make it."""
        await self._note(namespace)
        await self._make(self.collection(namespace), self._vectors, **{TERMS: models.PayloadSchemaType.KEYWORD})

    async def drop(self, namespace: str) -> None:
        """Remove it."""
        await self._call(lambda client: client.delete_collection(self.collection(namespace)))
        await self._forget(namespace)


class TenantKey(Places):
    """The layout ``tenants``: whether a namespace is there is known from its name, asked for now and then."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._known = Known(self._is_noted)
        self._has_records = False

    def collection(self, namespace: str) -> str:
        """Where its points are."""
        return f"{self._prefix}_records"

    def condition(self, namespace: str) -> models.Filter | None:
        """Which of the points there are its own."""
        return self._own(namespace)

    async def check(self, namespace: str) -> None:
        """Raises NotFound."""
        await self._known.check(namespace)

    async def create(self, namespace: str) -> None:
        """Make it. Points of a late write after its last drop go first."""
        if not self._has_records:
            tenant = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
            indexes = {NAMESPACE: tenant, TERMS: models.PayloadSchemaType.KEYWORD}
            await self._make(self.collection(namespace), self._vectors, **indexes)
            self._has_records = True
        try:
            await self.check(namespace)
        except NotFound:
            await self._clear(namespace)
            await self._note(namespace)

    async def drop(self, namespace: str) -> None:
        """Remove it."""
        self._known.forget(namespace)
        await self._clear(namespace)
        await self._forget(namespace)

    def _own(self, namespace: str) -> models.Filter:
        match = models.MatchValue(value=hashed(namespace))
        return models.Filter(must=[models.FieldCondition(key=NAMESPACE, match=match)])

    async def _is_noted(self, namespace: str) -> bool:
        try:
            return bool(await self._call(lambda client: client.retrieve(self._names, [point_of(namespace)]), namespace))
        except NotFound:
            return False

    async def _clear(self, namespace: str) -> None:
        collection = self.collection(namespace)
        if await self._call(lambda client: client.collection_exists(collection)):
            own = models.FilterSelector(filter=self._own(namespace))
            await self._call(lambda client: client.delete(collection, own, wait=True))
