"""Cursors of a cross-tenant search: where a page ended, in a form that says nothing and fits one question only.

Nothing is kept between pages. A cursor has the last hit's place in the order and the number of hits before it; the next
page asks every part for that many more, and leaves out what is not behind that place. So a record that stays as it is
through all pages comes exactly once; one that changes meanwhile may come twice or not at all.

It is signed with a key of the cluster together with the question, so a cursor of another question, or one that was
made up, is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from tenantry.errors import InvalidArgument
from tenantry.model.filters import Filter
from tenantry.model.records import Vector
from tenantry.model.signed import opened, signed
from tenantry.router.scatter.merge import Key

#: No listing is called that.
CONTEXT = b"search"
#: Much longer than any that is given out: two names of 512 characters.
MOST_CHARS = 8_192
WHERE = "one that the search before gave, with the same question"


class Position(msgspec.Struct, frozen=True, array_like=True):
    """The end of a page: the last hit's place in the order, and how many hits there are up to it."""

    score: float
    tenant: str
    id: str
    seen: int

    @property
    def key(self) -> Key:
        """The place in the order."""
        return (self.score, self.tenant, self.id)


def digest_of(
    index: str, made_at: float, vector: Vector, filter: Filter | None, tenants: Sequence[str] | None, more: object
) -> bytes:
    """What tells one question from another. ``made_at``: of the index, so that one made anew is another."""
    told = [index, made_at, vector.tobytes(), filter, None if tenants is None else list(tenants), more]
    return hashlib.sha256(msgspec.msgpack.encode(told)).digest()


def cursor_of(position: Position, digest: bytes, secret: bytes) -> str:
    """The cursor of a position in the answer to a question."""
    return signed(msgspec.msgpack.encode(position), CONTEXT + digest, secret)


def position_of(cursor: object, digest: bytes, secret: bytes) -> Position:
    """The position that `cursor_of` was given. Raises InvalidArgument."""
    told = opened(cursor, CONTEXT + digest, secret, MOST_CHARS)
    if told is None:
        raise InvalidArgument("cursor", cursor, WHERE)
    return msgspec.msgpack.decode(told, type=Position)
