"""What a shard's options ask for: tables of our own, or those of others."""

from __future__ import annotations

from tenantry.backends.common.adopted import adopted
from tenantry.backends.common.options import options_of
from tenantry.backends.pgvector.adopted import AdoptedPgvector
from tenantry.backends.pgvector.backend import PgvectorBackend
from tenantry.backends.pgvector.options import PgvectorOptions
from tenantry.model.topology import LogicalIndex, Shard
from tenantry.ports import VectorBackend


def of_shard(index: LogicalIndex, shard: Shard) -> VectorBackend:
    """From a shard's options. Raises InvalidArgument."""
    options = options_of(PgvectorOptions, shard.options)
    options.check()
    if not options.adopted:
        schema = options.schema_of(index.name, shard.name)
        return PgvectorBackend(options.connection_url(), schema, index.dimension, index.metric, options)
    engine = AdoptedPgvector(options.connection_url(), index.dimension, index.metric, options)
    return adopted(engine, options.collection, options.tenant_field, engine.where)
