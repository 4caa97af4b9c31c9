"""Cursors for clients: a place in a listing, signed and bound to the listing that it came from."""

from __future__ import annotations

from tenantry.errors import InvalidArgument
from tenantry.model.signed import opened, signed
from tenantry.router.secret import ClusterSecret

#: Longer ones are none of ours: the longest id has 512 characters.
MOST_CHARS = 4_096


class Cursors:
    """A cursor is the place in a listing, signed together with the names of the listing (kind, index, tenant, prefix,
    ...). It carries no right: whoever brings it is held to what their key reaches. The signature makes a cursor of
    another tenant, or one that was made up, an error instead of a wrong page, so that no listing can be entered at a
    place that its owner was not given.
    """

    def __init__(self, secret: ClusterSecret) -> None:
        self._secret = secret

    async def make(self, place: str, *listing: str) -> str:
        """The cursor that goes on after ``place`` in the listing that ``listing`` names."""
        return signed(place.encode(), _context(listing), await self._secret.get())

    async def read(self, cursor: str | None, *listing: str, field: str = "cursor") -> str | None:
        """The place in a cursor; None for none, or an empty one (from the start).
        Raises InvalidArgument for one of another listing, or that is none."""
        if not cursor:
            return None
        place = opened(cursor, _context(listing), await self._secret.get(), MOST_CHARS)
        if place is None:
            raise _not_of_this(field, "one of another listing, or none of ours")
        return place.decode()


def _context(listing: tuple[str, ...]) -> bytes:
    """Names after their lengths, so that none can be shifted into another."""
    raw = [part.encode("utf-8", "surrogatepass") for part in listing]
    return b"".join(len(part).to_bytes(4, "big") + part for part in raw)


class _Words(str):
    """Shown as it is, without quotes."""

    def __repr__(self) -> str:
        return str(self)


def _not_of_this(field: str, given: str) -> InvalidArgument:
    allowed = (
        "the cursor that the page before it gave, for the same index, tenant and parameters; or none, to begin anew"
    )
    return InvalidArgument(field, _Words(given), allowed)
