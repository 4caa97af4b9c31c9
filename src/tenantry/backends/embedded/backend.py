"""The embedded engine as a `VectorBackend`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec
import numpy as np

from tenantry.backends.embedded.engine import Engine
from tenantry.backends.embedded.many import Best, finish, look
from tenantry.backends.embedded.namespace import Namespace
from tenantry.backends.embedded.resident import Snapshot
from tenantry.backends.embedded.search import metadata_of, search
from tenantry.backends.embedded.snapshots import HeldNamespace, held, version_of
from tenantry.backends.embedded.writes import (
    Clear,
    DeleteIds,
    DeleteMatching,
    Load,
    Patch,
    Pull,
    Upsert,
    Write,
    is_text,
)
from tenantry.errors import InvalidArgument, NotFound, TenantryError
from tenantry.model.blocks import Block
from tenantry.model.records import (
    ByFilter,
    ByIds,
    CopiedPage,
    Found,
    FoundIn,
    Hit,
    IdPage,
    Metric,
    NamespaceStats,
    Page,
    Query,
    Record,
    Selector,
    Update,
    as_vector,
)
from tenantry.ports import Features, Index

T = TypeVar("T")

INLINE_NUMBERS = 2_500_000
"""Vector components that a search may touch on the event loop's thread: about 0.3 ms. Handing it to a worker costs
50 to 100 microseconds, and blocking the loop for longer would cost others more."""
TOGETHER_NUMBERS = 20_000_000
"""Vector components that a search over many namespaces reads in one visit to a worker: about 8 ms, so that searches of
single tenants need not wait long."""
INLINE_METADATA = 500
"""Metadata that a filter may decode on the event loop's thread, at about half a microsecond each."""

FEATURES = Features(
    filters=True,
    atomic_update=True,
    read_your_writes=True,
    exact_counts=True,
    native_copy="embedded",
    warms=True,
    snapshots=True,
    loads=True,
    many_namespace_query=True,
    in_process=True,
    reads_at_once=4,  # they share the cores and the event loop
)


class EmbeddedBackend:
    """One shard in the engine's data folder.

    Args:
        engine: shared by all embedded shards of the process.
        shard: the shard's name; its folder is named after it.
        dimension: of every vector; recorded on first use and checked ever after.
        metric: recorded and checked likewise.
    """

    def __init__(self, engine: Engine, shard: str, dimension: int, metric: Metric) -> None:
        self.dimension = dimension
        self.metric = metric
        self._engine = engine
        self._shard = engine.shard(shard, dimension, metric)
        self._closed = False

    @property
    def features(self) -> Features:
        """Filters, atomic updates, read-your-writes, exact counts, native copies, warming, searches of many."""
        return FEATURES

    async def probe(self) -> Features:
        """The engine is part of the process: there is nothing to reach."""
        return FEATURES

    async def create(self, namespace: str) -> None:
        """Make the namespace, durably; one that exists already is success."""
        await self._shard.create(namespace)

    async def drop(self, namespace: str) -> None:
        """Remove the namespace and its files; one that does not exist is success."""
        await self._shard.drop(namespace)

    def index(self, namespace: str) -> EmbeddedIndex:
        """A handle; costs nothing and touches nothing."""
        return EmbeddedIndex(self, namespace)

    async def namespaces(self, after: str | None, limit: int) -> list[str]:
        """Names in ascending order (by code point), after ``after``."""
        return await self._shard.namespaces(after, limit)

    async def stats(self, namespace: str | None = None) -> NamespaceStats:
        """Exact vectors, and bytes on disk, of one namespace or of the whole shard."""
        return await self._shard.stats(namespace)

    async def sizes(self) -> dict[str, NamespaceStats]:
        """From memory; a namespace is counted in its file after a crash only."""
        return await self._shard.sizes()

    async def query_many(self, namespaces: Sequence[str], query: Query, per_namespace: int | None = None) -> Found:
        """The nearest of all of them, each as it is at one moment; see `tenantry.backends.embedded.many`."""
        query = checked_query(query, self.dimension)
        best, missing = Best(query.top_k), []
        waiting: list[tuple[int, Snapshot]] = []
        numbers, inline = 0, True
        for place, name in enumerate(namespaces):
            try:
                namespace = await self._shard.namespace(name)
                resident = namespace.resident or await namespace.load()
            except NotFound:
                missing.append(name)
                continue
            if namespace.resident is not None:
                self._engine.note_used(namespace)
            snapshot = resident.snapshot()
            waiting.append((place, snapshot))
            numbers += snapshot.n * self.dimension
            if query.filter is not None and snapshot.columns.unread_rows(query.filter, snapshot.n):
                inline = False
            if numbers > TOGETHER_NUMBERS:
                await self._engine.in_compute(look, best, waiting, query, per_namespace)
                waiting, numbers, inline = [], 0, False
        if inline and numbers <= INLINE_NUMBERS:
            await self._engine.take_turn(numbers)
            hits = finish(best, waiting, query, per_namespace)
        else:
            hits = await self._engine.in_compute(finish, best, waiting, query, per_namespace)
        return Found([FoundIn(namespaces[place], hit) for place, hit in hits], tuple(missing))

    async def settled(self) -> None:
        """Wait until the engine has no background work left."""
        await self._engine.settled()

    async def aclose(self) -> None:
        """Finish what runs and close the shard's files; safe to call twice. The engine stays open."""
        if not self._closed:
            self._closed = True
            await self._engine.leave(self._shard)


