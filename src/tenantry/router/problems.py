"""What a check of the routing may find."""

from __future__ import annotations

import msgspec

#: Cost a read of the catalog, or a little memory. An old route in Redis shows by its date that it is old: whoever was
#: behind when it was written, or could not remove it while Redis was away, does no harm.
HARMLESS = frozenset({"missing-shared-routes", "old-shared-route", "orphan-shared-routes"})


class Problem(msgspec.Struct, frozen=True):
    """One disagreement.

    ``kind`` is ``stale-cache``, ``missing-namespace``, ``missing-shard``, ``half-created``, ``half-deleted``,
    ``orphan-namespace``, ``wrong-count`` or ``shard-unreachable``; of routes in Redis ``damaged-shared-route``,
    ``old-shared-route``, ``wrong-shared-route`` (one that would be used), ``missing-shared-routes``,
    ``orphan-shared-routes`` or ``shared-routes-unreachable``. ``healed`` tells whether it was mended.
    """

    kind: str
    name: str
    shard: str
    detail: str
    healed: bool = False
