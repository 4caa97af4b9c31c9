"""An `Index` made of what every engine can do: put, remove, get by id, search, list ids in any order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from tenantry.backends.common.gate import Gates
from tenantry.backends.common.listing import Listings
from tenantry.model.changes import patched
from tenantry.model.records import Hit, IdPage, Page, Query, Record, Selector, Update

#: More hits than that are never asked for, to tell which of equally near records come first.
MOST_HITS = 16_384


class CommonIndex(ABC):
    """Implements `Index`; an update reads the record and writes it back.

    Args:
        gates, listings: of the backend, for all its handles.
    """

    #: Records that one call of the engine takes, to write or to get.
    at_once = 1_000
    #: Hits that one query of the engine gives.
    most_hits = MOST_HITS

    def __init__(self, namespace: str, gates: Gates, listings: Listings) -> None:
        self.namespace = namespace
        self._gate = gates.of(namespace)
        self._listings = listings

    @abstractmethod
    async def put(self, records: Sequence[Record]) -> None:
        """Write at most `at_once` records, each in place of one of the same id."""

    @abstractmethod
    async def remove(self, selector: Selector) -> None:
        """Delete what is selected."""

    @abstractmethod
    async def get(self, ids: Sequence[str]) -> list[Record]:
        """At most `at_once` records, in any order."""

    @abstractmethod
    async def nearest(self, query: Query, top_k: int) -> list[Hit]:
        """The ``top_k`` nearest (at most `most_hits`), of equally near ones any; ``query.top_k`` does not count."""

    @abstractmethod
    async def every_id(self, prefix: str) -> list[str]:
        """All ids, at least those that begin with ``prefix``, in any order."""

    async def upsert(self, records: Sequence[Record]) -> None:
        """In as many calls as it takes; when one fails, those before it were written."""
        async with self._gate.shared():
            for start in range(0, len(records), self.at_once):
                await self.put(records[start : start + self.at_once])

    async def update(self, update: Update) -> bool:
        """Read and write back, while this process writes nothing else to the namespace."""
        async with self._gate.alone():
            found = await self.get([update.id])
            if not found:
                return False
            await self.put([patched(found[0], update)])
            return True

    async def delete(self, selector: Selector) -> None:
        """As `remove`."""
        async with self._gate.shared():
            await self.remove(selector)

    async def fetch(self, ids: Sequence[str]) -> dict[str, Record]:
        """In as many calls as it takes."""
        found: dict[str, Record] = {}
        for start in range(0, len(ids), self.at_once):
            for record in await self.get(ids[start : start + self.at_once]):
                found[record.id] = record
        return {key: found[key] for key in ids if key in found}

    async def query(self, query: Query) -> list[Hit]:
        """Ties by id: more is asked for until the last of the equally near ones is known, or `most_hits` are."""
        top_k = min(query.top_k, self.most_hits)
        asked = min(top_k + 1, self.most_hits)
        while True:
            hits = await self.nearest(query, asked)
            hits.sort(key=lambda hit: (-hit.score, hit.id))
            if len(hits) < asked or len(hits) <= top_k or hits[top_k - 1].score > hits[-1].score:
                return hits[:top_k]
            if asked == self.most_hits:
                return hits[:top_k]
            asked = min(4 * asked, self.most_hits)

    async def scan(self, cursor: str | None, limit: int, prefix: str = "") -> Page:
        """The ids of a page, and what is found of them."""
        page = await self.list_ids(cursor, limit, prefix)
        found = await self.fetch(page.ids)
        return Page(list(found.values()), page.cursor)

    async def list_ids(self, cursor: str | None, limit: int, prefix: str = "") -> IdPage:
        """From the list that is kept for the scan."""
        return await self._listings.page(self.namespace, cursor, limit, prefix, lambda: self.every_id(prefix))
