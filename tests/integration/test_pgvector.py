"""Shards on a real PostgreSQL: indexes, concurrency, trouble, and what a shard is told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import psycopg
import pytest

from tenantry.backends.pgvector import PgvectorBackend, PgvectorOptions, of_shard
from tenantry.errors import DeadlineExceeded, InvalidArgument, NotFound, TenantryError, Unavailable
from tenantry.model.filters import matches, parse_filter
from tenantry.model.records import Metric, Query, Record, Update
from tenantry.model.topology import LogicalIndex, Shard
from tenantry.testing.servers import PostgresServer
from tenantry.wiring import init_cluster

DIMENSION = 16


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One of its own: it is stopped and started."""
    with PostgresServer.start() as server:
        yield server


@pytest.fixture
def url(server: PostgresServer) -> Iterator[str]:
    url = server.create_database()
    yield url
    server.drop_database(url)


@pytest.fixture
async def backend(url: str) -> AsyncIterator[PgvectorBackend]:
    backend = PgvectorBackend(url, "shard", DIMENSION, Metric.COSINE, PgvectorOptions(index_from=400, connections=4))
    await backend.create("n")
    yield backend
    await backend.aclose()


def records_of(count: int, seed: int = 0) -> list[Record]:
    made = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)
    return [Record(f"r{i:05}", row, {"n": i, "even": i % 2 == 0}) for i, row in enumerate(made)]


async def test_a_large_namespace_gets_an_index_and_a_filter_still_finds_enough(backend: PgvectorBackend) -> None:
    index = backend.index("n")
    records = records_of(3_000)
    for start in range(0, 3_000, 1_000):
        await index.upsert(records[start : start + 1_000])
    await backend.indexer.settled()
    assert await backend.indexer.is_indexed("n")
    matrix = np.stack([record.values for record in records])
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    found = 0
    for question in records_of(50, seed=1):
        hits = await index.query(Query(question.values, 10))
        best = np.argsort(-(matrix @ question.values))[:10]
        found += len({hit.id for hit in hits} & {records[i].id for i in best})
    assert found >= 0.95 * 500
    rare = parse_filter({"n": {"$in": [5, 700, 2_900]}})
    assert {hit.id for hit in await index.query(Query(records[0].values, 10, rare))} == {"r00005", "r00700", "r02900"}
    assert len(await index.query(Query(records[0].values, 2_500))) == 2_500


async def test_a_small_namespace_gets_none(backend: PgvectorBackend) -> None:
    await backend.index("n").upsert(records_of(399))
    await backend.indexer.settled()
    assert not await backend.indexer.is_indexed("n")


async def test_an_index_that_was_left_half_built_is_built_anew(backend: PgvectorBackend, url: str) -> None:
    await backend.index("n").upsert(records_of(399))
    name = backend.table("n").as_string()
    with psycopg.connect(url, autocommit=True) as other:
        index = f"i{name.split('.')[1].strip(chr(34))[1:]}"
        other.execute(f"CREATE INDEX {index} ON {name} USING hnsw (vector vector_cosine_ops)".encode())
        other.execute(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'shard.{index}'::regclass".encode())
    await backend.index("n").upsert(records_of(600))
    await backend.indexer.settled()
    with psycopg.connect(url) as other:
        assert other.execute(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [f"shard.{index}"]
        ).fetchone() == (True,)


async def test_writers_of_the_same_ids_do_not_get_in_each_others_way(backend: PgvectorBackend) -> None:
    """One at a time or a hundred, COPY or not, new or old."""
    rng = np.random.default_rng(3)
    records = records_of(300)

    async def write(number: int) -> None:
        for _ in range(5):
            size = int(rng.choice([1, 20, 150]))
            chosen = [records[i] for i in rng.choice(300, size, replace=False)]
            await backend.index("n").upsert(chosen)

    await asyncio.gather(*(write(number) for number in range(8)))
    await backend.index("n").upsert(records)
    assert (await backend.stats("n")).vectors == 300


async def test_what_takes_too_long_is_cut_off(url: str) -> None:
    patient = PgvectorBackend(url, "slow", DIMENSION, Metric.COSINE)
    await patient.create("n")
    await patient.aclose()
    backend = PgvectorBackend(url, "slow", DIMENSION, Metric.COSINE, PgvectorOptions(statement_s=0.2))
    with psycopg.connect(url) as other:
        other.execute(f"LOCK TABLE {backend.table('n').as_string()}".encode())
        with pytest.raises((DeadlineExceeded, Unavailable)):
            await backend.index("n").upsert(records_of(2))
    for _ in range(20):  # it goes on, and each of these has 0.2 s
        with suppress(DeadlineExceeded, Unavailable):
            await backend.index("n").upsert(records_of(2))
            break
    else:
        raise AssertionError("it does not go on")
    await backend.aclose()


async def test_it_goes_on_after_a_restart_of_the_server(backend: PgvectorBackend, server: PostgresServer) -> None:
    await backend.index("n").upsert(records_of(10))
    server.restart()
    for _ in range(100):
        try:
            assert len(await backend.index("n").fetch(["r00001"])) == 1
            break
        except Unavailable:
            await asyncio.sleep(0.05)
    else:
        raise AssertionError("it does not come back")
    await backend.index("n").upsert(records_of(20))
    assert (await backend.stats()).vectors == 20


async def test_two_processes_may_make_the_same_shard_at_once(url: str) -> None:
    backends = [PgvectorBackend(url, "both", DIMENSION, Metric.COSINE) for _ in range(4)]
    await asyncio.gather(*(backend.create("n") for backend in backends for _ in range(3)))
    await asyncio.gather(*(backend.index("n").upsert(records_of(5)) for backend in backends))
    assert await backends[0].namespaces(None, 10) == ["n"]
    for backend in backends:
        await backend.aclose()


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, "options.url"),
        ({"url": "mysql://u@h/d"}, "options.url"),
        ({"url": "postgresql://u:secret@h/d"}, "options.url"),
        ({"url_env": "TENANTRY_NO_SUCH"}, "options.url_env"),
        ({"url": "postgresql://u@h/d", "layout": "rows"}, "options.layout"),
        ({"url": "postgresql://u@h/d", "connections": "1"}, "options.connections"),
        ({"url": "postgresql://u@h/d", "schema": "Bad-Name"}, "options.schema"),
        ({"url": "postgresql://u@h/d", "colour": "red"}, "options.colour"),
    ],
)
def test_options_are_held_to_what_is_allowed(options: dict[str, str], names: str) -> None:
    with pytest.raises(InvalidArgument, match=names) as caught:
        of_shard(LogicalIndex("docs", 8), Shard("docs", "pg", "pgvector", options))
    assert "secret" not in str(caught.value)


