"""The connection to one Pinecone index."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pinecone import AsyncIndex, AsyncPinecone
from pinecone.errors import NotFoundError

from tenantry.backends.pinecone.errors import translated
from tenantry.backends.pinecone.options import PineconeOptions
from tenantry.errors import Refused, Unavailable
from tenantry.model.records import Metric

T = TypeVar("T")
#: How long Pinecone may take to make an index, seconds.
CREATE_S = 300


class Server:
    """Connects on first use."""

    def __init__(self, index: str, options: PineconeOptions) -> None:
        self._name = index
        self._options = options
        self._api_key = options.api_key()
        self.where = f"Pinecone index {options.host or index}"
        self._pinecone: AsyncPinecone | None = None
        self._index: AsyncIndex | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    async def call(self, work: Callable[[AsyncIndex], Awaitable[T]], namespace: str = "") -> T:
        """Something with the index, within the time limit; what goes wrong comes out as an error of Tenantry."""
        with translated(self.where, namespace):
            async with asyncio.timeout(self._options.call_s):
                return await work(self._index or await self._connected())

    async def provide(self, dimension: int, metric: Metric) -> None:
        """Make the index if there is none and the options say where; hold it to what the shard needs. Raises
        Refused."""
        if self._options.host:
            stats: Any = await self.call(lambda index: index.describe_index_stats())
            self._hold(dimension, metric, stats.dimension, stats.metric)
            return
        with translated(self.where):
            async with asyncio.timeout(CREATE_S):
                found: Any = await self._described(dimension, metric)
        self._hold(dimension, metric, found.dimension, found.metric)

    async def aclose(self) -> None:
        """Close connections; safe to call twice."""
        self._closed = True
        async with self._opening:
            if self._index is not None:
                await self._index.close()
                self._index = None
            if self._pinecone is not None:
                await self._pinecone.close()
                self._pinecone = None

    async def _described(self, dimension: int, metric: Metric) -> Any:
        indexes = self._client().indexes
        try:
            return await indexes.describe(self._name)
        except NotFoundError:
            if not self._options.cloud:
                raise
        spec = {"serverless": {"cloud": self._options.cloud, "region": self._options.region}}
        await indexes.create(name=self._name, dimension=dimension, metric=metric.value, spec=spec, timeout=CREATE_S)
        return await indexes.describe(self._name)

    def _hold(self, dimension: int, metric: Metric, found: int | None, measured: str | None) -> None:
        if found != dimension or measured not in (None, metric.value):
            raise Refused(f"{self.where} is of {found} dimensions and {measured}; needed: {dimension} and {metric}")

    def _client(self) -> AsyncPinecone:
        if self._closed:
            raise Unavailable(f"{self.where}: closed")
        if self._pinecone is None:
            self._pinecone = AsyncPinecone(
                api_key=self._api_key,
                host=self._options.controller or None,
                timeout=self._options.request_s,
                connection_pool_maxsize=self._options.connections,
                source_tag="tenantry",
            )
        return self._pinecone

    async def _connected(self) -> AsyncIndex:
        async with self._opening:
            if self._index is None:
                given = {"host": self._options.host} if self._options.host else {"name": self._name}
                self._index = await self._client().index(**given)
            return self._index
