"""Rows of any file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from tenantry.errors import Corrupt, InvalidArgument
from tenantry.files import chroma, line_reader, pinecone, qdrant
from tenantry.files.formats import UNPACKING, Format, Known, Layout, opened
from tenantry.files.json_scan import Element, Scanner
from tenantry.files.rows import Row

Advance = Callable[[int], None]


class ReadOptions(msgspec.Struct, frozen=True):
    """What a file leaves open.

    Attributes:
        vector: which of the named vectors of Qdrant's points.
        document_field: field of the metadata that Chroma's documents go to.
    """

    vector: str | None = None
    document_field: str = chroma.DOCUMENT_FIELD


def rows(path: Path, known: Known, options: ReadOptions, advance: Advance = lambda size: None) -> Iterator[Row]:
    """Every record of a file in its order, in bounded memory whatever the file's size: 64 MiB for a line or a value.

    Raises:
        Corrupt: the file was cut off or changed, or is not of that form. InvalidArgument: its columns are others.
    """
    try:
        match known.layout:
            case Layout.PARQUET:
                from tenantry.files import parquet

                yield from parquet.rows(path, advance)
            case Layout.LINES:
                with opened(path, advance) as stream:
                    yield from _of_lines(line_reader.lines(stream, str(path)), known.format, options)
            case Layout.DOCUMENTS if known.format is Format.CHROMA:
                yield from _of_columns(path, options, advance)
            case Layout.DOCUMENTS:
                yield from _of_documents(path, known.format, options, advance)
    except UNPACKING as error:
        raise Corrupt(f"{path} cannot be unpacked ({error}); it was cut off or changed") from error


def _of_lines(found: Iterator[tuple[int, Any | Row]], format: Format, options: ReadOptions) -> Iterator[Row]:
    for number, value in found:
        if isinstance(value, Row):
            yield value
            continue
        match format:
            case Format.QDRANT:
                yield from qdrant.expanded(number, value, options.vector)
            case Format.PINECONE:
                yield from pinecone.expanded(number, value)
            case Format.CHROMA:
                yield from chroma.expanded(number, value, options.document_field)
            case _:
                yield line_reader.record_row(number, value)


def _of_documents(path: Path, format: Format, options: ReadOptions, advance: Advance) -> Iterator[Row]:
    """Points of Qdrant or vectors of Pinecone in documents of any layout."""
    namespace = None
    paths: tuple[tuple[str, ...], ...] = qdrant.PATHS
    if format is Format.PINECONE:
        paths = pinecone.PATHS
        with opened(path) as stream:
            found = next(Scanner(stream, str(path)).elements([pinecone.NAMESPACE]), None)
            namespace = None if found is None else msgspec.json.decode(found.raw)
    with opened(path, advance) as stream:
        scanner = Scanner(stream, str(path), advance=lambda size: None)
        for number, element in enumerate(scanner.elements(paths), 1):
            value = _decoded(number, element)
            if isinstance(value, Row):
                yield value
            elif format is Format.PINECONE:
                yield pinecone.row(number, value, element.key, namespace)
            else:
                yield qdrant.row(number, value, options.vector)
        if not scanner.reached:
            wanted = ", ".join(".".join(one) for one in paths if one)
            raise InvalidArgument(
                "format", f"{format} for {path}", f"JSON with a list at {wanted}, or a list of records"
            )


def _of_columns(path: Path, options: ReadOptions, advance: Advance) -> Iterator[Row]:
    """Chroma's lists, side by side: the file is read once for each of them, at the same time."""
    with ExitStack() as stack:
        columns: dict[str, Iterator[Element]] = {}
        for name in chroma.COLUMNS:
            heard = advance if name == "embeddings" else (lambda size: None)
            scanner = Scanner(stack.enter_context(opened(path, heard)), str(path))
            columns[name] = scanner.elements([(name,)])
        first = {name: next(one, None) for name, one in columns.items()}
        # A list that is null, or not there at all, has no entries; ``ids`` must have.
        there = {name for name, one in first.items() if one is not None and not one.whole}
        for name, one in first.items():
            if one is not None and one.whole and (name == "ids" or one.raw != b"null"):
                raise Corrupt(f"{path}: {name} is no list")
        number = 0
        current = {name: first[name] for name in there}
        while current and all(one is not None for one in current.values()):
            number += 1
            values = {name: _decoded(number, one) for name, one in current.items() if one is not None}
            bad = next((one for one in values.values() if isinstance(one, Row)), None)
            yield bad if bad is not None else chroma.row(number, values, options.document_field)
            current = {name: next(columns[name], None) for name in there}
        if any(one is not None for one in current.values()):
            longer = sorted(name for name, one in current.items() if one is not None)
            raise Corrupt(
                f"{path}: {', '.join(longer)} has more entries than the other lists, which end after {number:,}"
            )


def _decoded(number: int, element: Element) -> Any | Row:
    try:
        return msgspec.json.decode(element.raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return line_reader.unreadable(number, element.raw, error)
