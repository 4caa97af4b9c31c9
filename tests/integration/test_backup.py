"""Backups through the library: round trips, what is not read or stored again, writes and moves meanwhile, undelete."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from backup_lab import SIZES, content, everything, filled, restoring, rows

from tenantry.backup.retention import Retention
from tenantry.errors import AlreadyExists, InvalidArgument, NotFound, Refused
from tenantry.model.topology import TenantSpec
from tenantry.wiring import new_backup_key, open_cluster


@pytest.fixture(params=["directory", "s3", "encrypted"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "encrypted":
        monkeypatch.setenv("TENANTRY_BACKUP_KEY", new_backup_key())
    if request.param == "s3":
        found: str = request.getfixturevalue("s3_bucket")
        return found + "/backups"
    return str(tmp_path / "archive")


async def test_a_cluster_comes_back_whole_from_every_kind_of_archive(tmp_path: Path, place: str) -> None:
    async with await filled(tmp_path / "data") as cluster:
        key, _ = await cluster.keys.create("acme")
        await cluster.tenants.suspend("calm")
        made = await cluster.backups.create(place)
        assert (made.totals.tenants, made.totals.records) == (len(SIZES), sum(SIZES.values()))
        assert (await cluster.backups.verify(place)).whole
        await cluster.tenants.resume("calm")
        before = await everything(cluster)
    async with restoring(tmp_path / "new") as cluster:
        report = await cluster.backups.restore_cluster(place)
        assert {one.action for one in report.tenants} == {"create"}
    async with await open_cluster(tmp_path / "new") as cluster:
        with pytest.raises(Refused, match="suspended"):
            await cluster.tenant("calm").fetch(["r00001"])
        await cluster.tenants.resume("calm")
        assert await everything(cluster) == before
        assert (await cluster.verify_routing()).problems == []
        assert (await cluster.keys.list())[0].id == key.id
        assert (await cluster.backups.create(place)).totals.tenants == len(SIZES)  # it is the same cluster


async def test_what_has_not_changed_is_neither_read_nor_stored_again(tmp_path: Path, place: str) -> None:
    async with await filled(tmp_path / "data") as cluster:
        first = await cluster.backups.create(place)
        assert first.totals.reused == 0
        again = await cluster.backups.create(place)
        assert (again.totals.reused, again.totals.written_bytes) == (len(SIZES), 0)
        await cluster.tenant("calm").delete(ids=["r00003"])
        await cluster.tenant("acme").update("r00001", set_metadata={"n": -1})
        third = await cluster.backups.create(place)
        assert third.totals.reused == len(SIZES) - 2
        wanted = await everything(cluster)
    async with await open_cluster(tmp_path / "data") as cluster:  # the engine's word holds over a restart
        assert (await cluster.backups.create(place)).totals.reused == len(SIZES)
        full = await cluster.backups.create(place, full=True)
        assert (full.totals.reused, full.totals.written_bytes) == (0, 0)
        for name in ("calm", "acme"):
            await cluster.backups.restore_tenant(name, place, name=f"{name}-then", backup=first.id)
            await cluster.backups.restore_tenant(name, place, name=f"{name}-now", backup=third.id)
            assert await content(cluster, f"{name}-now") == wanted[name]
            assert len(await content(cluster, f"{name}-then")) == SIZES[name]
        assert (await content(cluster, "acme-then"))["r00001"][1]["n"] == 1


async def test_scopes_and_times(tmp_path: Path) -> None:
    place = str(tmp_path / "archive")
    async with await filled(tmp_path / "data") as cluster:
        one = await cluster.backups.create(place, tenant="acme")
        assert (one.totals.tenants, str(one.scope)) == (1, "tenant default/acme")
        shard = (await cluster.tenants.get("bigcorp")).tenant.route.place.shard
        held = [each.tenant.name for each in await cluster.tenants.list(shard=shard)]
        by_shard = await cluster.backups.create(place, shard=shard)
        assert by_shard.totals.tenants == len(held)
        await cluster.tenant("acme").delete(ids=["r00001"])
        later = await cluster.backups.create(place)
        restored = await cluster.backups.restore_tenant("acme", place, name="then", as_of=later.finished_at - 0.001)
        assert restored.backup in (one.id, by_shard.id)
        assert len(await content(cluster, "then")) == SIZES["acme"]
        with pytest.raises(NotFound, match="no backup that was finished by then"):
            await cluster.backups.restore_tenant("acme", place, name="never", as_of=one.catalog_at - 1)
        with pytest.raises(NotFound, match="calm"):
            await cluster.backups.restore_tenant("calm", place, name="x", backup=one.id)
        for wrong, kind in (
            ({"tenant": "nobody"}, NotFound),
            ({"shard": "no"}, NotFound),
            ({"parallel": 0}, InvalidArgument),
        ):
            with pytest.raises(kind):
                await cluster.backups.create(place, **wrong)
        assert [each.id for each in await cluster.backups.list(place)] == [later.id, by_shard.id, one.id]
        report = await cluster.backups.prune(place, Retention(0, 0, 0))
        assert report.removed == []  # each is the newest of its scope
        await cluster.backups.remove(one.id, place)
        assert (await cluster.backups.prune(place, Retention(0, 0, 0))).damaged == []
        assert (await cluster.backups.verify(place, later.id)).whole
        assert (await cluster.backups.verify(place, by_shard.id)).whole


async def test_nothing_is_overwritten_without_being_told(tmp_path: Path) -> None:
    place = str(tmp_path / "archive")
    async with await filled(tmp_path / "data") as cluster:
        await cluster.backups.create(place)
        then = await content(cluster, "acme")
        await cluster.tenant("acme").upsert(rows("other", 3))
        now = await content(cluster, "acme")
        with pytest.raises(AlreadyExists, match="--replace"):
            await cluster.backups.restore_tenant("acme", place)
        planned = await cluster.backups.restore_tenant("acme", place, replace=True, dry_run=True)
        assert (planned.tenants[0].action, planned.dry_run) == ("replace", True)
        assert await content(cluster, "acme") == now
        other = next(
            one.shard.name for one in await cluster.shards.list() if one.shard.name != planned.tenants[0].shard
        )
        await cluster.backups.restore_tenant("acme", place, replace=True, shard=other)
        assert await content(cluster, "acme") == then
        assert (await cluster.tenants.get("acme")).tenant.route.place.shard == other
        assert [copy.move for copy in await cluster.moves.copies(tenant="acme")] == ["restore"]
        assert (await cluster.verify_routing()).problems == []
        kept = await cluster.backups.restore_shard(other, place)
        assert {one.action for one in kept.tenants} <= {"keep"}
    async with restoring(tmp_path / "data") as cluster:
        with pytest.raises(Refused, match="there is a cluster already"):
            await cluster.backups.restore_cluster(place)
        assert await content(cluster, "acme") == then


async def test_each_tenant_is_as_it_was_at_one_instant_while_it_is_written_and_moved(tmp_path: Path) -> None:
    """A writer sets pairs of records to the same number, always the first before the second, so at any instant they
    differ by one at most, and all lower pairs are as far or one further. Any mix of two instants breaks that."""
    place = str(tmp_path / "archive")
    pairs = 400
    async with await filled(tmp_path / "data", sizes={"acme": 0}) as cluster:
        acme, over = cluster.tenant("acme"), False

        async def turn(number: int) -> None:
            for start in range(0, pairs, 100):
                values = np.full(8, number + 1, np.float32)
                await acme.upsert([(f"p{i:04}", values, {"v": number}) for i in range(start, start + 100)])

        await turn(0)

        async def write() -> None:
            number = 0
            while not over:
                number += 1
                await turn(number)

        async def move() -> None:
            while not over:
                here = (await cluster.tenants.get("acme")).tenant.route.place.shard
                there = next(one.shard.name for one in await cluster.shards.list() if one.shard.name != here)
                await cluster.moves.wait((await cluster.moves.start("acme", there, soak_s=0, retention_s=0)).id)

        tasks = [asyncio.create_task(write()), asyncio.create_task(move())]
        made = [await cluster.backups.create(place, rate=4_000) for _ in range(6)]
        over = True
        await asyncio.gather(*tasks)
        seen = set()
        for number, one in enumerate(made):
            await cluster.backups.restore_tenant("acme", place, name=f"then-{number}", backup=one.id)
            found = await content(cluster, f"then-{number}")
            steps = [found[f"p{i:04}"][1]["v"] for i in range(pairs)]
            assert len(found) == pairs
            assert steps == sorted(steps, reverse=True)
            assert steps[0] - steps[-1] <= 1
            assert len(set(steps)) == 1 or steps.index(steps[-1]) % 100 == 0
            seen.add(steps[0])
        assert len(seen) > 2
        assert all(one.totals.fuzzy == 0 for one in made)


async def test_a_deleted_tenant_comes_back(tmp_path: Path) -> None:
    async with await filled(tmp_path / "data") as cluster:
        before = await content(cluster, "acme")
        until = await cluster.tenants.delete("acme")
        assert until is not None
        assert until > cluster.clock.now() + 6 * 86_400
        with pytest.raises(NotFound):
            await cluster.tenant("acme").fetch(["r00001"])
        assert [copy.tenant for copy in await cluster.tenants.deleted()] == ["acme"]
        assert (await cluster.verify_routing()).problems == []
        await cluster.tenants.undelete("acme")
        assert await content(cluster, "acme") == before
        assert list(await cluster.tenants.deleted()) == []
        await cluster.tenants.delete("acme")
        await cluster.tenants.create("acme", spec=TenantSpec())
        with pytest.raises(AlreadyExists):
            await cluster.tenants.undelete("acme")
        assert await content(cluster, "acme") == {}
        await cluster.tenants.delete("acme", now=True)
        with pytest.raises(NotFound):
            await cluster.tenants.undelete("acme")
        await cluster.tenants.delete("calm")
        await cluster.indexes.delete("default")
