"""The native API for people who watch: who they are, an index at a glance, over time, live, and its tenants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial

import msgspec

from tenantry.cluster.watching import LOOK_S, Overview, Timeline
from tenantry.control.roster import RosterPage
from tenantry.gateway.native import wire_watching as wire
from tenantry.gateway.native.moves import shown_move
from tenantry.gateway.streams import event
from tenantry.gateway.table import Access, Call, Endpoint, Face, Stream
from tenantry.model.keys import RIGHTS
from tenantry.model.moves import Move
from tenantry.version import __version__

_INDEX = "/v1/indexes/{index}"


async def whoami(call: Call, _: None) -> wire.Who:
    """What the caller's key is, and may."""
    who = call.who
    rights = RIGHTS[who.scope] if who.scope is not None else ()
    return wire.Who(str(who.scope), who.index, who.tenant, who.actor, sorted(map(str, rights)), __version__)


async def overview(call: Call, _: None) -> Overview:
    """An index at a glance."""
    return await call.cluster.watching.overview(call.index)


async def timeline(call: Call, asked: wire.AskTimeline) -> Timeline:
    """Shards over the last hour."""
    return await call.cluster.watching.timeline(call.index, shard=asked.shard, shards=asked.shards)


async def roster(call: Call, asked: wire.AskRoster) -> RosterPage:
    """A part of the tenants, searched and sorted."""
    return await call.cluster.watching.tenants(call.index, **msgspec.structs.asdict(asked))


async def tenant_readings(call: Call, _: None) -> wire.TenantLoad:
    """What one tenant did over the window."""
    name = call.path["tenant"]
    reading = await call.cluster.watching.reading(name, call.index)
    p50, p95, p99 = reading.latencies_ms() if reading.bins else (0.0, 0.0, 0.0)
    return wire.TenantLoad(
        name=name,
        window_s=reading.seconds,
        operations=reading.operations,
        queries=reading.queries,
        reads=reading.reads,
        writes=reading.writes,
        errors=reading.errors,
        per_second=reading.per_second,
        queries_per_second=reading.queries_per_second,
        error_rate=reading.error_rate,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
    )


async def live(call: Call, _: None) -> Stream:
    """An index, live: its overview when it has changed, and changes of moves; one that ends is told of once more."""
    watching, moves = call.cluster.watching, call.cluster.moves
    await watching.open_moves(call.index)

    async def events() -> AsyncIterator[bytes]:
        number, seen = 0, None
        known: dict[str, Move] = {}
        while True:
            now = {move.id: move for move in await watching.open_moves(call.index)}
            for id in known.keys() - now.keys():
                now[id] = await moves.get(id)
            for id, move in now.items():
                if known.get(id) != move:
                    number += 1
                    yield event("move", number, wire.Live(move=shown_move(move, await moves.behind(move))))
            known = {id: move for id, move in now.items() if not move.ended}
            found = await watching.overview(call.index)
            mark = (found.report and found.report.at, found.sampled_at, found.open_moves)
            if mark != seen:
                number, seen = number + 1, mark
                yield event("overview", number, wire.Live(overview=found))
            await asyncio.sleep(LOOK_S)

    return Stream(events())


def routes(face: Face, see: Callable[..., Endpoint]) -> list[Endpoint]:
    """The table; ``see`` makes an endpoint for who may look at the cluster."""
    get = partial(see, method="GET")
    return [
        Endpoint(
            face=face,
            method="GET",
            path="/v1/whoami",
            handle=whoami,
            access=Access.OWN_COUNT,
            response=wire.Who,
            summary="Tell what the key is, and may",
        ),
        get(path=_INDEX + "/overview", handle=overview, response=Overview, summary="Show an index at a glance"),
        get(
            path=_INDEX + "/timeline",
            handle=timeline,
            query=wire.AskTimeline,
            response=Timeline,
            summary="Tell latencies and rates of shards over the last hour",
        ),
        get(
            path=_INDEX + "/roster",
            handle=roster,
            query=wire.AskRoster,
            response=RosterPage,
            patient=True,
            summary="Search and sort tenants by name, size, load",
        ),
        get(
            path=_INDEX + "/live",
            handle=live,
            response=wire.Live,
            streams=True,
            summary="Watch an index: overview and moves (server-sent events)",
        ),
        Endpoint(
            face=face,
            method="GET",
            path=_INDEX + "/tenants/{tenant}/readings",
            handle=tenant_readings,
            access=Access.COUNT,
            response=wire.TenantLoad,
            summary="Tell rates and latencies of a tenant over the window",
        ),
    ]
