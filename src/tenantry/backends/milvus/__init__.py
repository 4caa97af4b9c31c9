"""Shards on Milvus, Zilliz Cloud or Milvus Lite: a collection for each namespace."""

from tenantry.backends.milvus.backend import MilvusBackend
from tenantry.backends.milvus.opening import of_shard
from tenantry.backends.milvus.options import MilvusOptions

__all__ = ["MilvusBackend", "MilvusOptions", "of_shard"]
