"""Collections of Milvus that others laid out.

A record's metadata are the schema's fields and the dynamic ones (`layout`). Beside them is kept, as dynamic fields, an
id that the primary key cannot hold, whose record has a hash of it as its key, and which fields hold a default.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

from pymilvus import AsyncMilvusClient, DataType

from tenantry.backends.common.columns import ID, NOTES, UNSET
from tenantry.backends.common.names import HASH_CHARS, hashed
from tenantry.backends.milvus.backend import METRICS, MOST_ROWS, REQUEST_BYTES, MilvusBackend, score_of
from tenantry.backends.milvus.filters import quoted
from tenantry.backends.milvus.layout import NUMBERS, Layout, fitted, held, is_ours
from tenantry.backends.milvus.plain_filters import NONE, expression_of
from tenantry.errors import InvalidArgument, NotFound, Refused, Unsupported
from tenantry.model.filters import Filter, matches
from tenantry.model.records import ByFilter, ByIds, Hit, Metadata, Query, Record, Selector, as_vector
from tenantry.ports import Features

T = TypeVar("T")
#: Collections that are looked at at once.
ABREAST = 16
#: For how long a collection is taken to be as it was, seconds.
KNOWN_S = 60.0
MOST_KNOWN = 10_000
#: Records of one page, with their metadata.
PAGE = 1_000
#: All keys are beyond it but one, which has no literal.
LOWEST = -(2**63) + 1
Row = dict[str, Any]


class AdoptedMilvus:
    """Implements `tenantry.backends.common.collection.Engine`; the connection is that of a `MilvusBackend`."""

    def __init__(self, backend: MilvusBackend) -> None:
        self.backend = backend
        self.where = backend.server.where
        self._known: dict[str, tuple[float, Layout]] = {}

    @property
    def features(self) -> Features:
        """As with collections of our own."""
        return self.backend.features

    async def probe(self) -> object:
        """Reach the server; hold the collection that was named to the shard's dimension and metric. Raises Refused."""
        await self.backend.probe()
        options = self.backend.options
        if options.collection:
            try:
                layout = await self.layout(options.collection)
            except NotFound:
                raise Refused(f"{self.where} has no collection {options.collection!r}") from None
            field = layout.field(options.tenant_field)
            named = ", ".join(each.name for each in layout.fields) or "none"
            if options.tenant_field in layout.apart or (field is None and not layout.dynamic):
                raise Refused(
                    f"{self.where}, collection {options.collection!r}: {options.tenant_field!r} is no field that can "
                    f"tell tenants apart; fields are: {named}"
                )
        return None

    async def names(self) -> list[str]:
        """Those with vectors as the shard has them, and not made by Tenantry."""
        names = await self.backend.server.call(lambda client: client.list_collections())
        turn = asyncio.Semaphore(ABREAST)

        async def fits(name: str) -> bool:
            async with turn:
                try:
                    await self.layout(name)
                except (NotFound, Refused):
                    return False
                return True

        return [name for name, good in zip(names, await asyncio.gather(*map(fits, names)), strict=True) if good]

    def collection(self, name: str) -> MilvusCollection:
        """A handle."""
        return MilvusCollection(self, name)

    async def make(self, name: str) -> None:
        """With a text as id, vectors as the shard has them, and dynamic fields."""
        await self.backend.make(name, self.backend.plain_schema(), self.backend.options.vector or "vector")

    async def drop(self, name: str) -> None:
        """The collection and all in it."""
        self._known.pop(name, None)
        await self.backend.server.call(lambda client: client.drop_collection(name))

    async def aclose(self) -> None:
        """Close connections."""
        await self.backend.aclose()

    async def layout(self, name: str) -> Layout:
        """How a collection is laid out. Raises NotFound (kind ``namespace``); Refused: it does not fit."""
        until, known = self._known.get(name, (0.0, None))
        if known is not None and time.monotonic() < until:
            return known
        call = self.backend.server.call
        if not await call(lambda client: client.has_collection(name)):
            raise NotFound("namespace", name)
        described = await call(lambda client: client.describe_collection(name), name)
        if is_ours(described):
            raise Refused(f"{self.where}: Tenantry made collection {name!r} for a shard of its own")
        layout = fitted(described, self.backend.options.vector, self.backend.dimension)
        await self._check_metric(layout)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[name] = time.monotonic() + KNOWN_S, layout
        return layout

    async def _check_metric(self, layout: Layout) -> None:
        """The index of the vectors tells. Raises Refused."""
        call = self.backend.server.call
        where = f"{self.where}, collection {layout.name!r}: {layout.vector.name!r}"
        for index in await call(lambda client: client.list_indexes(layout.name)):
            found = await call(lambda client, one=index: client.describe_index(layout.name, one))  # type: ignore[misc]
            if found and found["field_name"] == layout.vector.name:
                if found["metric_type"] == METRICS[self.backend.metric]:
                    return
                raise Refused(f"{where} is indexed by {found['metric_type']}, and the index is {self.backend.metric}")
        raise Refused(f"{where} has no index, so that its metric is not known")


