"""What a segment's records are known by, whatever they come from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
import numpy as np

from tenantry.backup.manifest import Segment
from tenantry.model.blocks import Block

DIGITS = 32
_encode = msgspec.json.Encoder().encode


def digest_of_columns(block: Block) -> str:
    """SHA-256 of the ids (as a JSON list), the vectors (float32, little-endian) and the metadata (their lengths as
    int64, -1 for none, then their bytes), each after its length as eight bytes (little-endian); its first 128 bits, in
    32 hexadecimal digits. Absent and empty metadata are the same.

    A column is hashed whole, so a thread that does it leaves the interpreter to others. The digest depends on the order
    of the records, and on how the metadata are spelled: one that is the same proves the same records; one that is not
    says that they are to be compared one by one (`tenantry.control.mover.digest.alike`).
    """
    ids = _encode(block.ids)
    matrix = np.ascontiguousarray(block.matrix, dtype="<f4")
    texts = [b"" if one is None or one == b"{}" else one for one in block.metadata]
    lengths = np.fromiter((len(one) or -1 for one in texts), "<i8", len(texts)).tobytes()
    hashed = hashlib.sha256()
    for column in (ids, matrix.reshape(-1).view(np.uint8).data if matrix.size else b"", lengths, b"".join(texts)):
        hashed.update(len(column).to_bytes(8, "little"))
        hashed.update(column)
    return hashed.hexdigest()[:DIGITS]


def digest_of_segments(segments: Sequence[Segment]) -> str:
    """SHA-256 over the digests of a tenant's segments and how many records each has, in their order; 32 digits. Of
    none it is all zeros, as in format 1."""
    if not segments:
        return "0" * DIGITS
    whole = hashlib.sha256()
    for segment in segments:
        whole.update(f"{segment.records} {segment.digest}\n".encode())
    return whole.hexdigest()[:DIGITS]
