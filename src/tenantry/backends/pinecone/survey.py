"""A look at a Pinecone index that Tenantry has nothing to do with yet. Only reads."""

from __future__ import annotations

from typing import Any

from tenantry.backends.pinecone.options import PineconeOptions
from tenantry.backends.pinecone.server import Server
from tenantry.model.cost import ShardUse, TenantUse, Usage

#: What Pinecone calls the namespace without a name.
DEFAULT = "__default__"


async def survey(options: PineconeOptions) -> Usage:
    """The index's namespaces as tenants, with their sizes, by `describe_index_stats`: one request, however many there
    are. How often they are asked Pinecone does not tell.

    Raises:
        InvalidArgument: no key; Refused: there is no such index; Unavailable, DeadlineExceeded.
    """
    options.check()
    server = Server(options.index, options)
    try:
        stats: Any = await server.call(lambda index: index.describe_index_stats())
    finally:
        await server.aclose()
    name = options.index or options.host
    found = sorted((space or DEFAULT, int(one.vector_count)) for space, one in (stats.namespaces or {}).items())
    return Usage(
        index=name,
        dimension=int(stats.dimension or 1),
        tenants=tuple(TenantUse(space, vectors, shard=name) for space, vectors in found),
        shards=(ShardUse(name, "pinecone"),),
    )
