"""A namespace held as it was, and the words that tell whether it has changed."""

import asyncio

import numpy as np
import pytest

from tenantry.backends.embedded.backend import EmbeddedBackend
from tenantry.backends.embedded.engine import Engine
from tenantry.model.records import ByIds, Everything, Metric, Record, Update


@pytest.fixture
async def index(tmp_path):
    engine = Engine(tmp_path / "engine")
    backend = EmbeddedBackend(engine, "shard", 4, Metric.COSINE)
    await backend.create("acme")
    yield backend.index("acme")
    await backend.aclose()
    await engine.aclose()


def some(start, end, first=1.0):
    return [Record(f"r{i:05}", np.array([first, i, 0, 0], np.float32), {"n": i}) for i in range(start, end)]


async def read(held, limit=100):
    found, cursor = {}, None
    while True:
        block = await held.page(cursor, limit)
        found.update((one.id, one) for one in block.records())
        assert block.ids == sorted(block.ids)
        cursor = block.cursor
        if cursor is None:
            return found


async def test_what_is_written_meanwhile_is_not_seen(index):
    await index.upsert(some(0, 950))
    async with index.snapshot() as held:
        await index.upsert(some(900, 1_000, first=2.0))
        await index.delete(ByIds(("r00001",)))
        found = await read(held)
        assert len(found) == 950
        assert found["r00949"].values[0] == 1.0
    async with index.snapshot() as held:
        assert len(await read(held)) == 999


async def test_the_version_is_another_after_every_change_and_only_then(index):
    seen = {await index.version()}
    for change in (
        lambda: index.upsert(some(0, 10)),
        lambda: index.upsert(some(0, 10)),
        lambda: index.delete(ByIds(("r00003",))),
        lambda: index.update(Update("r00004", None, {"n": -1})),
        lambda: index.delete(Everything()),
        lambda: index.upsert(some(0, 9)),
    ):
        await change()
        version = await index.version()
        assert version not in seen
        assert await index.version() == version
        async with index.snapshot() as held:
            assert held.version == version
        seen.add(version)


async def test_a_reader_that_is_cancelled_leaves_nothing_open(index):
    await index.upsert(some(0, 1_000))

    async def reader():
        async with index.snapshot() as held:
            while True:
                await held.page(None, 900)

    for _ in range(40):
        task = asyncio.create_task(reader())
        await asyncio.sleep(0.002)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
    async with index.snapshot() as held:
        assert len(await read(held)) == 1_000
    assert index._engine.pool._in_use == 0
