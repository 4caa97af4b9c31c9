"""Engines behind shards, for benches: their servers, their own clients, and the usual layout with all tenants in one
index of the engine."""

from __future__ import annotations

import asyncio
import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from pgvector.psycopg import register_vector_async
from psycopg.types.json import Jsonb

from bench.data import DIMENSION, FILTER_FROM_YEAR, FILTER_LANGUAGE
from bench.served import served
from tenantry.model.records import Record
from tenantry.testing.servers import PostgresServer
from tenantry.testing.vector_servers import VectorServer
from tenantry.wiring import init_cluster

TOP_K = 10
BATCH = 500
FILTER = {"lang": FILTER_LANGUAGE, "year": {"$gte": FILTER_FROM_YEAR}}
#: Asks for the ids of the nearest.
Call = Callable[[np.ndarray], Awaitable[list[str]]]


class Engine(ABC):
    """One engine that runs now.

    Attributes:
        name: as reports call it.
        kind: the shard's kind.
        options: of a shard on it.
        own: what its own client is, for the notes.
        layout: how all tenants lie in one index.
    """

    name: str
    kind: str
    own: str
    layout: str
    options: Mapping[str, str]

    @abstractmethod
    async def direct(self, backend: Any, namespace: str) -> Call:
        """By the engine's own client, from where the shard keeps that namespace: ids of the nearest, with metadata."""

    @abstractmethod
    async def shared(self) -> None:
        """Make the one index with all tenants."""

    @abstractmethod
    async def add(self, tenant: str, rows: Sequence[Record]) -> None:
        """Put a tenant's records there."""

    @abstractmethod
    async def ask(self, tenant: str, vector: np.ndarray, filtered: bool) -> list[str]:
        """Of one tenant there."""

    @abstractmethod
    async def settled(self) -> None:
        """All is in and indexed."""

    @abstractmethod
    async def close(self) -> None:
        """Close clients."""


