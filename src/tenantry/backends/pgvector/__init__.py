"""Shards in PostgreSQL with pgvector: a schema for each shard, a table or a partition for each namespace."""

from tenantry.backends.pgvector.backend import PgvectorBackend, PgvectorIndex
from tenantry.backends.pgvector.opening import of_shard
from tenantry.backends.pgvector.options import PgvectorOptions

__all__ = ["PgvectorBackend", "PgvectorIndex", "PgvectorOptions", "of_shard"]
