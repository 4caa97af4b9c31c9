"""The schema, its migrations, and the settings of the databases underneath."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from tenantry.catalogs import open_catalog
from tenantry.catalogs.schema import VERSION, VERSION_TABLE, Name, metadata
from tenantry.catalogs.store import open_store
from tenantry.catalogs.upgrade import MIGRATIONS
from tenantry.errors import Refused
from tenantry.testing.servers import PostgresServer


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/catalog.db"
    found: str = request.getfixturevalue("postgres_url")
    return found


def differences(connection: sa.Connection) -> list[object]:
    options = {"compare_type": True, "compare_server_default": True, "version_table": VERSION_TABLE}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


async def test_the_migrations_make_the_schema(url: str) -> None:
    await (await open_catalog(url)).aclose()
    store = open_store(url)
    async with store.read() as connection:
        assert await connection.run_sync(differences) == []
        assert await connection.scalar(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")) == VERSION
        made = await connection.run_sync(lambda sync: checks(sa.inspect(sync)))
    await store.aclose()
    wanted = {
        table.name: {str(check.name) for check in table.constraints if isinstance(check, sa.CheckConstraint)}
        for table in metadata.sorted_tables
    }
    assert made == wanted  # which alembic does not compare


def checks(inspector: sa.Inspector) -> dict[str, set[str]]:
    return {
        table.name: {str(check["name"]) for check in inspector.get_check_constraints(table.name)}
        for table in metadata.sorted_tables
    }


def test_the_code_knows_the_newest_migration_of_one_straight_line() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [VERSION]
    assert len(scripts.get_bases()) == 1
    assert [script.revision for script in scripts.walk_revisions()] == sorted(
        (re.match(r"\d{4}", file.name).group() for file in (MIGRATIONS / "versions").glob("0*.py")),  # type: ignore[union-attr]
        reverse=True,
    )


async def test_a_newer_catalog_is_refused_and_left_alone(url: str) -> None:
    await (await open_catalog(url)).aclose()
    store = open_store(url)
    async with store.write() as connection:
        await connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(Refused, match=f"schema version 9999, which Tenantry .* does not know .*up to {VERSION}"):
        await open_catalog(url)
    async with store.read() as connection:
        assert await connection.scalar(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")) == "9999"
    await store.aclose()


async def test_opening_again_changes_nothing_and_keeps_what_is_there(url: str) -> None:
    async with await open_catalog(url) as catalog:
        await catalog.settings.put("kept", 1)
    async with await open_catalog(url) as catalog:
        assert await catalog.settings.get("kept") == 1


async def test_an_upgrade_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """A table in the way stands for any failure halfway: all of it is one transaction."""
    file = tmp_path / "catalog.db"
    with sqlite3.connect(file) as raw:
        raw.execute("CREATE TABLE tenantry_tenants (mine)")
    with pytest.raises(Exception, match="tenantry_tenants"):
        await open_catalog(f"sqlite:///{file}")
    names = raw.execute("SELECT name FROM sqlite_master").fetchall()
    raw.close()
    assert names == [("tenantry_tenants",)]


async def test_the_catalog_shares_a_database_with_an_application(
    postgres_url: str, postgres_server: PostgresServer
) -> None:
    database = postgres_url.rsplit("/", 1)[1]
    postgres_server.execute("CREATE TABLE tenants (mine int)", database)
    postgres_server.execute("CREATE TABLE alembic_version (version_num text)", database)
    await (await open_catalog(postgres_url)).aclose()
    await (await open_catalog(postgres_url)).aclose()
    assert postgres_server.execute("SELECT * FROM alembic_version", database) == []


async def test_names_are_compared_by_code_point_on_postgres(postgres_url: str, postgres_server: PostgresServer) -> None:
    await (await open_catalog(postgres_url)).aclose()
    found = postgres_server.execute(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_name LIKE 'tenantry%' AND collation_name = 'C'",
        postgres_url.rsplit("/", 1)[1],
    )
    wanted = {
        (table.name, column.name)
        for table in metadata.sorted_tables
        for column in table.columns
        if column.type.compile(sa.dialects.postgresql.dialect()).endswith('COLLATE "C"')
    }
    assert len(wanted) == sum(column.type is Name for table in metadata.sorted_tables for column in table.columns)
    assert set(found) == wanted


async def test_sqlite_is_set_for_durability_and_many_processes(tmp_path: Path) -> None:
    await (await open_catalog(f"sqlite:///{tmp_path}/catalog.db")).aclose()
    store = open_store(f"sqlite:///{tmp_path}/catalog.db", lock_wait_s=7)
    pragmas = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 7_000}
    async with store.read() as connection:
        found = {name: await connection.scalar(sa.text(f"PRAGMA {name}")) for name in pragmas}
    assert found == pragmas
    async with store.write() as connection:  # the write lock is held before anything is written
        other = sqlite3.connect(store.file, timeout=0, isolation_level=None)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()
        assert await connection.scalar(sa.text("SELECT 1")) == 1
    await store.aclose()


async def test_postgres_limits_waiting(postgres_url: str) -> None:
    await (await open_catalog(postgres_url)).aclose()
    for given, seen in ((postgres_url, "20s"), (f"{postgres_url}?options=-c%20statement_timeout%3D3s", "3s")):
        store = open_store(given)
        async with store.read() as connection:
            assert await connection.scalar(sa.text("SHOW statement_timeout")) == seen
        await store.aclose()
