"""What the catalog says when its database is damaged, away, full, locked or not what the URL promised."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy.exc as sa_exc

from tenantry.catalogs import SqlCatalog, open_catalog
from tenantry.catalogs.vendor_errors import translated
from tenantry.errors import (
    Bug,
    Conflict,
    Corrupt,
    InvalidArgument,
    Refused,
    StorageFailed,
    TenantryError,
    TooLarge,
    Unavailable,
    Unsupported,
)
from tenantry.model.topology import LogicalIndex, Shard, TenantSpec
from tenantry.testing.servers import PostgresServer


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catalog.db"


def url(file: Path) -> str:
    return f"sqlite:///{file}"


async def with_tenants(catalog_url: str, count: int = 3) -> None:
    async with await open_catalog(catalog_url) as catalog:
        await catalog.indexes.create(LogicalIndex("docs", 8))
        await catalog.shards.add(Shard("docs", "s0", "embedded"))
        for i in range(count):
            await catalog.tenants.place("docs", f"t{i}", TenantSpec(), "s0", 0.0)


# ---------------------------------------------------------------------------------- damaged files


@pytest.mark.parametrize("content", [b"no database at all " * 500, b"SQLite format 3\x00" + b"\xff" * 8_000])
async def test_a_file_that_is_no_database_is_corrupt(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(Corrupt, match="restore the file from a backup") as raised:
        await open_catalog(url(file))
    assert str(file) in str(raised.value)
    assert file.read_bytes() == content


async def test_damage_inside_the_file_is_found_when_it_is_opened(file: Path) -> None:
    await with_tenants(url(file), 200)
    content = bytearray(file.read_bytes())
    page = int.from_bytes(content[16:18], "big")
    for start in range(page, len(content), page):
        content[start : start + 64] = b"\xa5" * 64
    file.write_bytes(content)
    with pytest.raises(Corrupt, match="damaged"):
        await open_catalog(url(file))


@pytest.mark.parametrize(
    "change", ["spec = 'no json'", "state = 'dancing'", "spec = '{\"expected_vectors\": []}'", "mode = x'ff'"]
)
async def test_a_row_that_makes_no_sense_is_corrupt_and_named(file: Path, change: str) -> None:
    await with_tenants(url(file))
    with sqlite3.connect(file) as raw:
        raw.execute(f"UPDATE tenantry_tenants SET {change} WHERE name = 't1'")
    raw.close()
    async with await open_catalog(url(file)) as catalog:
        with pytest.raises(Corrupt, match="tenant 't1' cannot be read") as raised:
            await catalog.tenants.get("docs", "t1")
        assert str(file) in str(raised.value)
        assert (await catalog.tenants.get("docs", "t2")).name == "t2"


async def test_a_missing_table_is_said(postgres_url: str, postgres_server: PostgresServer) -> None:
    await with_tenants(postgres_url)
    postgres_server.execute("DROP TABLE tenantry_tenants", postgres_url.rsplit("/", 1)[1])
    async with await open_catalog(postgres_url) as catalog:
        with pytest.raises(Corrupt, match="lacks a table"):
            await catalog.tenants.get("docs", "t1")


# ------------------------------------------------------------------------------------- bad URLs


@pytest.mark.parametrize(
    "wrong",
    [
        "", "catalog.db", "mysql://u:secret@h/d", "sqlite://", "sqlite:///:memory:", "sqlite:////no/such/folder/c.db",
        "postgresql://u:secret@h:port/d", "sqlite:///file:x?mode=memory&uri=true",
    ],
)  # fmt: skip
async def test_bad_urls_are_refused_without_repeating_a_password(wrong: str) -> None:
    with pytest.raises(InvalidArgument, match="catalog") as raised:
        await open_catalog(wrong)
    assert "secret" not in "".join(traceback.format_exception(raised.value))


async def test_postgres_without_its_driver_says_what_to_install() -> None:
    program = """
        import asyncio, sys
        sys.modules["psycopg"] = None
        from tenantry.catalogs import open_catalog
        from tenantry.errors import Unsupported
        try:
            asyncio.run(open_catalog("postgresql://u@127.0.0.1/d"))
        except Unsupported as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert "pip install 'tenantry[postgres]'" in done.stdout
    assert issubclass(Unsupported, TenantryError)


