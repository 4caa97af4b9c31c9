"""Shards on a Chroma server: a collection for each namespace."""

from tenantry.backends.chroma.backend import ChromaBackend
from tenantry.backends.chroma.opening import of_shard
from tenantry.backends.chroma.options import ChromaOptions

__all__ = ["ChromaBackend", "ChromaOptions", "of_shard"]
