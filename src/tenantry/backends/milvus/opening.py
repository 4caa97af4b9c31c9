"""What a shard's options ask for: collections of our own, or those of others."""

from __future__ import annotations

from tenantry.backends.common.adopted import adopted
from tenantry.backends.common.names import prefix_of
from tenantry.backends.common.options import options_of
from tenantry.backends.milvus.adopted import AdoptedMilvus
from tenantry.backends.milvus.backend import MilvusBackend
from tenantry.backends.milvus.options import MilvusOptions
from tenantry.model.topology import LogicalIndex, Shard
from tenantry.ports import VectorBackend


def of_shard(index: LogicalIndex, shard: Shard) -> VectorBackend:
    """From a shard's options. Raises InvalidArgument."""
    options = options_of(MilvusOptions, shard.options)
    backend = MilvusBackend(index.dimension, index.metric, prefix_of(options.prefix, index.name, shard.name), options)
    if not options.adopted:
        return backend
    return adopted(AdoptedMilvus(backend), options.collection, options.tenant_field, backend.server.where)
