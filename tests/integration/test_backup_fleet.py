"""Backups of a fleet: two processes' clusters on one PostgreSQL catalog, with shards that both reach."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tenantry.backup.rebuild import Layout
from tenantry.catalogs.sql import open_catalog
from tenantry.cluster import Cluster
from tenantry.errors import Conflict, Refused
from tenantry.settings import Settings
from tenantry.wiring import open_cluster

sys.path.insert(0, str(Path(__file__).parent))
from backup_lab import everything, filled, restoring

SIZES = {"acme": 600, "bigcorp": 300}
LEASE_S = 4.0
WRITER = "backup"


@pytest.fixture
async def pair(tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PG_URL", postgres_url)
    shared = {"catalog_url": postgres_url, "lease_s": LEASE_S}
    async with await filled(tmp_path / "one", shards=0, sizes={}, **shared) as one:
        await one.shards.add("pg", backend="pgvector", options={"url_env": "PG_URL"})
        for name, size in SIZES.items():
            rows = [(f"r{i}", [1, 0, 0, 0, 0, 0, 0, i], {"n": i}) for i in range(size)]
            await one.tenant(name).upsert(rows)
        async with await open_cluster(Settings(data=tmp_path / "two", **shared)) as two:
            yield one, two


@pytest.fixture
async def leases(postgres_url: str):
    catalog = await open_catalog(postgres_url)
    yield catalog.leases
    await catalog.aclose()


async def taken_by(leases, owner: str) -> None:
    """Take the lease from the writer that holds it, however often the writer renews it meanwhile."""
    while True:
        held = await leases.get(WRITER)
        if held is not None and held.owner is not None:
            with suppress(Conflict):  # renewed between the look and the claim
                await leases.claim(WRITER, owner, held)
                return
        await asyncio.sleep(0.01)


async def test_one_process_writes_at_a_time(
    tmp_path: Path, pair: tuple[Cluster, Cluster], leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = pair
    archive = str(tmp_path / "archive")
    monkeypatch.setattr("tenantry.backup.service.LEASES", 1)  # the second gives up before the first is done
    slow = asyncio.create_task(one.backups.create(archive, rate=100))
    while await leases.get(WRITER) is None:
        await asyncio.sleep(0.01)
    with pytest.raises(Refused, match="written by another process of this cluster"):
        await two.backups.create(archive)
    first = await slow
    assert first.totals.tenants == len(SIZES)
    again = await two.backups.create(archive)
    assert again.totals.tenants == len(SIZES)
    assert again.totals.written_bytes < first.totals.written_bytes / 4
    assert [found.id for found in await one.backups.list(archive)] == [again.id, first.id]


async def test_the_lease_of_a_writer_that_died_lapses(tmp_path: Path, pair: tuple[Cluster, Cluster], leases) -> None:
    _, two = pair
    await leases.claim(WRITER, "one-that-died", None)
    made = await two.backups.create(str(tmp_path / "archive"))
    assert made.totals.tenants == len(SIZES)


async def test_a_writer_that_lost_its_lease_publishes_nothing(
    tmp_path: Path, pair: tuple[Cluster, Cluster], leases
) -> None:
    one, two = pair
    archive = str(tmp_path / "archive")
    slow = asyncio.create_task(one.backups.create(archive, rate=200))
    await taken_by(leases, "quicker")
    with pytest.raises(Conflict, match="lease of the writer was lost"):
        await slow
    assert await two.backups.list(archive) == []


async def test_a_fleet_comes_back_onto_one_folder(tmp_path: Path, pair: tuple[Cluster, Cluster]) -> None:
    one, two = pair
    archive = str(tmp_path / "archive")
    await two.backups.create(archive)
    before = await everything(one)
    async with restoring(tmp_path / "new") as restored:
        await restored.backups.restore_cluster(archive, Layout(shards=2))
        after = await everything(restored)
        assert after == before
        assert (await restored.verify_routing()).problems == []
