"""Records to Parquet and back, and where one segment ends and the next begins.

A segment is a Parquet file with the columns ``id`` (string), ``values`` (list of float32, of the index's dimension) and
``metadata`` (JSON; null for none), in ascending order of id: any tool that reads Parquet reads it. Values are stored
byte by byte (BYTE_STREAM_SPLIT), which compresses float32 best; see
https://parquet.apache.org/docs/file-format/data-pages/encodings/. They are packed with LZ4, for only one byte of four
gives way at all: zstd makes a tenth less of them in twice the time (bench ``backup``). Ids and metadata are packed
with zstd.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mmh3
import msgspec
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from tenantry.backup.columns import digest_of_columns
from tenantry.errors import Corrupt
from tenantry.model.blocks import Block, joined

#: What a segment is to hold, uncompressed, bytes; half to twice as much in the single case.
SEGMENT_BYTES = 8 * 2**20
LEAST_ROWS = 64
MOST_ROWS = 16_384
METADATA_GUESS_BYTES = 256
_SEED = 0x7E4A


class Packed(msgspec.Struct, frozen=True):
    """A segment, encoded: its Parquet bytes, what they hold, and the digest of its columns."""

    data: bytes
    first: str
    last: str
    records: int
    bytes: int
    digest: str


class Cutter:
    """Cuts a tenant's records into segments at ids that are told by a hash of the id, not by a count: a record that
    comes or goes changes the segment that it is in, and the others stay as they are, so they are not stored again."""

    def __init__(self, dimension: int) -> None:
        rows = SEGMENT_BYTES // (4 * dimension + METADATA_GUESS_BYTES)
        self._mean = max(LEAST_ROWS, min(rows, MOST_ROWS))
        self._parts: list[Block] = []
        self._held = 0

    def add(self, block: Block) -> Iterator[Block]:
        """Take more records; yields each segment that is complete with them."""
        start = 0
        while (end := self._end(block.ids, start)) is not None:
            yield self._cut(block.part(start, end))
            start = end
        if start < len(block):
            self._parts.append(block.part(start, len(block)))
            self._held += len(block) - start

    def _end(self, ids: list[str], start: int) -> int | None:
        """Behind the row that ends the segment which begins, or goes on, at ``start``."""
        before = self._held - start + 1
        for row in range(max(start, self._mean // 2 - before), len(ids)):
            if before + row >= 2 * self._mean or mmh3.hash(ids[row], _SEED, signed=False) % self._mean < 2:
                return row + 1
        return None

    def rest(self) -> Block | None:
        """The last segment, if there is one."""
        return self._cut(None) if self._parts else None

    def _cut(self, end: Block | None) -> Block:
        whole = joined([*self._parts, *([] if end is None else [end])])
        self._parts, self._held = [], 0
        return whole


def pack(block: Block) -> Packed:
    """Encode a segment; the same records give the same bytes (with one version of Arrow)."""
    rows, dimension = block.matrix.shape
    matrix = np.ascontiguousarray(block.matrix, dtype="<f4")
    schema = _schema(dimension)
    values = pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), type=schema.field("values").type)
    columns = [pa.array(block.ids, pa.string()), values, pa.array(block.metadata, pa.binary())]
    sink = pa.BufferOutputStream()
    parquet.write_table(
        pa.Table.from_arrays(columns, schema=schema),
        sink,
        compression={"id": "zstd", "values.list.element": "lz4", "metadata": "zstd"},
        compression_level={"id": 1, "metadata": 1},
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,
        column_encoding={"values.list.element": "BYTE_STREAM_SPLIT", "id": "PLAIN", "metadata": "PLAIN"},
    )
    size = matrix.nbytes + sum(map(len, block.ids)) + sum(len(one) for one in block.metadata if one is not None)
    return Packed(sink.getvalue().to_pybytes(), block.ids[0], block.ids[-1], rows, size, digest_of_columns(block))


def unpack(data: bytes, dimension: int | None, what: str) -> Block:
    """The records of a segment, of that dimension unless it is None. Raises Corrupt, naming ``what``."""
    try:
        table: Any = parquet.read_table(pa.BufferReader(data), use_threads=False).combine_chunks()
        ids: list[str] = table.column("id").to_pylist()
        metadata: list[bytes | None] = table.column("metadata").to_pylist()
        values = table.column("values").combine_chunks()
        flat = values.flatten() if hasattr(values, "flatten") else values.chunk(0).flatten()
        matrix = np.asarray(flat.to_numpy(zero_copy_only=False), np.float32).reshape(
            len(ids), values.type.list_size if ids and hasattr(values.type, "list_size") else -1
        )
    except (pa.ArrowException, KeyError, ValueError, OSError, TypeError) as error:
        raise Corrupt(f"{what} is no segment of a backup ({str(error).partition(chr(10))[0]})") from error
    if ids and dimension is not None and matrix.shape[1] != dimension:
        raise Corrupt(f"{what} holds vectors of dimension {matrix.shape[1]}, not {dimension}")
    return Block(ids, matrix, metadata)


def _schema(dimension: int) -> pa.Schema:
    element = pa.field("element", pa.float32(), nullable=False)
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("values", pa.list_(element, dimension), nullable=False),
            pa.field("metadata", pa.binary()),
        ]
    )
