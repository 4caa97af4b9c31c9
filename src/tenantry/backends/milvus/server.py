"""The connection to a Milvus server."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import urlsplit

from pymilvus import AsyncMilvusClient, MilvusClient

from tenantry.backends.milvus.errors import NotLoadedError, translated
from tenantry.backends.milvus.options import MilvusOptions
from tenantry.errors import Unavailable

T = TypeVar("T")
#: pymilvus logs each error besides raising it, with its stack; whoever catches it says what is to be said.
logging.getLogger("pymilvus").setLevel(logging.CRITICAL)


class Server:
    """Connects on first use."""

    def __init__(self, options: MilvusOptions) -> None:
        self._url = options.server()
        parts = urlsplit(self._url)
        self.where = f"Milvus at {parts.hostname}:{parts.port or 19530}"
        self._options = options
        self._token = options.token()
        self._client: AsyncMilvusClient | None = None
        self._definer: MilvusClient | None = None
        self._opening = asyncio.Lock()
        self._turn = threading.Lock()
        self._closed = False

    async def call(self, work: Callable[[AsyncMilvusClient], Awaitable[T]], namespace: str = "") -> T:
        """Something with a client, within the time limit."""
        with translated(self.where, namespace):
            async with asyncio.timeout(self._options.request_s):
                return await work(self._client or await self._connected())

    async def on(self, collection: str, work: Callable[[AsyncMilvusClient], Awaitable[T]], namespace: str = "") -> T:
        """Something with the data of a collection, which is loaded if it is not."""
        try:
            return await self.call(work, namespace)
        except NotLoadedError:
            await self.call(lambda client: client.load_collection(collection), namespace)
            return await self.call(work, namespace)

    async def define(self, work: Callable[[MilvusClient], T]) -> T:
        """Something that only pymilvus' synchronous client can do, in a thread: to make an index and not wait half a
        second for it (and not ask for a timestamp, which Milvus Lite does not serve)."""
        with translated(self.where):
            async with asyncio.timeout(self._options.request_s):
                await self._connected()
                return await asyncio.to_thread(self._defined, work)

    async def aclose(self) -> None:
        """Close the connection; safe to call twice."""
        self._closed = True
        async with self._opening:
            if self._client is not None:
                await self._client.close()
                self._client = None
            if self._definer is not None:
                await asyncio.to_thread(self._definer.close)
                self._definer = None

    async def _connected(self) -> AsyncMilvusClient:
        async with self._opening:
            if self._closed:
                raise Unavailable(f"{self.where}: closed")
            if self._client is None:
                client = self._make(AsyncMilvusClient)
                await client.list_collections()  # it connects with the first call
                self._client = client
            return self._client

    def _defined(self, work: Callable[[MilvusClient], T]) -> T:
        with self._turn:
            if self._definer is None:
                self._definer = self._make(MilvusClient)
            return work(self._definer)

    def _make(self, kind: Callable[..., T]) -> T:
        options = self._options
        return kind(
            uri=self._url,
            token=self._token,
            db_name=options.database,
            timeout=options.request_s,
            dedicated=True,  # else all clients of one URL share a connection
        )
