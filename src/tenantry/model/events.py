"""What the processes of a fleet tell each other. Hints that shorten waits: whoever misses one finds out by itself."""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class RouteChanged(msgspec.Struct, frozen=True, tag="route"):
    """A tenant's route is at this epoch now; ``moving``: or will soon be at another, and a barrier may wait."""

    index: str
    tenant: str
    epoch: int
    moving: bool = False


class EpochPassed(msgspec.Struct, frozen=True, tag="passed"):
    """A router has let go of a tenant's older routes."""

    index: str
    tenant: str
    epoch: int


class LogGrew(msgspec.Struct, frozen=True, tag="grew"):
    """Something was appended to a tenant's write log."""

    index: str
    tenant: str


class LogApplied(msgspec.Struct, frozen=True, tag="applied"):
    """Entries of a tenant's write log up to this one may be acknowledged."""

    index: str
    tenant: str
    through: int


class KeyChanged(msgspec.Struct, frozen=True, tag="key"):
    """An API key was revoked or rotated: whoever has it in memory is to read it anew."""

    id: str


Event: TypeAlias = RouteChanged | EpochPassed | LogGrew | LogApplied | KeyChanged
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encode_event(event: Event) -> str:
    """As JSON; with the longest names some 4 KB."""
    return _encoder.encode(event).decode()


def decode_event(text: str | bytes) -> Event | None:
    """The event; None for what is none, such as that of another version."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