# ------------------------------------------------------------------- locked, full, away, restarted


async def test_a_lock_held_too_long_is_unavailable(file: Path) -> None:
    await with_tenants(url(file))
    async with await open_catalog(url(file), lock_wait_s=0.05) as catalog:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="another process kept it locked"):
            await catalog.settings.put("a", 1)
        assert (await catalog.tenants.get("docs", "t0")).name == "t0"  # readers do not wait
        other.execute("ROLLBACK")
        other.close()
        await catalog.settings.put("a", 1)


async def test_a_row_locked_too_long_is_unavailable(postgres_url: str) -> None:
    await with_tenants(postgres_url)
    async with await open_catalog(postgres_url, lock_wait_s=0.05) as catalog:
        with psycopg.connect(postgres_url) as other:
            other.execute("SELECT 1 FROM tenantry_shards FOR UPDATE")
            with pytest.raises(Unavailable, match="locked too long"):
                await catalog.tenants.place("docs", "new", TenantSpec(), "s0", 0.0)
        assert (await catalog.tenants.place("docs", "new", TenantSpec(), "s0", 0.0)).name == "new"


async def test_a_full_disk_is_said_and_loses_nothing(file: Path) -> None:
    """A limit on the size of files stands in for the end of the disk."""
    await with_tenants(url(file))
    async with await open_catalog(url(file)) as catalog:
        await catalog.settings.put("before", 1)
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, unlimited[1]))
        try:
            writes = (catalog.settings.put(f"large-{i}", "x" * 20_000) for i in range(40))
            with pytest.raises(StorageFailed, match="check space"):
                await asyncio.gather(*writes)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        assert await catalog.settings.get("before") == 1
        await catalog.settings.put("after", 2)
    async with await open_catalog(url(file)) as catalog:
        kept = await catalog.settings.all()
        assert (kept["before"], kept["after"]) == (1, 2)


async def test_a_postgres_that_is_away_is_named_without_the_password(postgres_server: PostgresServer) -> None:
    good = postgres_server.url("postgres")
    secret = good.split(":")[2].split("@")[0]
    port = postgres_server.port
    for bad, says in (
        (f"postgresql://tenantry:{secret}@127.0.0.1:1/docs", "docs on 127.0.0.1:1 is unavailable"),
        (f"postgresql://tenantry:wrong{secret}@127.0.0.1:{port}/docs", f"docs on 127.0.0.1:{port}"),
        (good.replace("/postgres", "/nowhere"), f"nowhere on 127.0.0.1:{port}"),
    ):
        with pytest.raises(Unavailable, match=says) as raised:
            await open_catalog(bad)
        assert secret not in "".join(traceback.format_exception(raised.value))


async def test_a_restart_of_postgres_heals_by_itself() -> None:
    with PostgresServer.start() as server:
        own = server.create_database()
        await with_tenants(own)
        async with await open_catalog(own) as catalog:
            await asyncio.gather(*(catalog.tenants.get("docs", f"t{i % 3}") for i in range(8)))
            server.restart()
            assert (await catalog.tenants.get("docs", "t1")).name == "t1"
            await asyncio.gather(*(catalog.settings.put(f"s{i}", i) for i in range(8)))
            server.stop()
            with pytest.raises(Unavailable):
                await catalog.tenants.get("docs", "t1")


@pytest.fixture(params=["sqlite", "postgres"])
async def catalog(request: pytest.FixtureRequest, file: Path) -> AsyncIterator[SqlCatalog]:
    catalog_url = url(file) if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    await with_tenants(catalog_url)
    async with await open_catalog(catalog_url) as catalog:
        yield catalog


