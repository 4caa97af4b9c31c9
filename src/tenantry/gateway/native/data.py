"""The native API's data operations on one tenant, and the cross-tenant search."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from tenantry.cluster.handles import as_selector
from tenantry.documents.store import Document
from tenantry.errors import InvalidArgument
from tenantry.gateway.errors import BadRequest, respelled
from tenantry.gateway.native import wire
from tenantry.gateway.native.shown import (
    shown_hit,
    shown_record,
    shown_tenant_hit,
    shown_tenant_text_hit,
    shown_text_hit,
)
from tenantry.gateway.table import Call
from tenantry.gateway.vectors import to_vector
from tenantry.model.filters import parse_filter
from tenantry.model.limits import check_count
from tenantry.model.records import Query, Record, Update

RECORDS_SPELLING = {"vectors": "records"}
SET_SPELLING = {"setMetadata": "set_metadata"}


async def upsert(call: Call, asked: wire.Upsert) -> wire.Upserted:
    """Write a batch; durable when answered."""
    batch = [Record(one.id, to_vector(one.values), one.metadata) for one in asked.records]
    with _spelled(RECORDS_SPELLING):
        return wire.Upserted(await call.cluster.router.upsert(call.index, call.path["tenant"], batch))


async def query(call: Call, asked: wire.Query) -> wire.Hits:
    """The nearest records, best first."""
    if (asked.vector is None) == (asked.id is None):
        raise BadRequest("give exactly one of vector and id", "vector")
    router, tenant = call.cluster.router, call.path["tenant"]
    started = call.lsn()
    condition = parse_filter(asked.filter)
    if asked.vector is not None:
        question = Query(to_vector(asked.vector), asked.top_k, condition, asked.include_values, asked.include_metadata)
        hits = await router.query(call.index, tenant, question)
    else:
        check_count(asked.top_k, "top_k", 1, router.limits.top_k)
        hits = await router.query_like(
            call.index, tenant, asked.id or "", asked.top_k, condition, asked.include_values, asked.include_metadata
        )
    return wire.Hits([shown_hit(hit) for hit in hits], _took_ms(call, started))


async def fetch(call: Call, asked: wire.Fetch) -> wire.Records:
    """Records by id."""
    found = await call.cluster.router.fetch(call.index, call.path["tenant"], asked.ids)
    return wire.Records([shown_record(record) for record in found.values()])


async def update(call: Call, asked: wire.Update) -> wire.Updated:
    """Change one record."""
    values = None if asked.values is None else to_vector(asked.values)
    with _spelled(SET_SPELLING):
        found = await call.cluster.router.update(
            call.index, call.path["tenant"], Update(asked.id, values, asked.set_metadata)
        )
    return wire.Updated(found)


async def delete(call: Call, asked: wire.Delete) -> wire.Done:
    """Delete records."""
    await call.cluster.router.delete(call.index, call.path["tenant"], as_selector(asked.ids, asked.filter, asked.all))
    return wire.Done()


async def list_ids(call: Call, asked: wire.ListIds) -> wire.Ids:
    """One page of ids."""
    page = await call.cluster.router.list_ids(call.index, call.path["tenant"], asked.cursor, asked.limit, asked.prefix)
    return wire.Ids(page.ids, page.cursor)


async def add_documents(call: Call, asked: wire.AddDocuments) -> wire.Added:
    """Chunk, embed and store."""
    documents = [Document(one.id, one.text, one.metadata) for one in asked.documents]
    report = await call.cluster.documents.add(call.index, call.path["tenant"], documents)
    return wire.Added(report.added, report.replaced, report.unchanged, report.chunks_written, report.chunks_deleted)


async def delete_documents(call: Call, asked: wire.DeleteDocuments) -> wire.Done:
    """Delete documents with all their chunks."""
    await call.cluster.documents.delete(call.index, call.path["tenant"], asked.ids)
    return wire.Done()


async def search(call: Call, asked: wire.Search) -> wire.TextHits:
    """The chunks nearest in meaning."""
    started = call.lsn()
    hits = await call.cluster.documents.search(
        call.index, call.path["tenant"], asked.text, asked.top_k, parse_filter(asked.filter)
    )
    return wire.TextHits([shown_text_hit(hit) for hit in hits], _took_ms(call, started))


async def search_all(call: Call, asked: wire.SearchAll) -> wire.SearchedAll:
    """Search over chosen tenants, or all of the index."""
    if (asked.text is None) == (asked.vector is None):
        raise BadRequest("give exactly one of text and vector", "text")
    if asked.deadline_s is not None and not 0 < asked.deadline_s < math.inf:
        raise InvalidArgument("deadline_s", asked.deadline_s, "a number of seconds over 0")
    cluster, condition = call.cluster, parse_filter(asked.filter)
    await cluster.service.search(call.who.key)
    if asked.text is not None:
        found = await cluster.documents.search_all(
            call.index, asked.text, asked.top_k, condition, asked.tenants, asked.deadline_s
        )
        return wire.SearchedAll(
            [shown_tenant_text_hit(hit) for hit in found.hits],
            found.partial,
            found.missing_shards,
            found.shards_asked,
            found.tenants_asked,
            found.took_ms,
        )
    question = Query(to_vector(asked.vector or []), asked.top_k, condition, False, True)
    result = await cluster.scatter.search(call.index, question, asked.tenants, asked.deadline_s)
    return wire.SearchedAll(
        [shown_tenant_hit(one) for one in result.hits],
        result.partial,
        result.missing_shards,
        result.shards_asked,
        result.tenants_asked,
        result.took_ms,
    )


@contextmanager
def _spelled(fields: dict[str, str]) -> Iterator[None]:
    """Errors name fields as this operation calls them."""
    try:
        yield
    except InvalidArgument as wrong:
        raise respelled(wrong, fields) from wrong


def _took_ms(call: Call, started: int) -> float:
    return (call.lsn() - started) / 1_000
