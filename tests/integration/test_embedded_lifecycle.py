"""The life of the engine's files: closing, crashing, damage, dropping, names."""

import asyncio
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from tenantry.backends.embedded import EmbeddedBackend, Engine
from tenantry.errors import Corrupt, InvalidArgument, NotFound, Unavailable
from tenantry.model.records import Metric, Query, Record, Update

DIMENSION = 32


@pytest.fixture
async def open_engine(tmp_path):
    engines = []

    def make():
        engine = Engine(tmp_path)
        engines.append(engine)
        return engine, EmbeddedBackend(engine, "shard", DIMENSION, Metric.COSINE)

    yield make
    for engine in engines:
        await engine.aclose()


def noise(seed, count):
    return np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)


async def fill(index, matrix):
    await index.upsert([Record(f"r{i}", vector) for i, vector in enumerate(matrix)])


async def test_counts_survive_closing_and_crashing(open_engine, tmp_path):
    engine, backend = open_engine()
    for name in ("a", "b", "empty"):
        await backend.create(name)
    await fill(backend.index("a"), noise(1, 50))
    await engine.aclose()
    manifest = tmp_path / "shard" / "manifest.db"
    with sqlite3.connect(manifest) as connection:
        rows = connection.execute("SELECT name, state, dirty, vectors FROM namespaces ORDER BY name").fetchall()
    connection.close()
    assert rows == [("a", 1, 0, 50), ("b", 0, 0, 0), ("empty", 0, 0, 0)]
    # As a crash leaves it: marked, with a count that is not to be believed.
    with sqlite3.connect(manifest) as connection:
        connection.execute("UPDATE namespaces SET dirty = 1, vectors = 7 WHERE name = 'a'")
    connection.close()
    engine, backend = open_engine()
    assert (await backend.stats()).vectors == 50
    await backend.index("a").upsert([Record("more", noise(1, 1)[0])])
    assert (await backend.stats("a")).vectors == 51
    await engine.aclose()
    _, backend = open_engine()
    assert (await backend.stats("a")).vectors == 51
    assert backend._shard.by_name["a"].dirty is False


async def test_a_drop_that_was_interrupted_is_finished(open_engine, tmp_path):
    engine, backend = open_engine()
    await backend.create("gone")
    await fill(backend.index("gone"), noise(1, 10))
    await engine.aclose()
    with sqlite3.connect(tmp_path / "shard" / "manifest.db") as connection:
        connection.execute("UPDATE namespaces SET state = 2")
    connection.close()
    _, backend = open_engine()
    assert await backend.namespaces(None, 10) == []
    assert list((tmp_path / "shard").glob("ns-*")) == []
    await backend.create("gone")
    assert await backend.index("gone").fetch(["r1"]) == {}


async def test_the_shard_remembers_what_it_was_made_for(open_engine, tmp_path):
    engine, backend = open_engine()
    await backend.create("main")
    with pytest.raises(InvalidArgument):
        EmbeddedBackend(engine, "shard", DIMENSION + 1, Metric.COSINE)
    await engine.aclose()
    for dimension, metric in ((DIMENSION + 1, Metric.COSINE), (DIMENSION, Metric.EUCLIDEAN)):
        other = Engine(tmp_path)
        with pytest.raises(InvalidArgument, match="was made"):
            await EmbeddedBackend(other, "shard", dimension, metric).namespaces(None, 1)
        await other.aclose()


