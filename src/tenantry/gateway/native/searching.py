"""The native API's cross-tenant search."""

from __future__ import annotations

import msgspec

from tenantry.cluster import Cluster
from tenantry.documents.store import TextScatterResult
from tenantry.gateway.auth import Principal
from tenantry.gateway.errors import BadRequest
from tenantry.gateway.native import wire_searching
from tenantry.gateway.native.shown import shown_tenant_hit, shown_tenant_text_hit
from tenantry.gateway.table import Call
from tenantry.gateway.vectors import to_vector
from tenantry.model.filters import parse_filter
from tenantry.model.limits import check_deadline
from tenantry.model.records import Query
from tenantry.router.scatter import Options, ScatterResult


async def admit(cluster: Cluster, who: Principal) -> None:
    """Hold a caller to so many searches a minute. Raises RateLimited."""
    await cluster.service.search(who.actor)


async def search_all(call: Call, asked: wire_searching.SearchAll) -> wire_searching.SearchedAll:
    """Search over chosen tenants, or all of the index."""
    if (asked.text is None) == (asked.vector is None):
        raise BadRequest("give exactly one of text and vector", "text")
    if asked.deadline_s is not None:
        check_deadline(asked.deadline_s)
    cluster, condition = call.cluster, parse_filter(asked.filter)
    options = Options(asked.per_tenant, asked.exactness, asked.cursor, asked.by_model, scope_of(call), asked.max_lag_s)
    if asked.text is not None:
        texts = await cluster.documents.search_all(
            call.index, asked.text, asked.top_k, condition, asked.tenants, asked.deadline_s, options
        )
        groups = [
            wire_searching.ModelHits(model, [shown_tenant_text_hit(hit) for hit in hits])
            for model, hits in texts.groups
        ]
        return _shown(texts, [shown_tenant_text_hit(hit) for hit in texts.hits], groups)
    question = Query(to_vector(asked.vector or []), asked.top_k, condition, False, asked.include_metadata)
    found = await cluster.scatter.search(call.index, question, asked.tenants, asked.deadline_s, options)
    groups = [wire_searching.ModelHits(one.model, [shown_tenant_hit(hit) for hit in one.hits]) for one in found.groups]
    return _shown(found, [shown_tenant_hit(one) for one in found.hits], groups)


def scope_of(call: Call) -> str:
    """Whose answers a caller may be given again: those of the same principal."""
    return msgspec.json.encode(call.who).decode()


def _shown(
    found: ScatterResult | TextScatterResult, hits: list[wire_searching.AnyHit], groups: list[wire_searching.ModelHits]
) -> wire_searching.SearchedAll:
    return wire_searching.SearchedAll(
        hits=hits,
        partial=found.partial,
        missing_shards=found.missing_shards,
        shards_asked=found.shards_asked,
        tenants_asked=found.tenants_asked,
        took_ms=found.took_ms,
        exact=found.exact,
        cursor=found.cursor,
        shards=[
            wire_searching.ShardAnswer(one.shard, str(one.outcome), one.tenants, one.calls, one.hedges, one.took_ms)
            for one in found.shards
        ],
        groups=groups,
        cached=found.cached,
        source=str(found.source),
        lag_s=found.lag_s,
        why_shards=found.why_shards,
    )
