"""Health, metrics and the OpenAPI document."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from starlette.types import Receive, Scope, Send

from tenantry.errors import NotFound, TenantryError, Unavailable
from tenantry.gateway.errors import NoSuchRoute
from tenantry.gateway.frame import Frame, request_id_of, send_error
from tenantry.gateway.native.routes import FACE
from tenantry.gateway.openapi import document
from tenantry.gateway.pinecone.errors import DATA
from tenantry.gateway.table import Access, Answer, Call, Endpoint

READY_WITHIN_S = 5.0


class Health(msgspec.Struct):
    """How the process is."""

    status: str


def routes(frame: Frame, described: Sequence[Endpoint]) -> list[Endpoint]:
    """The table of operations; ``described`` goes into the OpenAPI document together with it."""
    whole: list[Endpoint] = []
    rendered: list[bytes] = []

    async def metrics(call: Call, _: None) -> Answer:
        if frame.telemetry is None:
            raise NotFound("page", "metrics", "this gateway keeps no measurements")
        frame.telemetry.in_flight(frame.in_hand)
        return Answer(frame.telemetry.exposition(), frame.telemetry.media_type)

    async def openapi(call: Call, _: None) -> Answer:
        if not rendered:
            rendered.append(msgspec.json.encode(document(whole)))
        return Answer(rendered[0])

    own = [
        Endpoint(
            face=FACE,
            method="GET",
            path="/healthz",
            handle=_alive,
            access=Access.PUBLIC,
            response=Health,
            unlimited=True,
            summary="Tell whether the process is up",
        ),
        Endpoint(
            face=FACE,
            method="GET",
            path="/readyz",
            handle=_ready,
            access=Access.PUBLIC,
            response=Health,
            unlimited=True,
            summary="Tell whether the catalog can be reached",
        ),
        Endpoint(
            face=FACE,
            method="GET",
            path="/metrics",
            handle=metrics,
            access=Access.SEE,
            unlimited=True,
            summary="Show measurements for Prometheus",
        ),
        Endpoint(
            face=FACE,
            method="GET",
            path="/v1/openapi.json",
            handle=openapi,
            access=Access.PUBLIC,
            summary="Show this document",
        ),
    ]
    whole += [*described, *own]
    return own


async def no_such_route(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer for a path that no operation has."""
    face = FACE if scope["path"].startswith("/v1") else DATA
    wrong = NoSuchRoute(f"there is no operation at {scope['path'][:200]}; see /v1/openapi.json")
    await send_error(send, face, wrong, request_id_of(dict(scope["headers"])))


async def _alive(call: Call, _: None) -> Health:
    return Health("ok")


async def _ready(call: Call, _: None) -> Health:
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            await call.cluster.indexes.list()
    except TimeoutError as late:
        raise Unavailable(f"the catalog did not answer within {READY_WITHIN_S:g} s") from late
    except TenantryError as error:
        raise Unavailable("the catalog cannot be reached") from error
    return Health("ok")
