"""A span around each request, by OpenTelemetry's conventions for HTTP, in the caller's trace if there is one."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tenantry.gateway.table import Endpoint
from tenantry.model.tracing import SpanKind, Value
from tenantry.ports import Tracer

#: Headers of W3C's trace context.
CARRIED = (b"traceparent", b"tracestate")
OUR_FAULT = 500


class TracedRunner:
    """One endpoint as an ASGI application, with a span around it. Query strings, which may hold data, are left out."""

    def __init__(self, endpoint: Endpoint, inner: ASGIApp, tracer: Tracer) -> None:
        self.endpoint = endpoint
        self._inner = inner
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        endpoint = self.endpoint
        carrier = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in CARRIED}
        about: dict[str, Value] = {
            "http.request.method": scope["method"],
            "http.route": endpoint.path,
            "url.path": scope["path"],
            "url.scheme": scope["scheme"],
            "network.protocol.version": scope["http_version"],
        }
        if scope.get("server"):
            about["server.address"], about["server.port"] = scope["server"][0], scope["server"][1] or 0
        name = f"{scope['method']} {endpoint.path}"
        with self._tracer.span(name, about, kind=SpanKind.SERVER, carrier=carrier) as span:

            async def sent(message: Message) -> None:
                if message["type"] == "http.response.start":
                    status: int = message["status"]
                    span.set("http.response.status_code", status)
                    if status >= OUR_FAULT:
                        span.fail(str(status))
                await send(message)

            await self._inner(scope, receive, sent)
