"""Pinecone's namespaces and index statistics: tenants under another name."""

from __future__ import annotations

from msgspec import UNSET

from tenantry.cluster.tenants import TenantStatus
from tenantry.errors import NotFound
from tenantry.gateway.errors import BadRequest
from tenantry.gateway.pinecone import wire
from tenantry.gateway.table import Call
from tenantry.model.limits import check_count
from tenantry.model.topology import DEFAULT_TENANT, TenantState

PAGE = 1_000
#: Since this version Pinecone calls the default namespace ``__default__`` in statistics; before, "".
NAMED_DEFAULT_SINCE = "2025-04"
SHOWN_STATES = (TenantState.ACTIVE, TenantState.SUSPENDED)


async def stats(call: Call, asked: wire.StatsRequest | None) -> wire.StatsResponse:
    """Exact counts of every namespace; a tenant key sees its own only."""
    if asked is not None and asked.filter:
        raise BadRequest("statistics cannot be filtered; leave the filter out", "filter")
    logical = await call.cluster.router.pool.index(call.index)
    default = DEFAULT_TENANT if call.version >= NAMED_DEFAULT_SINCE else ""
    counts: dict[str, wire.NamespaceSummary] = {}
    for status in await _visible(call):
        name = status.tenant.name
        counts[default if name == DEFAULT_TENANT else name] = wire.NamespaceSummary(status.vectors)
    total = sum(summary.vector_count for summary in counts.values())
    return wire.StatsResponse(counts, logical.dimension, 0.0, total, str(logical.metric), "dense")


async def list_namespaces(call: Call, asked: wire.ListNamespacesQuery) -> wire.ListNamespacesResponse:
    """One page of namespaces by name; a tenant key sees its own only."""
    check_count(asked.limit, "limit", 1, call.cluster.limits.list_page)
    listing = ("namespaces", call.index, call.who.tenant or "", asked.prefix)
    cursor = await call.cluster.cursors.read(asked.pagination_token, *listing, field="paginationToken")
    if call.who.bound:
        own = [one for one in await _visible(call) if one.tenant.name.startswith(asked.prefix)]
        return wire.ListNamespacesResponse([_described(one) for one in own], len(own))
    tenants = call.cluster.tenants
    found = await tenants.list(call.index, after=cursor, limit=asked.limit, prefix=asked.prefix)
    more = bool(found) and bool(
        await tenants.list(call.index, after=found[-1].tenant.name, limit=1, prefix=asked.prefix)
    )
    following = await call.cluster.cursors.make(found[-1].tenant.name, *listing) if more else None
    total = len(found)
    if cursor is not None or more:
        total = await _count(call, asked.prefix)
    return wire.ListNamespacesResponse(
        [_described(one) for one in found if one.tenant.state in SHOWN_STATES],
        total,
        UNSET if following is None else wire.Pagination(following),
    )


async def create_namespace(call: Call, asked: wire.CreateNamespaceRequest) -> wire.NamespaceDescription:
    """Make a namespace before its first write."""
    made = await call.cluster.tenants.create(call.tenant(asked.name), call.index)
    return wire.NamespaceDescription(made.name, "0", "0")


async def describe_namespace(call: Call, _: None) -> wire.NamespaceDescription:
    """One namespace with its exact count."""
    return _described(await call.cluster.tenants.get(call.tenant(call.path["namespace"]), call.index))


async def delete_namespace(call: Call, _: None) -> wire.Empty:
    """Delete a namespace with all its records."""
    await call.cluster.tenants.delete(call.tenant(call.path["namespace"]), call.index)
    return wire.Empty()


async def _visible(call: Call) -> list[TenantStatus]:
    if call.who.bound:
        try:
            found = [await call.cluster.tenants.get(call.who.tenant or "", call.index)]
        except NotFound as missing:
            if missing.kind == "index":
                raise
            found = []
    else:
        found, after = [], None
        while page := await call.cluster.tenants.list(call.index, after=after, limit=PAGE):
            found.extend(page)
            after = page[-1].tenant.name
    return [one for one in found if one.tenant.state in SHOWN_STATES]


async def _count(call: Call, prefix: str) -> int:
    if not prefix:
        return sum(status.shard.tenants for status in await call.cluster.shards.list(call.index))
    total, after = 0, None
    while page := await call.cluster.tenants.list(call.index, after=after, limit=PAGE, prefix=prefix):
        total += len(page)
        after = page[-1].tenant.name
    return total


def _described(status: TenantStatus) -> wire.NamespaceDescription:
    return wire.NamespaceDescription(status.tenant.name, str(status.vectors), str(status.bytes))
