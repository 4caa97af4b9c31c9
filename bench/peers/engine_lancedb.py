"""LanceDB: a table per tenant; exact for small ones, IVF_HNSW_SQ with refinement for others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.data import DIMENSION, FILTER_FROM_YEAR, FILTER_LANGUAGE
from bench.peers.engine import Engine
from bench.peers.workload import TOP_K, Plan, Rows

WHERE = f"lang = '{FILTER_LANGUAGE}' AND year >= {FILTER_FROM_YEAR}"
EXACT_ROWS = 1_000
COLUMNS = ["id", "text", "lang", "year", "_distance"]


class LanceDB(Engine):
    package = "lancedb"
    settings = (
        "table per tenant, compacted; exact to 1,000 rows, above IVF_HNSW_SQ (1 partition, m=20, "
        "efConstruction=200, ef=100, refine 2) and scalar indexes on both fields"
    )

    def __init__(self, folder: Path, plan: Plan) -> None:
        super().__init__(folder, plan)
        import lancedb
        import pyarrow as pa

        self._pa = pa
        self._database = lancedb.connect(str(folder))
        self._schema = pa.schema(
            [
                ("id", pa.string()),
                ("vector", pa.list_(pa.float32(), DIMENSION)),
                ("text", pa.string()),
                ("lang", pa.string()),
                ("year", pa.int32()),
            ]
        )
        self._tables: dict[int, Any] = {}

    def create(self, tenant: int) -> None:
        self._tables[tenant] = self._database.create_table(self.plan.tenants[tenant].name, schema=self._schema)

    def insert(self, tenant: int, rows: Rows) -> None:
        self._tables[tenant].add(self._arrow(rows))

    def overwrite(self, tenant: int, rows: Rows) -> None:
        merge = self._tables[tenant].merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
        merge.execute(self._arrow(rows))

    def delete(self, tenant: int, ids: Sequence[str]) -> None:
        listed = ", ".join(f"'{id}'" for id in ids)
        self._tables[tenant].delete(f"id IN ({listed})")

    def settle(self) -> None:
        for tenant, table in self._tables.items():
            if self._is_indexed(tenant) and not table.list_indices():
                table.create_index(
                    metric="cosine",
                    index_type="IVF_HNSW_SQ",
                    num_partitions=1,
                    m=20,
                    ef_construction=200,
                    vector_column_name="vector",
                )
                table.create_scalar_index("lang", index_type="BITMAP")
                table.create_scalar_index("year", index_type="BTREE")
            table.optimize(cleanup_older_than=timedelta(0))

    def query(self, tenant: int, vector: Any, filtered: bool) -> list[str]:
        search = self._tables[tenant].search(vector, vector_column_name="vector")
        search = search.distance_type("cosine").limit(TOP_K).select(COLUMNS)
        if self._is_indexed(tenant):
            search = search.ef(100).refine_factor(2)
        if filtered:
            search = search.where(WHERE, prefilter=True)
        return search.to_arrow()["id"].to_pylist()

    def _is_indexed(self, tenant: int) -> bool:
        return self.plan.tenants[tenant].count > EXACT_ROWS

    def _arrow(self, rows: Rows) -> Any:
        flat = self._pa.array(rows.vectors.reshape(-1), self._pa.float32())
        vectors = self._pa.FixedSizeListArray.from_arrays(flat, DIMENSION)
        years = self._pa.array(rows.years, self._pa.int32())
        return self._pa.table([rows.ids, vectors, rows.texts, rows.langs, years], schema=self._schema)
