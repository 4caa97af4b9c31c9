"""What a shard's options ask for: collections of our own, or those of others."""

from __future__ import annotations

from tenantry.backends.common.adopted import adopted
from tenantry.backends.common.names import prefix_of
from tenantry.backends.common.options import options_of
from tenantry.backends.qdrant.adopted import AdoptedQdrant
from tenantry.backends.qdrant.backend import QdrantBackend
from tenantry.backends.qdrant.options import QdrantOptions
from tenantry.model.topology import LogicalIndex, Shard
from tenantry.ports import VectorBackend


def of_shard(index: LogicalIndex, shard: Shard) -> VectorBackend:
    """From a shard's options. Raises InvalidArgument."""
    options = options_of(QdrantOptions, shard.options)
    prefix = prefix_of(options.prefix, index.name, shard.name)
    backend = QdrantBackend(index.dimension, index.metric, prefix, options)
    if not options.adopted:
        return backend
    return adopted(AdoptedQdrant(backend), options.collection, options.tenant_field, backend.where)