async def test_a_shard_is_tried_out_before_it_is_registered(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong password, a server that is away and a database that is not there are said, and leave nothing behind."""
    wrong = {
        "LOGIN": (re.sub(r":[^:@]+@", ":wrong@", url), "password authentication failed"),
        "AWAY": ("postgresql://u:p@127.0.0.1:1/d", "is unavailable"),
        "MISSING": (url.rsplit("/", 1)[0] + "/nothing", "nothing"),
    }
    async with await init_cluster(tmp_path / "data", dimension=DIMENSION) as cluster:
        for name, (where, says) in wrong.items():
            monkeypatch.setenv(f"PG_{name}", where)
            with pytest.raises(TenantryError, match=says) as caught:
                await cluster.shards.add("pg", backend="pgvector", options={"url_env": f"PG_{name}"})
            assert "wrong" not in str(caught.value)
        assert len(await cluster.shards.list()) == 1


async def test_a_tenant_moves_there_and_back(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_URL", url)
    async with await init_cluster(tmp_path / "data", dimension=DIMENSION) as cluster:
        home = (await cluster.tenants.create("acme")).route.place.shard
        records = records_of(1_200)
        for start in (0, 600):
            await cluster.tenant("acme").upsert(records[start : start + 600])
        await cluster.shards.add("pg", backend="pgvector", options={"url_env": "PG_URL", "layout": "partitions"})
        for shard in ("pg", home):
            move = await cluster.moves.wait((await cluster.moves.start("acme", shard, soak_s=0)).id)
            assert (move.phase, move.proof.records if move.proof else 0) == ("done", 1_200)
            found = await cluster.tenant("acme").fetch([record.id for record in records[::100]])
            for record in records[::100]:
                assert np.array_equal(found[record.id].values, record.values)
                assert found[record.id].metadata == record.metadata
        await cluster.moves.purge()
        status = await cluster.shards.get("pg")
        assert (status.vectors, status.error) == (0, None)


async def test_a_namespace_that_another_process_dropped_is_not_found(backend: PgvectorBackend, url: str) -> None:
    other = PgvectorBackend(url, "shard", DIMENSION, Metric.COSINE)
    await other.drop("n")
    await other.aclose()
    with pytest.raises(NotFound):
        await backend.index("n").query(Query(records_of(1)[0].values, 1))


#: Of each the digits that JSON has stand for more than one number of them, or for a whole one.
LARGE = [9.007199254740995e17, -9.007199254740995e17, 2.0**53, 2.0**62, 1.2345678901234567e20, 1e23, -1e300, 2.0**63]


@pytest.mark.parametrize("many", [False, True])
async def test_large_numbers_come_back_and_are_found_as_they_are(backend: PgvectorBackend, many: bool) -> None:
    index = backend.index("n")
    records = [
        Record(f"n{i:03}", row.values, {"n": LARGE[i % len(LARGE)], "half": i / 2})
        for i, row in enumerate(records_of(200 if many else len(LARGE)))
    ]
    await index.upsert(records)
    await index.upsert([Record("updated", records[0].values, {"n": 1})])
    await index.update(Update("updated", set_metadata={"n": LARGE[0]}))
    found = await index.fetch([record.id for record in records])
    assert {id: one.metadata for id, one in found.items()} == {one.id: one.metadata for one in records}
    assert (await index.fetch(["updated"]))["updated"].metadata == {"n": LARGE[0]}
    for number in LARGE:
        for term in ({"n": number}, {"n": {"$gte": number}}, {"n": {"$in": [number, 5]}}):
            condition = parse_filter(term)
            hits = await index.query(Query(records[0].values, 1_000, condition, include_metadata=True))
            wanted = {one.id for one in records if matches(condition, one.metadata)}
            wanted |= {"updated"} if matches(condition, {"n": LARGE[0]}) else set()
            assert {hit.id for hit in hits} == wanted, term
            assert all(matches(condition, hit.metadata) for hit in hits)
