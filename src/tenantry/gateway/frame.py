"""What happens around every handler: key, access, bounded body, time limit, encoding, errors, measurements."""

from __future__ import annotations

import asyncio
import os
import re
import traceback
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

import msgspec
import structlog
from starlette.types import Receive, Scope, Send

from tenantry.cluster import Cluster
from tenantry.errors import Bug, DeadlineExceeded, PermissionDenied, RateLimited, TenantryError, Unavailable
from tenantry.gateway.auth import NOBODY, Authenticator, Principal
from tenantry.gateway.body import (
    JSON,
    Disconnected,
    check_media_type,
    decode_json,
    decode_query,
    decode_segment,
    read_body,
)
from tenantry.gateway.errors import BodyTooLarge, MethodNotAllowed, respelled, retry_after
from tenantry.gateway.leaving import while_there
from tenantry.gateway.recording import Recorder, is_recorded
from tenantry.gateway.streams import Streams
from tenantry.gateway.table import Access, Answer, Call, Endpoint, Face, Reach, Stream
from tenantry.gateway.tracing import TracedRunner
from tenantry.model.keys import RIGHTS
from tenantry.model.topology import DEFAULT_INDEX
from tenantry.ports import Tracer
from tenantry.telemetry.prometheus import PrometheusTelemetry

#: How many times longer a `patient` operation may take than others.
PATIENCE = 20
OUR_FAULT = 500
NOT_YOURS = "this API key reaches only what it is bound to"

_GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_log = structlog.get_logger("tenantry.gateway")
_encode = msgspec.json.Encoder().encode


class Frame:
    """Shared by all endpoints of one application.

    Args:
        max_concurrent: requests in hand at once; beyond it 503 with Retry-After, health endpoints excepted.
        request_limit_s: longest time of a request, its body's arrival included.
        tracer: makes a span of each request; None: nobody traces.
    """

    def __init__(
        self,
        cluster: Cluster,
        authenticator: Authenticator,
        telemetry: PrometheusTelemetry | None,
        *,
        public_url: str | None,
        max_concurrent: int,
        request_limit_s: float,
        tracer: Tracer | None = None,
    ) -> None:
        self.cluster = cluster
        self.authenticator = authenticator
        self.telemetry = telemetry
        self.public_url = public_url.rstrip("/") if public_url else None
        self.max_concurrent = max_concurrent
        self.request_limit_s = request_limit_s
        self.tracer = tracer
        self.in_hand = 0
        self.streams = Streams()
        self._epoch = cluster.clock.now() - cluster.clock.monotonic()

    def lsn(self) -> int:
        """Microseconds since the Unix epoch, counted on a clock that never goes back."""
        return int((self._epoch + self.cluster.clock.monotonic()) * 1_000_000)


