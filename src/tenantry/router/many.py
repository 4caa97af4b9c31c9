"""Several tenants of one shard in one request to it, under the rules that hold for a request to each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec

from tenantry.errors import RequestError, TenantryError
from tenantry.model.records import Found, FoundIn, Query
from tenantry.model.topology import Route
from tenantry.ports import ManyNamespaces
from tenantry.router import loads
from tenantry.router.router import Router

#: A tenant and the route under which it is asked.
Listed = tuple[str, Route]


class Together(msgspec.Struct, frozen=True, eq=False):
    """What came of it: hits (``namespace`` is the tenant's name here), and the tenants that have to be asked each for
    itself, as their routes have changed or their namespaces are not there."""

    hits: list[FoundIn]
    left: list[Listed]


async def query_together(
    router: Router, index: str, shard: str, listed: Sequence[Listed], query: Query, per_tenant: int | None, term: int
) -> Together:
    """The nearest records of these tenants, whose routes were read in this `term` of the member and lead to ``shard``;
    its backend has ``Features.many_namespace_query``. The query is a checked one. Ties by place in the list, then id.

    Its turn on the shard comes first (`tenantry.router.admission`). Each tenant counts as in hand from then on, so a
    barrier waits; and what was read under a lease that was lost is not used (rule R1). Raises what the backend raises.
    """
    ticket = await router.service.admit_across(index, shard, loads.part(query, len(listed)))
    try:
        return await _query(router, index, shard, listed, query, per_tenant, term)
    finally:
        ticket.leave()


async def _query(
    router: Router, index: str, shard: str, listed: Sequence[Listed], query: Query, per_tenant: int | None, term: int
) -> Together:
    held: list[Listed] = []
    left: list[Listed] = []
    resolver, inflight, still = router.resolver, router.inflight, router.member.still(term)
    for tenant, route in listed:
        known = resolver.cached(index, tenant)
        if known is not None and known.epoch > route.epoch and known.place.shard == shard:
            route = known  # noqa: PLW2901  the newer one
        newer = known is not None and known.epoch > route.epoch
        if newer or not still or not inflight.enter(index, tenant, route.epoch):
            left.append((tenant, route))
        else:
            held.append((tenant, route))
    if not held:
        return Together([], left)
    by_namespace = {route.place.namespace: (tenant, route) for tenant, route in held}
    started, ok = router.clock.monotonic(), False
    try:
        backend = cast(ManyNamespaces, await router.pool.backend(index, shard))
        found = await backend.query_many(list(by_namespace), query, per_tenant)
        ok = True
    except TenantryError as error:
        ok = isinstance(error, RequestError)  # the caller's fault is none of the shard's
        if not router.member.still(term):
            return Together([], list(listed))
        raise
    finally:
        for tenant, route in held:
            inflight.leave(index, tenant, route.epoch)
        router.telemetry.operation("search-part", index, shard, router.clock.monotonic() - started, ok)
    if not router.member.still(term):
        return Together([], list(listed))
    inflight.answered += len(held)
    left += [by_namespace[namespace] for namespace in found.missing]
    return Together(_named(found, by_namespace), left)


def _named(found: Found, by_namespace: dict[str, Listed]) -> list[FoundIn]:
    return [FoundIn(by_namespace[one.namespace][0], one.hit) for one in found.hits]
