"""Catalogs: the truth about indexes, shards, tenants and routes."""