class MilvusCollection:
    """Implements `tenantry.backends.common.collection.Collection`. What Milvus finds for a filter is looked at once
    more (`tenantry.backends.milvus.plain_filters`)."""

    most_hits = MOST_ROWS

    def __init__(self, engine: AdoptedMilvus, name: str) -> None:
        self._engine = engine
        self._backend = engine.backend
        self._name = name
        self._shared = {"consistency_level": engine.backend.consistency}
        self.at_once = max(2, min(1_000, REQUEST_BYTES // (4 * engine.backend.dimension)))

    def takes(self, id: str) -> bool:
        """Any may be there: of one that the primary key cannot hold a dynamic field tells."""
        return True

    async def kind_of(self, field: str) -> type[str] | type[int] | None:
        """As the schema has it; of dynamic fields either."""
        found = (await self._layout()).field(field)
        return None if found is None else int if found.kind in NUMBERS else str

    async def put(self, records: Sequence[Record]) -> None:
        """A read and a write: Milvus Lite merges what it is given with the dynamic fields that are there."""
        layout = await self._layout()
        if layout.closed:
            raise Refused(f"{self._engine.where}: nothing can be written to collection {self._name!r}: {layout.closed}")
        rows = [_row_of(layout, record) for record in records]
        before = {row[layout.id.name]: row for row in await self._at([row[layout.id.name] for row in rows])}
        for record, row in zip(records, rows, strict=True):
            old = before.get(row[layout.id.name], {})
            if old and _shown(layout, old) != record.id:
                raise Refused(f"{self._engine.where}: the key of id {record.id!r} is another one's; choose another id")
            schema = {field.name for field in layout.fields}
            row.update(
                {key: None for key, value in old.items() if key not in row and key not in schema and value is not None}
            )
        await self._on(lambda client: client.upsert(self._name, rows))

    async def remove(self, selector: Selector) -> None:
        """By ids in batches; by a filter those that are found."""
        layout = await self._layout()
        if isinstance(selector, ByFilter):
            selector = ByIds(tuple(await self.ids_where(selector.filter)))
        if not isinstance(selector, ByIds):
            await self._on(lambda client: client.delete(self._name, filter=_beyond(layout, None)))
            return
        for start in range(0, len(selector.ids), self.at_once):
            some = selector.ids[start : start + self.at_once]
            keys = [row[layout.id.name] for row in await self._of(some, [])]
            if keys:
                await self._on(lambda client, own=keys: client.delete(self._name, filter=_among(layout, own)))  # type: ignore[misc]

    async def get(self, ids: Sequence[str]) -> list[Record]:
        """One request."""
        layout = await self._layout()
        rows = await self._of(ids, [layout.vector.name])
        return [Record(_shown(layout, row), as_vector(row[layout.vector.name]), _metadata(layout, row)) for row in rows]

    async def metadata_of(self, ids: Sequence[str]) -> dict[str, Metadata | None]:
        """One request."""
        layout = await self._layout()
        return {_shown(layout, row): _metadata(layout, row) for row in await self._of(ids, [])}

    async def nearest(self, query: Query, top_k: int) -> list[Hit]:
        """One request, or more where the expression is true of others too. Raises Unsupported: what matches is not
        found among the 16,384 nearest of them."""
        layout = await self._layout()
        condition = query.filter
        expression = "" if condition is None else expression_of(layout, condition)
        if expression is NONE:
            return []
        asked = top_k
        while True:
            found = await self._search(layout, query, expression, asked)
            rows = [(hit, _metadata(layout, hit["entity"])) for hit in found]
            kept = [(hit, metadata) for hit, metadata in rows if condition is None or matches(condition, metadata)]
            if condition is None or len(kept) >= top_k or len(found) < asked:
                break
            if asked == MOST_ROWS:
                raise Unsupported(
                    f"filter: too few of the {MOST_ROWS:,} nearest records match it, and Milvus has no means to look "
                    "beyond; ask for fewer, or for a field's value by $eq or $in"
                )
            asked = min(4 * asked, MOST_ROWS)
        return [self._hit(layout, query, hit, metadata) for hit, metadata in kept[:top_k]]

    async def ids_where(self, condition: Filter | None) -> list[str]:
        """Page by page."""
        layout = await self._layout()
        expression = "" if condition is None else expression_of(layout, condition)
        if expression is NONE:
            return []
        fields = _fields(layout) if condition is not None else _notes(layout)
        return [
            _shown(layout, row)
            async for page in self._pages(layout, expression, fields)
            for row in page
            if condition is None or matches(condition, _metadata(layout, row))
        ]

    async def values_of(self, field: str) -> AsyncIterator[list[tuple[str, Any]]]:
        """Page by page."""
        layout = await self._layout()
        async for page in self._pages(layout, "", _fields(layout)):
            found = ((_shown(layout, row), _metadata(layout, row) or {}) for row in page)
            yield [(id, metadata[field]) for id, metadata in found if field in metadata]

    async def count(self) -> int:
        """By the server."""
        await self._layout()
        rows = await self._on(lambda client: client.query(self._name, output_fields=["count(*)"], **self._shared))
        return int(rows[0]["count(*)"])

    async def _search(self, layout: Layout, query: Query, expression: str, asked: int) -> list[Any]:
        wanted = query.include_metadata or query.filter is not None
        fields = [layout.id.name, *(_fields(layout) if wanted else _notes(layout))]
        found = await self._on(
            lambda client: client.search(
                self._name,
                data=[query.vector],
                anns_field=layout.vector.name,
                limit=asked,
                filter=expression,
                output_fields=[*fields, *[layout.vector.name] * query.include_values],
                search_params={"params": {"ef": max(self._backend.options.ef_search, asked)}},
                **self._shared,
            )
        )
        return list(found[0])

    def _hit(self, layout: Layout, query: Query, hit: Any, metadata: Metadata | None) -> Hit:
        row = hit["entity"]
        return Hit(
            _shown(layout, row),
            score_of(self._backend.metric, hit["distance"]),
            as_vector(row[layout.vector.name]) if query.include_values else None,
            metadata if query.include_metadata else None,
        )

    async def _of(self, ids: Sequence[str], more: list[str]) -> list[Row]:
        """The records of these ids, with their metadata."""
        layout = await self._layout()
        keys = list(dict.fromkeys(key for id in ids if (key := key_of(layout, id)) is not None))
        wanted = set(ids)
        return [row for row in await self._at(keys, more) if _shown(layout, row) in wanted]

    async def _at(self, keys: list[Any], more: Sequence[str] = ()) -> list[Row]:
        layout = await self._layout()
        if not keys:
            return []
        fields = [layout.id.name, *_fields(layout), *more]
        rows = await self._on(
            lambda client: client.query(
                self._name, filter=_among(layout, keys), output_fields=fields, limit=len(keys), **self._shared
            )
        )
        return list(rows)

    async def _pages(self, layout: Layout, expression: str, fields: list[str]) -> AsyncIterator[list[Row]]:
        """By the primary key: of a query with these marks Milvus gives those of the lowest keys."""
        last: Any = None
        while True:
            condition = _beyond(layout, last) + (f" and ({expression})" if expression else "")
            rows = await self._on(
                lambda client, own=condition: client.query(  # type: ignore[misc]
                    self._name,
                    filter=own,
                    output_fields=[layout.id.name, *fields],
                    limit=PAGE,
                    iterator="True",
                    reduce_stop_for_best="True",
                    **self._shared,
                )
            )
            yield list(rows)
            if len(rows) < PAGE:
                return
            last = max(row[layout.id.name] for row in rows)

    async def _layout(self) -> Layout:
        return await self._engine.layout(self._name)

    async def _on(self, work: Callable[[AsyncMilvusClient], Awaitable[T]]) -> T:
        return await self._backend.server.on(self._name, work, self._name)


def key_of(layout: Layout, id: str) -> Any:
    """The primary key for an id; None: nothing can stand for it."""
    if _is_direct(layout, id):
        return id if layout.id.kind == DataType.VARCHAR else int(id)
    if not layout.dynamic:
        return None
    if layout.id.kind == DataType.VARCHAR:
        return hashed(id) if layout.id.longest >= HASH_CHARS else None
    return LOWEST + (int.from_bytes(hashlib.sha256(id.encode()).digest()[:8]) >> 2)  # below zero, where none is given


def _is_direct(layout: Layout, id: str) -> bool:
    if layout.id.kind == DataType.VARCHAR:
        return held(layout.id, id) is not None
    digits = id.removeprefix("-")
    return id.isascii() and digits.isdigit() and len(digits) < 20 and id == str(int(id)) and LOWEST <= int(id) < 2**63


def _row_of(layout: Layout, record: Record) -> Row:
    """A record as it is written. Raises InvalidArgument: the collection cannot hold it."""
    parts = layout.columns.parts(record.metadata, layout.fields)
    for name in parts.rest:
        if name in layout.apart:
            raise InvalidArgument(
                f"metadata.{name}",
                parts.rest[name],
                f"another name: collection {layout.name} has a field of its own so called",
            )
    key = key_of(layout, record.id)
    if key is None:
        raise InvalidArgument("id", record.id, f"ids that {layout.id.name!r} of collection {layout.name} holds")
    row = {**parts.rest, **parts.held, layout.id.name: key, layout.vector.name: record.values}
    if not _is_direct(layout, record.id):
        row[ID] = record.id
    if parts.unset:
        row[UNSET] = parts.unset
    return row


def _shown(layout: Layout, row: Row) -> str:
    return str(row.get(ID) or row[layout.id.name])


def _metadata(layout: Layout, row: Row) -> Metadata | None:
    apart = {*layout.apart, *NOTES, *(row.get(UNSET) or ())}
    return {key: value for key, value in row.items() if key not in apart and value is not None} or None


def _fields(layout: Layout) -> list[str]:
    return [*(field.name for field in layout.fields), *_notes(layout)]


def _notes(layout: Layout) -> list[str]:
    """What an id is known by beside the key; by its own name no server gives it."""
    return ["$meta"] if layout.dynamic else []


def _among(layout: Layout, keys: Sequence[Any]) -> str:
    return f"{layout.id.name} in [{', '.join(quoted(key) if isinstance(key, str) else str(key) for key in keys)}]"


def _beyond(layout: Layout, last: Any) -> str:
    text = layout.id.kind == DataType.VARCHAR
    if last is None:
        return f"{layout.id.name} >= {quoted('') if text else LOWEST}"
    return f"{layout.id.name} > {quoted(last) if text else last}"
