"""Hold documents to their limits, before anything is embedded or written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tenantry.documents import ids
from tenantry.documents.chunk import CHUNK_CHARS
from tenantry.documents.shapes import Document
from tenantry.errors import InvalidArgument, Refused, TooLarge
from tenantry.model.limits import Limits, check_id, check_metadata
from tenantry.model.records import Hit, Metadata

#: Metadata fields of a chunk that are Tenantry's own; those of a document may not begin so.
RESERVED = "_doc_"
DOCUMENT_FIELD = "_doc_id"
NUMBER_FIELD = "_doc_chunk"
TEXT_FIELD = "_doc_text"
TEXT_CHARS = 10_000_000
QUERY_CHARS = 32_768
#: A control character is six bytes in JSON, everything else fewer.
JSON_BYTES_PER_CHAR = 6
FIELD_BYTES = 64


class Checked(msgspec.Struct, frozen=True, gc=False):
    """A document that is fit to be stored; ``key`` is the prefix of its chunks' ids."""

    id: str
    key: str
    text: str
    metadata: Metadata


def check_document(given: Any, field: str, limits: Limits) -> Checked:
    """A document from any of its accepted forms.

    Raises InvalidArgument or TooLarge, naming the field: an id that is empty or whose chunks' ids would be over
    the limit, a text that is blank or not Unicode, metadata that are nested, reserved or leave no room for text.
    """
    document = _as_document(given, field)
    key = _key(document.id, f"{field}.id", limits)
    text = document.text
    if not isinstance(text, str) or not text.strip():
        raise InvalidArgument(f"{field}.text", text, "a text that is not blank")
    if len(text) > TEXT_CHARS:
        raise TooLarge(f"{field}.text", f"{len(text)} characters", f"at most {TEXT_CHARS}")
    check_unicode(text, f"{field}.text")
    return Checked(document.id, key, text, _metadata(document, f"{field}.metadata", limits))


def check_query_text(text: Any) -> str:
    """The text of a search."""
    if not isinstance(text, str) or not text.strip():
        raise InvalidArgument("text", text, "a text that is not blank")
    if len(text) > QUERY_CHARS:
        raise TooLarge("text", f"{len(text)} characters", f"at most {QUERY_CHARS}")
    check_unicode(text, "text")
    return text


def check_unicode(text: str, field: str) -> None:
    """Refuse lone surrogates, which no store and no embedding service can take."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgument(field, text[error.start], "Unicode text without lone surrogates") from None


def chunk_metadata(document: Checked, number: int, text: str) -> Metadata:
    """What is stored with a chunk: the document's metadata, and the chunk's own text and place."""
    return {**document.metadata, DOCUMENT_FIELD: document.id, NUMBER_FIELD: number, TEXT_FIELD: text}


def is_chunk(hit: Hit) -> bool:
    """Whether a hit is a chunk of a document, rather than a vector that the tenant wrote itself."""
    stored = hit.metadata or {}
    number = stored.get(NUMBER_FIELD)  # some backends give every number back as a float
    return (
        isinstance(stored.get(TEXT_FIELD), str)
        and isinstance(stored.get(DOCUMENT_FIELD), str)
        and isinstance(number, int | float)
    )


def _as_document(given: Any, field: str) -> Document:
    if isinstance(given, Document):
        return given
    allowed = "a Document, or a mapping with id, text and optionally metadata"
    if not isinstance(given, Mapping):
        raise InvalidArgument(field, given, allowed)
    if "id" not in given or "text" not in given or set(given) - {"id", "text", "metadata"}:
        raise InvalidArgument(field, sorted(map(str, given)), allowed)
    metadata = given.get("metadata")
    return Document(given["id"], given["text"], {} if metadata is None else metadata)


def _key(id: Any, field: str, limits: Limits) -> str:
    check_unicode(check_id(id, field, limits), field)
    key = ids.document_key(id)
    most = limits.id_chars - ids.SUFFIX_CHARS
    if len(key) - len(ids.SEPARATOR) > most:
        raise TooLarge(
            field, f"{len(key) - len(ids.SEPARATOR)} characters", f"at most {most}, where # and % count as three"
        )
    return key


def _metadata(document: Document, field: str, limits: Limits) -> Metadata:
    try:
        clean = check_metadata(document.metadata, field, limits) or {}
    except UnicodeEncodeError:
        raise InvalidArgument(field, "lone surrogates", "Unicode text without lone surrogates") from None
    for name in clean:
        if name.startswith(RESERVED):
            raise InvalidArgument(field, name, f"field names that do not begin with {RESERVED!r}")
    size = len(msgspec.json.encode(clean))
    # Room for the longest chunk and the id at their worst, so that no chunk of the document can be refused later.
    most = limits.metadata_bytes - JSON_BYTES_PER_CHAR * (CHUNK_CHARS + len(document.id)) - FIELD_BYTES
    if most < len(b"{}"):
        raise Refused(
            f"metadata of {limits.metadata_bytes} bytes have no room for the text of a chunk; set "
            "TENANTRY_MAX_METADATA_BYTES to its default, 40960"
        )
    if size > most:
        raise TooLarge(field, f"{size} bytes", f"at most {most} bytes as JSON, since each chunk carries its text too")
    return clean
