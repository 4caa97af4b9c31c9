"""`VectorBackend` on Milvus.

A namespace is a collection, named by the shard's prefix and a hash; its own name is in a collection of names. A record
has its id, vector and metadata (as JSON text), and the metadata's terms and numbers, which filters look at
(`tenantry.backends.common.terms`). Ids are the primary key, by which pages of a scan go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

import msgspec
from pymilvus import AsyncMilvusClient, CollectionSchema, DataType

from tenantry.backends.common.counting import counted, total
from tenantry.backends.common.gate import Gates
from tenantry.backends.common.index import CommonIndex
from tenantry.backends.common.listing import Listings
from tenantry.backends.common.names import HASH_CHARS, hashed
from tenantry.backends.common.terms import in_terms, numbers_of, terms_of
from tenantry.backends.milvus.filters import TERM_CHARS, expression_of, quoted, token
from tenantry.backends.milvus.options import MilvusOptions
from tenantry.backends.milvus.server import Server
from tenantry.errors import NotFound, Refused, Unavailable
from tenantry.model.records import (
    ByFilter,
    ByIds,
    Hit,
    IdPage,
    Metric,
    NamespaceStats,
    Page,
    Query,
    Record,
    Selector,
    as_vector,
)
from tenantry.ports import Features

T = TypeVar("T")
METRICS = {Metric.COSINE: "COSINE", Metric.DOTPRODUCT: "IP", Metric.EUCLIDEAN: "L2"}
ID_BYTES = 4_096
TEXT_BYTES = 65_535
MOST_TERMS = 4_096
NAMES_DIMENSION = 2
#: Milvus' bound on the hits of a search and on the rows of a query.
MOST_ROWS = 16_384
#: How far behind a read of consistency ``Bounded`` may be, seconds; the server's default is 5.
BOUNDED_S = 10.0
#: Bytes of the vectors of one request; the server takes 64 MiB unless told otherwise.
REQUEST_BYTES = 16 * 2**20
#: Tries to make what another process may be making, and the pause between them, seconds.
MAKE_TRIES = 5
MAKE_PAUSE_S = 0.1


class MilvusBackend:
    """Implements `VectorBackend`."""

    def __init__(
        self, dimension: int, metric: Metric, prefix: str = "tenantry", options: MilvusOptions = MilvusOptions()
    ) -> None:
        self.dimension = dimension
        self.metric = metric
        self.prefix = prefix
        self.options = options
        self.server = Server(options)
        self.gates = Gates()
        self.listings = Listings()
        self._names = f"{prefix}_names"
        self._has_names = False

    @property
    def features(self) -> Features:
        """As the consistency level allows."""
        strong = self.options.consistency == "Strong"
        return Features(
            filters=True, read_your_writes=strong, exact_counts=strong, visible_s=0.0 if strong else BOUNDED_S
        )

    async def probe(self) -> Features:
        """Connect and list collections. Raises Unavailable."""
        await self.server.call(lambda client: client.list_collections())
        return self.features

    async def create(self, namespace: str) -> None:
        """Its name first, then a collection: a name without a collection does no harm."""
        if not self._has_names:
            await self.make(self._names, self._names_schema())
            self._has_names = True
        row = {"id": hashed(namespace), "name": namespace, "vector": [0.0] * NAMES_DIMENSION}
        await self.server.on(self._names, lambda client: client.upsert(self._names, [row]))
        await self.make(self.collection_of(namespace), self._schema())

    async def drop(self, namespace: str) -> None:
        """The collection and all in it, then its name."""
        await self.server.call(lambda client: client.drop_collection(self.collection_of(namespace)))
        if await self.server.call(lambda client: client.has_collection(self._names)):
            await self.server.on(self._names, lambda client: client.delete(self._names, ids=[hashed(namespace)]))

    def index(self, namespace: str) -> MilvusIndex:
        """A handle."""
        return MilvusIndex(self, namespace)

    async def namespaces(self, after: str | None, limit: int) -> list[str]:
        """From the collection of names."""
        return sorted(await self._listed('name != ""' if after is None else f"name > {quoted(after)}"))[:limit]

    async def _listed(self, condition: str) -> list[str]:
        if not await self.server.call(lambda client: client.has_collection(self._names)):
            return []
        found: list[str] = []
        last = ""
        while True:
            rows = await self._names_after(last, condition)
            found += [row["name"] for row in rows]
            if len(rows) < MOST_ROWS:
                return found
            last = max(row["id"] for row in rows)

    async def _names_after(self, last: str, condition: str) -> list[dict[str, Any]]:
        rows = await self.server.on(
            self._names,
            lambda client: client.query(
                self._names,
                filter=f'id > "{last}" and {condition}',
                output_fields=["id", "name"],
                limit=MOST_ROWS,
                consistency_level="Strong",
            ),
        )
        return list(rows)

    async def stats(self, namespace: str | None = None) -> NamespaceStats:
        """Counted by the server; of a whole shard by as many requests as it has namespaces. No bytes."""
        if namespace is not None:
            return NamespaceStats(await self._count(self.collection_of(namespace), namespace))
        return total(await self.sizes())

    async def sizes(self) -> dict[str, NamespaceStats]:
        """A request to each collection."""
        names = await self._listed('name != ""')
        return await counted(names, lambda name: self._count(self.collection_of(name), name))

    async def aclose(self) -> None:
        """Close connections."""
        await self.server.aclose()

    def collection_of(self, namespace: str) -> str:
        """The name of a namespace's collection."""
        return f"{self.prefix}_{hashed(namespace)}"

    async def _count(self, collection: str, namespace: str) -> int:
        rows = await self.server.on(
            collection,
            lambda client: client.query(collection, output_fields=["count(*)"], consistency_level=self.consistency),
            namespace,
        )
        return int(rows[0]["count(*)"])

    @property
    def consistency(self) -> str:
        """The level of reads."""
        return self.options.consistency

    async def make(self, collection: str, schema: CollectionSchema, vector: str = "vector") -> None:
        """A collection and the index of its vectors, loaded; what is there of it already stays."""
        call, define = self.server.call, self.server.define
        index = AsyncMilvusClient.prepare_index_params()
        index.add_index(
            vector,
            index_type="HNSW",
            metric_type=METRICS[self.metric],
            params={"M": self.options.m, "efConstruction": self.options.ef_construction},
        )
        await _unless(
            lambda: call(lambda client: client.has_collection(collection)),
            lambda: call(
                lambda client: client.create_collection(
                    collection, schema=schema, consistency_level=self.options.consistency
                )
            ),
        )
        await _unless(
            lambda: call(lambda client: client.list_indexes(collection)),
            lambda: define(lambda client: client.create_index(collection, index, sync=False)),
        )
        await call(lambda client: client.load_collection(collection))

    def _schema(self) -> CollectionSchema:
        schema = AsyncMilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.VARCHAR, max_length=ID_BYTES, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self.dimension)
        schema.add_field("metadata", DataType.VARCHAR, max_length=TEXT_BYTES)
        schema.add_field(
            "terms", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=MOST_TERMS, max_length=TERM_CHARS
        )
        schema.add_field("numbers", DataType.JSON)
        return schema

    def plain_schema(self) -> CollectionSchema:
        """As others have it: with dynamic fields for metadata."""
        schema = AsyncMilvusClient.create_schema(auto_id=False, enable_dynamic_field=True)
        schema.add_field("id", DataType.VARCHAR, max_length=ID_BYTES, is_primary=True)
        schema.add_field(self.options.vector or "vector", DataType.FLOAT_VECTOR, dim=self.dimension)
        return schema

    def _names_schema(self) -> CollectionSchema:
        schema = AsyncMilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.VARCHAR, max_length=HASH_CHARS, is_primary=True)
        schema.add_field("name", DataType.VARCHAR, max_length=ID_BYTES)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=NAMES_DIMENSION)  # Milvus wants one
        return schema


