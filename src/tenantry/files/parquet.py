"""Records in Parquet: Tenantry's own files, and those that Pinecone imports.

Columns: ``id`` (string), ``values`` (list of float), ``metadata`` (JSON as a string; a struct or map is read too),
``tenant`` (string; not in Pinecone's), ``sparse_values`` (Pinecone's; must be null). Tenantry's own backups have such
segments, so these can be read as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from tenantry.errors import Corrupt, InvalidArgument
from tenantry.files.pinecone import sparse_problem
from tenantry.files.rows import Row, broken
from tenantry.model.records import Record

BATCH_ROWS = 1_024
#: Rows of a row group are held until there are so many bytes of vectors.
GROUP_BYTES = 8 * 2**20
BUFFER_BYTES = 1 << 20
_COLUMNS = ("id", "values", "metadata", "tenant", "namespace", "sparse_values")
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def rows(path: Path, advance: Callable[[int], None]) -> Iterator[Row]:
    """Every record of a file, some pages in memory at a time. ``advance`` hears of bytes, by the share of the rows.

    Raises:
        Corrupt: it is no Parquet, was cut off or changed. InvalidArgument: columns are missing, or of another type.
    """
    number = 0
    try:
        with parquet.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER_BYTES) as file:
            columns = _columns(path, file.schema_arrow)
            total = max(file.metadata.num_rows, 1)
            each = path.stat().st_size / total
            for batch in file.iter_batches(BATCH_ROWS, columns=columns, use_threads=False):
                yield from _of_batch(number, {name: batch.column(name) for name in columns})
                number += batch.num_rows
                advance(round(each * number) - round(each * (number - batch.num_rows)))
    except (pa.ArrowException, OSError) as error:
        said = str(error).partition("\n")[0]
        raise Corrupt(f"{path} cannot be read as Parquet after row {number:,} ({said})") from error


def _columns(path: Path, schema: Any) -> list[str]:
    there = {field.name: field.type for field in schema}
    for name in ("id", "values"):
        if name not in there:
            raise InvalidArgument("format", f"{path} with columns {', '.join(there)}", f"a column {name!r}")
    kind = there["values"]
    if not _is_list(kind) or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        raise InvalidArgument("values", f"a column of {kind} in {path}", "a column of lists of numbers")
    if unknown := sorted(set(there) - set(_COLUMNS)):
        raise InvalidArgument(unknown[0], f"a column of {path}", f"the columns {', '.join(_COLUMNS)}")
    return [name for name in _COLUMNS if name in there]


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _of_batch(before: int, columns: dict[str, Any]) -> Iterator[Row]:
    ids = columns["id"].to_pylist()
    vectors = _vectors(columns["values"])
    nothing: list[Any] = [None] * len(ids)
    metadata = columns["metadata"].to_pylist() if "metadata" in columns else nothing
    tenants = next((columns[name].to_pylist() for name in ("tenant", "namespace") if name in columns), nothing)
    sparse = columns["sparse_values"].to_pylist() if "sparse_values" in columns else nothing
    for place, (id, values) in enumerate(zip(ids, vectors, strict=True)):
        number = before + place + 1
        yield _row(number, id, values, metadata[place], tenants[place], sparse[place])


def _row(number: int, id: Any, values: Any, metadata: Any, tenant: Any, sparse: Any) -> Row:
    found = str(id) if isinstance(id, int) else id
    shown = {"id": found, "values": None if values is None else values.tolist(), "metadata": _plain(metadata)}
    if (problem := sparse_problem(sparse)) is not None:
        return broken(number, "sparse_values", problem, {**shown, "sparse_values": sparse})
    if isinstance(metadata, str | bytes):
        try:
            metadata = _decode(metadata)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return broken(number, "metadata", f"metadata: not JSON: {error}", shown)
    elif isinstance(metadata, list):  # a map comes as pairs
        metadata = dict(metadata)
    return Row(number, found, values, metadata, tenant)


def _plain(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _vectors(column: Any) -> list[NDArray[np.float32] | None]:
    """Each list as float32; a null within one as NaN, which no check lets pass."""
    lists = column.cast(pa.large_list(pa.float32()), safe=False)
    flat = np.asarray(lists.values.to_numpy(zero_copy_only=False), np.float32)
    offsets = lists.offsets.to_numpy(zero_copy_only=False).tolist()
    there = lists.is_valid().to_pylist()
    return [flat[offsets[place] : offsets[place + 1]] if there[place] else None for place in range(len(lists))]


class ParquetWriter:
    """Writes records row group after row group.

    Args:
        whose: with a column ``tenant``.
    """

    def __init__(self, path: Path, whose: bool) -> None:
        fields = [
            pa.field("id", pa.string(), nullable=False),
            pa.field("values", pa.list_(pa.field("element", pa.float32(), nullable=False)), nullable=False),
            pa.field("metadata", pa.string()),
        ]
        if whose:
            fields.append(pa.field("tenant", pa.string(), nullable=False))
        self._schema = pa.schema(fields)
        self._whose = whose
        self._file = parquet.ParquetWriter(
            path, self._schema, compression="zstd", use_dictionary=["tenant"], write_statistics=False
        )
        self._held: list[tuple[str, Record]] = []
        self._bytes = 0

    def add(self, tenant: str, records: Sequence[Record]) -> None:
        """Write some."""
        self._held += [(tenant, record) for record in records]
        self._bytes += sum(4 * len(record.values) for record in records)
        if self._bytes >= GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        """Write the rest, and the end."""
        self._flush()
        self._file.close()

    def abandon(self) -> None:
        """Close it as it is."""
        self._file.close()

    def _flush(self) -> None:
        if not self._held:
            return
        records = [record for _, record in self._held]
        flat = np.concatenate([record.values for record in records])
        offsets = np.zeros(len(records) + 1, np.int32)
        np.cumsum([len(record.values) for record in records], out=offsets[1:])
        columns = [
            pa.array([record.id for record in records], pa.string()),
            pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat), type=self._schema.field("values").type),
            pa.array(
                [_encode(record.metadata).decode() if record.metadata else None for record in records], pa.string()
            ),
        ]
        if self._whose:
            columns.append(pa.array([tenant for tenant, _ in self._held], pa.string()))
        self._file.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        self._held, self._bytes = [], 0
