"""One namespace of a Pinecone index with the records of many tenants, as others laid it out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from tenantry.backends.pinecone.backend import MOST_HITS, PineconeBackend
from tenantry.backends.pinecone.filters import raw_of
from tenantry.backends.pinecone.spelling import takes
from tenantry.errors import NotFound
from tenantry.model.filters import Compare, Filter, Op
from tenantry.model.records import Hit, Metadata, Query, Record, Selector

#: Records of one page: they come with their vectors, whether they are wanted or not.
PAGE = 100


class PineconeCollection:
    """Implements `tenantry.backends.common.tenant_field.Collection`."""

    at_once = 1_000
    most_hits = MOST_HITS

    def __init__(self, backend: PineconeBackend, namespace: str) -> None:
        self._backend = backend
        self._namespace = namespace
        self._index = backend.index(namespace)

    def takes(self, id: str) -> bool:
        """ASCII."""
        return takes(id)

    async def kind_of(self, field: str) -> None:
        """Either, as there are no columns."""

    async def put(self, records: Sequence[Record]) -> None:
        """Within Pinecone's limits."""
        await self._index.upsert(records)

    async def remove(self, selector: Selector) -> None:
        """By ids in batches, by a filter in one request."""
        await self._index.remove(selector)

    async def get(self, ids: Sequence[str]) -> list[Record]:
        """In as many requests as their URLs need."""
        return list((await self._index.fetch(ids)).values())

    async def metadata_of(self, ids: Sequence[str]) -> dict[str, Metadata | None]:
        """As `get`: Pinecone gives the values along."""
        return {record.id: record.metadata for record in await self.get(ids)}

    async def nearest(self, query: Query, top_k: int) -> list[Hit]:
        """One request."""
        return await self._index.nearest(query, top_k)

    async def ids_where(self, condition: Filter | None) -> list[str]:
        """Page by page."""
        if condition is None:
            return await self._index.every_id("")
        return [key async for page in self._matching(condition) for key in page]

    async def values_of(self, field: str) -> AsyncIterator[list[tuple[str, Any]]]:
        """Page by page."""
        async for page in self._matching(Compare(field, Op.EXISTS, True)):
            yield [(key, (one.metadata or {})[field]) for key, one in page.items()]

    async def count(self) -> int:
        """As Pinecone counts."""
        try:
            return (await self._backend.stats(self._namespace)).vectors
        except NotFound:
            return 0

    async def _matching(self, condition: Filter) -> AsyncIterator[dict[str, Any]]:
        raw = raw_of(condition)
        token: str | None = None
        while True:
            page = await self._index.call(
                lambda index, at=token: index.fetch_by_metadata(
                    filter=raw, namespace=self._index.name, limit=PAGE, pagination_token=at
                )
            )
            yield {self._backend.spelling.read(key): one for key, one in page.vectors.items()}
            token = page.pagination.next if page.pagination else None
            if not token:
                return
