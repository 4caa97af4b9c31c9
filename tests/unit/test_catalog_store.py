"""The store of a catalog in a file: a call that was given up holds no lock, a program that forgets to close ends."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tenantry.catalogs.store import open_store


async def test_a_connection_that_was_given_up_holds_no_lock(tmp_path: Path) -> None:
    """SQLite goes on with a closed connection while a statement of it is held, as by the exception of a cancelled
    call."""
    store = open_store(f"sqlite:///{tmp_path}/catalog.db")
    async with store.write() as connection:
        await connection.exec_driver_sql("CREATE TABLE things (name TEXT)")
    async with store._engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.execute("BEGIN IMMEDIATE")
        held = await driver.execute("INSERT INTO things VALUES ('a'), ('b') RETURNING name")
        other = sqlite3.connect(tmp_path / "catalog.db", timeout=0.0, isolation_level=None)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        await connection.invalidate()
    other.execute("BEGIN IMMEDIATE")
    assert other.execute("SELECT count(*) FROM things").fetchone() == (0,)
    other.execute("ROLLBACK")
    other.close()
    assert held is not None
    await store.aclose()


FORGETS = """
import asyncio, sys
from tenantry.catalogs import open_catalog

async def main():
    catalog = await open_catalog(sys.argv[1])
    await catalog.settings.put("written", 1)
    kept.append(catalog)

kept = []
asyncio.run(main())
print("done")
"""


def test_a_program_that_forgets_to_close_it_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORGETS, f"sqlite:///{tmp_path}/catalog.db"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout) == (0, "done\n"), ended.stderr
    with sqlite3.connect(tmp_path / "catalog.db") as found:
        assert found.execute("SELECT count(*) FROM tenantry_settings WHERE name = 'written'").fetchone() == (1,)
    found.close()
