"""Spans by OpenTelemetry. Its own variables (``OTEL_...``) say where they go and which are kept."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tenantry.model.tracing import SpanKind, Value
from tenantry.version import __version__

KINDS = {
    SpanKind.INTERNAL: trace.SpanKind.INTERNAL,
    SpanKind.SERVER: trace.SpanKind.SERVER,
    SpanKind.CLIENT: trace.SpanKind.CLIENT,
}
#: The convention's word for an error, and where it is written.
ERROR_TYPE = "error.type"
_W3C = TraceContextTextMapPropagator()


class OtelSpan:
    """Implements `Span`."""

    def __init__(self, inner: trace.Span) -> None:
        self._inner = inner

    def set(self, name: str, value: Value) -> None:
        """Add an attribute."""
        self._inner.set_attribute(name, value)

    def fail(self, kind: str, message: str = "") -> None:
        """Mark it as failed."""
        self._inner.set_attribute(ERROR_TYPE, kind)
        self._inner.set_status(Status(StatusCode.ERROR, message or None))


class OtelTracer:
    """Implements `Tracer`.

    Args:
        provider: where spans go.
        owned: whether `aclose` shuts it down; one that the program has set up itself stays.
    """

    def __init__(self, provider: TracerProvider, *, owned: bool = True) -> None:
        self._provider = provider
        self._owned = owned
        self._tracer = provider.get_tracer("tenantry", __version__)

    @contextmanager
    def span(
        self,
        name: str,
        attributes: Mapping[str, Value],
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        carrier: Mapping[str, str] | None = None,
        root: bool = False,
    ) -> Iterator[OtelSpan]:
        """See `Tracer.span`."""
        parent: Context | None = None
        links: list[Link] = []
        if carrier is not None:
            parent = _W3C.extract(carrier, context=Context())
        elif root:
            around = trace.get_current_span().get_span_context()
            parent, links = Context(), [Link(around)] if around.is_valid else []
        with self._tracer.start_as_current_span(
            name,
            context=parent,
            kind=KINDS[kind],
            attributes=dict(attributes),
            links=links,
            record_exception=False,
            set_status_on_exception=False,
        ) as inner:
            made = OtelSpan(inner)
            try:
                yield made
            except Exception as error:
                made.fail(getattr(error, "code", type(error).__qualname__), str(error))
                raise

    def exemplar(self) -> dict[str, str] | None:
        """The span around here as an exemplar; None outside of those that are kept."""
        around = trace.get_current_span().get_span_context()
        if not around.is_valid or not around.trace_flags.sampled:
            return None
        return {"trace_id": f"{around.trace_id:032x}", "span_id": f"{around.span_id:016x}"}

    async def aclose(self) -> None:
        """Send what is left; safe to call twice."""
        if self._owned:
            self._owned = False
            await asyncio.to_thread(self._provider.shutdown)


def open_tracer() -> OtelTracer:
    """Sends over OTLP by HTTP, unless the program that uses this library has set up a provider of its own."""
    known = trace.get_tracer_provider()
    if isinstance(known, TracerProvider):
        return OtelTracer(known, owned=False)
    named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    name = {} if named else {"service.name": "tenantry"}
    provider = TracerProvider(resource=Resource.create({**name, "service.version": __version__}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return OtelTracer(provider)
