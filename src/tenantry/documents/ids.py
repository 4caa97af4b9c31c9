"""Names of chunks. From a chunk's name follow its document, its number and whether it is up to date.

::

    <document, escaped>#<number>.<hash of the text>.<hash of the metadata>
    guide.md#000003.5bb2...(32).9f0c...(16)

``%`` and ``#`` of the document's id are written ``%25`` and ``%23``. So the first ``#`` of a chunk's name always
ends the document: the prefix ``a#`` lists the chunks of ``a`` and never those of ``a#b`` or ``ab``. The names of
a document's chunks say all of its content, so a document is unchanged exactly when the names that it should have
are the names that are there; nothing else needs to be stored or read to know that.

Records that a tenant upserts as plain vectors may share a prefix, never the whole form; they are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

SEPARATOR = "#"
TEXT_HASH_BYTES = 16
METADATA_HASH_BYTES = 8
#: Characters that a name adds to its document's escaped id.
SUFFIX_CHARS = len(SEPARATOR) + 6 + 1 + 2 * TEXT_HASH_BYTES + 1 + 2 * METADATA_HASH_BYTES
#: A number has six digits, so that names sort as their chunks stand in the text.
MOST_CHUNKS = 1_000_000
_NAME = re.compile(r"([^#]+#)(\d{6})\.([0-9a-f]{32})\.([0-9a-f]{16})", re.DOTALL)
_ENCODE = msgspec.json.Encoder(order="sorted")


class ChunkName(NamedTuple):
    """The parts of a chunk's id; ``key`` is the prefix that all chunks of the document share."""

    key: str
    number: int
    text_hash: str


def document_key(document: str) -> str:
    """The prefix of all chunk ids of a document, and of no others."""
    return document.replace("%", "%25").replace(SEPARATOR, "%23") + SEPARATOR


def text_hash(text: str) -> str:
    """What stands for a chunk's text in its id."""
    return blake2b(text.encode(), digest_size=TEXT_HASH_BYTES).hexdigest()


def metadata_hash(metadata: Mapping[str, Any]) -> str:
    """What stands for a document's metadata in its chunks' ids; the order of the fields does not matter."""
    return blake2b(_ENCODE.encode(metadata), digest_size=METADATA_HASH_BYTES).hexdigest()


def chunk_id(key: str, number: int, text: str, metadata: str) -> str:
    """The id of a chunk; ``text`` and ``metadata`` are their hashes."""
    return f"{key}{number:06d}.{text}.{metadata}"


def parse_chunk_id(id: str) -> ChunkName | None:
    """The parts of a chunk's id, or None for a record that is no chunk of a document."""
    found = _NAME.fullmatch(id)
    return None if found is None else ChunkName(found[1], int(found[2]), found[3])
