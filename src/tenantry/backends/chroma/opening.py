"""What a shard's options ask for: collections of our own, or those of others."""

from __future__ import annotations

from tenantry.backends.chroma.adopted import AdoptedChroma
from tenantry.backends.chroma.backend import ChromaBackend
from tenantry.backends.chroma.options import ChromaOptions
from tenantry.backends.common.adopted import adopted
from tenantry.backends.common.names import prefix_of
from tenantry.backends.common.options import options_of
from tenantry.model.topology import LogicalIndex, Shard
from tenantry.ports import VectorBackend


def of_shard(index: LogicalIndex, shard: Shard) -> VectorBackend:
    """From a shard's options. Raises InvalidArgument."""
    options = options_of(ChromaOptions, shard.options)
    prefix = prefix_of(options.prefix, index.name, shard.name)
    backend = ChromaBackend(index.dimension, index.metric, prefix, options)
    if not options.adopted:
        return backend
    return adopted(AdoptedChroma(backend), options.collection, options.tenant_field, backend.client.where)