class MilvusIndex(CommonIndex):
    """Implements `Index`."""

    most_hits = MOST_ROWS

    def __init__(self, backend: MilvusBackend, namespace: str) -> None:
        super().__init__(namespace, backend.gates, backend.listings)
        self._backend = backend
        self._collection = backend.collection_of(namespace)
        self._shared = {"consistency_level": backend.consistency}
        self.at_once = max(1, min(1_000, REQUEST_BYTES // (4 * backend.dimension)))

    async def put(self, records: Sequence[Record]) -> None:
        """One request."""
        rows = [
            {
                "id": record.id,
                "vector": record.values,
                "metadata": msgspec.json.encode(record.metadata or {}).decode(),
                "terms": [token(term) for term in terms_of(record.metadata)],
                "numbers": numbers_of(record.metadata),
            }
            for record in records
        ]
        await self._on(lambda client: client.upsert(self._collection, rows))

    async def remove(self, selector: Selector) -> None:
        """By ids in batches, else in one request."""
        if isinstance(selector, ByIds):
            for start in range(0, len(selector.ids), self.at_once):
                some = list(selector.ids[start : start + self.at_once])
                await self._delete(_among(some))
            return
        await self._delete(expression_of(in_terms(selector.filter)) if isinstance(selector, ByFilter) else 'id >= ""')

    async def get(self, ids: Sequence[str]) -> list[Record]:
        """One request."""
        rows = await self._rows(_among(ids), ["id", "vector", "metadata"], len(ids))
        return [_record_of(row) for row in rows]

    async def nearest(self, query: Query, top_k: int) -> list[Hit]:
        """One request."""
        fields = ["id", *["vector"] * query.include_values, *["metadata"] * query.include_metadata]
        condition = "" if query.filter is None else expression_of(in_terms(query.filter))
        found = await self._on(
            lambda client: client.search(
                self._collection,
                data=[query.vector],
                anns_field="vector",
                limit=top_k,
                filter=condition,
                output_fields=fields,
                search_params={"params": {"ef": max(self._backend.options.ef_search, top_k)}},
                **self._shared,
            )
        )
        return [
            Hit(
                hit["id"],
                score_of(self._backend.metric, hit["distance"]),
                as_vector(hit["entity"]["vector"]) if query.include_values else None,
                _metadata(hit["entity"]) if query.include_metadata else None,
            )
            for hit in found[0]
        ]

    async def scan(self, cursor: str | None, limit: int, prefix: str = "") -> Page:
        """By primary key."""
        rows = await self._page(cursor, limit, prefix, ["id", "vector", "metadata"])
        records = [_record_of(row) for row in rows[:limit]]
        return Page(records, records[-1].id if len(rows) > limit else None)

    async def list_ids(self, cursor: str | None, limit: int, prefix: str = "") -> IdPage:
        """By primary key."""
        ids = [row["id"] for row in await self._page(cursor, limit, prefix, ["id"])]
        return IdPage(ids[:limit], ids[limit - 1] if len(ids) > limit else None)

    async def every_id(self, prefix: str) -> list[str]:
        """Page by page."""
        page = await self.list_ids(None, MOST_ROWS - 1, prefix)
        ids = page.ids
        while page.cursor is not None:
            page = await self.list_ids(page.cursor, MOST_ROWS - 1, prefix)
            ids += page.ids
        return ids

    async def _page(self, cursor: str | None, limit: int, prefix: str, fields: list[str]) -> list[dict[str, Any]]:
        """One row more than ``limit``, ascending by id. Of a query with a limit Milvus gives those of the lowest keys,
        as its own iterator relies on."""
        condition = f"id > {quoted(cursor or '')}"
        if prefix:
            condition += f" and id >= {quoted(prefix)}"
        end = _after(prefix)
        if end is not None:
            condition += f" and id < {quoted(end)}"
        rows = await self._rows(
            condition, fields, min(limit + 1, MOST_ROWS), iterator="True", reduce_stop_for_best="True"
        )
        return sorted(rows, key=lambda row: cast(str, row["id"]))

    async def _rows(self, condition: str, fields: list[str], limit: int, **more: Any) -> list[dict[str, Any]]:
        rows = await self._on(
            lambda client: client.query(
                self._collection, filter=condition, output_fields=fields, limit=limit, **self._shared, **more
            )
        )
        return list(rows)

    async def _delete(self, condition: str) -> None:
        server = self._backend.server
        if not await server.call(lambda client: client.has_collection(self._collection)):  # Milvus Lite does not say
            raise NotFound("namespace", self.namespace)
        await self._on(lambda client: client.delete(self._collection, filter=condition))

    async def _on(self, work: Callable[[AsyncMilvusClient], Awaitable[T]]) -> T:
        return await self._backend.server.on(self._collection, work, self.namespace)


def score_of(metric: Metric, distance: float) -> float:
    """The score that `Metric` defines."""
    if metric is Metric.EUCLIDEAN:
        return -distance
    return max(-1.0, min(1.0, distance)) if metric is Metric.COSINE else distance


async def _unless(there: Callable[[], Awaitable[object]], make: Callable[[], Awaitable[object]]) -> None:
    """Make it unless it is there, also when another process makes it at the same time."""
    for left in reversed(range(MAKE_TRIES)):
        if await there():
            return
        try:
            await make()
        except (Refused, Unavailable):  # Milvus Lite says of it what it says of passing trouble
            if not left:
                raise
            await asyncio.sleep(MAKE_PAUSE_S)  # the other one may be half way
        else:
            return


def _among(ids: Sequence[str]) -> str:
    return f"id in [{', '.join(map(quoted, ids))}]"


def _record_of(row: dict[str, Any]) -> Record:
    return Record(row["id"], as_vector(row["vector"]), _metadata(row))


def _metadata(row: dict[str, Any]) -> dict[str, Any] | None:
    found: dict[str, Any] = msgspec.json.decode(row["metadata"])
    return found or None


def _after(prefix: str) -> str | None:
    """The first string after all those that begin with ``prefix``; None when there is none."""
    for end in range(len(prefix), 0, -1):
        point = ord(prefix[end - 1]) + 1
        if point <= 0x10FFFF:
            return prefix[: end - 1] + chr(0xE000 if 0xD800 <= point <= 0xDFFF else point)
    return None
