"""Which files are meant, and which tenant the place of each names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from tenantry.errors import InvalidArgument, NotFound
from tenantry.files.formats import Format, Known, Layout, known

ENDINGS = (".parquet", ".jsonl", ".ndjson", ".json")
MOST_FILES = 100_000
HASHED_BYTES = 1 << 20


class Source(msgspec.Struct, frozen=True):
    """A file to read.

    Attributes:
        folder: tenant that its place names: the folder of Pinecone's Parquet files, the name of a file of Qdrant or
            Chroma, if it was found in a folder that was given.
    """

    path: Path
    known: Known
    size: int
    folder: str | None = None


class Mark(msgspec.Struct, frozen=True):
    """By what a file is known again: SHA-256 of its bytes."""

    name: str
    size: int
    sha256: str


def sources(given: Sequence[Path], format: Format | None) -> list[Source]:
    """The files, and those in the folders, that were given, by name.

    Raises:
        NotFound: no such file. InvalidArgument: a folder has none, or what one is cannot be told.
        Corrupt: one is not what its name says.
    """
    found: list[Source] = []
    for one in given:
        if one.is_dir():
            inner = sorted(path for path in one.rglob("*") if _is_data(path, one))
            if not inner:
                raise InvalidArgument(
                    "file", str(one), f"a folder with files that end in {', '.join(ENDINGS)}, or .gz after it"
                )
            found += [_source(path, format, one) for path in inner]
        elif one.exists():
            found.append(_source(one, format, None))
        else:
            raise NotFound("file", str(one))
    if len(found) > MOST_FILES:
        raise InvalidArgument("file", f"{len(found):,} files", f"at most {MOST_FILES:,} at once")
    if len({source.path.resolve() for source in found}) != len(found):
        raise InvalidArgument("file", [str(path) for path in given], "each file once")
    return found


def _is_data(path: Path, top: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(top).parts)
    return path.is_file() and not hidden and path.name.removesuffix(".gz").endswith(ENDINGS)


def _source(path: Path, format: Format | None, top: Path | None) -> Source:
    what = known(path, format)
    folder = None
    if top is not None:
        parts = path.relative_to(top).parts
        if what.layout is Layout.PARQUET:
            folder = parts[0] if len(parts) > 1 else None
        elif what.format in (Format.QDRANT, Format.CHROMA, Format.PINECONE):
            folder = stem(path)
    return Source(path, what, path.stat().st_size, folder)


def stem(path: Path) -> str:
    """A file's name without its endings."""
    name = path.name.removesuffix(".gz")
    return next((name.removesuffix(ending) for ending in ENDINGS if name.endswith(ending)), name)


def mark(source: Source, advance: Callable[[int], None]) -> Mark:
    """Reads the file."""
    sha = hashlib.sha256()
    with source.path.open("rb") as file:
        while part := file.read(HASHED_BYTES):
            sha.update(part)
            advance(len(part))
    return Mark(str(source.path), source.size, sha.hexdigest())
