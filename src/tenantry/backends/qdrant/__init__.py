"""Shards on Qdrant: a collection for each namespace, or one of all with a tenant key."""

from tenantry.backends.qdrant.backend import QdrantBackend
from tenantry.backends.qdrant.opening import of_shard
from tenantry.backends.qdrant.options import QdrantOptions

__all__ = ["QdrantBackend", "QdrantOptions", "of_shard"]
