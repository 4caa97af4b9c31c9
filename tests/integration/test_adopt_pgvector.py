"""One table of PostgreSQL with a tenant column: adopted as it is, served, and emptied tenant by tenant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tenantry.model.moves import Phase
from tenantry.testing.servers import PostgresServer
from tenantry.wiring import init_cluster

TENANTS = ["acme", "globex", "initech"]
ROWS = 300


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[str]:
    url = postgres_server.create_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute(
            "CREATE TABLE items (id bigserial PRIMARY KEY, tenant_id text, content text NOT NULL DEFAULT '', "
            "embedding vector(4), metadata jsonb, created_at timestamptz NOT NULL DEFAULT now())"
        )
        connection.execute("CREATE INDEX ON items (tenant_id)")
        for n in range(ROWS):
            connection.execute(
                "INSERT INTO items (tenant_id, content, embedding, metadata) VALUES (%s, %s, %s, %s)",
                (TENANTS[n % 3], f"text {n}", f"[1,{n},0.5,0]", f'{{"n": {n}, "half": {n / 2}}}'),
            )
        connection.execute("INSERT INTO items (embedding) VALUES ('[1,1,1,1]')")
    yield url
    postgres_server.drop_database(url)


def everything(url: str) -> list[Any]:
    """All that users have in the database: rows, with their place on disk, and what tables and indexes there are."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT ctid::text, xmin::text, t.*::text FROM items t ORDER BY id").fetchall()
        objects = connection.execute(
            "SELECT n.nspname, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname NOT LIKE 'pg\\_%' ORDER BY 1, 2"
        ).fetchall()
    return [*rows, *objects]


async def test_a_table_is_adopted_unchanged_and_a_tenant_moved_off_and_back(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THEIR_DATABASE", database)
    options = {"url_env": "THEIR_DATABASE", "collection": "items", "tenant_field": "tenant_id"}
    before = everything(database)
    async with await init_cluster(tmp_path / "data", dimension=4, metric="euclidean", shards=1) as cluster:
        seen = await cluster.adoption.adopt("pgvector", options=options, dry_run=True)
        report = await cluster.adoption.adopt("pgvector", options=options)
        assert (report.adopted, report.vectors) == (TENANTS, ROWS) == (seen.adopted, seen.vectors)
        assert [each.reason for each in report.left_alone] == ["1 record without 'tenant_id' belongs to no tenant"]
        again = await cluster.adoption.adopt("pgvector", options=options)
        assert (again.adopted, again.known) == ([], 3)
        acme = cluster.tenant("acme")
        hits = await acme.query([1, 6, 0.5, 0], top_k=2, filter={"n": {"$gte": 6}}, include_metadata=True)
        assert [(hit.id, hit.score) for hit in hits] == [("7", 0.0), ("10", -9.0)]
        assert hits[0].metadata is not None
        assert hits[0].metadata["content"] == "text 6"
        assert (await cluster.verify_routing()).problems == []
        assert everything(database) == before

        ids = [str(n + 1) for n in range(ROWS)]
        there = await acme.fetch(ids)
        assert len(there) == 100
        move = await cluster.moves.start("acme", "shard-0", soak_s=0.5)
        await acme.upsert([("doc-1", [1, 2, 3, 4], {"n": 1, "created_at": "yesterday"})])
        ended = [state async for state in cluster.moves.watch(move.id)][-1]
        assert ended.phase is Phase.DONE, ended
        assert ended.proof is not None
        moved = await acme.fetch([*ids, "doc-1"])
        assert moved.pop("doc-1").metadata == {"n": 1, "created_at": "yesterday"}
        assert list(moved) == list(there)
        for id, record in there.items():
            assert moved[id].metadata == record.metadata
            assert moved[id].values.tobytes() == record.values.tobytes()
        await cluster.moves.purge()
        left = [row for row in everything(database) if row not in before]
        assert left == []
        assert len([row for row in everything(database) if "text" in str(row)]) == 200

        move = await cluster.moves.start("acme", "adopted", soak_s=0.2)
        ended = [state async for state in cluster.moves.watch(move.id)][-1]
        assert ended.phase is Phase.DONE, ended
        back = await acme.fetch([*ids, "doc-1"])
        assert back.pop("doc-1").metadata == {"n": 1, "created_at": "yesterday"}
        assert {id: one.metadata for id, one in back.items()} == {id: one.metadata for id, one in there.items()}
