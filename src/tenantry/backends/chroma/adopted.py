"""Collections of Chroma that others laid out.

A record's metadata are Chroma's. Its document and its URI, which Chroma keeps apart, are the fields ``document`` and
``uri`` of the metadata; a text that is written in such a field here is in Chroma's metadata too: filters find it.
Beside them is kept what Chroma does not: the vector's length under cosine, and which lists are empty.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from tenantry.backends.chroma.backend import NAME, REQUEST_BYTES, SPACES, ChromaBackend
from tenantry.backends.chroma.client import Answer, Answers, CollectionInfo, packed
from tenantry.backends.chroma.filters import plain_where_of
from tenantry.backends.common.collection import OURS
from tenantry.backends.common.lengths import at_length, length_of
from tenantry.errors import NotFound, Refused
from tenantry.model.filters import Filter
from tenantry.model.records import ByFilter, ByIds, Hit, Metadata, Metric, Query, Record, Selector, Vector, as_vector
from tenantry.ports import Features

DOCUMENT = "document"
URI = "uri"
APART = frozenset({DOCUMENT, URI})
LENGTH = f"{OURS}-length"
EMPTY = f"{OURS}-empty"
PAGE = 1_000


class AdoptedChroma:
    """Implements `tenantry.backends.common.collection.Engine`; the connection is that of a `ChromaBackend`."""

    def __init__(self, backend: ChromaBackend) -> None:
        self.backend = backend

    @property
    def features(self) -> Features:
        """As with collections of our own."""
        return self.backend.features

    async def probe(self) -> object:
        """Reach the server; hold the collection that was named to the shard's dimension and metric. Raises Refused."""
        await self.backend.probe()
        name = self.backend.options.collection
        if name and not self._fits(await self._info(name)):
            raise Refused(
                f"{self.backend.client.where}: collection {name!r} is not one of {self.backend.dimension} dimensions "
                f"and {self.backend.metric}"
            )
        return None

    async def names(self) -> list[str]:
        """Those with vectors as the shard has them, or none yet, and not made by Tenantry."""
        found: list[str] = []
        offset = 0
        while page := await self.backend.page_of_collections(offset, PAGE):
            found += [one.name for one in page if self._fits(one) and "tenantry" not in (one.metadata or {})]
            offset += len(page)
        return found

    def collection(self, name: str) -> ChromaCollection:
        """A handle."""
        return ChromaCollection(self.backend, name)

    async def make(self, name: str) -> None:
        """With an index as the shard has it. Raises Refused: no name for a collection."""
        if not NAME.fullmatch(name):
            raise Refused(f"{self.backend.client.where}: no collection can be called {name!r}; see Chroma's rules")
        body = {
            "name": name,
            "get_or_create": True,
            "configuration": {"hnsw": {"space": SPACES[self.backend.metric]}},
        }
        await self.backend.client.call("POST", "/collections", CollectionInfo, body)

    async def drop(self, name: str) -> None:
        """The collection and all in it."""
        with contextlib.suppress(NotFound):
            path = f"/collections/{self.backend.name_of(name)}"
            await self.backend.client.call("DELETE", path, Any, namespace=name)

    async def aclose(self) -> None:
        """Close connections."""
        await self.backend.aclose()

    async def _info(self, name: str) -> CollectionInfo:
        try:
            found: CollectionInfo = await self.backend.client.call(
                "GET", f"/collections/{self.backend.name_of(name)}", CollectionInfo, namespace=name
            )
        except NotFound:
            raise Refused(f"{self.backend.client.where} has no collection {name!r}") from None
        return found

    def _fits(self, one: CollectionInfo) -> bool:
        return one.dimension in (None, self.backend.dimension) and one.space in (None, SPACES[self.backend.metric])


