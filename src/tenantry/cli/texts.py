"""Documents on disk: which files are meant, what their ids are, what is in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tenantry.cli.failures import Failure, usage
from tenantry.cli.jsonl import STDIN, Bad, DocumentLine, Item, lines, opened

TEXT_SUFFIXES = frozenset({".txt", ".text", ".md", ".markdown", ".rst"})
LINE_SUFFIXES = frozenset({".jsonl", ".ndjson"})
#: Characters of a document that one request can carry; the server's limit is the last word.
TEXT_MOST_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Source:
    """A file to read: a text with an id, or JSON lines (no id)."""

    file: str
    id: str | None
    bytes: int


def find_sources(given: list[str], root: Path | None) -> list[Source]:
    """The files that are meant, in a stable order.

    The id of a text is its path: relative to ``root`` when that is given, else to the folder that was named; for a
    file named by itself, as it was named. So adding the same folder again gives the same ids, wherever it stands.

    Raises Failure: nothing there, a kind of file that is not read, or two files of one id.
    """
    found: list[Source] = []
    for name in given:
        if name == STDIN:
            found.append(Source(STDIN, None, 0))
            continue
        path = Path(name)
        if path.is_dir():
            found += [_source(file, file.relative_to(path), root) for file in _files_under(path)]
        elif not path.exists():
            raise Failure(f"there is no file or folder {name}")
        elif path.suffix.lower() not in TEXT_SUFFIXES | LINE_SUFFIXES:
            known = ", ".join(sorted(TEXT_SUFFIXES | LINE_SUFFIXES))
            raise Failure(f"{name} is not a kind of file that is read as text", f"these are: {known}")
        else:
            found.append(_source(path, _as_named(path), root))
    seen: dict[str, str] = {}
    for source in found:
        if source.id is not None and seen.setdefault(source.id, source.file) != source.file:
            raise usage(
                f"{seen[source.id]} and {source.file} would both be document {source.id!r}",
                "give --root DIR, to which ids are relative then",
            )
    return found


def read(sources: list[Source], advance: Callable[[int], None]) -> Iterator[Item[DocumentLine] | Bad]:
    """The documents of all files, one at a time; what cannot be read is bad, an empty file too."""
    encode = msgspec.json.Encoder().encode
    for source in sources:
        if source.id is None:
            shown = "stdin" if source.file == STDIN else source.file
            with opened(source.file) as stream:
                yield from lines(stream, shown, DocumentLine, advance)
            continue
        if source.bytes > TEXT_MOST_BYTES:
            yield Bad(source.file, f"larger than {TEXT_MOST_BYTES // 2**20} MiB")
            continue
        with opened(source.file) as stream:
            raw = stream.read()
        advance(len(raw))
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            yield Bad(source.file, "not UTF-8 text")
            continue
        if not text.strip():
            yield Bad(source.file, "empty")
            continue
        value = DocumentLine(source.id, text)
        yield Item(value, source.file, source.id, encode(value))


def _files_under(folder: Path) -> Iterator[Path]:
    """Text files in a folder and below, by name; hidden ones and links to folders are left alone."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(place, name)
            if not name.startswith(".") and path.suffix.lower() in TEXT_SUFFIXES | LINE_SUFFIXES:
                yield path


def _source(path: Path, relative: Path, root: Path | None) -> Source:
    if path.suffix.lower() in LINE_SUFFIXES:
        return Source(str(path), None, path.stat().st_size)
    if root is not None:
        try:
            relative = path.resolve().relative_to(root.resolve())
        except ValueError:
            raise usage(f"{path} is not under --root {root}") from None
    return Source(str(path), relative.as_posix(), path.stat().st_size)


def _as_named(path: Path) -> Path:
    normal = Path(os.path.normpath(path))
    return Path(path.name) if normal.is_absolute() or normal.parts[0] == ".." else normal