async def test_a_cancelled_call_leaves_nothing_half_done(catalog: SqlCatalog) -> None:
    for turns in range(25):  # cancel it at ever later moments
        task = asyncio.create_task(catalog.tenants.place("docs", f"new{turns}", TenantSpec(), "s0", 0.0))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    del task
    gc.collect()  # a connection that was being made is closed with its last reference, in a cycle of frames
    (shard,) = await catalog.shards.list("docs")
    assert len(await catalog.tenants.list("docs")) == shard.tenants
    await catalog.settings.put("still", "fine")


async def test_more_callers_than_connections_wait_their_turn(catalog: SqlCatalog) -> None:
    await asyncio.gather(*(catalog.settings.put(f"s{i}", i) for i in range(60)))
    found = await asyncio.gather(*(catalog.settings.get(f"s{i}") for i in range(60)))
    assert found == list(range(60))


# ------------------------------------------------------------------------------ vendors' error codes


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("22021", InvalidArgument), ("54000", TooLarge), ("40P01", Conflict), ("40001", Conflict),
        ("53100", StorageFailed), ("53300", Unavailable), ("57P01", Unavailable), ("57014", Unavailable),
        ("55P03", Unavailable), ("25006", Unavailable), ("28P01", Unavailable), ("3D000", Unavailable),
        ("42501", Refused), ("42P01", Corrupt), ("XX001", Corrupt), ("58030", StorageFailed), ("42601", Bug),
    ],
)  # fmt: skip
def test_errors_of_postgres_become_ours(state: str, kind: type[TenantryError]) -> None:
    vendor = psycopg.errors.lookup(state)("what it says\nand more")
    with pytest.raises(kind) as raised, translated("docs on db1", "restore it"):
        raise sa_exc.DBAPIError("SELECT", {}, vendor)
    assert type(raised.value) is kind
    assert "what it says" in str(raised.value)
    assert "and more" not in str(raised.value)
    assert isinstance(raised.value.__cause__, sa_exc.DBAPIError)


def test_errors_of_the_queue_and_the_system_become_ours() -> None:
    for vendor, kind in (
        (sa_exc.TimeoutError("pool"), Unavailable),
        (TimeoutError(), Unavailable),
        (ConnectionRefusedError("no"), Unavailable),
        (sqlite3.DatabaseError("odd"), Bug),
        (sa_exc.InvalidRequestError("odd"), Bug),
    ):
        with pytest.raises(kind), translated("here", "restore it"):
            raise vendor


def test_no_open_files_remain(file: Path) -> None:
    async def use() -> None:
        for _ in range(5):
            await (await open_catalog(url(file))).aclose()

    asyncio.run(use())
    open_files = [
        os.readlink(f"/proc/self/fd/{fd}")
        for fd in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{fd}")
    ]
    assert not [name for name in open_files if name.startswith(str(file))]


def test_closing_waits_for_the_threads_of_calls_that_were_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else such a thread, when it is done, finds no event loop to tell."""
    told: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda caught: told.append(repr(caught.exc_value)))
    connect = sqlite3.connect

    def slowly(*given: Any, **more: Any) -> sqlite3.Connection:
        time.sleep(0.2)  # noqa: TID251  # as on a busy machine
        return connect(*given, **more)

    async def cut_off() -> None:
        catalog = await open_catalog(f"sqlite:///{tmp_path}/catalog.db")
        monkeypatch.setattr(sqlite3, "connect", slowly)
        reading = [asyncio.create_task(catalog.settings.all()) for _ in range(4)]
        await asyncio.sleep(0.05)
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        await catalog.aclose()

    before = set(threading.enumerate())
    asyncio.run(cut_off())
    for thread in set(threading.enumerate()) - before:
        thread.join()
    assert told == []
