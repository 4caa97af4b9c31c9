"""The seam of tracing. Where nobody traces there is no tracer at all, so that it costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from tenantry.model.tracing import SpanKind, Value


class Span(Protocol):
    """Something that takes a while, as it goes on."""

    def set(self, name: str, value: Value) -> None:
        """Add an attribute."""

    def fail(self, kind: str, message: str = "") -> None:
        """Mark it as failed; ``kind`` is one of few (an error's code, a status)."""


class Tracer(Protocol):
    """Makes spans. Names and attributes follow the conventions of OpenTelemetry; calls never raise by themselves."""

    def span(
        self,
        name: str,
        attributes: Mapping[str, Value],
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        carrier: Mapping[str, str] | None = None,
        root: bool = False,
    ) -> AbstractContextManager[Span]:
        """A span around a block of code, and what is called or begun there. An exception that leaves it marks it as
        failed; being cancelled does not.

        Args:
            name: one of few, so that spans can be counted by it.
            carrier: headers of a request (W3C's ``traceparent``, ``tracestate``): it belongs to the caller's trace.
            root: it begins a trace of its own, linked with what is around it.
        """

    def exemplar(self) -> dict[str, str] | None:
        """Ids of the span around here, to be kept with a measurement; None: there is none, or it is not kept."""

    async def aclose(self) -> None:
        """Send what is left; safe to call twice."""
