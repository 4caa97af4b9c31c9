"""Many rows of a namespace's file in few steps of SQLite.

Python gives the interpreter up at each row that SQLite steps to and takes it back after it; beside a busy event loop
each taking back may wait for the loop (measured: 178 ms for 250 rows, against 8 ms). So rows are put together inside
SQLite, and a stretch of them comes as one row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tenantry.errors import Corrupt

STRETCH_ROWS = 64
"""With 250 the strings that SQLite appends to are moved so often that a row costs three times as much."""

_numbers = msgspec.json.Decoder(list[int])
_names = msgspec.json.Decoder(list[str])
_lengths = msgspec.json.Decoder(list[int | None])


class Stretch(msgspec.Struct, frozen=True):
    """Rows in their order: ``matrix`` has shape ``(rows, dimension)`` and may be written to; metadata is JSON."""

    seqs: list[int]
    ids: list[str]
    matrix: NDArray[np.float32]
    metadata: list[bytes | None]


def read_stretch(
    connection: sqlite3.Connection, where: str, values: Sequence[Any], order: str, limit: int, dimension: int
) -> Stretch:
    """The first ``limit`` rows by ``order`` (a column) that ``where`` (a clause, or nothing) chooses.

    Raises:
        Corrupt: a vector is not of that dimension.
    """
    row = connection.execute(
        "SELECT json_group_array(seq), json_group_array(id), CAST(group_concat(vector, '') AS BLOB), "  # noqa: S608
        "json_group_array(length(metadata)), CAST(group_concat(metadata, '') AS BLOB), sum(length(vector) <> ?) "
        f"FROM (SELECT seq, id, vector, metadata FROM records {where} ORDER BY {order} LIMIT ?)",
        (4 * dimension, *values, limit),
    ).fetchone()
    seqs, ids, vectors, lengths, metadata, wrong = row
    if wrong:
        raise Corrupt(f"{wrong} vectors are not of dimension {dimension}")
    ids = _names.decode(ids)
    matrix = np.frombuffer(bytearray(vectors or b""), np.float32).reshape(len(ids), dimension)
    return Stretch(_numbers.decode(seqs), ids, matrix, _parts(metadata or b"", _lengths.decode(lengths)))


def _parts(joined: bytes, lengths: list[int | None]) -> list[bytes | None]:
    parts: list[bytes | None] = []
    start = 0
    for length in lengths:
        if length is None:
            parts.append(None)
        else:
            parts.append(joined[start : start + length])
            start += length
    return parts
