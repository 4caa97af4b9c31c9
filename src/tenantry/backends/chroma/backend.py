"""`VectorBackend` on a Chroma server.

A namespace is a collection, named by the shard's prefix and a hash; its own name is in the collection's metadata. A
record's metadata are kept as JSON, and beside it as terms and numbers (`tenantry.backends.common.terms`), since
Chroma's filters tell 1 from 1.0, and a merge is what an upsert does to metadata there: all keys that count are written
every time. Under cosine Chroma gives vectors back at length 1 once it has indexed them; their length is kept beside.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec

from tenantry.backends.chroma.client import Answer, Answers, Client, CollectionInfo, packed
from tenantry.backends.chroma.filters import TERMS, where_of
from tenantry.backends.chroma.options import ChromaOptions
from tenantry.backends.common.counting import counted, total
from tenantry.backends.common.gate import Gates
from tenantry.backends.common.index import CommonIndex
from tenantry.backends.common.lengths import at_length, length_of
from tenantry.backends.common.listing import Listings
from tenantry.backends.common.names import hashed
from tenantry.backends.common.terms import in_terms, numbers_of, terms_of
from tenantry.errors import NotFound, Refused
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
SPACES = {Metric.COSINE: "cosine", Metric.DOTPRODUCT: "ip", Metric.EUCLIDEAN: "l2"}
#: Keys of a record's metadata in Chroma, beside `TERMS` and the numbers.
WHOLE = "metadata"
LENGTH = "length"
#: What Chroma lets a collection be called.
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,510}[a-zA-Z0-9]")
#: Collections that one page of a listing shows.
PAGE = 1_000
#: Bytes of the vectors of one request; the server takes 40 MiB unless told otherwise.
REQUEST_BYTES = 16 * 2**20


class ChromaBackend:
    """Implements `VectorBackend`."""

    def __init__(
        self, dimension: int, metric: Metric, prefix: str = "tenantry", options: ChromaOptions = ChromaOptions()
    ) -> None:
        self.dimension = dimension
        self.metric = metric
        self.prefix = prefix
        self.options = options
        self.client = Client(
            options.url, options.tenant, options.database, options.headers(), options.connections, options.request_s
        )
        self.gates = Gates()
        self.listings = Listings()
        self._ids: dict[str, str] = {}

    @property
    def features(self) -> Features:
        """Under cosine values lose their last digits."""
        return Features(
            filters=True,
            read_your_writes=True,
            exact_counts=True,
            exact_values=self.metric is not Metric.COSINE,
        )

    async def probe(self) -> Features:
        """Ask for the database. Raises Unavailable, Refused."""
        await self.client.call("GET", "", dict)
        await self.page_of_collections(0, 1)
        return self.features

    async def create(self, namespace: str) -> None:
        """A collection of its own."""
        body = {
            "name": self.name_of(namespace),
            "get_or_create": True,
            "metadata": {"tenantry": self.prefix, "namespace": namespace},
            "configuration": {
                "hnsw": {
                    "space": SPACES[self.metric],
                    "ef_search": self.options.ef_search,
                    "ef_construction": self.options.ef_construction,
                    "max_neighbors": self.options.max_neighbors,
                }
            },
        }
        made = await self.client.call("POST", "/collections", CollectionInfo, body)
        if made.dimension not in (None, self.dimension):
            raise Refused(
                f"{self.client.where}: collection {made.name} holds vectors of {made.dimension} dimensions, "
                f"not {self.dimension}; give the shard another prefix"
            )
        self._ids[namespace] = made.id

    async def drop(self, namespace: str) -> None:
        """The collection and all in it."""
        self._ids.pop(namespace, None)
        with contextlib.suppress(NotFound):
            await self.client.call("DELETE", f"/collections/{self.name_of(namespace)}", Any, namespace=namespace)

    def index(self, namespace: str) -> ChromaIndex:
        """A handle."""
        return ChromaIndex(self, namespace)

    async def namespaces(self, after: str | None, limit: int) -> list[str]:
        """From the collections' metadata."""
        return sorted(name for name in await self._all() if after is None or name > after)[:limit]

    async def stats(self, namespace: str | None = None) -> NamespaceStats:
        """Counted by the server; of a whole shard by as many requests as it has namespaces. No bytes."""
        if namespace is not None:
            return NamespaceStats(await self.on(namespace, lambda at: self._count(at, namespace)))
        return total(await self.sizes())

    async def sizes(self) -> dict[str, NamespaceStats]:
        """A request to each collection."""
        ids = await self._all()
        return await counted(ids, lambda name: self._count(ids[name], name))

    async def aclose(self) -> None:
        """Close connections."""
        await self.client.aclose()

    async def on(self, namespace: str, work: Callable[[str], Awaitable[T]]) -> T:
        """Call ``work`` with the collection's id, and once more when the id turns out to be an old one. Raises
        NotFound."""
        known = self._ids.get(namespace)
        if known is not None:
            try:
                return await work(known)
            except NotFound:
                self._ids.pop(namespace, None)
        path = f"/collections/{self.name_of(namespace)}"
        found = await self.client.call("GET", path, CollectionInfo, namespace=namespace)
        self._ids[namespace] = found.id
        return await work(found.id)

    def score(self, distance: float) -> float:
        """Chroma's distance as a score."""
        if self.metric is Metric.EUCLIDEAN:
            return -distance
        score = 1.0 - distance
        return max(-1.0, min(1.0, score)) if self.metric is Metric.COSINE else score

    def name_of(self, namespace: str) -> str:
        """The collection's. Raises NotFound: there can be none."""
        if not self.options.adopted:
            return f"{self.prefix}-{hashed(namespace)}"
        if not NAME.fullmatch(namespace):  # such as ``..``, which would be another path
            raise NotFound("namespace", namespace)
        return namespace

    async def _count(self, id: str, namespace: str) -> int:
        found: int = await self.client.call("GET", f"/collections/{id}/count", int, namespace=namespace)
        return found

    async def _all(self) -> dict[str, str]:
        """Namespaces to ids of collections."""
        found: dict[str, str] = {}
        offset = 0
        while page := await self.page_of_collections(offset, PAGE):
            for each in page:
                if (each.metadata or {}).get("tenantry") == self.prefix:
                    found[str((each.metadata or {})["namespace"])] = each.id
            offset += len(page)
        return found

    async def page_of_collections(self, offset: int, limit: int) -> list[CollectionInfo]:
        """Collections of the database, whoever made them."""
        path = f"/collections?limit={limit}&offset={offset}"
        page: list[CollectionInfo] = await self.client.call("GET", path, list[CollectionInfo])
        return page


