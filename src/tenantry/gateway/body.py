"""Reading what came with a request: bounded bodies, JSON and query strings into structs, errors that name the field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec
from starlette.types import Receive, Scope

from tenantry.gateway.errors import BadRequest, BodyTooLarge, UnsupportedMediaType

#: A too large body is read and thrown away up to this size, so that clients read the 413 instead of a broken pipe.
DRAIN_MOST_BYTES = 32 * 2**20
MAX_QUERY_BYTES = 256 * 1024
MAX_QUERY_FIELDS = 2_048
JSON = b"application/json"

_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)


class Disconnected(Exception):
    """The client went away before its body was complete."""


def check_media_type(headers: Mapping[bytes, bytes]) -> None:
    """Refuse a body that says it is not JSON, or compressed: a small one could stand for any number of bytes."""
    coding = headers.get(b"content-encoding", b"")
    if coding and coding.strip().lower() != b"identity":
        shown = coding.decode("latin-1")[:80]
        raise UnsupportedMediaType(f"Content-Encoding is {shown!r}; send the body as it is")
    given = headers.get(b"content-type", JSON)
    if given != JSON and not given.lower().startswith(JSON):
        shown = given.decode("latin-1")[:80]
        raise UnsupportedMediaType(f"Content-Type is {shown!r}; send application/json")


async def read_body(scope: Scope, receive: Receive, most: int) -> bytes:
    """The body, never holding more than ``most`` bytes and a chunk. Raises BodyTooLarge, Disconnected."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Disconnected
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > most:
            raise BodyTooLarge(most)
        return body
    chunks, size = [body], len(body)
    while message.get("more_body", False):
        if size > most:
            await _drain(receive, size)
            raise BodyTooLarge(most)
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
    if size > most:
        raise BodyTooLarge(most)
    return b"".join(chunks)


async def _drain(receive: Receive, size: int) -> None:
    while size < DRAIN_MOST_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        size += len(message.get("body", b""))
        if not message.get("more_body", False):
            return


def decode_json(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    """The struct in a body; an empty body counts as ``{}``. Raises BadRequest."""
    try:
        return decoder.decode(body or b"{}")
    except msgspec.ValidationError as wrong:
        raise _named(wrong) from None
    except msgspec.DecodeError as malformed:
        raise BadRequest(f"the body is not valid JSON: {malformed}") from None
    except UnicodeDecodeError:
        raise BadRequest("the body is not valid UTF-8") from None
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None


def decode_query(kind: Any, raw: bytes) -> Any:
    """The struct in a query string. A parameter may repeat only where the struct takes a list. Raises BadRequest."""
    if len(raw) > MAX_QUERY_BYTES:
        raise BadRequest(f"the query string is over {MAX_QUERY_BYTES:,} bytes")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS)
    except UnicodeDecodeError:
        raise BadRequest("the query string is not valid percent-encoded UTF-8") from None
    except ValueError:
        raise BadRequest(f"the query string has over {MAX_QUERY_FIELDS:,} parameters") from None
    given: dict[str, Any] = {}
    many = {field.encode_name for field in msgspec.structs.fields(kind) if field.type == list[str]}
    for name, value in pairs:
        if name in many:
            given.setdefault(name, []).append(value)
        elif name in given:
            raise BadRequest("given more than once", name)
        else:
            given[name] = value
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as wrong:
        raise _named(wrong) from None


def decode_segment(raw: str, name: str) -> str:
    """A path parameter from its raw segment. Raises BadRequest."""
    if "%" not in raw:
        return raw
    try:
        return unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("not valid percent-encoded UTF-8", name) from None


def _named(wrong: msgspec.ValidationError) -> BadRequest:
    found = _WHERE.match(str(wrong))
    if found is None:
        return BadRequest(str(wrong))
    what = found["what"]
    missing = re.match(r"Object missing required field `([^`]+)`", what)
    path = found["path"] or ""
    if missing:
        return BadRequest("this field is required", f"{path}.{missing[1]}" if path else missing[1])
    unknown = re.match(r"Object contains unknown field `([^`]+)`", what)
    if unknown:
        return BadRequest("there is no such field", f"{path}.{unknown[1]}" if path else unknown[1])
    return BadRequest(what.replace("`", ""), path or None)
