"""What a file is: by its name, and by how it begins."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable
from enum import StrEnum
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from tenantry.errors import Corrupt, InvalidArgument

SNIFFED_BYTES = 1 << 16
_SHOWN = ("auto", "parquet", "jsonl", "pinecone", "qdrant", "chroma")


class Format(StrEnum):
    """Forms of files with records."""

    PARQUET = "parquet"
    """Columns ``id``, ``values``, ``metadata`` and, over several tenants, ``tenant``."""
    JSONL = "jsonl"
    """A line for each record: ``id``, ``values``, ``metadata`` and, over several tenants, ``tenant``."""
    PINECONE = "pinecone"
    """Parquet as Pinecone imports it, a folder for each namespace; or the JSON of its fetch, query and upsert."""
    QDRANT = "qdrant"
    """The JSON of Qdrant's scroll: pages, a list of points, or a point a line."""
    CHROMA = "chroma"
    """The JSON of Chroma's get: lists of ids, embeddings, metadatas and documents."""


def check_format(given: str) -> Format | None:
    """A format by its name; None for ``auto``. Raises InvalidArgument."""
    if given not in _SHOWN:
        raise InvalidArgument("format", given, ", ".join(_SHOWN))
    return None if given == "auto" else Format(given)


class Layout(StrEnum):
    """How the records lie in a file."""

    PARQUET = "parquet"
    LINES = "lines"
    """JSON, a value a line."""
    DOCUMENTS = "documents"
    """JSON, one document or several, of any size and layout."""


class Known(msgspec.Struct, frozen=True):
    """What a file is."""

    format: Format
    layout: Layout


class Counting(RawIOBase):
    """A file that tells how many bytes were read of it."""

    def __init__(self, path: Path, advance: Callable[[int], None]) -> None:
        self._file = path.open("rb", buffering=0)
        self._advance = advance

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """As any raw file."""
        count: int | None = self._file.readinto(buffer)
        if count:
            self._advance(count)
        return count

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def opened(path: Path, advance: Callable[[int], None] = lambda size: None) -> BinaryIO:
    """A file to read, unpacked if its name ends in ``.gz``; ``advance`` hears of the bytes as they lie on disk."""
    plain = BufferedReader(Counting(path, advance), 1 << 18)
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.GzipFile(fileobj=plain))
    return cast(BinaryIO, plain)


#: What reading a damaged ``.gz`` raises.
UNPACKING = (EOFError, gzip.BadGzipFile, zlib.error)


def known(path: Path, wanted: Format | None) -> Known:
    """What a file is. ``wanted``: what the caller says it is.

    Raises:
        InvalidArgument: it cannot be told. Corrupt: it cannot be unpacked.
    """
    name = path.name.removesuffix(".gz")
    with path.open("rb") as raw:
        magic = raw.read(4)
    if magic == b"PAR1" or (name.endswith(".parquet") and wanted in (None, Format.PARQUET, Format.PINECONE)):
        if wanted not in (None, Format.PARQUET, Format.PINECONE):
            raise InvalidArgument("format", f"{wanted} for {path}", "parquet or pinecone for a Parquet file")
        return Known(wanted or Format.PARQUET, Layout.PARQUET)
    if wanted is Format.PARQUET:
        raise Corrupt(f"{path} is no Parquet file")
    try:
        with opened(path) as stream:
            start = stream.read(SNIFFED_BYTES)
    except UNPACKING as error:
        raise Corrupt(f"{path} cannot be unpacked ({error})") from error
    lines = name.endswith((".jsonl", ".ndjson")) or wanted is Format.JSONL or _is_line(start)
    found = wanted or _guess(path, start, lines)
    return Known(found, Layout.LINES if lines else Layout.DOCUMENTS)


def _is_line(start: bytes) -> bool:
    """Whether the first line is a record of its own, or a page of which more follow."""
    line, end, rest = start.lstrip(b"\xef\xbb\xbf \t\r\n").partition(b"\n")
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return isinstance(value, dict) and ("id" in value or bool(end and rest.strip()))


#: Names that only one form has, the most telling first.
_TELLING = (
    (Format.CHROMA, ("embeddings", "metadatas", "ids")),
    (Format.QDRANT, ("payload", "next_page_offset", "points", "vector")),
    (Format.PINECONE, ("vectors", "matches", "sparse_values", "sparseValues")),
    (Format.JSONL, ("values",)),
)
_NAME = re.compile(rb'"([A-Za-z_]+)"\s*:')


def _guess(path: Path, start: bytes, lines: bool) -> Format:
    names = {name.decode() for name in _NAME.findall(start)}
    for format, telling in _TELLING:
        if names.intersection(telling) and (lines or format is not Format.JSONL):
            return format
    if "values" in names:
        return Format.PINECONE
    raise InvalidArgument(
        "format", f"auto for {path}", "one of parquet, jsonl, pinecone, qdrant, chroma: it cannot be told"
    )
