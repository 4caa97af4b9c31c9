"""Backups that were changed, cut off, are of another key, format or dimension; places that fail in the middle."""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from backup_lab import SIZES, content, everything, filled, restoring

from tenantry.archives.directory import DirectoryArchive
from tenantry.backup.manifest import FORMAT, Manifest, manifest_name
from tenantry.cluster import Cluster
from tenantry.errors import Corrupt, InvalidArgument, Refused, StorageFailed, TenantryError, Unavailable
from tenantry.wiring import new_backup_key, open_cluster


@pytest.fixture(params=["plain", "encrypted"])
async def made(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    if request.param == "encrypted":
        monkeypatch.setenv("TENANTRY_BACKUP_KEY", new_backup_key())
    async with await filled(tmp_path / "data") as cluster:
        return await cluster.backups.create(str(tmp_path / "archive"))


async def what_is_wrong(cluster: Cluster, archive: Path, made: Manifest) -> str:
    try:
        report = await cluster.backups.verify(str(archive), made.id)
    except (Corrupt, Refused) as error:
        return str(error)
    return " ".join(fault.error for fault in report.faults)


async def test_any_changed_byte_of_any_object_is_found_and_named_and_nothing_is_half_restored(
    made: Manifest, tmp_path: Path
) -> None:
    chance = random.Random(4)
    archive = tmp_path / "archive"
    files = sorted(path for path in archive.rglob("*") if path.is_file())
    assert len(files) >= 6
    async with await open_cluster(tmp_path / "data") as cluster:
        for file in files:
            whole = file.read_bytes()
            places = {0, len(whole) // 2, len(whole) - 1, chance.randrange(len(whole)), chance.randrange(len(whole))}
            damaged = [whole[:at] + bytes([whole[at] ^ (1 << chance.randrange(8))]) + whole[at + 1 :] for at in places]
            for data in [*damaged, whole[: len(whole) // 2], b"", whole + b"x"]:
                file.write_bytes(data)
                named = file.name.removesuffix(".json")
                found = await what_is_wrong(cluster, archive, made)
                if file.name != "archive.json":  # whose archive it is: not part of any backup
                    assert named in found, (file, found)
            file.write_bytes(whole)
        assert (await cluster.backups.verify(str(archive), made.id)).whole


async def test_a_damaged_backup_leaves_the_cluster_as_it_was(made: Manifest, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    async with await open_cluster(tmp_path / "data") as cluster:
        before = await everything(cluster)
        largest = max((path for path in archive.rglob("objects/*/*")), key=lambda path: path.stat().st_size)
        whole = largest.read_bytes()
        largest.write_bytes(whole[:500] + bytes([whole[500] ^ 1]) + whole[501:])
        for options in ({"name": "again"}, {"replace": True}):
            with pytest.raises(Corrupt, match=largest.name):
                await cluster.backups.restore_tenant("acme", str(archive), **options)
            assert await everything(cluster) == before
            assert (await cluster.verify_routing()).problems == []
        await cluster.backups.create(str(archive), full=True)  # stores it anew
        assert (await cluster.backups.verify(str(archive), made.id)).whole
        largest.write_bytes(whole[:-1])
    async with restoring(tmp_path / "new") as cluster:
        with pytest.raises(Corrupt, match=largest.name):
            await cluster.backups.restore_cluster(str(archive), id=made.id)
    with pytest.raises(Refused, match=f"restore of backup {made.id} into this cluster was cut off"):
        await open_cluster(tmp_path / "new")
    largest.write_bytes(whole)
    async with restoring(tmp_path / "new") as cluster:
        report = await cluster.backups.restore_cluster(str(archive), id=made.id)
        assert len(report.tenants) == len(SIZES)
        assert await everything(cluster) == before


async def test_wrong_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, other, archive = new_backup_key(), new_backup_key(), str(tmp_path / "archive")
    async with await filled(tmp_path / "data", sizes={"acme": 10}, backup_key=key) as cluster:
        await cluster.backups.create(archive)
    assert not any(b"acme" in path.read_bytes() for path in Path(archive).rglob("*") if path.is_file())
    for wrong, words in ((other, "the wrong one"), (None, "is encrypted with key"), ("short", "32 bytes in base64")):
        given = {} if wrong is None else {"backup_key": wrong}
        async with await open_cluster(tmp_path / "data", **given) as cluster:
            for call in (cluster.backups.list, cluster.backups.create, cluster.backups.verify):
                with pytest.raises((Refused, InvalidArgument), match=words) as raised:
                    await call(archive)
                assert other not in str(raised.value)


async def test_newer_formats_other_clusters_other_dimensions(tmp_path: Path) -> None:
    archive = str(tmp_path / "archive")
    async with await filled(tmp_path / "data", sizes={"acme": 10}) as cluster:
        made = await cluster.backups.create(archive)
        await cluster.indexes.create("wide", 16)
        await cluster.indexes.create("dot", 8, "dotproduct")
        for index, words in (("wide", "of dimension 8, as the backup"), ("dot", "metric cosine")):
            with pytest.raises(InvalidArgument, match=words):
                await cluster.backups.restore_tenant("acme", archive, into=index)
            assert await cluster.tenants.list(index) == []
        manifest = Path(archive) / manifest_name(made.id)
        newer = manifest.read_text().replace(f'"format":{FORMAT}', '"format":7')
        manifest.write_text(newer)
        with pytest.raises(Refused, match=f"format 7; this Tenantry reads formats up to {FORMAT}"):
            await cluster.backups.restore_tenant("acme", archive, name="x")
    async with await filled(tmp_path / "other", sizes={"acme": 10}) as cluster:
        with pytest.raises(Refused, match="another cluster"):
            await cluster.backups.create(archive)


@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize("error", [StorageFailed("no space left on device"), Unavailable("the network is gone")])
async def test_an_archive_that_fails_in_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int, error: TenantryError
) -> None:
    archive = str(tmp_path / "archive")
    put, get, calls = DirectoryArchive.put, DirectoryArchive.get, [0]

    async def failing(real, self, *given):
        if given[0].startswith("objects/"):
            calls[0] += 1
            if calls[0] > after + 1:
                raise error
        return await real(self, *given)

    async with await filled(tmp_path / "data") as cluster:
        with monkeypatch.context() as patch:
            patch.setattr(DirectoryArchive, "put", lambda self, *given: failing(put, self, *given))
            with pytest.raises(type(error), match=str(error)):
                await cluster.backups.create(archive)
        assert await cluster.backups.list(archive) == []
        await cluster.backups.create(archive)
        before = await everything(cluster)
        with monkeypatch.context() as patch:
            calls[0] = -2  # the catalog's image and a list come first
            patch.setattr(DirectoryArchive, "get", lambda self, *given: failing(get, self, *given))
            failed = False
            for name in ("again", "and-again", "once-more", "last"):
                try:
                    await cluster.backups.restore_tenant("acme", archive, name=name)
                except type(error):
                    failed = True
                    break
                await cluster.tenants.delete(name, now=True)
            assert failed
        assert await everything(cluster) == before
        assert (await cluster.verify_routing()).problems == []


async def test_a_disk_that_is_full_at_the_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tenantry.backends.embedded.backend import EmbeddedIndex

    archive, load, calls = str(tmp_path / "archive"), EmbeddedIndex.load, [0]

    async def failing(self, block):
        calls[0] += 1
        if calls[0] > 1:
            raise StorageFailed("the disk is full")
        await load(self, block)

    sizes = {"acme": 3_000, "calm": 10}
    async with await filled(tmp_path / "data", sizes=sizes) as cluster:
        await cluster.backups.create(archive)
        before = await content(cluster, "acme")
        for options in ({"name": "again"}, {"replace": True}):
            calls[0] = 0
            with monkeypatch.context() as patch:
                patch.setattr(EmbeddedIndex, "load", failing)
                with pytest.raises(StorageFailed):
                    await cluster.backups.restore_tenant("acme", archive, **options)
            assert await content(cluster, "acme") == before
            assert len(await cluster.tenants.list()) == 2
            assert (await cluster.verify_routing()).problems == []
        shutil.rmtree(archive)
