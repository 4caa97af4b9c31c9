"""`VectorBackend` on a Pinecone index, through the official SDK.

Namespaces are Pinecone's, records too, with names and ids in ASCII (`spelling`). Reads are eventually consistent: a
write shows within ``visible_s``, which moves wait for; queries can wait for this process's own writes by the log
positions that answers carry.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec

from tenantry.backends.common.counting import total
from tenantry.backends.common.gate import Gates
from tenantry.backends.common.index import CommonIndex
from tenantry.backends.common.known import Known
from tenantry.backends.common.listing import Listings
from tenantry.backends.pinecone.filters import check_number, raw_of
from tenantry.backends.pinecone.options import PineconeOptions
from tenantry.backends.pinecone.server import Server
from tenantry.backends.pinecone.spelling import Ours, Plain, Spelling
from tenantry.backends.pinecone.survey import DEFAULT
from tenantry.errors import AlreadyExists, CapacityExceeded, NotFound, Refused
from tenantry.model.records import (
    ByFilter,
    ByIds,
    Hit,
    IdPage,
    Metadata,
    Metric,
    NamespaceStats,
    Query,
    Record,
    Selector,
    Update,
    as_vector,
)
from tenantry.ports import Features

#: Pinecone's own limits: https://docs.pinecone.io/reference/api/database-limits
MOST_HITS = 10_000
UPSERT_RECORDS = 1_000
UPSERT_BYTES = 2_000_000
DELETE_IDS = 1_000
LIST_PAGE = 100
#: Ids go into the URL of a fetch.
FETCH_IDS = 100
FETCH_CHARS = 4_000
PAUSE_S = 0.02
#: Places in listings that are kept.
MOST_PLACES = 1_000


class PineconeBackend:
    """Implements `VectorBackend`."""

    def __init__(
        self, dimension: int, metric: Metric, index: str = "", options: PineconeOptions = PineconeOptions()
    ) -> None:
        options.check()
        self.dimension = dimension
        self.metric = metric
        self.options = options
        self.spelling: Spelling = Plain() if options.adopted else Ours()
        self.server = Server(options.index or index, options)
        self.gates = Gates()
        self.listings = Listings()
        self.known = Known(self._is_there)
        #: Namespace to the log position of this process's last write there, and its time (monotonic seconds).
        self.written: dict[str, tuple[int, float]] = {}

    @property
    def features(self) -> Features:
        """Eventually consistent, unless ``visible_s`` is 0."""
        prompt = self.options.visible_s == 0
        return Features(
            filters=True,
            atomic_update=True,
            read_your_writes=prompt,
            exact_counts=prompt,
            visible_s=self.options.visible_s,
        )

    async def probe(self) -> Features:
        """Describe the index; make it when it is not there and the options say where. Raises Unavailable, Refused."""
        await self.server.provide(self.dimension, self.metric)
        return self.features

    async def create(self, namespace: str) -> None:
        """A namespace of Pinecone's, if there is room for it."""
        name = self.spelling.spelled(namespace, "namespace")
        if await self._is_there(namespace):
            return
        if len(await self._names()) >= self.options.namespaces:
            raise CapacityExceeded(
                f"{self.server.where} has its {self.options.namespaces} namespaces; see the option namespaces"
            )
        try:
            await self.server.call(lambda index: index.create_namespace(name=name))
        except (Refused, AlreadyExists):
            if not await self._is_there(namespace):
                raise
        self.known.add(namespace)

    async def drop(self, namespace: str) -> None:
        """The namespace and all in it."""
        self.known.forget(namespace)
        self.written.pop(namespace, None)
        name = self.spelling.spelled(namespace, "namespace")
        with contextlib.suppress(NotFound):
            await self.server.call(lambda index: index.delete_namespace(name=name), namespace)

    def index(self, namespace: str) -> PineconeIndex:
        """A handle."""
        return PineconeIndex(self, namespace)

    async def namespaces(self, after: str | None, limit: int) -> list[str]:
        """As Pinecone lists them."""
        return sorted(name for name in map(self.spelling.read, await self._names()) if after is None or name > after)[
            :limit
        ]

    async def stats(self, namespace: str | None = None) -> NamespaceStats:
        """As Pinecone counts: a little behind. No bytes."""
        if namespace is None:
            return total(await self.sizes())
        name = self.spelling.spelled(namespace, "namespace")
        one: Any = await self.server.call(lambda index: index.describe_namespace(name=name), namespace)
        return NamespaceStats(int(one.record_count))

    async def sizes(self) -> dict[str, NamespaceStats]:
        """By one request, `describe_index_stats`."""
        whole: Any = await self.server.call(lambda index: index.describe_index_stats())
        return {
            self.spelling.read(name or DEFAULT): NamespaceStats(int(one.vector_count))
            for name, one in (whole.namespaces or {}).items()
        }

    async def aclose(self) -> None:
        """Close connections."""
        await self.server.aclose()

    async def _is_there(self, namespace: str) -> bool:
        name = self.spelling.spelled(namespace, "namespace")
        try:
            await self.server.call(lambda index: index.describe_namespace(name=name), namespace)
        except NotFound:
            return False
        return True

    async def _names(self) -> list[str]:
        found: list[str] = []
        token: str | None = None
        while True:
            page: Any = await self.server.call(
                lambda index, at=token: index.list_namespaces_paginated(limit=LIST_PAGE, pagination_token=at)  # type: ignore[misc]
            )
            found += [each.name for each in page.namespaces]
            token = page.pagination.next if page.pagination else None
            if not token:
                return found