class EmbeddedIndex:
    """One namespace of an embedded shard."""

    def __init__(self, backend: EmbeddedBackend, namespace: str) -> None:
        self._dimension = backend.dimension
        self._engine = backend._engine
        self._shard = backend._shard
        self._name = namespace

    async def upsert(self, records: Sequence[Record]) -> None:
        """Write the records, durably and all or nothing, replacing those of the same id."""
        await self._write(Upsert(records))

    async def load(self, block: Block) -> None:
        """Write records in columns, durably and all or nothing."""
        await self._write(Load(block))

    async def update(self, update: Update) -> bool:
        """Apply a partial change in one transaction; False when no record has that id."""
        patch = Patch(update)
        await self._write(patch)
        return patch.found

    async def delete(self, selector: Selector) -> None:
        """Delete what the selector names; nothing to delete is success."""
        if isinstance(selector, ByIds):
            await self._write(DeleteIds(selector.ids))
        elif isinstance(selector, ByFilter):
            await self._write(DeleteMatching(selector.filter))
        else:
            await self._write(Clear())

    async def fetch(self, ids: Sequence[str]) -> dict[str, Record]:
        """The records with these ids; absent ids are left out. From memory if the namespace is there."""
        namespace = await self._namespace()
        resident = namespace.resident
        if resident is None:
            return await self._fetch_stored(namespace, ids)
        self._engine.note_used(namespace)
        await self._engine.take_turn(len(ids) * self._dimension)
        found: dict[str, Record] = {}
        for id in ids:
            row = resident.row_of.get(id)
            if row is not None:
                found[id] = Record(id, resident.matrix[row].copy(), metadata_of(resident.metadata[row]))
        return found

    async def query(self, query: Query) -> list[Hit]:
        """At most ``top_k`` nearest records, best first, ties by id. Short searches run at once, longer ones in a
        worker; either way on the state at one moment."""
        namespace = self._shard.by_name.get(self._name)
        if namespace is None or namespace.dropped:
            namespace = await self._namespace()
        resident = namespace.resident
        if resident is None:
            resident = await namespace.load()
        else:
            self._engine.note_used(namespace)
        query = checked_query(query, self._dimension)
        snapshot = resident.snapshot()
        numbers = snapshot.n * self._dimension
        unread = 0 if query.filter is None else snapshot.columns.unread_rows(query.filter, snapshot.n)
        if numbers <= INLINE_NUMBERS and unread <= INLINE_METADATA:
            await self._engine.take_turn(numbers)
            hits = search(snapshot, query)
        else:
            hits = await self._engine.in_compute(search, snapshot, query)
        if unread:
            self._engine.note_resident(namespace)  # its columns have grown
        return hits

    async def scan(self, cursor: str | None, limit: int, prefix: str = "") -> Page:
        """Records with ids after ``cursor``, ascending by code point; each page is the state at one moment."""
        namespace = await self._namespace()
        if not namespace.written or not is_text(prefix):
            return Page([])
        store = namespace.store

        def read() -> Page:
            records = store.page(_cut(cursor), limit + 1, prefix)
            return Page(records[:limit], records[limit - 1].id if len(records) > limit else None)

        return await self._reading(namespace, read, bulk=True)

    async def list_ids(self, cursor: str | None, limit: int, prefix: str = "") -> IdPage:
        """As `scan`, ids only."""
        namespace = await self._namespace()
        if not namespace.written or not is_text(prefix):
            return IdPage([])
        store = namespace.store

        def read() -> IdPage:
            ids = store.id_page(_cut(cursor), limit + 1, prefix)
            return IdPage(ids[:limit], ids[limit - 1] if len(ids) > limit else None)

        return await self._reading(namespace, read)

    async def copy_page(self, source: Index, cursor: str | None, limit: int, spared: Collection[str]) -> CopiedPage:
        """Take over a page of another namespace of the engine; SQLite copies from file to file."""
        if not isinstance(source, EmbeddedIndex) or source._dimension != self._dimension:
            raise InvalidArgument("source", source, f"an embedded namespace of dimension {self._dimension}")
        origin = await source._namespace()
        if not origin.written:
            return CopiedPage()
        pull = Pull(origin.store.path, _cut(cursor), limit, spared)
        try:
            await self._write(pull)
        except TenantryError:
            if origin.dropped:
                raise NotFound("namespace", origin.name) from None
            raise
        return pull.page

    async def warm(self, like: Index | None = None) -> None:
        """Bring the rows into memory; that starts the build of an index, if they are to have one, unless that of the
        other namespace will do."""
        namespace = await self._namespace()
        if isinstance(like, EmbeddedIndex):
            namespace.indexer.expect(await like._namespace())
        if namespace.written:
            await namespace.load()

    async def is_warm(self) -> bool:
        """Whether the index is built, or is not to be, or the rows had to make room for others."""
        namespace = await self._namespace()
        return namespace.resident is None or namespace.indexer.is_settled(namespace.resident)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[HeldNamespace]:
        """Hold the namespace as it is now, in a read transaction."""
        async with held(self._engine, await self._namespace(), self._dimension) as found:
            yield found

    async def version(self) -> str | None:
        """See `tenantry.backends.embedded.store.Store.version`."""
        return await version_of(self._engine, await self._namespace())

    async def _namespace(self) -> Namespace:
        return await self._shard.namespace(self._name)

    async def _write(self, write: Write) -> None:
        await (await self._namespace()).write(write)

    async def _fetch_stored(self, namespace: Namespace, ids: Sequence[str]) -> dict[str, Record]:
        if not namespace.written:
            return {}
        store = namespace.store
        wanted = [id for id in ids if is_text(id)]
        rows = await self._reading(namespace, lambda: [store.record(row) for row in store.fetch(wanted)])
        found = {record.id: record for record in rows}
        return {id: found[id] for id in ids if id in found}

    async def _reading(self, namespace: Namespace, read: Callable[[], T], bulk: bool = False) -> T:
        """Run ``read`` in a worker, if it is a ``bulk`` one where it gives way to others; whatever a drop beside it
        does to the file means that the namespace is gone."""
        try:
            return await (self._engine.in_background(read) if bulk else self._engine.in_io(read))
        except TenantryError:
            if namespace.dropped:
                raise NotFound("namespace", self._name) from None
            raise
        finally:
            if namespace.dropped:
                # SQLite may have made a log anew beside the file that was just removed.
                await self._engine.in_io(namespace.store.delete_files)


def checked_query(query: Query, dimension: int) -> Query:
    """The query with its vector as float32. Raises InvalidArgument."""
    vector = query.vector
    if vector.dtype == np.float32 and vector.shape == (dimension,):
        return query
    vector = as_vector(vector)
    if vector.shape != (dimension,):
        raise InvalidArgument("vector", f"shape {vector.shape}", f"exactly {dimension} numbers")
    return msgspec.structs.replace(query, vector=vector)


def _cut(cursor: str | None) -> str | None:
    """A cursor as SQLite can take it: one with a lone surrogate is no id, its place is before the character that
    follows all surrogates."""
    if cursor is None or is_text(cursor):
        return cursor
    good = next(i for i, char in enumerate(cursor) if "\ud800" <= char <= "\udfff")
    return cursor[:good] + "\ud7ff"
