"""Appends to write logs on SQLite are committed together; each still fares for itself."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tenantry.catalogs import SqlCatalog, open_catalog
from tenantry.catalogs.grouping import TOGETHER
from tenantry.catalogs.store import Store
from tenantry.errors import Unavailable
from tenantry.model.changes import Remove
from tenantry.model.moves import Phase
from tenantry.testing.catalog_samples import INDEX, Run, prepared

APPENDS = 3 * TOGETHER


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[SqlCatalog]:
    async with await open_catalog(f"sqlite:///{tmp_path / 'catalog.db'}", lock_wait_s=0.05) as catalog:
        await prepared(catalog)
        yield catalog


@pytest.fixture
async def run(catalog: SqlCatalog) -> Run:
    run = await Run.begin(catalog)
    await run.to(Phase.CAPTURE)
    return run


@pytest.fixture
def transactions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each transaction."""
    done: list[int] = []
    really = Store._transact

    def transact(self, job):  # type: ignore[no-untyped-def]
        done.append(1)
        return really(self, job)

    monkeypatch.setattr(Store, "_transact", transact)
    return done


async def removed(catalog: SqlCatalog) -> list[str]:
    return [entry.change.ids[0] for entry in await catalog.log.read(INDEX, "t", 0, 1_000)]  # type: ignore[union-attr]


async def test_those_that_come_together_share_transactions(
    catalog: SqlCatalog, run: Run, transactions: list[int]
) -> None:
    places = await asyncio.gather(*(run.append(Remove((str(i),))) for i in range(APPENDS)))
    assert places == list(range(1, APPENDS + 1))
    assert await removed(catalog) == [str(i) for i in range(APPENDS)]
    assert len(transactions) == 3


async def test_one_whose_caller_left_while_it_waited_is_not_written(catalog: SqlCatalog, run: Run) -> None:
    calls = [asyncio.create_task(run.append(Remove((str(i),)))) for i in range(10)]
    await asyncio.sleep(0)  # each waits now
    calls[3].cancel()
    places = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(places.pop(3), asyncio.CancelledError)
    assert places == list(range(1, 10))
    assert await removed(catalog) == [str(i) for i in range(10) if i != 3]


async def test_a_locked_file_fails_them_all_and_the_next_ones_go_on(
    catalog: SqlCatalog, run: Run, tmp_path: Path
) -> None:
    other = sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    failed = await asyncio.gather(*(run.append(Remove((str(i),))) for i in range(3)), return_exceptions=True)
    assert [type(error) for error in failed] == [Unavailable] * 3
    other.execute("ROLLBACK")
    other.close()
    assert await run.append(Remove(("later",))) == 1
    assert await removed(catalog) == ["later"]


async def test_they_go_on_after_the_connections_were_closed(catalog: SqlCatalog, run: Run) -> None:
    assert await run.append(Remove(("a",))) == 1
    await catalog.aclose()
    assert await run.append(Remove(("b",))) == 2
    assert await removed(catalog) == ["a", "b"]