class Pgvector(Engine):
    name, kind = "pgvector", "pgvector"
    own = "psycopg, prepared, binary, the registered vector type, one connection"
    layout = "one table, an index on the tenant, HNSW on the vector, iterative scans in strict order"
    VARIABLE = "TENANTRY_BENCH_VECTORS"

    def __init__(self, url: str) -> None:
        self._url = os.environ[self.VARIABLE] = url
        self.options = {"url_env": self.VARIABLE}
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def _own(self) -> psycopg.AsyncConnection[Any]:
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True)
            await register_vector_async(self._connection)
            await self._connection.execute("SET hnsw.ef_search = 100")
            await self._connection.execute("SET hnsw.iterative_scan = strict_order")
        return self._connection

    async def direct(self, backend: Any, namespace: str) -> Call:
        own = await self._own()
        table = backend.table(namespace).as_string()
        await own.execute(f"ANALYZE {table}".encode())
        statement = (
            f"SELECT id, vector <=> %b AS distance, metadata FROM {table} ORDER BY distance, id LIMIT {TOP_K}".encode()
        )

        async def call(vector: np.ndarray) -> list[str]:
            return [row[0] for row in await (await own.execute(statement, [vector], binary=True)).fetchall()]

        return call

    async def shared(self) -> None:
        own = await self._own()
        await own.execute(
            f"CREATE TABLE every (tenant text NOT NULL, id text NOT NULL, vector vector({DIMENSION}) NOT NULL, "
            "metadata jsonb, PRIMARY KEY (tenant, id))".encode()
        )

    async def add(self, tenant: str, rows: Sequence[Record]) -> None:
        own = await self._own()
        async with own.cursor() as cursor, cursor.copy("COPY every FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["text", "text", "vector", "jsonb"])
            for row in rows:
                await copy.write_row((tenant, row.id, row.values, Jsonb(row.metadata)))

    async def settled(self) -> None:
        own = await self._own()
        await own.execute("SET maintenance_work_mem = '1GB'")
        await own.execute("SET max_parallel_maintenance_workers = 1")
        await own.execute("CREATE INDEX ON every USING hnsw (vector vector_cosine_ops)")
        await own.execute("ANALYZE every")

    async def ask(self, tenant: str, vector: np.ndarray, filtered: bool) -> list[str]:
        own = await self._own()
        more = " AND metadata @> %s AND (metadata->'year')::int >= %s" if filtered else ""
        statement = (
            f"SELECT id, vector <=> %b AS distance, metadata FROM every WHERE tenant = %s{more} "
            f"ORDER BY distance LIMIT {TOP_K}".encode()
        )
        values = [vector, tenant, *([Jsonb({"lang": FILTER_LANGUAGE}), FILTER_FROM_YEAR] if filtered else [])]
        return [row[0] for row in await (await own.execute(statement, values, binary=True)).fetchall()]

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()


class Chroma(Engine):
    name, kind = "Chroma", "chroma"
    own = "the same request of Chroma's HTTP interface, sent by httpx and read by msgspec"
    layout = "one collection, the tenant a metadata field"

    def __init__(self, url: str) -> None:
        import httpx

        self.options = {"url": url}
        self._http = httpx.AsyncClient(
            base_url=url + "/api/v2/tenants/default_tenant/databases/default_database", timeout=120
        )
        self._every = ""

    async def _post(self, path: str, body: Any) -> Any:
        import msgspec

        answer = await self._http.post(
            path, content=msgspec.json.encode(body), headers={"content-type": "application/json"}
        )
        answer.raise_for_status()
        return msgspec.json.decode(answer.content)

    async def direct(self, backend: Any, namespace: str) -> Call:
        async def found(id: str) -> str:
            return id

        collection = await backend.on(namespace, found)

        async def call(vector: np.ndarray) -> list[str]:
            # One more than asked for, as the adapter needs it to order equally near ones.
            body = {
                "query_embeddings": [vector.tolist()],
                "n_results": TOP_K + 1,
                "include": ["distances", "metadatas"],
            }
            found = await self._post(f"/collections/{collection}/query", body)
            return list(found["ids"][0])[:TOP_K]

        return call

    async def shared(self) -> None:
        body = {"name": "every", "configuration": {"hnsw": {"space": "cosine", "ef_search": 100}}}
        self._every = (await self._post("/collections", body))["id"]

    async def add(self, tenant: str, rows: Sequence[Record]) -> None:
        await self._post(
            f"/collections/{self._every}/upsert",
            {
                "ids": [f"{tenant}/{row.id}" for row in rows],
                "embeddings": [row.values.tolist() for row in rows],
                "metadatas": [{**(row.metadata or {}), "tenant": tenant} for row in rows],
            },
        )

    async def settled(self) -> None:
        """It indexes as it goes."""

    async def ask(self, tenant: str, vector: np.ndarray, filtered: bool) -> list[str]:
        where: Any = {"tenant": tenant}
        if filtered:
            where = {"$and": [where, {"lang": FILTER_LANGUAGE}, {"year": {"$gte": FILTER_FROM_YEAR}}]}
        body = {
            "query_embeddings": [vector.tolist()],
            "n_results": TOP_K,
            "include": ["distances", "metadatas"],
            "where": where,
        }
        found = await self._post(f"/collections/{self._every}/query", body)
        return [id.partition("/")[2] for id in found["ids"][0]]

    async def close(self) -> None:
        await self._http.aclose()


class Milvus(Engine):
    name, kind = "Milvus Lite", "milvus"
    own = "pymilvus' AsyncMilvusClient"
    layout = "one collection, the tenant a field with an inverted index, HNSW on the vector"

    def __init__(self, url: str) -> None:
        from pymilvus import AsyncMilvusClient, MilvusClient

        self.options = {"url": url}
        self._definer = MilvusClient(uri=url, dedicated=True)
        self._client = AsyncMilvusClient(uri=url, dedicated=True)

    async def direct(self, backend: Any, namespace: str) -> Call:
        collection = backend.collection_of(namespace)

        async def call(vector: np.ndarray) -> list[str]:
            found = await self._client.search(
                collection,
                data=[vector],
                anns_field="vector",
                limit=TOP_K + 1,  # as the adapter asks, to order equally near ones
                output_fields=["id", "metadata"],
                search_params={"params": {"ef": 100}},
                consistency_level="Strong",
            )
            return [hit["id"] for hit in found[0]][:TOP_K]

        return call

    async def shared(self) -> None:
        from pymilvus import DataType

        schema = self._definer.create_schema(auto_id=False)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=128)
        schema.add_field("tenant", DataType.VARCHAR, max_length=64)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSION)
        schema.add_field("text", DataType.VARCHAR, max_length=2048)
        schema.add_field("lang", DataType.VARCHAR, max_length=8)
        schema.add_field("year", DataType.INT64)
        index = self._definer.prepare_index_params()
        index.add_index("vector", index_type="HNSW", metric_type="COSINE", params={"M": 16, "efConstruction": 200})
        index.add_index("tenant", index_type="INVERTED")
        self._definer.create_collection("every", schema=schema)
        self._definer.create_index("every", index, sync=False)
        self._definer.load_collection("every")

    async def add(self, tenant: str, rows: Sequence[Record]) -> None:
        await self._client.insert(
            "every",
            [
                {"id": f"{tenant}/{row.id}", "tenant": tenant, "vector": row.values, **(row.metadata or {})}
                for row in rows
            ],
        )

    async def settled(self) -> None:
        await asyncio.to_thread(self._definer.flush, "every")
        await asyncio.to_thread(self._definer.load_collection, "every")

    async def ask(self, tenant: str, vector: np.ndarray, filtered: bool) -> list[str]:
        where = f'tenant == "{tenant}"'
        if filtered:
            where += f' and lang == "{FILTER_LANGUAGE}" and year >= {FILTER_FROM_YEAR}'
        found = await self._client.search(
            "every",
            data=[vector],
            anns_field="vector",
            limit=TOP_K,
            filter=where,
            output_fields=["id", "text", "lang", "year"],
            search_params={"params": {"ef": 100}},
            consistency_level="Strong",
        )
        return [hit["id"].partition("/")[2] for hit in found[0]]

    async def close(self) -> None:
        await self._client.close()
        await asyncio.to_thread(self._definer.close)


