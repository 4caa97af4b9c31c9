"""Many records in columns: what goes through a backup, without an object for each record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from tenantry.model.records import Record

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict).decode


class Block(msgspec.Struct, frozen=True, eq=False):
    """Records in ascending order of id.

    Attributes:
        matrix: float32, shape ``(len(ids), dimension)``.
        metadata: of each record as JSON, None for none.
        cursor: None on the last block of a scan, else its last id.
    """

    ids: list[str]
    matrix: NDArray[np.float32]
    metadata: list[bytes | None]
    cursor: str | None = None

    def __len__(self) -> int:
        """Number of records."""
        return len(self.ids)

    def part(self, start: int, end: int) -> Block:
        """The records from ``start`` to before ``end``."""
        return Block(self.ids[start:end], self.matrix[start:end], self.metadata[start:end])

    def records(self) -> Iterator[Record]:
        """Each as a record; values share the block's memory."""
        for id, values, metadata in zip(self.ids, self.matrix, self.metadata, strict=True):
            yield Record(id, values, None if metadata is None else _decode(metadata))


def block_of(records: Sequence[Record], dimension: int, cursor: str | None = None) -> Block:
    """Records in columns."""
    matrix = np.empty((len(records), dimension), np.float32)
    for row, record in enumerate(records):
        matrix[row] = record.values
    metadata = [None if record.metadata is None else _encode(record.metadata) for record in records]
    return Block([record.id for record in records], matrix, metadata, cursor)


def joined(blocks: Sequence[Block]) -> Block:
    """One after the other, as one; at least one."""
    if len(blocks) == 1:
        return blocks[0]
    return Block(
        [id for block in blocks for id in block.ids],
        np.concatenate([block.matrix for block in blocks]),
        [one for block in blocks for one in block.metadata],
        blocks[-1].cursor,
    )
