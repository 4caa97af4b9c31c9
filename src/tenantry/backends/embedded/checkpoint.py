"""The index of a namespace on disk: a cache that is checked when it is read and made anew when it is not right.

Layout: magic, length of the header (4 bytes, little-endian), header as JSON, seqs (int64), graph as FAISS writes it.
The file is written beside its place and renamed into it, so it is whole or not there.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from pathlib import Path

import msgspec
import numpy as np

from tenantry.backends.embedded.ann import AnnIndex, faiss
from tenantry.model.records import Metric

MAGIC = b"tenantry-hnsw-1\n"


class Header(msgspec.Struct, frozen=True):
    """What the file says about itself; ``crc`` is over all that follows the header."""

    dimension: int
    metric: Metric
    nodes: int
    watermark: int
    width: int
    body_bytes: int
    crc: int


def save(index: AnnIndex, path: Path) -> bool:
    """Write the index. False when it cannot be written (a full disk): it is a cache, nothing is lost."""
    graph = memoryview(faiss.serialize_index(index.graph))
    seqs = index.seqs.astype("<i8").tobytes()
    crc = zlib.crc32(graph, zlib.crc32(seqs))
    size = len(seqs) + len(graph)
    header = Header(int(index.graph.d), index.metric, index.nodes, index.watermark, index.width, size, crc)
    encoded = msgspec.json.encode(header)
    draft = path.with_suffix(".draft")
    try:
        with draft.open("wb") as file:
            file.write(MAGIC + len(encoded).to_bytes(4, "little") + encoded)
            file.write(seqs)
            file.write(graph)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        return False
    return True


def load(path: Path, dimension: int, metric: Metric) -> AnnIndex | None:
    """The index in the file, or None when it is missing, damaged or made for something else."""
    try:
        raw = path.read_bytes()
    except OSError:
        return None
    start = len(MAGIC) + 4
    header_end = start + int.from_bytes(raw[len(MAGIC) : start], "little")
    if raw[: len(MAGIC)] != MAGIC or header_end > len(raw):
        return None
    try:
        header = msgspec.json.decode(raw[start:header_end], type=Header)
    except msgspec.MsgspecError:
        return None
    body = memoryview(raw)[header_end:]
    seqs_bytes = 8 * header.nodes
    if len(body) != header.body_bytes or zlib.crc32(body) != header.crc or seqs_bytes > len(body):
        return None
    if (header.dimension, header.metric) != (dimension, metric):
        return None
    try:
        graph = faiss.deserialize_index(np.frombuffer(body[seqs_bytes:], np.uint8))
    except RuntimeError:  # FAISS of another version wrote it
        return None
    if graph.ntotal != header.nodes or graph.d != dimension:
        return None
    seqs = np.frombuffer(body[:seqs_bytes], "<i8").astype(np.int64)
    return AnnIndex(graph, seqs, header.watermark, header.width, metric)
