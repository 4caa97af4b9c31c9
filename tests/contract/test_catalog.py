"""The catalog's contract, on SQLite, on a real PostgreSQL and in memory."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tenantry.catalogs import SqlCatalog, open_catalog
from tenantry.ports import Catalog
from tenantry.testing.catalog_contract import CatalogContract
from tenantry.testing.memory_catalog import MemoryCatalog
from tenantry.testing.servers import PostgresServer


async def made(url: str) -> str:
    """The URL, once there is an empty catalog: tests start from copies, for making one takes longer than most tests."""
    await (await open_catalog(url)).aclose()
    return url


@pytest.fixture(scope="module")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("empty") / "catalog.db"
    asyncio.run(made(f"sqlite:///{file}"))
    return file


@pytest.fixture(scope="module")
def empty_database(postgres_server: PostgresServer) -> Iterator[str]:
    url = asyncio.run(made(postgres_server.create_database()))
    yield url
    postgres_server.drop_database(url)


class TestSqlite(CatalogContract):
    @pytest.fixture
    async def catalog(self, empty_file: Path, tmp_path: Path) -> AsyncIterator[SqlCatalog]:
        shutil.copy(empty_file, tmp_path)
        async with await open_catalog(f"sqlite:///{tmp_path / empty_file.name}") as catalog:
            yield catalog


class TestPostgres(CatalogContract):
    @pytest.fixture
    async def catalog(self, empty_database: str, postgres_server: PostgresServer) -> AsyncIterator[SqlCatalog]:
        url = postgres_server.create_database(empty_database)
        async with await open_catalog(url) as catalog:
            yield catalog
        postgres_server.drop_database(url)


class TestMemory(CatalogContract):
    @pytest.fixture
    def catalog(self) -> MemoryCatalog:
        async def let_others_on(_: str) -> None:
            await asyncio.sleep(0)

        return MemoryCatalog(let_others_on)


def test_all_of_them_are_catalogs() -> None:
    """For mypy: the protocol is kept, signatures included."""
    kinds: tuple[type[Catalog], ...] = (SqlCatalog, MemoryCatalog)
    assert len(kinds) == 2
