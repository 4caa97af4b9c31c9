"""One number for a record, the same on every backend that holds it."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import numpy as np

from tenantry.model.records import Record

DIGEST_BYTES = 16
_encode = msgspec.json.Encoder(order="deterministic").encode


def digest_of(record: Record) -> int:
    """BLAKE2b of id, float32 bytes (little-endian) and metadata (JSON with sorted keys; whole floats as integers,
    since not every backend keeps them apart), 128 bits. Absent metadata and empty metadata are the same."""
    values = np.ascontiguousarray(record.values, dtype="<f4").tobytes()
    key = record.id.encode()
    hashed = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in (key, values, _encode(_canonical(record.metadata))):
        hashed.update(len(part).to_bytes(8, "little"))
        hashed.update(part)
    return int.from_bytes(hashed.digest(), "little")


class NamespaceDigest:
    """The sum of the digests of all records: it does not depend on their order."""

    def __init__(self) -> None:
        self.records = 0
        self._sum = 0

    def add(self, digest: int) -> None:
        """Count one more record."""
        self.records += 1
        self._sum = (self._sum + digest) % (1 << 8 * DIGEST_BYTES)

    def hex(self) -> str:
        """32 hexadecimal digits."""
        return self._sum.to_bytes(DIGEST_BYTES, "big").hex()


def _canonical(metadata: dict[str, Any] | None) -> dict[str, Any]:
    if not metadata:
        return {}
    return {
        key: int(value) if isinstance(value, float) and value.is_integer() else value for key, value in metadata.items()
    }