class ChromaCollection:
    """Implements `tenantry.backends.common.collection.Collection`."""

    most_hits = 16_384

    def __init__(self, backend: ChromaBackend, name: str) -> None:
        self._backend = backend
        self._name = name
        self._cosine = backend.metric is Metric.COSINE
        self.at_once = max(2, min(1_000, REQUEST_BYTES // (6 * backend.dimension)))

    def takes(self, id: str) -> bool:
        """Any."""
        return True

    async def kind_of(self, field: str) -> None:
        """Either, as there are no columns."""

    async def put(self, records: Sequence[Record]) -> None:
        """Chroma merges what it is given with what is there: fields that are there and are not given are taken away."""
        ids = [record.id for record in records]
        before = await self._stored_of(ids)
        texts = [(record.metadata or {}).get(DOCUMENT) for record in records]
        await self._post(
            "upsert",
            Any,
            {
                "ids": ids,
                "embeddings": [packed(record.values) for record in records],
                "metadatas": [dict.fromkeys(before.get(one.id) or ()) | self._stored(one) or None for one in records],
                "documents": [text if isinstance(text, str) else "" for text in texts],
            },
        )

    async def remove(self, selector: Selector) -> None:
        """By ids in batches, by filter in one request; everything: the ids that there are now."""
        if isinstance(selector, ByFilter):
            await self._post("delete", Any, {"where": plain_where_of(selector.filter, APART)})
            return
        ids = selector.ids if isinstance(selector, ByIds) else await self.ids_where(None)
        for start in range(0, len(ids), self.at_once):
            await self._post("delete", Any, {"ids": list(ids[start : start + self.at_once])})

    async def get(self, ids: Sequence[str]) -> list[Record]:
        """One request."""
        include = ["embeddings", "metadatas", "documents", "uris"]
        found: Answer = await self._post("get", Answer, {"ids": list(ids), "include": include, "limit": len(ids)})
        columns = (found.embeddings or (), found.metadatas or (), found.documents or (), found.uris or ())
        return [
            Record(key, self._values(values, stored), _metadata(stored, document, uri))
            for key, values, stored, document, uri in zip(found.ids, *columns, strict=True)
        ]

    async def metadata_of(self, ids: Sequence[str]) -> dict[str, Metadata | None]:
        """One request. Documents are left out."""
        return {key: _metadata(stored, None, None) for key, stored in (await self._stored_of(ids)).items()}

    async def nearest(self, query: Query, top_k: int) -> list[Hit]:
        """One request."""
        include = ["distances", *["embeddings"] * query.include_values]
        if query.include_values or query.include_metadata:
            include += ["metadatas", "documents", "uris"]
        body: dict[str, Any] = {"query_embeddings": [query.vector.tolist()], "n_results": top_k, "include": include}
        if query.filter is not None:
            body["where"] = plain_where_of(query.filter, APART)
        found: Answers = await self._post("query", Answers, body)
        size = len(found.ids[0])
        columns: list[list[Any]] = [
            column[0] if column else [None] * size
            for column in (found.embeddings, found.metadatas, found.documents, found.uris)
        ]
        embeddings, metadatas, documents, uris = columns
        return [
            Hit(
                found.ids[0][i],
                self._backend.score(found.distances[0][i]),
                self._values(embeddings[i], metadatas[i]) if query.include_values else None,
                _metadata(metadatas[i], documents[i], uris[i]) if query.include_metadata else None,
            )
            for i in range(size)
        ]

    async def ids_where(self, condition: Filter | None) -> list[str]:
        """One request for all: pages by offset would skip some while others are deleted."""
        body: dict[str, Any] = {"include": []}
        if condition is not None:
            body["where"] = plain_where_of(condition, APART)
        found: Answer = await self._post("get", Answer, body)
        return found.ids

    async def values_of(self, field: str) -> AsyncIterator[list[tuple[str, Any]]]:
        """The ids first, then pages of them."""
        ids = await self.ids_where(None)
        for start in range(0, len(ids), PAGE):
            body = {"ids": ids[start : start + PAGE], "include": ["metadatas"], "limit": PAGE}
            found: Answer = await self._post("get", Answer, body)
            pairs = zip(found.ids, found.metadatas or (), strict=True)
            yield [(key, stored[field]) for key, stored in pairs if stored and stored.get(field) is not None]

    async def count(self) -> int:
        """By the server."""
        return int(
            await self._backend.on(
                self._name,
                lambda at: self._backend.client.call("GET", f"/collections/{at}/count", int, namespace=self._name),
            )
        )

    async def _stored_of(self, ids: Sequence[str]) -> dict[str, dict[str, Any] | None]:
        body = {"ids": list(ids), "include": ["metadatas"], "limit": len(ids)}
        found: Answer = await self._post("get", Answer, body)
        return dict(zip(found.ids, found.metadatas or (), strict=True))

    async def _post(self, what: str, kind: Any, body: dict[str, Any]) -> Any:
        return await self._backend.on(
            self._name,
            lambda at: self._backend.client.call("POST", f"/collections/{at}/{what}", kind, body, self._name),
        )

    def _stored(self, record: Record) -> dict[str, Any]:
        stored = dict(record.metadata or {})
        empty = [key for key, value in stored.items() if value == []]
        for key in empty:
            del stored[key]
        if empty:
            stored[EMPTY] = empty
        if self._cosine:
            stored[LENGTH] = length_of(record.values)
        return stored

    def _values(self, values: list[float], stored: dict[str, Any] | None) -> Vector:
        length = (stored or {}).get(LENGTH)
        return as_vector(values) if length is None else at_length(values, float(length))


def _metadata(stored: dict[str, Any] | None, document: str | None, uri: str | None) -> Metadata | None:
    found: Metadata = {key: value for key, value in (stored or {}).items() if key not in (LENGTH, EMPTY)}
    found |= {key: [] for key in (stored or {}).get(EMPTY, ())}
    for field, text in ((DOCUMENT, document), (URI, uri)):
        if text:
            found.setdefault(field, text)
    return found or None
