"""Catalogs: the truth about indexes, shards, tenants and routes."""

from tenantry.catalogs.sql import SqlCatalog, open_catalog

__all__ = ["SqlCatalog", "open_catalog"]
