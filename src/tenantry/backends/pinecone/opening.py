"""What a shard's options ask for: namespaces of an index, or tenants that share one of them."""

from __future__ import annotations

from tenantry.backends.common.options import options_of
from tenantry.backends.common.tenant_field import FieldTenants
from tenantry.backends.pinecone.backend import PineconeBackend
from tenantry.backends.pinecone.collection import PineconeCollection
from tenantry.backends.pinecone.options import PineconeOptions
from tenantry.backends.pinecone.survey import DEFAULT
from tenantry.model.topology import LogicalIndex, Shard
from tenantry.ports import VectorBackend


def of_shard(index: LogicalIndex, shard: Shard) -> VectorBackend:
    """From a shard's options. Raises InvalidArgument."""
    options = options_of(PineconeOptions, shard.options)
    name = f"{index.name}-{shard.name}"[:45].strip("-")
    backend = PineconeBackend(index.dimension, index.metric, name, options)
    if not options.tenant_field:
        return backend
    collection = PineconeCollection(backend, options.namespace or DEFAULT)
    where = f"{backend.server.where}, namespace {options.namespace or DEFAULT}"
    return FieldTenants(collection, options.tenant_field, where, backend.features, backend.probe, backend.aclose)
