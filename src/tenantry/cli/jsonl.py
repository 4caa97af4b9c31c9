"""JSON lines: read one at a time, checked, each with its number, packed into batches that a request can carry."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

import msgspec

from tenantry.cli.failures import Failure

T = TypeVar("T")

STDIN = "-"
#: A line this long is not a record, whatever it is; reading stops there, before memory does.
LINE_MOST_BYTES = 64 * 2**20
_ITEM = re.compile(r"^(?:vectors|records|documents)\[(\d+)\](?:\.(.*))?$")


class RecordLine(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A line of an upsert file."""

    id: str
    values: list[float]
    metadata: dict[str, Any] | None = None


class DocumentLine(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A line of a documents file."""

    id: str
    text: str
    metadata: dict[str, Any] | None = None


@dataclass(frozen=True)
class Item(Generic[T]):
    """A thing to send, where it came from (``notes.jsonl:12``), and its size as JSON in bytes."""

    value: T
    source: str
    key: Hashable
    encoded: bytes


@dataclass
class Bad:
    """A line that cannot be sent, and why."""

    source: str
    reason: str


@dataclass
class Batch(Generic[T]):
    """Items of one request, and how many bytes of input are done once it is sent."""

    items: list[Item[T]] = field(default_factory=list)

    def body(self, name: str) -> bytes:
        """The request: ``{"records": [...]}``."""
        return b'{"%s":[%s]}' % (name.encode(), b",".join(item.encoded for item in self.items))


@contextmanager
def opened(file: str) -> Iterator[IO[bytes]]:
    """The file, or stdin for ``-``. Raises Failure when it cannot be read."""
    if file == STDIN:
        yield sys.stdin.buffer
        return
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(Path(file).open("rb"))
        except OSError as error:
            raise Failure(f"cannot read {file}: {error.strerror}") from error
        yield stream


def length(stream: IO[bytes]) -> int | None:
    """Bytes of a regular file; None where they cannot be known, as of a pipe."""
    try:
        status = os.fstat(stream.fileno())
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def lines(stream: IO[bytes], name: str, kind: type[T], advance: Callable[[int], None]) -> Iterator[Item[T] | Bad]:
    """Every line as an item or as bad; blank lines are passed over. ``advance`` hears of the bytes read."""
    decode, encode = msgspec.json.Decoder(kind).decode, msgspec.json.Encoder().encode
    number = 0
    while raw := stream.readline(LINE_MOST_BYTES + 1):
        number += 1
        source = f"{name}:{number}"
        if len(raw) > LINE_MOST_BYTES:
            raise Failure(f"{source}: a line of over {LINE_MOST_BYTES // 2**20} MiB; is this JSON lines?")
        advance(len(raw))
        text = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
        if not text.strip():
            continue
        try:
            value = decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            yield Bad(source, _plainly(error, text))
            continue
        yield Item(value, source, getattr(value, "id", source), encode(value))


def batches(items: Iterable[Item[T]], most: int, most_bytes: int) -> Iterator[Batch[T]]:
    """Items in their order, packed: at most so many and so many bytes a batch, no key twice in one.

    An item that is too large by itself still gets a batch of its own: the server's message about it is the better one.
    """
    batch: Batch[T] = Batch()
    keys: set[Hashable] = set()
    held = 0
    for item in items:
        full = len(batch.items) >= most or held + len(item.encoded) > most_bytes
        if batch.items and (full or item.key in keys):
            yield batch
            batch, keys, held = Batch(), set(), 0
        batch.items.append(item)
        keys.add(item.key)
        held += len(item.encoded) + 1
    if batch.items:
        yield batch


def blamed(failure: Failure, batch: Batch[Any]) -> tuple[str, str]:
    """Which item of a refused batch the server means, as the line that it came from, and the field; or nothing."""
    match = _ITEM.match(failure.field)
    if match is None or int(match[1]) >= len(batch.items):
        return "", ""
    return batch.items[int(match[1])].source, match[2] or ""


def _plainly(error: Exception, text: bytes) -> str:
    said = str(error)
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if not isinstance(error, msgspec.ValidationError):
        return f"not JSON: {said[:1].lower()}{said[1:]}"
    return said[:1].lower() + said[1:].replace("$.", "").replace("`", "")