async def test_damage_is_named_and_nothing_is_made_in_its_place(open_engine, tmp_path):
    engine, backend = open_engine()
    for name in ("torn", "missing", "fine"):
        await backend.create(name)
        await fill(backend.index(name), noise(1, 200))
    await engine.aclose()
    torn, missing = tmp_path / "shard" / "ns-1.db", tmp_path / "shard" / "ns-2.db"
    torn.write_bytes(b"this is not a database, whatever it was before" * 100)
    missing.unlink()
    _, backend = open_engine()
    vector = noise(1, 1)[0]
    for name, path in (("torn", torn), ("missing", missing)):
        index = backend.index(name)
        for call in (
            lambda index=index: index.query(Query(vector, 1)),
            lambda index=index: index.fetch(["r1"]),
            lambda index=index: index.scan(None, 10),
            lambda index=index: index.upsert([Record("x", vector)]),
            lambda index=index: index.update(Update("r1", vector)),
        ):
            with pytest.raises(Corrupt, match=path.name):
                await call()
    assert not missing.exists()
    assert len(await backend.index("fine").query(Query(vector, 1000))) == 200


async def test_a_lost_manifest_is_not_replaced_by_an_empty_one(open_engine, tmp_path):
    engine, backend = open_engine()
    await backend.create("main")
    await fill(backend.index("main"), noise(1, 10))
    await engine.aclose()
    (tmp_path / "shard" / "manifest.db").unlink()
    _, backend = open_engine()
    with pytest.raises(Corrupt, match=r"manifest\.db"):
        await backend.namespaces(None, 10)


async def test_two_backends_of_one_shard_share_it(open_engine):
    engine, first = open_engine()
    second = EmbeddedBackend(engine, "shard", DIMENSION, Metric.COSINE)
    await first.create("main")
    await first.index("main").upsert([Record("a", noise(1, 1)[0])])
    await first.aclose()
    assert set(await second.index("main").fetch(["a"])) == {"a"}
    await second.aclose()
    third = EmbeddedBackend(engine, "shard", DIMENSION, Metric.COSINE)
    assert (await third.stats("main")).vectors == 1


async def test_a_closed_engine_says_so(open_engine):
    engine, backend = open_engine()
    await backend.create("main")
    await engine.aclose()
    with pytest.raises(Unavailable, match="closed"):
        await backend.namespaces(None, 10)


async def test_making_an_engine_touches_nothing(tmp_path):
    root = tmp_path / "not" / "yet"
    engine = Engine(root)
    EmbeddedBackend(engine, "shard", 4, Metric.COSINE).index("main")
    await engine.aclose()
    assert not root.exists()


@pytest.mark.parametrize("name", ["plain", "with space", "ünï/côdé", "..a", "a~2", "x" * 100])
async def test_any_shard_name_has_a_folder(tmp_path, name):
    engine = Engine(tmp_path)
    backend = EmbeddedBackend(engine, name, 4, Metric.COSINE)
    await backend.create("main")
    await engine.aclose()
    assert len([path for path in Path(tmp_path).iterdir() if path.is_dir()]) == 1
    engine = Engine(tmp_path)
    assert await EmbeddedBackend(engine, name, 4, Metric.COSINE).namespaces(None, 9) == ["main"]
    await engine.aclose()


@pytest.mark.parametrize("name", ["", ".", "..", "x" * 300])
async def test_shard_names_that_cannot_be_folders_are_refused(tmp_path, name):
    with pytest.raises(InvalidArgument, match="shard"):
        EmbeddedBackend(Engine(tmp_path), name, 4, Metric.COSINE)


async def test_dropping_beside_writes_and_reads_ends_in_not_found(open_engine):
    _, backend = open_engine()
    matrix = noise(1, 100)
    for _ in range(5):
        await backend.create("main")
        index = backend.index("main")
        await fill(index, matrix)

        async def use(index=index):
            try:
                for i in range(200):
                    await index.upsert([Record(f"n{i}", matrix[i % 100])])
                    await index.scan(None, 10)
                    await index.query(Query(matrix[0], 3))
            except NotFound:
                return True
            return False

        users = [asyncio.create_task(use()) for _ in range(4)]
        await index.list_ids(None, 1)
        await backend.drop("main")
        assert await asyncio.gather(*users) == [True] * 4
        assert await backend.namespaces(None, 10) == []
    assert list((backend._engine.root / "shard").glob("ns-*")) == []
