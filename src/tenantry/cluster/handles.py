"""One tenant, as an application works with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from tenantry.documents.store import AddReport, Document, DocumentStore, TextHit
from tenantry.errors import InvalidArgument
from tenantry.model.filters import parse_filter
from tenantry.model.records import (
    ByFilter,
    ByIds,
    Everything,
    Hit,
    IdPage,
    NamespaceStats,
    Query,
    Record,
    Selector,
    Update,
)
from tenantry.router.router import Router

#: A record, a mapping with ``id``, ``values`` and optional ``metadata``, or a tuple in that order.
RecordLike: TypeAlias = Record | Mapping[str, Any] | tuple[Any, ...]
SCAN_PAGE = 500


class TenantHandle:
    """Costs nothing to make and touches nothing until used; the tenant need not exist yet.

    Errors are those of `Router`.
    """

    def __init__(self, router: Router, store: DocumentStore, index: str, name: str) -> None:
        self._router = router
        self.index = index
        self.name = name
        self.documents = TenantDocuments(store, index, name)

    async def upsert(self, records: Iterable[RecordLike]) -> int:
        """Write up to 1,000 records; durable when it returns. Returns how many."""
        batch = [as_record(one, f"vectors[{i}]") for i, one in enumerate(records)]
        return await self._router.upsert(self.index, self.name, batch)

    async def query(
        self,
        vector: Any = None,
        *,
        id: str | None = None,
        top_k: int = 10,
        filter: Mapping[str, Any] | None = None,
        include_values: bool = False,
        include_metadata: bool = True,
    ) -> list[Hit]:
        """The ``top_k`` records nearest to ``vector``, or to the stored record ``id``; best first."""
        condition = parse_filter(filter)
        if (vector is None) == (id is None):
            raise InvalidArgument("vector", "both or neither of vector and id", "exactly one of them")
        if id is not None:
            return await self._router.query_like(
                self.index, self.name, id, top_k, condition, include_values, include_metadata
            )
        query = Query(vector, top_k, condition, include_values, include_metadata)
        return await self._router.query(self.index, self.name, query)

    async def fetch(self, ids: Sequence[str]) -> dict[str, Record]:
        """The records of these ids that exist."""
        return await self._router.fetch(self.index, self.name, ids)

    async def update(self, id: str, *, values: Any = None, set_metadata: Mapping[str, Any] | None = None) -> bool:
        """Replace the values, set metadata fields, or both; False when no record has that id."""
        change = Update(
            id,
            values,
            None if set_metadata is None else dict(set_metadata),
        )
        return await self._router.update(self.index, self.name, change)

    async def delete(
        self, ids: Sequence[str] | None = None, *, filter: Mapping[str, Any] | None = None, all: bool = False
    ) -> None:
        """Delete by ids, by filter, or ``all=True``: exactly one of them."""
        await self._router.delete(self.index, self.name, as_selector(ids, filter, all))

    async def list_ids(self, *, prefix: str = "", cursor: str | None = None, limit: int = 100) -> IdPage:
        """One page of ids in ascending order; go on with the page's cursor."""
        return await self._router.list_ids(self.index, self.name, cursor, limit, prefix)

    async def scan(self, *, prefix: str = "") -> AsyncIterator[Record]:
        """Every record, ascending by id; one that exists throughout is seen exactly once."""
        cursor: str | None = None
        while True:
            page = await self._router.scan(self.index, self.name, cursor, SCAN_PAGE, prefix)
            for record in page.records:
                yield record
            if page.cursor is None:
                return
            cursor = page.cursor

    async def stats(self) -> NamespaceStats:
        """Exact number of vectors, and bytes."""
        return await self._router.stats(self.index, self.name)


class TenantDocuments:
    """A tenant's documents: text in, text out."""

    def __init__(self, store: DocumentStore, index: str, name: str) -> None:
        self._store = store
        self._index = index
        self._name = name

    async def add(self, documents: Iterable[Document | Mapping[str, Any]]) -> AddReport:
        """Chunk, embed and store; unchanged documents are passed over, changed ones replace their chunks."""
        return await self._store.add(self._index, self._name, documents)

    async def search(self, text: str, *, top_k: int = 10, filter: Mapping[str, Any] | None = None) -> list[TextHit]:
        """The chunks nearest in meaning, with their text and scores, best first."""
        return await self._store.search(self._index, self._name, text, top_k, parse_filter(filter))

    async def delete(self, ids: Sequence[str]) -> None:
        """Delete documents with all their chunks."""
        await self._store.delete(self._index, self._name, ids)


def as_record(given: RecordLike, field: str) -> Record:
    """A record from any of its accepted forms; the router checks its parts. Raises InvalidArgument."""
    if isinstance(given, Record):
        return given
    if isinstance(given, Mapping):
        unknown = set(given) - {"id", "values", "metadata"}
        if unknown or "id" not in given or "values" not in given:
            raise InvalidArgument(field, sorted(map(str, given)), "the fields id, values and optionally metadata")
        return Record(given["id"], given["values"], given.get("metadata"))
    if isinstance(given, tuple) and len(given) in (2, 3):
        return Record(*given)
    raise InvalidArgument(field, given, "a Record, a mapping, or a tuple (id, values[, metadata])")


def as_selector(ids: Sequence[str] | None, filter: Mapping[str, Any] | None, all: bool) -> Selector:
    """Exactly one of the three ways to say what to delete. Raises InvalidArgument."""
    condition = parse_filter(filter)
    if (ids is not None) + (condition is not None) + bool(all) != 1:
        raise InvalidArgument(
            "delete", "none or several of ids, filter and all", "exactly one of ids, a non-empty filter, all"
        )
    if ids is not None:
        if isinstance(ids, str):
            raise InvalidArgument("ids", ids, "a list of ids")
        return ByIds(tuple(ids))
    return ByFilter(condition) if condition is not None else Everything()
