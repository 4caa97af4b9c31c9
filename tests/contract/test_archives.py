"""What every archive must do, on a folder and on a server that speaks S3's protocol."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tenantry.archives.directory import WRITING, DirectoryArchive
from tenantry.errors import InvalidArgument, NotFound, StorageFailed, Unavailable
from tenantry.ports import Archive
from tenantry.testing.servers import free_port


@pytest.fixture(params=["directory", "s3"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Archive:
    if request.param == "directory":
        return DirectoryArchive(tmp_path / "archive")
    from tenantry.archives.s3 import S3Archive

    return S3Archive(request.getfixturevalue("s3_bucket") + "/a/prefix")


async def names(archive: Archive, prefix: str) -> dict[str, int]:
    return {one.name: one.size async for one in archive.list(prefix)}


async def test_an_object_is_written_once_and_read_back(archive: Archive) -> None:
    data = bytes(range(256)) * 5_000
    assert await archive.put("objects/ab/one", data)
    assert not await archive.put("objects/ab/one", b"other")
    await archive.flush()
    assert await archive.get("objects/ab/one") == data
    with pytest.raises(NotFound, match="objects/none"):
        await archive.get("objects/none")


async def test_listing_and_deleting(archive: Archive) -> None:
    assert await names(archive, "objects/") == {}
    for name in ("objects/ab/one", "objects/cd/two", "backups/x.json"):
        await archive.put(name, name.encode())
    assert await names(archive, "objects/") == {"objects/ab/one": 14, "objects/cd/two": 14}
    assert set(await names(archive, "objects/a")) == {"objects/ab/one"}
    await archive.delete("objects/ab/one")
    await archive.delete("objects/ab/one")
    assert set(await names(archive, "")) == {"objects/cd/two", "backups/x.json"}
    assert await archive.put("objects/ab/one", b"again")


async def test_of_many_that_write_one_name_one_wins(archive: Archive) -> None:
    won = await asyncio.gather(*(archive.put("backups/x.json", b"%d" % i) for i in range(12)))
    assert won.count(True) == 1
    assert await archive.get("backups/x.json") == b"%d" % won.index(True)


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "a//b", "", "a/../../b", ".hidden"])
async def test_names_that_lead_elsewhere_are_refused(archive: Archive, name: str) -> None:
    with pytest.raises(InvalidArgument):
        await archive.put(name, b"")


async def test_what_a_crash_left_half_written_is_neither_listed_nor_kept(tmp_path: Path) -> None:
    half = tmp_path / WRITING / "999999999-0123"
    half.parent.mkdir()
    half.write_bytes(b"half")
    archive = DirectoryArchive(tmp_path)
    assert await names(archive, "") == {}
    await archive.put("objects/ab/one", b"")
    assert not half.exists()


async def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed, match="file"):
        await DirectoryArchive(tmp_path / "file").put("objects/ab/one", b"")


async def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    archive_s3: Any = pytest.importorskip("tenantry.archives.s3")
    monkeypatch.setattr(archive_s3, "TRIES", 0)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    with pytest.raises(Unavailable) as raised:
        await archive_s3.S3Archive("s3://bucket").get("objects/ab/one")
    assert "very-secret" not in str(raised.value)
