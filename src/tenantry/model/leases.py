"""Who holds what, for how long: leases, and copies that are kept for a while."""

from __future__ import annotations

import msgspec

from tenantry.model.topology import Place


class Lease(msgspec.Struct, frozen=True):
    """A named right that one process holds at a time.

    Attributes:
        owner: None when it is free.
        fence: grows with each claim; whatever is done under an older one is refused.
        beat: grows with each renewal. An owner whose beat does not change for the length of a lease has let it lapse.
    """

    name: str
    owner: str | None
    fence: int
    beat: int


class Copy(msgspec.Struct, frozen=True):
    """A physical namespace that was a tenant's and is kept until ``purge_at`` (seconds since the Unix epoch)."""

    index: str
    tenant: str
    place: Place
    move: str
    purge_at: float
