"""Elements of a large JSON document, one at a time: the document is never in memory.

Only brackets and quotes are looked at between the elements, so vectors are passed over at the speed of a search for a
byte; what is inside an element is left to a JSON decoder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import BinaryIO, TypeAlias

import msgspec

from tenantry.errors import Corrupt

Path: TypeAlias = tuple[str, ...]

CHUNK_BYTES = 1 << 20
#: One element is not longer than this.
MOST_BYTES = 64 * 2**20
_BLANK = b" \t\r\n"
_STOP = re.compile(rb'["\[\]{}]')
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SCALAR = re.compile(rb"[^\s,\]}:]+")
_MARK = b"\xef\xbb\xbf"


class Element(msgspec.Struct, frozen=True):
    """A part of a document.

    Attributes:
        path: of the list or object that it is in.
        key: its name there, in an object.
        raw: it, as JSON.
        whole: it is what stands at the path itself, which is neither a list nor an object.
    """

    path: Path
    key: str | None
    raw: bytes
    whole: bool = False


class Scanner:
    """Reads documents that follow each other in a stream.

    Args:
        name: of the file, for errors.
        advance: hears of the bytes read.
    """

    def __init__(self, stream: BinaryIO, name: str, advance: Callable[[int], None] = lambda size: None) -> None:
        self._stream, self._name, self._advance = stream, name, advance
        self._buffer = b""
        self._at = 0
        self._kept: int | None = None
        self.reached = False
        """Whether there was anything at a path that was asked for."""

    def elements(self, wanted: Collection[Path]) -> Iterator[Element]:
        """The elements of every list, and the members of every object, at one of these paths; a value that is neither
        comes as it is. ``()`` is the document itself, if it is a list.

        Raises:
            Corrupt: the stream ends in the middle, or is no JSON.
        """
        self._fill()
        if self._buffer.startswith(_MARK):
            self._at = len(_MARK)
        while self._peek():
            yield from self._walk((), wanted)

    def _walk(self, path: Path, wanted: Collection[Path]) -> Iterator[Element]:
        first = self._peek()
        inside = path in wanted
        deeper = any(len(one) > len(path) and one[: len(path)] == path for one in wanted)
        if first == b"{" and deeper:
            for key in self._keys():
                yield from self._walk((*path, key), wanted)
        elif first == b"{" and inside and path:
            self.reached = True
            for key in self._keys():
                yield Element(path, key, self._value())
        elif first == b"[" and inside:
            self.reached = True
            for _ in self._parts(b"]"):
                yield Element(path, None, self._value())
        elif inside and path:
            self.reached = True
            yield Element(path, None, self._value(), whole=True)
        else:
            self._pass_over()

    def _keys(self) -> Iterator[str]:
        for _ in self._parts(b"}"):
            if self._peek() != b'"':
                raise self._wrong("a name in quotes")
            key = msgspec.json.decode(self._value(), type=str)
            self._take(b":")
            yield key

    def _parts(self, end: bytes) -> Iterator[None]:
        """Between an opening bracket and its end: once before each part."""
        self._at += 1
        if self._peek() == end:
            self._at += 1
            return
        while True:
            yield
            if self._peek() == end:
                self._at += 1
                return
            self._take(b",")

    def _take(self, wanted: bytes) -> None:
        if self._peek() != wanted:
            raise self._wrong(repr(wanted.decode()))
        self._at += 1

    def _peek(self) -> bytes:
        """The next byte that is not blank; nothing at the end."""
        while True:
            while self._at < len(self._buffer):
                one = self._buffer[self._at : self._at + 1]
                if one not in _BLANK:
                    return one
                self._at += 1
            if not self._fill():
                return b""

    def _value(self) -> bytes:
        """The next value, whole."""
        self._peek()
        self._kept = self._at
        self._to_its_end()
        value = self._buffer[self._kept : self._at]
        self._kept = None
        return value

    def _pass_over(self) -> None:
        self._peek()
        self._to_its_end()

    def _to_its_end(self) -> None:
        first = self._peek()
        if first == b'"':
            self._end_of_string()
        elif first in (b"[", b"{"):
            self._end_of_brackets()
        else:
            self._end_of_scalar()

    def _end_of_brackets(self) -> None:
        depth = 0
        while True:
            found = _STOP.search(self._buffer, self._at)
            if found is None:
                self._at = len(self._buffer)
                self._more()
                continue
            self._at = found.start()
            what = found[0]
            if what == b'"':
                self._end_of_string()
                continue
            self._at += 1
            depth += 1 if what in b"[{" else -1
            if depth == 0:
                return

    def _end_of_string(self) -> None:
        while (found := _STRING.match(self._buffer, self._at)) is None:
            self._more()
        self._at = found.end()

    def _end_of_scalar(self) -> None:
        while True:
            found = _SCALAR.match(self._buffer, self._at)
            if found is None:
                raise self._wrong("a value")
            if found.end() < len(self._buffer) or not self._fill():
                self._at = found.end()
                return

    def _more(self) -> None:
        if not self._fill():
            raise Corrupt(f"{self._name} ends in the middle of a value; it was cut off, or is no JSON")

    def _fill(self) -> bool:
        """Read on; what is done with is forgotten."""
        done = self._at if self._kept is None else self._kept
        if len(self._buffer) - done > MOST_BYTES:
            raise Corrupt(f"{self._name} has a value of over {MOST_BYTES // 2**20} MiB; is it of this format?")
        more = self._stream.read(CHUNK_BYTES)
        self._advance(len(more))
        self._buffer = self._buffer[done:] + more
        self._at -= done
        if self._kept is not None:
            self._kept = 0
        return bool(more)

    def _wrong(self, wanted: str) -> Corrupt:
        there = self._buffer[self._at : self._at + 20]
        if not there:
            return Corrupt(f"{self._name} ends in the middle; it was cut off, or is no JSON")
        return Corrupt(f"{self._name} is no JSON: {there.decode(errors='replace')!r} where {wanted} should be")
