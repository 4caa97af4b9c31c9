"""Writes records into files of each form: beside the name that was asked for, and under it once they are whole."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import msgspec

from tenantry.errors import AlreadyExists, InvalidArgument
from tenantry.files import chroma, qdrant
from tenantry.files.formats import Format
from tenantry.model.records import Record

PART = ".part"
NAME_BYTES = 200
_encode = msgspec.json.Encoder().encode


class Writer(Protocol):
    """Takes records in their order."""

    def add(self, tenant: str, records: Sequence[Record]) -> None:
        """Write some. Raises InvalidArgument: the form cannot hold one."""

    def close(self) -> None:
        """Make the file whole."""

    def abandon(self) -> None:
        """Close it as it is."""


def format_of(path: Path, wanted: Format | None) -> Format:
    """The format that is asked for, or the one of a file's name. Raises InvalidArgument."""
    if wanted is not None:
        return wanted
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        return Format.PARQUET
    if name.endswith((".jsonl", ".ndjson")):
        return Format.JSONL
    raise InvalidArgument(
        "format", f"auto for {path}", "a name that ends in .parquet, .jsonl or .jsonl.gz, or --format"
    )


class Target:
    """Where an export goes: one file for Parquet and JSON lines, whosever the records are; for the others a file of
    each tenant, in a folder.

    Args:
        to: the file, or the folder.
        many: more than one tenant is written.
        document_field: field of the metadata that becomes Chroma's documents.
    """

    def __init__(self, to: Path, format: Format, many: bool, *, replace: bool, document_field: str) -> None:
        self._to, self._format, self._many = to, format, many
        self._replace = replace
        self._document_field = document_field
        self._in_folder = format is Format.PINECONE or (many and format in (Format.QDRANT, Format.CHROMA))
        self._one: tuple[Path, Writer] | None = None
        if self._in_folder and to.is_file():
            raise InvalidArgument("to", str(to), f"a folder for {format}")
        if not self._in_folder:
            self._check_free(to)

    def files(self, tenant: str) -> Path:
        """Where a tenant's records go. Raises InvalidArgument: a file cannot be called so."""
        if not self._in_folder:
            return self._to
        if "/" in tenant or "\x00" in tenant or tenant.startswith(".") or len(tenant.encode()) > NAME_BYTES:
            raise InvalidArgument(
                "tenant",
                tenant,
                f"a name that a file can have, for {self._format}; --format jsonl or parquet takes any",
            )
        return self._to / tenant / "0.parquet" if self._format is Format.PINECONE else self._to / f"{tenant}.json"

    @contextlib.contextmanager
    def tenant(self, name: str) -> Iterator[Callable[[Sequence[Record]], None]]:
        """Takes a tenant's records. Raises AlreadyExists."""
        if self._in_folder:
            path = self.files(name)
            self._check_free(path)
            writer = self._opened(path)
            try:
                yield lambda records: writer.add(name, records)
                self._finished(path, writer)
            except BaseException:
                self._forget(path, writer)
                raise
            return
        if self._one is None:
            self._one = (self._to, self._opened(self._to))
        whole = self._one[1]
        yield lambda records: whole.add(name, records)

    @contextlib.contextmanager
    def whole(self) -> Iterator[Target]:
        """All of it: a file of several tenants is there at the end, or not at all."""
        try:
            yield self
            if not self._in_folder:
                self._finished(*(self._one or (self._to, self._opened(self._to))))
        except BaseException:
            if self._one is not None:
                self._forget(*self._one)
            raise

    def _check_free(self, path: Path) -> None:
        if path.is_dir():
            raise InvalidArgument("to", str(path), f"a file for {self._format}, not a folder")
        if path.exists() and not self._replace:
            raise AlreadyExists("file", str(path), "overwrite it with --replace")

    def _opened(self, path: Path) -> Writer:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(path.name + PART)
        if self._format in (Format.PARQUET, Format.PINECONE):
            from tenantry.files.parquet import ParquetWriter

            return ParquetWriter(aside, self._many and self._format is Format.PARQUET)
        if self._format is Format.CHROMA:
            return ChromaWriter(aside, self._document_field)
        packed = path.name.endswith(".gz")
        if self._format is Format.QDRANT:
            return QdrantWriter(_created(aside, packed))
        return LineWriter(_created(aside, packed), self._many)

    def _finished(self, path: Path, writer: Writer) -> None:
        writer.close()
        aside = path.with_name(path.name + PART)
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.replace(path)

    def _forget(self, path: Path, writer: Writer) -> None:
        with contextlib.suppress(Exception):
            writer.abandon()
        path.with_name(path.name + PART).unlink(missing_ok=True)


