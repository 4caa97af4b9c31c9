"""Cursors for clients: a place in a listing, signed and bound to the listing that it came from."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable

from tenantry.errors import InvalidArgument
from tenantry.ports import SettingCatalog

SECRET_SETTING = "cursors.secret"  # noqa: S105 - a name
MARK_BYTES = 16
#: Longer ones are none of ours: the longest id has 512 characters.
MOST_CHARS = 4_096


class Cursors:
    """A cursor is ``base64url(mark + place)``; the mark is a keyed hash of the place and of the names of the listing
    (kind, index, tenant, prefix, ...). It carries no right: whoever brings it is held to what their key reaches. The
    mark makes a cursor of another tenant, or one that was made up, an error instead of a wrong page, so that no listing
    can be entered at a place that its owner was not given. The secret is the cluster's, the same for all its gateways.
    """

    def __init__(self, settings: SettingCatalog, token: Callable[[int], str]) -> None:
        self._settings = settings
        self._token = token
        self._secret: bytes | None = None

    async def make(self, place: str, *listing: str) -> str:
        """The cursor that goes on after ``place`` in the listing that ``listing`` names."""
        mark = _mark(await self._load(), place, listing)
        return base64.urlsafe_b64encode(mark + place.encode()).decode().rstrip("=")

    async def read(self, cursor: str | None, *listing: str, field: str = "cursor") -> str | None:
        """The place in a cursor; None for none, or an empty one (from the start).
        Raises InvalidArgument for one of another listing, or that is none."""
        if not cursor:
            return None
        shown = "one of another listing, or none of ours"
        try:
            if len(cursor) > MOST_CHARS:
                raise ValueError
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            place = raw[MARK_BYTES:].decode()
        except (binascii.Error, UnicodeError, ValueError):
            raise _not_of_this(field, shown) from None
        if len(raw) < MARK_BYTES or not hmac.compare_digest(
            raw[:MARK_BYTES], _mark(await self._load(), place, listing)
        ):
            raise _not_of_this(field, shown)
        return place

    async def _load(self) -> bytes:
        if self._secret is None:
            self._secret = bytes.fromhex(await self._settings.put_if_absent(SECRET_SETTING, self._token(32)))
        return self._secret


def _mark(secret: bytes, place: str, listing: tuple[str, ...]) -> bytes:
    hashed = hashlib.blake2b(key=secret, digest_size=MARK_BYTES)
    for part in (place, *listing):
        raw = part.encode("utf-8", "surrogatepass")
        hashed.update(len(raw).to_bytes(4, "big") + raw)
    return hashed.digest()


class _Words(str):
    """Shown as it is, without quotes."""

    def __repr__(self) -> str:
        return str(self)


def _not_of_this(field: str, given: str) -> InvalidArgument:
    allowed = (
        "the cursor that the page before it gave, for the same index, tenant and parameters; or none, to begin anew"
    )
    return InvalidArgument(field, _Words(given), allowed)