class Runner:
    """One endpoint as an ASGI application."""

    def __init__(self, endpoint: Endpoint, frame: Frame) -> None:
        self.endpoint = endpoint
        self._frame = frame
        self._body_most: int = getattr(frame.cluster.limits, endpoint.body_limit)
        self._decoder = None if endpoint.request is None else msgspec.json.Decoder(endpoint.request)
        self._recorder = Recorder(endpoint, frame.cluster) if is_recorded(endpoint) else None
        self._limit_s = frame.request_limit_s * (PATIENCE if endpoint.patient else 1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; never raises."""
        frame, endpoint = self._frame, self.endpoint
        started = perf_counter()
        headers = dict(scope["headers"])
        request_id = request_id_of(headers)
        if frame.in_hand >= frame.max_concurrent and not endpoint.unlimited:
            busy = Unavailable(f"the gateway serves {frame.max_concurrent} requests already; try again")
            status = await send_error(send, endpoint.face, busy, request_id)
            self._measure(status, started)
            return
        frame.in_hand += 1
        try:
            answered = await self._answer(scope, headers, receive, send, request_id)
            if isinstance(answered, Stream):
                frame.in_hand -= 1  # it has a bound of its own
                try:
                    await frame.streams.send(
                        answered.events, _ids(request_id), receive, send, lambda: self._admit(headers, scope)
                    )
                finally:
                    frame.in_hand += 1
            status = 200 if isinstance(answered, Stream) else answered
        except Disconnected:
            status = 499  # nobody is left to read an answer
        except asyncio.CancelledError:  # only the end of the time of grace at shutdown cancels a request's own task
            cut = Unavailable("the gateway is shutting down; a write may or may not have taken effect")
            status = await send_error(send, endpoint.face, cut, request_id)
        finally:
            frame.in_hand -= 1
        self._measure(status, started)

    async def _answer(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send, request_id: str
    ) -> int | Stream:
        endpoint = self.endpoint
        try:
            if endpoint.streams:
                self._frame.streams.check()
            try:
                async with asyncio.timeout(self._limit_s):
                    ran = await self._run(scope, headers, receive, request_id)
            except TimeoutError as late:
                raise DeadlineExceeded(f"the request took over {self._limit_s:g} s") from late
            if isinstance(ran, Stream):
                return ran
            body, status, media_type, extra = ran
        except TenantryError as error:
            if not isinstance(error, Unavailable) and _is_ours(endpoint.face, error, request_id):
                _report("request failed", error, request_id, endpoint)
            return await send_error(send, endpoint.face, error, request_id)
        except Disconnected:
            raise
        except Exception as error:
            _report("unexpected failure", error, request_id, endpoint)
            return await send_error(send, endpoint.face, Bug("unexpected"), request_id)
        await send_body(send, status, body, media_type, request_id, extra)
        return status

    async def _run(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, request_id: str
    ) -> tuple[bytes, int, bytes, list[tuple[bytes, bytes]]] | Stream:
        frame, endpoint = self._frame, self.endpoint
        path = {name: decode_segment(raw, name) for name, raw in scope["path_params"].items()}
        who = NOBODY
        if endpoint.access is not Access.PUBLIC:
            who = await frame.authenticator.principal(headers)
            try:
                check_access(endpoint.access, who, path)
                if endpoint.admit is not None:
                    await endpoint.admit(frame.cluster, who)
            except (PermissionDenied, RateLimited) as refusal:
                if self._recorder is not None:
                    await self._recorder.refused(who, path, request_id, refusal)
                raise
        given: Any = None
        if self._decoder is not None:
            check_media_type(headers)
            given = decode_json(self._decoder, await read_body(scope, receive, self._body_most))
        elif endpoint.query is not None:
            given = decode_query(endpoint.query, scope["query_string"])
        version = headers.get(b"x-pinecone-api-version", b"").decode("latin-1")
        base_url = frame.public_url or f"{scope['scheme']}://{headers.get(b'host', b'').decode('latin-1')}"
        call = Call(frame.cluster, who, path, request_id, version, base_url, frame.lsn)
        working = endpoint.handle(call, given) if self._recorder is None else self._recorder.run(call, given)
        result = await (while_there(working, receive) if endpoint.abandonable else working)
        if result is None:
            return b"", endpoint.status, b"", call.headers
        if isinstance(result, Stream):
            return result
        if isinstance(result, Answer):
            return result.body, result.status, result.media_type, call.headers
        return _encode(result), endpoint.status, JSON, call.headers

    async def _admit(self, headers: dict[bytes, bytes], scope: Scope) -> None:
        """Raises what a request with these headers would raise now."""
        who = await self._frame.authenticator.principal(headers)
        path = {name: decode_segment(raw, name) for name, raw in scope["path_params"].items()}
        check_access(self.endpoint.access, who, path)

    def _measure(self, status: int, started: float) -> None:
        telemetry = self._frame.telemetry
        if telemetry is not None:
            endpoint = self.endpoint
            telemetry.request(endpoint.face.name, endpoint.method, endpoint.path, status, perf_counter() - started)


class PathEndpoint:
    """All methods of one path."""

    def __init__(self, runners: Sequence[Runner | TracedRunner]) -> None:
        self._by_method = {runner.endpoint.method: runner for runner in runners}
        self._face = runners[0].endpoint.face
        if "GET" in self._by_method:
            self._by_method["HEAD"] = self._by_method["GET"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand over to the method's runner, or answer 405."""
        runner = self._by_method.get(scope["method"])
        if runner is None:
            wrong = MethodNotAllowed(scope["method"], sorted(self._by_method))
            await send_error(send, self._face, wrong, request_id_of(dict(scope["headers"])))
            return
        await runner(scope, receive, send)


def check_access(access: Access, who: Principal, path: dict[str, str]) -> None:
    """Hold a key to its scope and to its own part of the path, without telling whether another part exists."""
    right, reach = access.right, access.reach
    if right is None:
        return
    if who.scope is None or right not in RIGHTS[who.scope]:
        needed = ", ".join(access.scopes())
        raise PermissionDenied(f"this takes an API key of scope {needed}; yours is of scope {who.scope}")
    if who.index is None and not who.bound:
        return
    if reach is Reach.OWN:
        return
    if path.get("index", DEFAULT_INDEX) != who.index:
        raise PermissionDenied(NOT_YOURS)
    if who.bound and (reach is Reach.ALL or (reach is Reach.TENANT and path.get("tenant") != who.tenant)):
        raise PermissionDenied(NOT_YOURS)


def request_id_of(headers: Mapping[bytes, bytes]) -> str:
    """The client's own ``X-Request-Id`` when it is harmless, else a new one."""
    given = headers.get(b"x-request-id")
    if given is not None and _GIVEN_ID.fullmatch(given):
        return given.decode("ascii")
    return os.urandom(8).hex()


async def send_error(send: Send, face: Face, error: TenantryError, request_id: str) -> int:
    """Send an error as the face spells it; returns the status."""
    status, body = face.render(respelled(error, face.fields), request_id)
    headers: list[tuple[bytes, bytes]] = []
    wait = retry_after(error)
    if wait is not None:
        headers.append((b"retry-after", wait))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", ", ".join(error.allowed).encode()))
    if isinstance(error, BodyTooLarge):
        headers.append((b"connection", b"close"))
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send_body(send, status, body, JSON, request_id, headers)
    return status


async def send_body(
    send: Send, status: int, body: bytes, media_type: bytes, request_id: str, headers: list[tuple[bytes, bytes]]
) -> None:
    """Send a whole response."""
    head = [(b"content-length", str(len(body)).encode()), *_ids(request_id), *headers]
    if media_type:
        head.append((b"content-type", media_type))
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


def _ids(request_id: str) -> list[tuple[bytes, bytes]]:
    given_id = request_id.encode()
    return [(b"x-request-id", given_id), (b"x-pinecone-request-id", given_id)]


def _report(event: str, error: Exception, request_id: str, endpoint: Endpoint) -> None:
    """Into the log, with a plain traceback: renderers that show local variables would show keys and vectors."""
    text = "".join(traceback.format_exception(error))
    _log.error(event, request_id=request_id, method=endpoint.method, route=endpoint.path, traceback=text)


def _is_ours(face: Face, error: TenantryError, request_id: str) -> bool:
    return face.render(error, request_id)[0] == OUR_FAULT
