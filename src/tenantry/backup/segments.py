"""Records to Parquet and back, and where one segment ends and the next begins.

A segment is a Parquet file with the columns ``id`` (string), ``values`` and ``metadata`` (JSON; null for none), in
ascending order of id: any tool that reads Parquet reads it. Values are float32, little-endian, in one of two spellings:

- fixed-length binary, a vector in each, as they are: nothing is gained by packing what most models give, for of four
  bytes only the exponent's gives way, and a list of numbers takes Parquet several times as long;
- a list of floats, stored byte by byte (BYTE_STREAM_SPLIT) and packed with LZ4, where a sample of the segment shows
  that it pays, as with values that were float16 or integers once; see
  https://parquet.apache.org/docs/file-format/data-pages/encodings/. It is the one spelling of formats 1 and 2.

Ids and metadata are packed with zstd.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
#: Vectors are packed where this many of a segment, the first ones, get at least this much shorter.
SAMPLE_ROWS = 64
PAYS = 0.8
_SEED = 0x7E4A


class Packed(msgspec.Struct, frozen=True):
    """A segment, encoded: its Parquet bytes, what they hold, and the digest of its columns."""

    data: bytes | memoryview
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

    def add(self, block: Block) -> Iterator[list[Block]]:
        """Take more records; yields the parts of each segment that is complete with them."""
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

    def rest(self) -> list[Block]:
        """The parts of the last segment; none if there is none."""
        return self._cut()

    def _cut(self, *end: Block) -> list[Block]:
        parts = [*self._parts, *end]
        self._parts, self._held = [], 0
        return parts


def pack(parts: Sequence[Block]) -> Packed:
    """Encode a segment; the same records give the same bytes (with one version of Arrow), whatever the parts."""
    block = joined(parts)
    matrix = np.ascontiguousarray(block.matrix, dtype="<f4")
    split = _pays(matrix)
    columns = [
        _as_column([id.encode() for id in block.ids], pa.string()),
        _as_lists(matrix) if split else _as_bytes(matrix),
        _as_column(block.metadata, pa.binary()),
    ]
    values = "values.list.element" if split else "values"
    fields = [("id", False), ("values", False), ("metadata", True)]
    schema = pa.schema(
        [pa.field(name, one.type, nullable) for (name, nullable), one in zip(fields, columns, strict=True)]
    )
    sink = pa.BufferOutputStream()
    parquet.write_table(
        pa.Table.from_arrays(columns, schema=schema),
        sink,
        compression={"id": "zstd", values: "lz4" if split else "none", "metadata": "zstd"},
        compression_level={"id": 1, "metadata": 1},
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,
        column_encoding={"id": "PLAIN", values: "BYTE_STREAM_SPLIT" if split else "PLAIN", "metadata": "PLAIN"},
    )
    size = matrix.nbytes + sum(map(len, block.ids)) + sum(len(one) for one in block.metadata if one is not None)
    data = memoryview(sink.getvalue()).cast("B")
    return Packed(data, block.ids[0], block.ids[-1], len(block.ids), size, digest_of_columns(block))


def unpack(data: bytes | memoryview, dimension: int | None, what: str) -> Block:
    """The records of a segment, of that dimension unless it is None. Raises Corrupt, naming ``what``."""
    try:
        table: Any = parquet.ParquetFile(pa.BufferReader(data), pre_buffer=False).read(use_threads=False)
        ids: list[str] = table.column("id").to_pylist()
        metadata: list[bytes | None] = table.column("metadata").to_pylist()
        chunks = [_matrix(chunk) for chunk in table.column("values").chunks]
        matrix = chunks[0] if len(chunks) == 1 else np.concatenate(chunks or [np.empty((0, 0), np.float32)])
    except (pa.ArrowException, KeyError, ValueError, OSError, TypeError, AttributeError) as error:
        raise Corrupt(f"{what} is no segment of a backup ({str(error).partition(chr(10))[0]})") from error
    if ids and dimension is not None and matrix.shape[1] != dimension:
        raise Corrupt(f"{what} holds vectors of dimension {matrix.shape[1]}, not {dimension}")
    return Block(ids, matrix, metadata)


def _pays(matrix: np.ndarray[Any, Any]) -> bool:
    """Whether LZ4 makes enough of the bytes that take the same place in each number."""
    sample = matrix[:SAMPLE_ROWS]
    planes = np.ascontiguousarray(sample.view(np.uint8).reshape(-1, 4).T)
    return len(pa.Codec("lz4").compress(planes, asbytes=True)) < PAYS * sample.nbytes


def _as_column(values: Sequence[bytes | None], kind: pa.DataType) -> Any:
    """As ``pa.array``, which imports pandas where that is installed, for half a second."""
    lengths = np.fromiter((0 if one is None else len(one) for one in values), np.int32, len(values))
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    there = np.fromiter((one is not None for one in values), bool, len(values))
    valid = None if there.all() else pa.py_buffer(np.packbits(there, bitorder="little"))
    data = b"".join(one for one in values if one is not None)
    buffers = [valid, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(kind, len(values), buffers, int(len(values) - there.sum()))


def _as_bytes(matrix: np.ndarray[Any, Any]) -> Any:
    rows, dimension = matrix.shape
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(4 * dimension), rows, [None, pa.py_buffer(matrix)])


def _as_lists(matrix: np.ndarray[Any, Any]) -> Any:
    kind = pa.list_(pa.field("element", pa.float32(), nullable=False), matrix.shape[1])
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), type=kind)


def _matrix(chunk: Any) -> np.ndarray[Any, Any]:
    """Of a chunk of the column ``values``, in either spelling; not to be written to."""
    if pa.types.is_fixed_size_binary(chunk.type):
        width = chunk.type.byte_width
        flat = np.frombuffer(chunk.buffers()[1], "<f4", len(chunk) * width // 4, chunk.offset * width)
        return flat.reshape(len(chunk), width // 4)
    flat = np.asarray(chunk.flatten().to_numpy(zero_copy_only=False), np.float32)
    return flat.reshape(len(chunk), -1)