class PineconeIndex(CommonIndex):
    """Implements `Index`."""

    most_hits = MOST_HITS

    def __init__(self, backend: PineconeBackend, namespace: str) -> None:
        super().__init__(namespace, backend.gates, backend.listings)
        self._backend = backend
        self._spelling = backend.spelling
        self.name = self._spelling.spelled(namespace, "namespace")
        #: (prefix, last id of a page) to Pinecone's token for the next.
        self._places: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def upsert(self, records: Sequence[Record]) -> None:
        """In batches within Pinecone's limits; when one fails, those before it were written."""
        batch: list[dict[str, Any]] = []
        size = 0
        for record in records:
            row = self._row(record)
            more = len(msgspec.json.encode(row)) + 1
            if batch and (len(batch) == UPSERT_RECORDS or size + more > UPSERT_BYTES):
                await self._send(batch)
                batch, size = [], 0
            batch.append(row)
            size += more
        if batch:
            await self._send(batch)

    async def put(self, records: Sequence[Record]) -> None:
        """As `upsert`."""
        await self.upsert(records)

    async def update(self, update: Update) -> bool:
        """By Pinecone, which does not say whether there was a record: it is fetched before. One that may not show yet
        is taken to be there."""
        found = await self.get([update.id])
        _, at = self._backend.written.get(self.namespace, (0, -1e9))
        if not found and time.monotonic() - at >= self._backend.options.visible_s:
            return False
        _check_numbers(update.set_metadata)
        key = self._spelling.spelled(update.id, "id")
        values = None if update.values is None else update.values.tolist()
        await self._write(
            lambda index: index.update(
                id=key, values=values, set_metadata=update.set_metadata or None, namespace=self.name
            )
        )
        return True

    async def remove(self, selector: Selector) -> None:
        """By ids in batches, else in one request. When all is deleted the namespace goes as well, and is made anew."""
        if isinstance(selector, ByIds):
            for start in range(0, len(selector.ids), DELETE_IDS):
                some = [self._spelling.spelled(key, "id") for key in selector.ids[start : start + DELETE_IDS]]
                await self._write(lambda index, ids=some: index.delete(ids=ids, namespace=self.name))
            return
        if isinstance(selector, ByFilter):
            condition = raw_of(selector.filter)
            await self._write(lambda index: index.delete(filter=condition, namespace=self.name))
            return
        await self._write(lambda index: index.delete(delete_all=True, namespace=self.name))
        await self._backend.create(self.namespace)

    async def fetch(self, ids: Sequence[str]) -> dict[str, Record]:
        """In as many requests as their URLs need."""
        found: dict[str, Record] = {}
        batch: list[str] = []
        for key in ids:
            if len(batch) == FETCH_IDS or sum(map(len, batch)) + len(key) > FETCH_CHARS:
                found |= {record.id: record for record in await self.get(batch)}
                batch = []
            batch.append(key)
        if batch:
            found |= {record.id: record for record in await self.get(batch)}
        return {key: found[key] for key in ids if key in found}

    async def get(self, ids: Sequence[str]) -> list[Record]:
        """One request."""
        keys = [self._spelling.spelled(key, "id") for key in ids]
        answer = await self.call(lambda index: index.fetch(ids=keys, namespace=self.name))
        return [
            Record(self._spelling.read(key), as_vector(one.values), _metadata(one.metadata))
            for key, one in answer.vectors.items()
        ]

    async def nearest(self, query: Query, top_k: int) -> list[Hit]:
        """One request; more, while the index is behind this process's writes and ``fresh_within_s`` lasts."""
        condition = None if query.filter is None else raw_of(query.filter)
        vector = query.vector.tolist()
        until = time.monotonic() + self._backend.options.fresh_within_s
        while True:
            answer = await self.call(
                lambda index: index.query(
                    vector=vector,
                    top_k=top_k,
                    namespace=self.name,
                    filter=condition,
                    include_values=query.include_values,
                    include_metadata=query.include_metadata,
                )
            )
            if self._is_fresh(answer) or time.monotonic() >= until:
                break
            await asyncio.sleep(PAUSE_S)
        return [
            Hit(
                self._spelling.read(hit.id),
                self._score(hit.score),
                as_vector(hit.values) if query.include_values else None,
                _metadata(hit.metadata) if query.include_metadata else None,
            )
            for hit in answer.matches
        ]

    async def list_ids(self, cursor: str | None, limit: int, prefix: str = "") -> IdPage:
        """Pinecone's pages, which are in order. Of a cursor that it gave no token for it lists from the start."""
        token = self._places.pop((prefix, cursor), None) if cursor is not None else None
        asked = cursor is None or token is not None
        start = self._spelling.spelled(prefix, "prefix") or None
        found: list[str] = []
        while True:
            this = token
            size = min(LIST_PAGE, limit - len(found)) if asked else LIST_PAGE
            page = await self.call(
                lambda index, size=size, token=this: index.list_paginated(
                    prefix=start, limit=size, pagination_token=token, namespace=self.name
                )
            )
            token = page.pagination.next if page.pagination else None
            found += [
                key
                for key in map(self._spelling.read, (each.id for each in page.vectors))
                if cursor is None or key > cursor
            ]
            if len(found) > limit:  # of a page that began before the cursor: the next call looks at it again
                return IdPage(found[:limit], self._keep(prefix, found[limit - 1], this))
            if not token:
                return IdPage(found)
            if len(found) == limit:
                return IdPage(found, self._keep(prefix, found[-1], token))

    async def every_id(self, prefix: str) -> list[str]:
        """Page by page."""
        page = await self.list_ids(None, LIST_PAGE, prefix)
        ids = page.ids
        while page.cursor is not None:
            page = await self.list_ids(page.cursor, LIST_PAGE, prefix)
            ids += page.ids
        return ids

    def _keep(self, prefix: str, last: str, token: str | None) -> str:
        """Remember where the page after ``last`` is; returns ``last``."""
        if token is not None:
            self._places[prefix, last] = token
        while len(self._places) > MOST_PLACES:
            self._places.popitem(last=False)
        return last

    async def _send(self, rows: list[dict[str, Any]]) -> None:
        await self._write(lambda index: index.upsert(vectors=rows, namespace=self.name))

    async def _write(self, work: Any) -> None:
        answer = await self.call(work)
        info = getattr(answer, "response_info", None)
        position, _ = self._backend.written.get(self.namespace, (0, 0.0))
        committed = info.lsn_committed if info is not None and info.lsn_committed is not None else 0
        self._backend.written[self.namespace] = (max(position, committed), time.monotonic())

    async def call(self, work: Any) -> Any:
        """Something with the index. Raises NotFound when the namespace is not there."""
        await self._backend.known.check(self.namespace)
        return await self._backend.server.call(work, self.namespace)

    def _is_fresh(self, answer: Any) -> bool:
        """Whether the index has caught up with this process's last write; also when it does not say how far it is."""
        position, _ = self._backend.written.get(self.namespace, (0, 0.0))
        info = answer.response_info
        return info is None or info.lsn_reconciled is None or info.lsn_reconciled >= position

    def _row(self, record: Record) -> dict[str, Any]:
        _check_numbers(record.metadata)
        row: dict[str, Any] = {"id": self._spelling.spelled(record.id, "id"), "values": record.values.tolist()}
        if record.metadata:
            row["metadata"] = record.metadata
        return row

    def _score(self, score: float) -> float:
        if self._backend.metric is Metric.EUCLIDEAN:
            return -score
        return max(-1.0, min(1.0, score)) if self._backend.metric is Metric.COSINE else score


def _check_numbers(metadata: Metadata | None) -> None:
    for field, value in (metadata or {}).items():
        check_number(value, field)


def _metadata(given: Any) -> Metadata | None:
    return dict(given) if given else None
