"""Milvus Lite, through pymilvus: a collection per tenant; exact for small ones, HNSW for large ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.data import DIMENSION, FILTER_FROM_YEAR, FILTER_LANGUAGE
from bench.peers.engine import Engine
from bench.peers.workload import TOP_K, Plan, Rows

WHERE = f'lang == "{FILTER_LANGUAGE}" and year >= {FILTER_FROM_YEAR}'


class Milvus(Engine):
    package = "milvus-lite"
    settings = (
        "pymilvus on a local file, collection per tenant; FLAT, for large ones HNSW M=16 efConstruction=200 ef=100"
    )

    def __init__(self, folder: Path, plan: Plan) -> None:
        super().__init__(folder, plan)
        from pymilvus import MilvusClient

        self._client = MilvusClient(str(folder / "milvus.db"))

    def create(self, tenant: int) -> None:
        from pymilvus import DataType

        schema = self._client.create_schema(auto_id=False)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=64)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSION)
        schema.add_field("text", DataType.VARCHAR, max_length=2048)
        schema.add_field("lang", DataType.VARCHAR, max_length=8)
        schema.add_field("year", DataType.INT64)
        index = self._client.prepare_index_params()
        if self._is_large(tenant):
            index.add_index("vector", index_type="HNSW", metric_type="IP", params={"M": 16, "efConstruction": 200})
        else:
            index.add_index("vector", index_type="FLAT", metric_type="IP")
        # Index and load apart: create_collection(index_params=...) would poll for half a second each time.
        self._client.create_collection(self._name(tenant), schema=schema)
        self._client.create_index(self._name(tenant), index, sync=False)
        self._client.load_collection(self._name(tenant))

    def insert(self, tenant: int, rows: Rows) -> None:
        self._client.insert(self._name(tenant), self._dicts(rows))

    def overwrite(self, tenant: int, rows: Rows) -> None:
        self._client.upsert(self._name(tenant), self._dicts(rows))

    def delete(self, tenant: int, ids: Sequence[str]) -> None:
        self._client.delete(self._name(tenant), ids=list(ids))

    def settle(self) -> None:
        for tenant in range(len(self.plan.tenants)):
            self._client.flush(self._name(tenant))
            self._client.load_collection(self._name(tenant))

    def query(self, tenant: int, vector: Any, filtered: bool) -> list[str]:
        found = self._client.search(
            self._name(tenant),
            data=[vector],
            limit=TOP_K,
            filter=WHERE if filtered else "",
            output_fields=["text", "lang", "year"],
            search_params={"params": {"ef": 100}} if self._is_large(tenant) else None,
        )
        return [hit["id"] for hit in found[0]]

    def close(self) -> None:
        self._client.close()

    def _is_large(self, tenant: int) -> bool:
        return self.plan.tenants[tenant].count >= self.plan.large

    def _name(self, tenant: int) -> str:
        return re.sub(r"\W", "_", self.plan.tenants[tenant].name)

    @staticmethod
    def _dicts(rows: Rows) -> list[dict[str, Any]]:
        columns = zip(rows.ids, rows.vectors, rows.texts, rows.langs, rows.years, strict=True)
        return [
            {"id": id, "vector": vector, "text": text, "lang": lang, "year": year}
            for id, vector, text, lang, year in columns
        ]
