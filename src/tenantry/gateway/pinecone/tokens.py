"""Pagination tokens: a place in a listing, bound to the listing that it came from.

A token carries no rights: the request that brings it is held to its own namespace, and the cursor in it is only an
id to go on after. Binding makes a token of another namespace or prefix an error instead of a wrong page.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from tenantry.gateway.errors import BadRequest

DIGEST_BYTES = 8


def make_token(cursor: str, *listing: str) -> str:
    """The token that goes on after ``cursor`` in the listing that ``listing`` names."""
    return base64.urlsafe_b64encode(_digest(cursor, listing) + cursor.encode()).decode().rstrip("=")


def read_token(token: str, *listing: str) -> str | None:
    """The cursor in a token; None for an empty one (from the start). Raises BadRequest."""
    if not token:
        return None
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        cursor = raw[DIGEST_BYTES:].decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise BadRequest("not a pagination token", "paginationToken") from None
    if raw[:DIGEST_BYTES] != _digest(cursor, listing):
        raise BadRequest("not a pagination token of this listing", "paginationToken")
    return cursor


def _digest(cursor: str, listing: tuple[str, ...]) -> bytes:
    text = "\x00".join((cursor, *listing))
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()
