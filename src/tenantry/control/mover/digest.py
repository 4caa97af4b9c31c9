"""One number for a record, the same on every backend that holds it."""

from __future__ import annotations

import hashlib

import msgspec
import numpy as np

from tenantry.model.records import Record, close

DIGEST_BYTES = 16
_encode = msgspec.json.Encoder(order="deterministic").encode


def alike(one: Record, other: Record, exactly: bool = True) -> bool:
    """Whether two records of one id have one digest; told without making it. With ``exactly=False`` values may be
    apart by what they lose when they are kept at length 1 (`tenantry.model.records.CLOSE`)."""
    same = one.values is other.values or _bytes_of(one) == _bytes_of(other)
    if not same and (exactly or not close(one.values, other.values)):
        return False
    return not (one.metadata or other.metadata) or _metadata_of(one) == _metadata_of(other)


def digest_of(record: Record) -> int:
    """BLAKE2b of id, float32 bytes (little-endian) and metadata (JSON with sorted keys; whole floats as integers,
    since not every backend keeps them apart), each after its length as eight bytes (little-endian); 128 bits.
    Absent metadata and empty metadata are the same."""
    key, values, metadata = record.id.encode(), _bytes_of(record), _metadata_of(record)
    lengths = [len(part).to_bytes(8, "little") for part in (key, values, metadata)]
    whole = b"".join((lengths[0], key, lengths[1], values, lengths[2], metadata))
    return int.from_bytes(hashlib.blake2b(whole, digest_size=DIGEST_BYTES).digest(), "little")


class NamespaceDigest:
    """The sum of the digests of all records: it does not depend on their order."""

    def __init__(self) -> None:
        self.records = 0
        self._sum = 0

    def add(self, digest: int) -> None:
        """Count one more record."""
        self.records += 1
        self._sum = (self._sum + digest) % (1 << 8 * DIGEST_BYTES)

    def join(self, other: NamespaceDigest) -> None:
        """Count the records of another one, which have none in common with those here."""
        self.records += other.records
        self._sum = (self._sum + other._sum) % (1 << 8 * DIGEST_BYTES)

    def hex(self) -> str:
        """32 hexadecimal digits."""
        return self._sum.to_bytes(DIGEST_BYTES, "big").hex()


def _bytes_of(record: Record) -> bytes:
    return np.ascontiguousarray(record.values, dtype="<f4").tobytes()


def _metadata_of(record: Record) -> bytes:
    if not record.metadata:
        return b"{}"
    return _encode(
        {
            key: int(value) if isinstance(value, float) and value.is_integer() else value
            for key, value in record.metadata.items()
        }
    )
