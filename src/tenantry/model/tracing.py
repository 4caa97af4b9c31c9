"""What spans are made of."""

from __future__ import annotations

from enum import StrEnum

#: Of an attribute.
Value = str | bool | int | float


class SpanKind(StrEnum):
    """Who does what a span stands for."""

    INTERNAL = "internal"
    SERVER = "server"
    """Answering a request from elsewhere."""
    CLIENT = "client"
    """Asking something elsewhere."""
