"""Disasters: a shard's folder, the catalog, or both are lost; other shards, another engine, an older format."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from backup_lab import SIZES, close, content, everything, filled, restoring

from tenantry.backup.manifest import FORMAT
from tenantry.backup.rebuild import Layout
from tenantry.errors import Corrupt, Refused, TenantryError
from tenantry.settings import CATALOG_FILE
from tenantry.wiring import open_cluster

FIXTURES = Path(__file__).parents[1] / "fixtures"


async def test_a_shards_folder_is_lost(tmp_path: Path) -> None:
    archive, data = str(tmp_path / "archive"), tmp_path / "data"
    async with await filled(data) as cluster:
        await cluster.backups.create(archive)
        wanted = await everything(cluster)
        lost = (await cluster.tenants.get("acme")).tenant.route.place.shard
        held = {one.tenant.name for one in await cluster.tenants.list(shard=lost)}
        kept = next(name for name in SIZES if name not in held)
        await cluster.tenant(kept).upsert([("new", [1.0] * 8, None)])
        wanted[kept] = await content(cluster, kept)
    (folder,) = (data / "shards").glob(f"*{lost}")
    shutil.rmtree(folder)
    async with await open_cluster(data) as cluster:
        missing = {one.name for one in (await cluster.verify_routing()).problems if one.kind == "missing-namespace"}
        assert missing == held
        report = await cluster.backups.restore_shard(lost, archive)
        assert {one.tenant: str(one.action) for one in report.tenants} == dict.fromkeys(held, "recover")
        assert await everything(cluster) == wanted
        assert (await cluster.verify_routing()).problems == []


@pytest.mark.parametrize("attach", [True, False])
async def test_the_catalog_is_lost(tmp_path: Path, attach: bool) -> None:
    archive, data = str(tmp_path / "archive"), tmp_path / "data"
    async with await filled(data) as cluster:
        await cluster.backups.create(archive)
        then = await everything(cluster)
        await cluster.tenant("acme").upsert([("new", [1.0] * 8, None)])
        here = (await cluster.tenants.get("bigcorp")).tenant.route.place.shard
        there = next(one.shard.name for one in await cluster.shards.list() if one.shard.name != here)
        await cluster.moves.wait((await cluster.moves.start("bigcorp", there, soak_s=0)).id)
        acme = await content(cluster, "acme")
    for file in data.glob(f"{CATALOG_FILE}*"):
        file.unlink()
    with pytest.raises(Corrupt, match="restore the catalog from a backup"):
        await open_cluster(data)
    async with restoring(data) as cluster:
        with pytest.raises(Refused, match="--attach"):
            await cluster.backups.restore_cluster(archive)
        layout = Layout(attach=attach, beside=not attach)
        report = await cluster.backups.restore_cluster(archive, layout)
        actions = {one.tenant: str(one.action) for one in report.tenants}
        if attach:  # bigcorp has a newer namespace than the backup knows, which may be whole or not
            assert actions == {**dict.fromkeys(SIZES, "attach"), "bigcorp": "create"}
        else:
            assert set(actions.values()) == {"create"}
    async with await open_cluster(data) as cluster:
        assert await everything(cluster) == {**then, "acme": acme if attach else then["acme"]}
        problems = (await cluster.verify_routing()).problems
        assert {one.kind for one in problems} == {"orphan-namespace"}  # what was left alone, and is told
        if attach:
            assert {one.name for one in problems} == {"bigcorp", "bigcorp~2"}


async def test_everything_is_lost_and_the_restore_is_cut_off(tmp_path: Path) -> None:
    archive, data = str(tmp_path / "archive"), tmp_path / "data"
    async with await filled(data) as cluster:
        made = await cluster.backups.create(archive)
        wanted = await everything(cluster)
    shutil.rmtree(data)
    async with restoring(data) as cluster:
        job = cluster.backups.start_restore_cluster(archive)
        async for state in cluster.backups.watch(job.id):
            if state.progress.tenants_done >= 1:
                break
        await cluster.backups.cancel(job.id)
    if job.result is None:
        with pytest.raises(Refused, match=made.id):
            await open_cluster(data)
        async with restoring(data) as cluster:
            report = await cluster.backups.restore_cluster(archive)
            assert len(report.tenants) == len(SIZES)
    async with await open_cluster(data) as cluster:
        assert await everything(cluster) == wanted
        assert (await cluster.verify_routing()).problems == []


@pytest.mark.parametrize("shards", [1, 7])
async def test_onto_another_number_of_shards(tmp_path: Path, shards: int) -> None:
    archive = str(tmp_path / "archive")
    async with await filled(tmp_path / "data") as cluster:
        await cluster.backups.create(archive)
        wanted = await everything(cluster)
    async with restoring(tmp_path / "new") as cluster:
        await cluster.backups.restore_cluster(archive, Layout(shards=shards))
        assert await everything(cluster) == wanted
        assert len(await cluster.shards.list()) == shards
        assert (await cluster.verify_routing()).problems == []


async def test_onto_another_engine_and_back(tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_URL", postgres_url)
    archive, second = str(tmp_path / "archive"), str(tmp_path / "second")
    async with await filled(tmp_path / "data") as cluster:
        await cluster.backups.create(archive)
        wanted = await everything(cluster)
        await cluster.shards.add("pg", backend="pgvector", options={"url_env": "PG_URL", "schema": "apart"})
        report = await cluster.backups.restore_tenant("acme", archive, name="acme-pg", shard="pg")
        assert report.tenants[0].shard == "pg"
        assert await content(cluster, "acme-pg") == wanted["acme"]
    async with restoring(tmp_path / "new") as cluster:
        layout = Layout(shards=2, backend="pgvector", options={"url_env": "PG_URL"})
        await cluster.backups.restore_cluster(archive, layout)
        assert await everything(cluster) == wanted
        made = await cluster.backups.create(second)
        assert made.totals.fuzzy == 0
        assert (await cluster.verify_routing()).problems == []
    async with restoring(tmp_path / "back") as cluster:
        await cluster.backups.restore_cluster(second, Layout(shards=3))
        assert await everything(cluster) == wanted


async def test_an_engine_without_snapshots(tmp_path: Path) -> None:
    archive = str(tmp_path / "archive")
    async with await filled(tmp_path / "data", sizes={"acme": 300}) as cluster:
        wanted = await content(cluster, "acme")
        await cluster.shards.add("q", backend="qdrant", options={"path": str(tmp_path / "qdrant")})
        await cluster.moves.wait((await cluster.moves.start("acme", "q", soak_s=0)).id)
        made = await cluster.backups.create(archive)
        assert (made.totals.records, made.totals.fuzzy) == (300, 0)
        await cluster.backups.restore_tenant("acme", archive, name="to-q", shard="q")
        await cluster.backups.restore_tenant("acme", archive, name="home", shard="shard-0")
        assert close(wanted, await content(cluster, "to-q"))
        assert close(wanted, await content(cluster, "home"))


@pytest.mark.parametrize("format", range(1, FORMAT))
async def test_a_backup_of_an_older_format_stays_readable(tmp_path: Path, format: int) -> None:
    archive = tmp_path / "archive"
    shutil.copytree(FIXTURES / f"backup-format-{format}", archive)
    async with restoring(tmp_path / "new") as cluster:
        assert (await cluster.backups.verify(str(archive))).whole
        report = await cluster.backups.restore_cluster(str(archive))
        assert [one.tenant for one in report.tenants] == ["acme", "calm"]
        found = await content(cluster, "acme")
        assert len(found) == 30
        assert found["r00008"][1] == {"n": 8, "half": 4.0, "tags": ["a", "acme"]}
    with pytest.raises(TenantryError):
        await open_cluster(tmp_path / "nowhere")
