"""Pages of ids in order, of engines that list them in none.

The first page of a scan takes the list of all ids, sorts it and keeps it with the page's cursor; the next page picks
it up there. A cursor that nothing is kept for (the first page, a page that is asked for again, a restart, too many
scans at once) costs a list of its own and is as right: what exists throughout the scan is in any list made during it.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import msgspec

from tenantry.model.records import IdPage

MOST_LISTINGS = 32
#: Over all listings that are kept; about 100 bytes each.
MOST_IDS = 10_000_000
KEPT_S = 120.0


class Kept(msgspec.Struct):
    """A sorted list, where the next page begins, and until when (monotonic seconds)."""

    ids: list[str]
    start: int
    until: float


class Listings:
    """The lists of the scans that run on one shard."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str, str], Kept] = OrderedDict()

    async def page(
        self,
        namespace: str,
        cursor: str | None,
        limit: int,
        prefix: str,
        everything: Callable[[], Awaitable[list[str]]],
    ) -> IdPage:
        """The next ``limit`` ids after ``cursor``; ``everything`` gives all ids in any order."""
        kept = self._kept.pop((namespace, prefix, cursor), None) if cursor is not None else None
        if kept is None or kept.until < time.monotonic():
            ids = sorted(key for key in await everything() if key.startswith(prefix))
            kept = Kept(ids, 0 if cursor is None else bisect_right(ids, cursor), 0.0)
        page = kept.ids[kept.start : kept.start + limit]
        kept.start += len(page)
        if kept.start >= len(kept.ids):
            return IdPage(page)
        self._keep((namespace, prefix, page[-1]), kept)
        return IdPage(page, page[-1])

    def _keep(self, key: tuple[str, str, str], kept: Kept) -> None:
        now = time.monotonic()
        kept.until = now + KEPT_S
        self._kept[key] = kept
        self._kept.move_to_end(key)
        total = sum(len(each.ids) for each in self._kept.values())
        while len(self._kept) > 1:
            first = next(iter(self._kept.values()))
            if len(self._kept) <= MOST_LISTINGS and total <= MOST_IDS and first.until >= now:
                return
            total -= len(first.ids)
            self._kept.popitem(last=False)
