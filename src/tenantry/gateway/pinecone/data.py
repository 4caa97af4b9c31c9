"""Pinecone's vector operations on the router."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from msgspec import UNSET

from tenantry.cluster.handles import as_selector
from tenantry.errors import InvalidArgument, NotFound, Unsupported
from tenantry.gateway.errors import BadRequest
from tenantry.gateway.pinecone import wire
from tenantry.gateway.pinecone.lsn import mark_read, mark_write
from tenantry.gateway.table import Call
from tenantry.gateway.vectors import numbers, pinecone_score, to_vector
from tenantry.model.filters import Filter, matches, parse_filter
from tenantry.model.limits import check_count
from tenantry.model.records import Hit, Query, Record, Update

SCAN_PAGE = 1_000
#: Pages that one fetch by metadata looks through before it answers with a token to go on.
SCAN_PAGES_MOST = 20
UPDATES_AT_ONCE = 8
CURSOR = "paginationToken"
NO_SPARSE = "sparse values are not supported: the indexes here hold dense vectors; leave the field out"


async def upsert(call: Call, asked: wire.UpsertRequest) -> wire.UpsertResponse:
    """Write a batch; the first write of a namespace makes it."""
    tenant = call.tenant(asked.namespace)
    batch = []
    for i, vector in enumerate(asked.vectors):
        if vector.sparse_values is not None:
            raise Unsupported(f"vectors[{i}].sparseValues: {NO_SPARSE}")
        batch.append(Record(vector.id, to_vector(vector.values), vector.metadata))
    written = await call.cluster.router.upsert(call.index, tenant, batch)
    await mark_write(call, tenant)
    return wire.UpsertResponse(written)


async def query(call: Call, asked: wire.QueryRequest) -> wire.QueryResponse:
    """The nearest records; nothing for a namespace or a record id that does not exist."""
    tenant = call.tenant(asked.namespace)
    if asked.sparse_vector is not None:
        raise Unsupported(f"sparseVector: {NO_SPARSE}")
    if asked.queries is not None:
        raise BadRequest("several queries in one request are not supported; send vector or id", "queries")
    if (asked.vector is None) == (asked.id is None):
        raise BadRequest("give exactly one of vector and id", "vector")
    router, index = call.cluster.router, call.index
    started = call.lsn()
    condition = parse_filter(asked.filter)
    try:
        if asked.vector is not None:
            question = Query(
                to_vector(asked.vector), asked.top_k, condition, asked.include_values, asked.include_metadata
            )
            hits = await router.query(index, tenant, question)
        else:
            check_count(asked.top_k, "top_k", 1, router.limits.top_k)
            hits = await router.query_like(
                index, tenant, asked.id or "", asked.top_k, condition, asked.include_values, asked.include_metadata
            )
    except NotFound as missing:
        hits = nothing_there(missing)
    await mark_read(call, tenant, started)
    metric = (await router.pool.index(index)).metric
    shown = [_scored(hit, pinecone_score(hit.score, metric)) for hit in hits]
    return wire.QueryResponse(shown, asked.namespace or "", wire.Usage(1))


async def fetch(call: Call, asked: wire.FetchQuery) -> wire.FetchResponse:
    """Records by id; ids that do not exist are left out."""
    tenant = call.tenant(asked.namespace)
    started = call.lsn()
    try:
        found = await call.cluster.router.fetch(call.index, tenant, asked.ids)
    except NotFound as missing:
        nothing_there(missing)
        found = {}
    await mark_read(call, tenant, started)
    shown = {key: _stored(record) for key, record in found.items()}
    return wire.FetchResponse(shown, asked.namespace, wire.Usage(max(1, -(-len(shown) // 10))))


async def fetch_by_metadata(call: Call, asked: wire.FetchByMetadataRequest) -> wire.FetchByMetadataResponse:
    """Records that match a filter, ascending by id, page by page."""
    tenant = call.tenant(asked.namespace)
    condition = _condition(asked.filter)
    check_count(asked.limit, "limit", 1, call.cluster.limits.fetch_ids)
    listing = ("by-metadata", call.index, tenant, repr(condition))
    cursor = await call.cluster.cursors.read(asked.pagination_token, *listing, field=CURSOR)
    started = call.lsn()
    shown: dict[str, wire.StoredVector] = {}
    last: str | None = None
    try:
        async for record, more in _matching(call, tenant, condition, cursor, SCAN_PAGES_MOST):
            if record is not None:
                shown[record.id] = _stored(record)
            last = more
            if len(shown) >= asked.limit:
                break
    except NotFound as missing:
        nothing_there(missing)
    await mark_read(call, tenant, started)
    return wire.FetchByMetadataResponse(
        shown,
        asked.namespace or "",
        wire.Usage(max(1, -(-len(shown) // 10))),
        UNSET if last is None else wire.Pagination(await call.cluster.cursors.make(last, *listing)),
    )


async def update(call: Call, asked: wire.UpdateRequest) -> wire.UpdateResponse:
    """Change one record by id, or set metadata on all that match a filter. A missing record is no error."""
    tenant = call.tenant(asked.namespace)
    if asked.sparse_values is not None:
        raise Unsupported(f"sparseValues: {NO_SPARSE}")
    if (asked.id is None) == (asked.filter is None):
        raise BadRequest("give exactly one of id and filter", "id")
    if asked.id is not None:
        values = None if asked.values is None else to_vector(asked.values)
        await call.cluster.router.update(call.index, tenant, Update(asked.id, values, asked.set_metadata))
        await mark_write(call, tenant)
        return wire.UpdateResponse()
    if asked.values is not None:
        raise BadRequest("an update by filter sets metadata only; values belong to one record", "values")
    matched = await _update_matching(call, tenant, asked)
    if not asked.dry_run:
        await mark_write(call, tenant)
    return wire.UpdateResponse(matched)


async def delete(call: Call, asked: wire.DeleteRequest) -> wire.Empty:
    """Delete by ids, by filter or all; a namespace that does not exist is 404, as for Pinecone."""
    tenant = call.tenant(asked.namespace)
    try:
        selector = as_selector(asked.ids, asked.filter, bool(asked.delete_all))
    except InvalidArgument as wrong:
        if wrong.field != "delete":
            raise
        raise BadRequest("give exactly one of ids, a non-empty filter, and deleteAll: true", "ids") from None
    await call.cluster.router.delete(call.index, tenant, selector)
    await mark_write(call, tenant)
    return wire.Empty()


async def list_ids(call: Call, asked: wire.ListQuery) -> wire.ListResponse:
    """One page of ids with a prefix."""
    tenant = call.tenant(asked.namespace)
    check_count(asked.limit, "limit", 1, call.cluster.limits.list_page)
    listing = ("ids", call.index, tenant, asked.prefix)
    cursor = await call.cluster.cursors.read(asked.pagination_token, *listing, field=CURSOR)
    started = call.lsn()
    ids: list[str] = []
    after: str | None = None
    try:
        page = await call.cluster.router.list_ids(call.index, tenant, cursor, asked.limit, asked.prefix)
        ids, after = page.ids, page.cursor
    except NotFound as missing:
        nothing_there(missing)
    await mark_read(call, tenant, started)
    return wire.ListResponse(
        [wire.ListItem(key) for key in ids],
        asked.namespace,
        wire.Usage(1),
        UNSET if after is None else wire.Pagination(await call.cluster.cursors.make(after, *listing)),
    )


def nothing_there(missing: NotFound) -> list[Hit]:
    """No hits, when it is the namespace or the record that does not exist; a missing index stays an error."""
    if missing.kind in ("tenant", "record", "namespace"):
        return []
    raise missing


async def _update_matching(call: Call, tenant: str, asked: wire.UpdateRequest) -> int:
    """Each record changes by itself: one that is deleted meanwhile is passed over, and the whole can be repeated."""
    condition = _condition(asked.filter)
    if not asked.set_metadata and not asked.dry_run:
        raise BadRequest("an update by filter needs fields to set", "setMetadata")
    router = call.cluster.router
    matched = 0
    waiting: list[Update] = []

    async def flush() -> None:
        await asyncio.gather(*(router.update(call.index, tenant, change) for change in waiting))
        waiting.clear()

    async for record, _ in _matching(call, tenant, condition, None, None):
        if record is None:
            continue
        matched += 1
        if not asked.dry_run:
            waiting.append(Update(record.id, None, asked.set_metadata))
        if len(waiting) == UPDATES_AT_ONCE:
            await flush()
    await flush()
    return matched


async def _matching(
    call: Call, tenant: str, condition: Filter, cursor: str | None, pages_most: int | None
) -> AsyncIterator[tuple[Record | None, str | None]]:
    """Matching records, each with the id to go on after (None: nothing follows). When ``pages_most`` pages have
    been looked through, a last pair without a record tells where to go on."""
    router = call.cluster.router
    pages = 0
    while pages_most is None or pages < pages_most:
        page = await router.scan(call.index, tenant, cursor, SCAN_PAGE)
        pages += 1
        for i, record in enumerate(page.records):
            if matches(condition, record.metadata):
                last = i == len(page.records) - 1 and page.cursor is None
                yield record, None if last else record.id
        cursor = page.cursor
        if cursor is None:
            yield None, None
            return
    yield None, cursor


def _condition(raw: Any) -> Filter:
    condition = parse_filter(raw)
    if condition is None:
        raise BadRequest("a non-empty filter is required", "filter")
    return condition


def _scored(hit: Hit, score: float) -> wire.ScoredVector:
    return wire.ScoredVector(
        hit.id,
        float(score),
        [] if hit.values is None else numbers(hit.values),
        UNSET if hit.metadata is None else hit.metadata,
    )


def _stored(record: Record) -> wire.StoredVector:
    return wire.StoredVector(record.id, numbers(record.values), UNSET if not record.metadata else record.metadata)
