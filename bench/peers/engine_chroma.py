"""Chroma: embedded PersistentClient, a collection per tenant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.data import FILTER_FROM_YEAR, FILTER_LANGUAGE
from bench.peers.engine import Engine
from bench.peers.workload import TOP_K, Plan, Rows

WHERE = {"$and": [{"lang": FILTER_LANGUAGE}, {"year": {"$gte": FILTER_FROM_YEAR}}]}
INDEX = {"space": "ip", "max_neighbors": 16, "ef_construction": 128, "ef_search": 100}


class Chroma(Engine):
    package = "chromadb"
    settings = "PersistentClient, collection per tenant, HNSW M=16 efConstruction=128 efSearch=100, inner product"

    def __init__(self, folder: Path, plan: Plan) -> None:
        super().__init__(folder, plan)
        import chromadb

        self._client = chromadb.PersistentClient(str(folder), chromadb.Settings(anonymized_telemetry=False))
        self._collections: dict[int, Any] = {}

    def create(self, tenant: int) -> None:
        self._collections[tenant] = self._client.create_collection(
            self.plan.tenants[tenant].name, configuration={"hnsw": INDEX}, embedding_function=None
        )

    def insert(self, tenant: int, rows: Rows) -> None:
        fields = [{"lang": lang, "year": year} for lang, year in zip(rows.langs, rows.years, strict=True)]
        self._collections[tenant].upsert(rows.ids, embeddings=rows.vectors, documents=rows.texts, metadatas=fields)

    overwrite = insert

    def delete(self, tenant: int, ids: Sequence[str]) -> None:
        self._collections[tenant].delete(list(ids))

    def query(self, tenant: int, vector: Any, filtered: bool) -> list[str]:
        found = self._collections[tenant].query(
            query_embeddings=[vector],
            n_results=TOP_K,
            where=WHERE if filtered else None,
            include=["distances", "documents", "metadatas"],
        )
        return found["ids"][0]
