"""JSON, a value a line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec

from tenantry.errors import Corrupt
from tenantry.files.formats import UNPACKING
from tenantry.files.rows import Row, broken

#: A line this long is not a record, whatever it is; reading stops there, before memory does.
LINE_MOST_BYTES = 64 * 2**20
#: Of a line that cannot be read, what is shown of it, characters.
SHOWN_CHARS = 1_000
_NOT_JSON = re.compile(rb"[:\[,]\s*-?(NaN|Infinity)")
_FIELDS = {"id", "values", "metadata", "tenant", "namespace"}


def lines(stream: BinaryIO, name: str) -> Iterator[tuple[int, Any | Row]]:
    """The number and the value of every line that is not blank; a `Row` that says what is wrong for one that is not
    JSON. Raises Corrupt."""
    decode = msgspec.json.Decoder().decode
    number = 0
    while raw := _line(stream, name, number):
        number += 1
        if len(raw) > LINE_MOST_BYTES:
            raise Corrupt(f"{name}:{number}: a line of over {LINE_MOST_BYTES // 2**20} MiB; is this JSON lines?")
        text = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
        if not text.strip():
            continue
        try:
            yield number, decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            yield number, unreadable(number, text, error)


def unreadable(number: int, text: bytes, error: Exception) -> Row:
    """The row of what is no JSON."""
    shown = text.decode(errors="replace").strip()[:SHOWN_CHARS]
    if (found := _NOT_JSON.search(text)) is not None:
        return broken(number, "values", f"values: {found[1].decode()} is not a finite number", shown)
    said = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
    return broken(number, "", f"not JSON: {said.removeprefix('JSON is malformed: ')}", shown)


def record_row(number: int, value: Any) -> Row:
    """A line of Tenantry's own form: ``id``, ``values``, ``metadata``; ``tenant`` (or ``namespace``) says whose."""
    if not isinstance(value, dict):
        return broken(number, "", "not an object", value)
    if unknown := sorted(set(value) - _FIELDS):
        return broken(number, unknown[0], f"{unknown[0]}: no such field; there are id, values, metadata, tenant", value)
    tenant = value.get("tenant", value.get("namespace"))
    if tenant is not None and not isinstance(tenant, str):
        return broken(number, "tenant", f"tenant: got {tenant!r}; allowed: a string", value)
    return Row(number, value.get("id"), value.get("values"), value.get("metadata"), tenant, raw=value)


def _line(stream: BinaryIO, name: str, number: int) -> bytes:
    try:
        return stream.readline(LINE_MOST_BYTES + 1)
    except UNPACKING as error:
        raise Corrupt(
            f"{name} cannot be unpacked after line {number:,} ({error}); it was cut off or changed"
        ) from error
