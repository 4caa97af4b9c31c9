"""Numbers of metadata in jsonb, which keeps digits and knows no floats."""

from __future__ import annotations

from typing import Any

import msgspec

#: From here on a float has more digits than the shortest text that stands for it.
EXACT = 2.0**53
_encode = msgspec.json.encode
_decode = msgspec.json.Decoder().decode


def spelled(value: Any) -> Any:
    """A value as JSON is to have it: large whole floats digit by digit, so that they equal what they are equal to."""
    return int(value) if type(value) is float and EXACT <= abs(value) < 2**63 else value


def read(value: Any) -> Any:
    """A value from jsonb: a whole number of over 64 bits was a float."""
    return float(value) if type(value) is int and not -(2**63) <= value < 2**63 else value


def encoded(metadata: dict[str, Any]) -> bytes:
    """Metadata as JSON."""
    if any(type(value) is float and abs(value) >= EXACT for value in metadata.values()):
        metadata = {key: spelled(value) for key, value in metadata.items()}
    return _encode(metadata)


def decoded(document: bytes | str) -> Any:
    """What jsonb gives, metadata or anything else."""
    found = _decode(document)
    if type(found) is dict and any(type(value) is int and abs(value) >= 2**63 for value in found.values()):
        return {key: read(value) for key, value in found.items()}
    return found
