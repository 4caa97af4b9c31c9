"""Catalogs of the time before moves, and the row locks that hold a move together on PostgreSQL."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from tenantry.catalogs import open_catalog
from tenantry.catalogs.store import open_store
from tenantry.catalogs.upgrade import MIGRATIONS
from tenantry.errors import Conflict
from tenantry.model.moves import Phase
from tenantry.model.topology import Mode, Place, Shard
from tenantry.testing.catalog_samples import INDEX, Run, copies, counts, placed, prepared

#: Long enough for a call that waits for nothing to be over.
SOON_S = 0.3
SHARD = "INSERT INTO tenantry_shards (index_name, name, backend, options, weight, state, tenants, max_tenants) VALUES"
TENANT = "INSERT INTO tenantry_tenants VALUES"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/catalog.db"
    found: str = request.getfixturevalue("postgres_url")
    return found


def as_of_0001(connection: sa.Connection) -> None:
    """The first schema, with two tenants: one at rest, one whose route names a second place."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS))
    command.upgrade(config, "0001")
    for statement in (
        "INSERT INTO tenantry_indexes VALUES ('docs', 8, 'cosine', 'ring', true, null, false, '{}', 0)",
        f"{SHARD} ('docs', 's0', 'embedded', '{{}}', 1, 'active', 2, null)",
        f"{SHARD} ('docs', 's1', 'embedded', '{{}}', 1, 'active', 0, 1)",
        f"{TENANT} ('docs', 'rests', 7, 's0', 'rests', 'direct', null, null, 'active', '{{}}', 0, 1, 0)",
        f"{TENANT} ('docs', 'moves', 7, 's0', 'moves', 'logged', 's1', 'moves~2', 'active', '{{}}', 0, 2, 0)",
        f"{TENANT} ('docs', 'gone', 7, 's0', 'gone', 'logged', 's1', 'gone~2', 'deleted', '{{}}', 0, 2, 0)",
    ):
        connection.exec_driver_sql(statement)


async def test_a_catalog_of_the_first_schema_is_upgraded_with_what_it_holds(url: str) -> None:
    store = open_store(url)
    async with store.write() as connection:
        await connection.run_sync(as_of_0001)
    await store.aclose()
    async with await open_catalog(url) as catalog:
        assert await counts(catalog) == {"s0": 2, "s1": 0}
        assert await copies(catalog) == {"s0": 0, "s1": 1}
        moving = await catalog.tenants.get(INDEX, "moves")
        assert (moving.route.mode, moving.route.other) == (Mode.LOGGED, Place("s1", "moves~2"))
        with pytest.raises(Conflict, match="full: 1 of 1"):
            await placed(catalog, "late", "s1")
        assert await catalog.log.head(INDEX, "rests") == 0
        await catalog.shards.update(Shard(INDEX, "s1", "embedded"))
        run = await Run.begin(catalog, "rests")
        await run.to(Phase.CAPTURE)
        assert await run.append() == 1


async def test_a_step_waits_for_a_claim_of_its_lease(postgres_url: str) -> None:
    async with await open_catalog(postgres_url) as catalog:
        await prepared(catalog)
        run = await Run.begin(catalog)
        async with await psycopg.AsyncConnection.connect(postgres_url) as other:
            await other.execute("UPDATE tenantry_leases SET owner = 'other', fence = fence + 1")
            step = asyncio.create_task(run.to(Phase.CAPTURE))
            await asyncio.wait([step], timeout=SOON_S)
            assert not step.done()
        with pytest.raises(Conflict, match="'other' has it now"):
            await step
        assert (await catalog.moves.get(run.move.id)).phase is Phase.PREPARE


async def test_room_is_looked_at_under_the_lock_of_the_shard(postgres_url: str) -> None:
    async with await open_catalog(postgres_url) as catalog:
        await prepared(catalog, room=1)
        await placed(catalog, "t")
        async with await psycopg.AsyncConnection.connect(postgres_url) as other:
            await other.execute("UPDATE tenantry_shards SET tenants = 1 WHERE name = 's1'")
            begin = asyncio.create_task(Run.begin(catalog))
            await asyncio.wait([begin], timeout=SOON_S)
            assert not begin.done()
        with pytest.raises(Conflict, match="full: 1 of 1"):
            await begin
        assert await catalog.moves.list() == []


async def test_an_append_waits_for_a_step_and_sees_it(postgres_url: str) -> None:
    async with await open_catalog(postgres_url) as catalog:
        await prepared(catalog)
        run = await Run.begin(catalog)
        await run.to(Phase.CAPTURE)
        async with await psycopg.AsyncConnection.connect(postgres_url) as other:
            await other.execute("UPDATE tenantry_tenants SET mode = 'fenced', epoch = epoch + 1")
            append = asyncio.create_task(run.append())
            await asyncio.wait([append], timeout=SOON_S)
            assert not append.done()
        with pytest.raises(Conflict, match="fenced"):
            await append
        assert await catalog.log.head(INDEX, "t") == 0
