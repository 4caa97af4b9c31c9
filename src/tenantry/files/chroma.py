"""Chroma's records, as ``collection.get(include=["embeddings", "metadatas", "documents"])`` gives them.

One object of lists, an entry a record: ``ids``, ``embeddings``, ``metadatas``, ``documents``, ``uris``. A document,
which is a text, becomes a field of the metadata; see https://docs.trychroma.com/docs/collections/add-data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tenantry.files.rows import Row, broken

COLUMNS = ("ids", "embeddings", "metadatas", "documents", "uris")
DOCUMENT_FIELD = "document"
URI_FIELD = "uri"


def row(number: int, found: Mapping[str, Any], document_field: str) -> Row:
    """A record of one entry of each list."""
    metadata = found.get("metadatas")
    raw = {"id": found.get("ids"), "values": found.get("embeddings"), "metadata": metadata}
    for column, field in (("documents", document_field), ("uris", URI_FIELD)):
        text = found.get(column)
        if text is None:
            continue
        metadata = {} if metadata is None else metadata
        if not isinstance(metadata, dict) or metadata.get(field, text) != text:
            return broken(number, column, f"{column}: the metadata have a field {field!r} of their own", raw)
        metadata = {**metadata, field: text}
    if found.get("embeddings") is None:
        return broken(number, "embeddings", 'embeddings: none; get them with include=["embeddings", ...]', raw)
    return Row(number, found.get("ids"), found["embeddings"], metadata, raw={**raw, "metadata": metadata})


def expanded(number: int, value: Any, document_field: str) -> Iterator[Row]:
    """The rows of one line: a whole answer of ``get``."""
    lists = {name: value.get(name) for name in COLUMNS} if isinstance(value, dict) else {}
    ids = lists.get("ids")
    if not isinstance(ids, list):
        yield broken(number, "ids", "ids: not a list", value)
        return
    held = {name: one for name, one in lists.items() if isinstance(one, list)}
    if any(len(one) != len(ids) for one in held.values()):
        yield broken(number, "ids", "ids: the lists are not of one length", None)
        return
    for place in range(len(ids)):
        yield row(number, {name: one[place] for name, one in held.items()}, document_field)