class Qdrant(Engine):
    name, kind = "Qdrant (client's engine)", "qdrant"
    own = "qdrant-client's own engine, which compares every point in Python and numpy; no server was at hand"
    layout = "one collection, the tenant a payload field"

    def __init__(self, folder: Path) -> None:
        from qdrant_client import AsyncQdrantClient

        self.options = {"path": ":memory:", "layout": "collections"}
        self._client = AsyncQdrantClient(":memory:")
        self._next = 0

    async def direct(self, backend: Any, namespace: str) -> Call:
        async def client() -> Any:
            # The data are in the memory of the adapter's own client.
            async def itself(own: Any) -> Any:
                return own

            return await backend.call(itself)

        async def call(vector: np.ndarray) -> list[str]:
            found = await (await client()).query_points(
                backend.places.collection(namespace), query=vector.tolist(), limit=TOP_K + 1, with_payload=True
            )
            return [point.payload["id"] for point in found.points][:TOP_K]

        return call

    async def shared(self) -> None:
        from qdrant_client import models

        await self._client.create_collection(
            "every", vectors_config=models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE)
        )

    async def add(self, tenant: str, rows: Sequence[Record]) -> None:
        from qdrant_client import models

        points = [
            models.PointStruct(
                id=self._next + i,
                vector=row.values.tolist(),
                payload={**(row.metadata or {}), "tenant": tenant, "own": row.id},
            )
            for i, row in enumerate(rows)
        ]
        self._next += len(rows)
        await self._client.upsert("every", points)

    async def settled(self) -> None:
        """It indexes as it goes."""

    async def ask(self, tenant: str, vector: np.ndarray, filtered: bool) -> list[str]:
        from qdrant_client import models

        must: list[Any] = [models.FieldCondition(key="tenant", match=models.MatchValue(value=tenant))]
        if filtered:
            must += [
                models.FieldCondition(key="lang", match=models.MatchValue(value=FILTER_LANGUAGE)),
                models.FieldCondition(key="year", range=models.Range(gte=FILTER_FROM_YEAR)),
            ]
        found = await self._client.query_points(
            "every",
            query=vector.tolist(),
            query_filter=models.Filter(must=must),
            limit=TOP_K,
            with_payload=True,
        )
        return [(point.payload or {})["own"] for point in found.points]

    async def close(self) -> None:
        await self._client.close()


class Pinecone(Engine):
    name, kind = "Pinecone's SDK", "pinecone"
    own = "the official SDK, against a Tenantry gateway in a process of its own in the place of Pinecone"
    layout = ""
    VARIABLE = "TENANTRY_BENCH_PINECONE_KEY"

    def __init__(self, url: str, key: str) -> None:
        os.environ[self.VARIABLE] = key
        self._url, self._key = url, key
        self.options = {
            "index": "bench",
            "controller": url,
            "api_key_env": self.VARIABLE,
            "cloud": "aws",
            "region": "us-east-1",
            "visible_s": "0",
        }
        self._open = AsyncExitStack()

    async def direct(self, backend: Any, namespace: str) -> Call:
        from pinecone import AsyncPinecone

        own = AsyncPinecone(api_key=self._key, host=self._url)
        self._open.push_async_callback(own.close)
        index = await own.index(name=self.options["index"])
        self._open.push_async_callback(index.close)

        async def call(vector: np.ndarray) -> list[str]:
            found = await index.query(
                vector=vector.tolist(), top_k=TOP_K + 1, namespace=namespace, include_metadata=True
            )
            return [hit.id for hit in found.matches][:TOP_K]

        return call

    async def shared(self) -> None:
        raise RuntimeError("there is no Pinecone at hand to compare layouts on")

    async def add(self, tenant: str, rows: Sequence[Record]) -> None:
        raise RuntimeError("there is no Pinecone at hand to compare layouts on")

    async def settled(self) -> None:
        """It indexes as it goes."""

    async def ask(self, tenant: str, vector: np.ndarray, filtered: bool) -> list[str]:
        raise RuntimeError("there is no Pinecone at hand to compare layouts on")

    async def close(self) -> None:
        await self._open.aclose()


@asynccontextmanager
async def running(name: str, folder: Path) -> AsyncIterator[Engine]:
    """An engine of `NAMES`, with its server."""
    async with AsyncExitStack() as stack:
        engine: Engine
        if name == "pgvector":
            engine = Pgvector(stack.enter_context(PostgresServer.start()).create_database())
        elif name == "chroma":
            engine = Chroma(stack.enter_context(VectorServer.chroma()).url)
        elif name == "milvus":
            engine = Milvus(stack.enter_context(VectorServer.milvus()).url)
        elif name == "qdrant":
            engine = Qdrant(folder)
        else:
            key = secrets.token_hex(16)
            async with await init_cluster(folder / "pinecone"):
                pass
            engine = Pinecone(stack.enter_context(served(folder / "pinecone", key)), key)
        stack.push_async_callback(engine.close)
        yield engine


NAMES = ("pgvector", "chroma", "milvus", "qdrant", "pinecone")