def _created(path: Path, packed: bool) -> BinaryIO:
    # Without name and date in it, so that the same records give the same file.
    raw = path.open("wb")
    return cast(BinaryIO, _Packed(raw) if packed else raw)


class _Packed(gzip.GzipFile):
    """Closes the file that it writes to."""

    def __init__(self, raw: BinaryIO) -> None:
        super().__init__(filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0)
        self._raw = raw

    def close(self) -> None:
        """Write the end, then close both."""
        super().close()
        self._raw.close()


class LineWriter:
    """JSON lines; with ``whose``, each line names its tenant."""

    def __init__(self, file: BinaryIO, whose: bool) -> None:
        self._file, self._whose = file, whose

    def add(self, tenant: str, records: Sequence[Record]) -> None:
        """Write some."""
        for record in records:
            line: dict[str, Any] = {"tenant": tenant} if self._whose else {}
            line |= {"id": record.id, "values": record.values.tolist()}
            if record.metadata:
                line["metadata"] = record.metadata
            self._file.write(_encode(line) + b"\n")

    def close(self) -> None:
        """Write the end."""
        self._file.close()

    abandon = close


class QdrantWriter:
    """One page of a scroll that has everything."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._between = b""
        file.write(b'{"result":{"points":[')

    def add(self, tenant: str, records: Sequence[Record]) -> None:
        """Write some."""
        for record in records:
            self._file.write(self._between + b"\n" + _encode(qdrant.point(record)))
            self._between = b","

    def close(self) -> None:
        """Write the end."""
        self._file.write(b'\n],"next_page_offset":null},"status":"ok","time":0.0}\n')
        self._file.close()

    def abandon(self) -> None:
        """Leave it."""
        self._file.close()


class ChromaWriter:
    """The lists of ``get``; each grows in a file of its own until they are put together."""

    COLUMNS = chroma.COLUMNS[:4]

    def __init__(self, path: Path, document_field: str) -> None:
        self._path, self._field = path, document_field
        self._parts = {name: path.with_name(f"{path.name}.{name}") for name in self.COLUMNS}
        self._files = {name: part.open("wb") for name, part in self._parts.items()}
        self._between = b""

    def add(self, tenant: str, records: Sequence[Record]) -> None:
        """Write some."""
        for record in records:
            metadata = dict(record.metadata or {})
            document = metadata.pop(self._field) if isinstance(metadata.get(self._field), str) else None
            entry = (record.id, record.values.tolist(), metadata or None, document)
            for file, value in zip(self._files.values(), entry, strict=True):
                file.write(self._between + _encode(value))
            self._between = b",\n"

    def close(self) -> None:
        """Put the lists together."""
        self._close_parts()
        with self._path.open("wb") as whole:
            start = b"{"
            for name, part in self._parts.items():
                whole.write(start + b'"%s":[' % name.encode())
                with part.open("rb") as file:
                    shutil.copyfileobj(file, whole, 1 << 20)
                whole.write(b"]")
                start = b",\n"
            whole.write(b',\n"uris":null,"data":null,"included":["embeddings","metadatas","documents"]}\n')
        self._remove_parts()

    def abandon(self) -> None:
        """Remove what there is."""
        self._close_parts()
        self._remove_parts()

    def _close_parts(self) -> None:
        for file in self._files.values():
            file.close()

    def _remove_parts(self) -> None:
        for part in self._parts.values():
            part.unlink(missing_ok=True)
