"""The catalog's contract, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tenantry.catalogs import SqlCatalog, open_catalog
from tenantry.testing.catalog_contract import CatalogContract


class TestSqlite(CatalogContract):
    @pytest.fixture
    async def catalog(self, tmp_path: Path) -> AsyncIterator[SqlCatalog]:
        async with await open_catalog(f"sqlite:///{tmp_path}/catalog.db") as catalog:
            yield catalog


class TestPostgres(CatalogContract):
    @pytest.fixture
    async def catalog(self, postgres_url: str) -> AsyncIterator[SqlCatalog]:
        async with await open_catalog(postgres_url) as catalog:
            yield catalog
