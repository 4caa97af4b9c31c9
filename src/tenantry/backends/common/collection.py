"""Collections that others laid out, and a shard of which each namespace is one of them.

Their records stay as they are: metadata are what the engine's users put there, and filters look at them as they are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

import msgspec

from tenantry.backends.common.counting import counted, total
from tenantry.backends.common.gate import Gates
from tenantry.backends.common.index import CommonIndex
from tenantry.backends.common.listing import Listings
from tenantry.model.filters import Filter
from tenantry.model.records import Hit, Metadata, NamespaceStats, Query, Record, Selector
from tenantry.ports import Features

#: What keys of metadata begin with that are not the record's.
OURS = "_tenantry"


class Collection(Protocol):
    """What an engine's adapter does with a collection of others. Filters mean what `tenantry.model.filters` says."""

    #: As `CommonIndex` has them.
    at_once: int
    most_hits: int

    def takes(self, id: str) -> bool:
        """Whether a record that was there before can have such an id."""

    async def kind_of(self, field: str) -> type[str] | type[int] | None:
        """What all values of a field are, of those that can name a tenant; None: either."""

    async def put(self, records: Sequence[Record]) -> None:
        """Write records under the ids that they have."""

    async def remove(self, selector: Selector) -> None:
        """Delete by ids, by a filter, or all; nothing to delete is success."""

    async def get(self, ids: Sequence[str]) -> list[Record]:
        """At most `at_once` records."""

    async def metadata_of(self, ids: Sequence[str]) -> dict[str, Metadata | None]:
        """Of those of at most `at_once` records that are there."""

    async def nearest(self, query: Query, top_k: int) -> list[Hit]:
        """As `CommonIndex.nearest`."""

    async def ids_where(self, condition: Filter | None) -> list[str]:
        """Ids of all that match, in any order; None: of all."""

    def values_of(self, field: str) -> AsyncIterator[list[tuple[str, Any]]]:
        """Of every record that has the field: its id and the value; in pages."""

    async def count(self) -> int:
        """All records, those without the field too."""


class Engine(Protocol):
    """Where collections are."""

    @property
    def features(self) -> Features:
        """Of the collections."""

    async def probe(self) -> object:
        """Reach it. Raises what `VectorBackend.probe` does."""

    async def names(self) -> list[str]:
        """Collections of the shard's dimension and metric, in any order."""

    def collection(self, name: str) -> Collection:
        """A handle; costs nothing."""

    async def make(self, name: str) -> None:
        """Make a collection; one that is there already is success."""

    async def drop(self, name: str) -> None:
        """Remove a collection; one that is not there is success."""

    async def aclose(self) -> None:
        """Close connections."""


class Collections:
    """Implements `VectorBackend`: the engine's collections, under their own names."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.gates = Gates()
        self.listings = Listings()

    @property
    def features(self) -> Features:
        """As the engine's; an update is a read and a write."""
        return msgspec.structs.replace(self.engine.features, atomic_update=False)

    async def probe(self) -> Features:
        """As the engine's."""
        await self.engine.probe()
        return self.features

    async def create(self, namespace: str) -> None:
        """A collection."""
        await self.engine.make(namespace)

    async def drop(self, namespace: str) -> None:
        """The collection and all in it."""
        await self.engine.drop(namespace)

    def index(self, namespace: str) -> WholeCollection:
        """A handle."""
        return WholeCollection(self, namespace)

    async def namespaces(self, after: str | None, limit: int) -> list[str]:
        """The names of the collections."""
        return sorted(name for name in await self.engine.names() if after is None or name > after)[:limit]

    async def stats(self, namespace: str | None = None) -> NamespaceStats:
        """Counted by the engine. No bytes."""
        if namespace is None:
            return total(await self.sizes())
        return NamespaceStats(await self.engine.collection(namespace).count())

    async def sizes(self) -> dict[str, NamespaceStats]:
        """A request to each collection."""
        return await counted(await self.engine.names(), lambda name: self.engine.collection(name).count())

    async def aclose(self) -> None:
        """As the engine's."""
        await self.engine.aclose()


class WholeCollection(CommonIndex):
    """Implements `Index`: all of a collection."""

    def __init__(self, backend: Collections, namespace: str) -> None:
        super().__init__(namespace, backend.gates, backend.listings)
        self._collection = backend.engine.collection(namespace)
        self.at_once = self._collection.at_once
        self.most_hits = self._collection.most_hits

    async def put(self, records: Sequence[Record]) -> None:
        """One request."""
        await self._collection.put(records)

    async def remove(self, selector: Selector) -> None:
        """As the collection does it."""
        await self._collection.remove(selector)

    async def get(self, ids: Sequence[str]) -> list[Record]:
        """One request."""
        return await self._collection.get(ids)

    async def nearest(self, query: Query, top_k: int) -> list[Hit]:
        """One request."""
        return await self._collection.nearest(query, top_k)

    async def every_id(self, prefix: str) -> list[str]:
        """Page by page."""
        return await self._collection.ids_where(None)
