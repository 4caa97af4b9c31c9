"""One shard's folder: its manifest and its namespaces."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right, insort
from pathlib import Path
from typing import TYPE_CHECKING

from tenantry.backends.common.counting import total
from tenantry.backends.embedded.manifest import Entry, Manifest, State
from tenantry.backends.embedded.namespace import Namespace
from tenantry.backends.embedded.writes import check_text
from tenantry.errors import NotFound
from tenantry.model.records import Metric, NamespaceStats

if TYPE_CHECKING:
    from tenantry.backends.embedded.engine import Engine


class Shard:
    """Opened by the first use of its data; the event loop's thread only."""

    def __init__(self, engine: Engine, folder: Path, dimension: int, metric: Metric) -> None:
        self.engine = engine
        self.folder = folder
        self.dimension = dimension
        self.metric = metric
        self.manifest = Manifest(engine.pool, folder)
        self.users = 0
        self.by_name: dict[str, Namespace] = {}
        self._names: list[str] = []
        self._opening: asyncio.Task[None] | None = None
        self._is_open = False
        self._creating = asyncio.Lock()
        self._gate = asyncio.Lock()

    async def open(self) -> None:
        """Take the engine's lock and read the manifest, unless done before.

        Raises:
            Locked: another process owns the data folder.
            InvalidArgument: the shard was made for another dimension or metric.
            Corrupt, StorageFailed.
        """
        if self._is_open:
            return
        self.engine.start()
        if self._opening is None or self._opening.done():
            self._opening = self.engine.spawn(self._open())
        await asyncio.shield(self._opening)

    async def namespace(self, name: str) -> Namespace:
        """The namespace of that name. Raises NotFound."""
        if not self._is_open:
            await self.open()
        found = self.by_name.get(name)
        if found is None or found.dropped:
            raise NotFound("namespace", name)
        return found

    async def create(self, name: str) -> None:
        """Make the namespace, durably; one that is there is success."""
        check_text("namespace", name)
        await self.open()
        found = self.by_name.get(name)
        if found is None or found.dropped:
            await asyncio.shield(self.engine.spawn(self._create(name)))

    async def drop(self, name: str) -> None:
        """Remove the namespace and its files; one that is not there is success."""
        await self.open()
        found = self.by_name.get(name)
        if found is not None:
            await asyncio.shield(self.engine.spawn(self._drop(found)))

    async def namespaces(self, after: str | None, limit: int) -> list[str]:
        """Names in ascending order, after ``after``."""
        await self.open()
        start = 0 if after is None else bisect_right(self._names, after)
        return self._names[start : start + limit]

    async def stats(self, name: str | None) -> NamespaceStats:
        """Exact count, and bytes on disk, of one namespace or of all."""
        if name is not None:
            namespace = await self.namespace(name)
            return NamespaceStats(await namespace.count(), namespace.bytes)
        return total(await self.sizes())

    async def sizes(self) -> dict[str, NamespaceStats]:
        """As `stats`, of each namespace."""
        await self.open()
        sizes = {}
        for name, namespace in list(self.by_name.items()):
            if namespace.dropped:
                continue
            try:
                sizes[name] = NamespaceStats(await namespace.count(), namespace.bytes)
            except NotFound:
                continue  # dropped meanwhile
        return sizes

    async def close(self) -> None:
        """Finish the writes, store the counts, close the files. Opens again on the next use."""
        async with self._gate:
            if not self._is_open:
                return
            for namespace in list(self.by_name.values()):
                await namespace.close()
            await self.engine.in_io(self._store_counts)
            self._is_open = False
            self.by_name, self._names = {}, []

    async def _open(self) -> None:
        async with self._gate:
            if self._is_open:
                return
            entries = await self.engine.in_io(self.manifest.open, self.dimension, self.metric)
            for entry in entries:
                namespace = Namespace(self, entry)
                if entry.state is State.DROPPING:
                    await self.engine.in_io(self._finish_drop, namespace)
                else:
                    self.by_name[entry.name] = namespace
            self._names = sorted(self.by_name)
            self._is_open = True

    async def _create(self, name: str) -> None:
        async with self._creating:
            found = self.by_name.get(name)
            if found is not None and found.dropped:
                await found.settled()
            if name in self.by_name:
                return
            number = await self.engine.in_io(self.manifest.add, name)
            self.by_name[name] = Namespace(self, Entry(number, name, State.EMPTY, False, 0, 0))
            insort(self._names, name)

    async def _drop(self, namespace: Namespace) -> None:
        try:
            await namespace.alone(lambda: self._drop_files(namespace), lambda _: self._forget(namespace))
        except NotFound:
            await namespace.settled()  # dropped by another call

    def _drop_files(self, namespace: Namespace) -> None:
        self.manifest.mark_dropping(namespace.number)
        namespace.dropped = True
        self._finish_drop(namespace)

    def _finish_drop(self, namespace: Namespace) -> None:
        namespace.store.delete_files()
        namespace.indexer.path.unlink(missing_ok=True)
        self.manifest.remove(namespace.number)

    def _forget(self, namespace: Namespace) -> None:
        namespace.forget_memory()
        if self.by_name.get(namespace.name) is namespace:
            del self.by_name[namespace.name]
            del self._names[bisect_left(self._names, namespace.name)]

    def _store_counts(self) -> None:
        counts = []
        for namespace in self.by_name.values():
            namespace.store.close()
            vectors = namespace.unstored_count()
            if vectors is not None:
                counts.append((namespace.number, vectors, namespace.store.size_bytes()))
        if counts:
            self.manifest.store_counts(counts)
        self.manifest.close()
