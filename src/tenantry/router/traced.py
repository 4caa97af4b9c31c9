"""Spans around the calls of the data plane and of backends. Only where somebody traces: nothing of this is in the way
otherwise."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, cast

from tenantry.model.records import Hit, IdPage, NamespaceStats, Page, Query, Record, Selector, Update
from tenantry.model.topology import LogicalIndex, Shard
from tenantry.model.tracing import SpanKind, Value
from tenantry.ports import Features, Index, Tracer, VectorBackend
from tenantry.router.shards import OpenBackend

#: Operations of the router, whose first two parameters are an index and a tenant.
ROUTED = ("upsert", "update", "delete", "fetch", "query", "query_like", "query_at", "list_ids", "scan", "stats")
#: What the conventions call the systems behind the backends; others go by their own name.
SYSTEMS = {"pgvector": "postgresql", "embedded": "tenantry.embedded"}


def trace_calls(face: object, names: Iterable[str], tracer: Tracer) -> None:
    """From now on these methods of an object make a span, called ``tenantry`` and the method's name. Their first
    parameter is an index, the second one a tenant if it is text."""
    for name in names:
        setattr(face, name, _traced(name, getattr(face, name), tracer))


def _traced(name: str, call: Callable[..., Awaitable[Any]], tracer: Tracer) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(call)
    async def traced(*args: Any, **kwargs: Any) -> Any:
        named = zip(("tenantry.index", "tenantry.tenant"), args, strict=False)
        about: dict[str, Value] = {key: value for key, value in named if isinstance(value, str)}
        with tracer.span(f"tenantry {name}", about):
            return await call(*args, **kwargs)

    return traced


def traced_backends(open_backend: OpenBackend, tracer: Tracer) -> OpenBackend:
    """Backends whose calls make spans, by the conventions for databases."""

    def opened(index: LogicalIndex, shard: Shard) -> VectorBackend:
        about: dict[str, Value] = {
            "db.system.name": SYSTEMS.get(shard.backend, shard.backend),
            "db.namespace": index.name,
            "db.collection.name": shard.name,
        }
        return cast(VectorBackend, TracedBackend(open_backend(index, shard), tracer, about))

    return opened


class _Traced:
    """What a backend can do besides is there too, without spans."""

    def __init__(self, inner: Any, tracer: Tracer, about: dict[str, Value]) -> None:
        self.inner = inner
        self._tracer = tracer
        self._about = about

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def _call(self, operation: str, size: int | None, call: Awaitable[Any]) -> Any:
        about = {**self._about, "db.operation.name": operation}
        if size is not None and size != 1:
            about["db.operation.batch.size"] = size
        name = f"{operation} {self._about['db.collection.name']}"
        with self._tracer.span(name, about, kind=SpanKind.CLIENT):
            return await call


class TracedBackend(_Traced):
    """Implements `VectorBackend`, and `ManyNamespaces` where the one inside does."""

    @property
    def features(self) -> Features:
        """Of the one inside."""
        return cast(Features, self.inner.features)

    def index(self, namespace: str) -> TracedIndex:
        """A handle that makes spans."""
        return TracedIndex(self.inner.index(namespace), self._tracer, {**self._about, "tenantry.namespace": namespace})

    async def create(self, namespace: str) -> None:
        """See `VectorBackend.create`."""
        await self._call("create", None, self.inner.create(namespace))

    async def drop(self, namespace: str) -> None:
        """See `VectorBackend.drop`."""
        await self._call("drop", None, self.inner.drop(namespace))

    async def namespaces(self, after: str | None, limit: int) -> list[str]:
        """See `VectorBackend.namespaces`."""
        found: list[str] = await self._call("namespaces", None, self.inner.namespaces(after, limit))
        return found

    async def stats(self, namespace: str | None = None) -> NamespaceStats:
        """See `VectorBackend.stats`."""
        found: NamespaceStats = await self._call("stats", None, self.inner.stats(namespace))
        return found

    async def sizes(self) -> dict[str, NamespaceStats]:
        """See `VectorBackend.sizes`."""
        found: dict[str, NamespaceStats] = await self._call("sizes", None, self.inner.sizes())
        return found

    async def query_many(self, namespaces: Sequence[str], *args: Any) -> Any:
        """See `ManyNamespaces.query_many`."""
        return await self._call("query_many", len(namespaces), self.inner.query_many(namespaces, *args))


class TracedIndex(_Traced):
    """Implements `Index`, and `NativeCopy` and `Warming` where the one inside does."""

    async def upsert(self, records: Sequence[Record]) -> None:
        """See `Index.upsert`."""
        await self._call("upsert", len(records), self.inner.upsert(records))

    async def update(self, update: Update) -> bool:
        """See `Index.update`."""
        done: bool = await self._call("update", None, self.inner.update(update))
        return done

    async def delete(self, selector: Selector) -> None:
        """See `Index.delete`."""
        await self._call("delete", None, self.inner.delete(selector))

    async def fetch(self, ids: Sequence[str]) -> dict[str, Record]:
        """See `Index.fetch`."""
        found: dict[str, Record] = await self._call("fetch", len(ids), self.inner.fetch(ids))
        return found

    async def query(self, query: Query) -> list[Hit]:
        """See `Index.query`."""
        found: list[Hit] = await self._call("query", None, self.inner.query(query))
        return found

    async def scan(self, cursor: str | None, limit: int, prefix: str = "") -> Page:
        """See `Index.scan`."""
        found: Page = await self._call("scan", None, self.inner.scan(cursor, limit, prefix))
        return found

    async def list_ids(self, cursor: str | None, limit: int, prefix: str = "") -> IdPage:
        """See `Index.list_ids`."""
        found: IdPage = await self._call("list_ids", None, self.inner.list_ids(cursor, limit, prefix))
        return found

    async def copy_page(self, source: Index, *args: Any) -> Any:
        """See `NativeCopy.copy_page`; the engine gets its own handle of the source."""
        return await self._call("copy_page", None, self.inner.copy_page(_inside(source), *args))

    async def warm(self, like: Index | None = None) -> None:
        """See `Warming.warm`."""
        await self._call("warm", None, self.inner.warm(_inside(like)))


def _inside(handle: Index | None) -> Any:
    return handle.inner if isinstance(handle, TracedIndex) else handle