class ChromaIndex(CommonIndex):
    """Implements `Index`."""

    def __init__(self, backend: ChromaBackend, namespace: str) -> None:
        super().__init__(namespace, backend.gates, backend.listings)
        self._backend = backend
        self.at_once = max(1, min(1_000, REQUEST_BYTES // (6 * backend.dimension)))

    async def put(self, records: Sequence[Record]) -> None:
        """One request."""
        await self._post(
            "upsert",
            Any,
            {
                "ids": [record.id for record in records],
                "embeddings": [packed(record.values) for record in records],
                "metadatas": [self._stored(record) for record in records],
            },
        )

    async def remove(self, selector: Selector) -> None:
        """By ids in batches, by filter in one request; everything: the ids that there are now."""
        if isinstance(selector, ByFilter):
            await self._post("delete", Any, {"where": where_of(in_terms(selector.filter))})
            return
        ids = selector.ids if isinstance(selector, ByIds) else await self.every_id("")
        for start in range(0, len(ids), self.at_once):
            await self._post("delete", Any, {"ids": list(ids[start : start + self.at_once])})

    async def get(self, ids: Sequence[str]) -> list[Record]:
        """One request."""
        answer: Answer = await self._post(
            "get", Answer, {"ids": list(ids), "include": ["embeddings", "metadatas"], "limit": len(ids)}
        )
        assert answer.embeddings is not None  # noqa: S101  they were asked for
        assert answer.metadatas is not None  # noqa: S101  as well
        return [
            Record(key, self._values(values, stored), _metadata(stored))
            for key, values, stored in zip(answer.ids, answer.embeddings, answer.metadatas, strict=True)
        ]

    async def nearest(self, query: Query, top_k: int) -> list[Hit]:
        """One request."""
        include = ["distances"]
        if query.include_values:
            include.append("embeddings")
        if query.include_metadata or query.include_values:
            include.append("metadatas")
        body = {"query_embeddings": [query.vector.tolist()], "n_results": top_k, "include": include}
        if query.filter is not None:
            body["where"] = where_of(in_terms(query.filter))
        answer: Answers = await self._post("query", Answers, body)
        hits = []
        for place, (key, distance) in enumerate(zip(answer.ids[0], answer.distances[0], strict=True)):
            stored = answer.metadatas[0][place] if answer.metadatas else None
            hits.append(
                Hit(
                    key,
                    self._backend.score(distance),
                    self._values(answer.embeddings[0][place], stored) if answer.embeddings else None,
                    _metadata(stored) if query.include_metadata else None,
                )
            )
        return hits

    async def every_id(self, prefix: str) -> list[str]:
        """One request for all: pages by offset would skip some while others are deleted."""
        answer: Answer = await self._post("get", Answer, {"include": []})
        return answer.ids

    async def _post(self, what: str, kind: Any, body: dict[str, Any]) -> Any:
        return await self._backend.on(
            self.namespace,
            lambda at: self._backend.client.call("POST", f"/collections/{at}/{what}", kind, body, self.namespace),
        )

    def _stored(self, record: Record) -> dict[str, Any]:
        stored: dict[str, Any] = {
            TERMS: terms_of(record.metadata),
            WHOLE: msgspec.json.encode(record.metadata or {}).decode(),
            **numbers_of(record.metadata),
        }
        if self._backend.metric is Metric.COSINE:
            stored[LENGTH] = length_of(record.values)
        return stored

    def _values(self, values: list[float], stored: dict[str, Any] | None) -> Vector:
        if self._backend.metric is not Metric.COSINE:
            return as_vector(values)
        return at_length(values, float((stored or {})[LENGTH]))


def _metadata(stored: dict[str, Any] | None) -> Metadata | None:
    found: Metadata = msgspec.json.decode((stored or {}).get(WHOLE, "{}"))
    return found or None
