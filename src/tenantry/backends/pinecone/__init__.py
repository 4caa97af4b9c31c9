"""Shards on Pinecone: a serverless index, with its namespaces."""

from tenantry.backends.pinecone.backend import PineconeBackend
from tenantry.backends.pinecone.opening import of_shard
from tenantry.backends.pinecone.options import PineconeOptions

__all__ = ["PineconeBackend", "PineconeOptions", "of_shard"]
