"""Settings to objects. The one registry of adapters: name to ``module:Class``, imported when first used."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from tenantry.backends.embedded.backend import EmbeddedBackend
from tenantry.backends.embedded.engine import Engine
from tenantry.caches.memory import MemoryRouteCache
from tenantry.catalogs.sql import open_catalog
from tenantry.clock import SystemClock
from tenantry.cluster import Cluster, Parts
from tenantry.errors import Corrupt, InvalidArgument, NotFound, Unsupported
from tenantry.model.topology import DEFAULT_INDEX, LogicalIndex, Shard
from tenantry.placement import policy
from tenantry.ports import Embedder, EventFeed, Limiter, SharedRoutes, Telemetry, VectorBackend
from tenantry.settings import CATALOG_FILE, Settings
from tenantry.telemetry.silent import SilentTelemetry

SHARDS_FOLDER = "shards"
EMBEDDED = "embedded"
#: Other kinds to their classes; one whose packages are missing has an extra of its name (``tenantry[pgvector]``).
BACKENDS = {
    "chroma": "tenantry.backends.chroma:ChromaBackend",
    "milvus": "tenantry.backends.milvus:MilvusBackend",
    "pgvector": "tenantry.backends.pgvector:PgvectorBackend",
    "pinecone": "tenantry.backends.pinecone:PineconeBackend",
    "qdrant": "tenantry.backends.qdrant:QdrantBackend",
    "testing": "tenantry.testing.eventual_backend:EventualBackend",
}
#: Embedder names: the part before a colon, to its class. The part after it is the model.
EMBEDDERS = {
    "local": "tenantry.embedders.local:LocalEmbedder",
    "openai": "tenantry.embedders.openai:OpenAIEmbedder",
}
DEFAULT_LOCAL_EMBEDDER = "local"


class Wiring:
    """Holds what several adapters of one process share, and closes it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._embedders: dict[str, Embedder] = {}

    @cached_property
    def engine(self) -> Engine:
        """The embedded engine under all embedded shards; it locks its folder on first use."""
        return Engine(
            self.settings.data / SHARDS_FOLDER,
            max_resident_bytes=self.settings.embedded_memory_mb * 2**20,
            max_connections=self.settings.embedded_open_files,
        )

    def open_backend(self, index: LogicalIndex, shard: Shard) -> VectorBackend:
        """The backend of a shard."""
        kind = shard.backend
        if kind == EMBEDDED:
            return EmbeddedBackend(self.engine, f"{index.name}/{shard.name}", index.dimension, index.metric)
        if kind not in BACKENDS:
            raise InvalidArgument("backend", kind, "one of " + ", ".join((EMBEDDED, *BACKENDS)))
        module, _, attribute = BACKENDS[kind].partition(":")
        try:
            adapter = getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            raise Unsupported(
                f"backend {kind!r} needs {error.name}, which is not installed: pip install 'tenantry[{kind}]'"
            ) from error
        made: VectorBackend = adapter.of_shard(index, shard)
        return made

    def embedder(self, name: str) -> Embedder:
        """The embedder called ``local`` or ``openai:MODEL``, made once per process."""
        if name not in self._embedders:
            kind, _, model = name.partition(":")
            if kind not in EMBEDDERS:
                raise InvalidArgument("embedder", name, "local, or openai:MODEL such as openai:text-embedding-3-small")
            module, _, attribute = EMBEDDERS[kind].partition(":")
            made: Callable[[Settings, str], Embedder] = getattr(import_module(module), attribute).from_settings
            self._embedders[name] = made(self.settings, model)
        return self._embedders[name]

    def announce(self, url: str) -> None:
        """Lock the embedded shards' folder for this process, with a note of where it is served. Raises Locked."""
        self.engine.announce(url)

    def exclusive(self) -> None:
        """Lock the embedded shards' folder for this process, where the catalog is in that folder too. Raises Locked."""
        if self.settings.catalog_url is None:
            self.engine.start()

    async def close(self) -> None:
        """Close embedders and the engine."""
        for embedder in self._embedders.values():
            await embedder.aclose()
        if "engine" in self.__dict__:
            await self.engine.aclose()


async def open_cluster(
    data: str | Path | Settings | None = None, *, telemetry: Telemetry | None = None, **settings: Any
) -> Cluster:
    """Open the cluster in a data folder, or as `Settings` say.

    The folder must have been initialised (`init_cluster`, ``tenantry init``).

    Raises:
        NotFound: there is no cluster in that folder.
        Locked: on first use of data, when another process serves the folder.
        Corrupt, Unavailable: the catalog cannot be read.
    """
    chosen = as_settings(data, **settings)
    _check_not_lost(chosen)
    if chosen.catalog_url is None and not (chosen.data / CATALOG_FILE).is_file():
        raise NotFound("cluster", str(chosen.data), f"make one with `tenantry init --data {chosen.data}`")
    return await _open(chosen, telemetry)


async def init_cluster(
    data: str | Path | Settings | None = None,
    *,
    dimension: int | None = None,
    metric: str = "cosine",
    shards: int = 1,
    embedder: str | None = None,
    settings: dict[str, Any] | None = None,
    **index: Any,
) -> Cluster:
    """Make a cluster with its `default` index, and open it.

    Args:
        dimension: of the vectors; default: that of the embedder, which then is the local one unless named.
        index: further fields of `IndexAdmin.create`.

    Raises:
        AlreadyExists: there is a cluster with a default index already; nothing is changed.
        Corrupt: the folder holds shards, but no catalog.
    """
    chosen = as_settings(data, **(settings or {}))
    _check_not_lost(chosen)
    chosen.data.mkdir(parents=True, exist_ok=True)
    cluster = await _open(chosen, None)
    try:
        named = embedder or (DEFAULT_LOCAL_EMBEDDER if dimension is None else None)
        size = dimension if dimension is not None else cluster.embedder_dimension(named or DEFAULT_LOCAL_EMBEDDER)
        if named is None and size == cluster.embedder_dimension(DEFAULT_LOCAL_EMBEDDER):
            named = DEFAULT_LOCAL_EMBEDDER
        await cluster.indexes.create(DEFAULT_INDEX, size, metric, shards=shards, embedder=named, **index)
    except BaseException:
        await cluster.aclose()
        raise
    return cluster


def as_settings(data: str | Path | Settings | None, **settings: Any) -> Settings:
    """Settings from a folder, from given fields and from the environment."""
    if isinstance(data, Settings):
        return data
    return Settings(data=Path(data), **settings) if data is not None else Settings(**settings)


def _check_not_lost(settings: Settings) -> None:
    """A catalog that is gone or empty while shards hold data is a loss, not a fresh start."""
    catalog, shards = settings.data / CATALOG_FILE, settings.data / SHARDS_FOLDER
    if settings.catalog_url is not None or (catalog.is_file() and catalog.stat().st_size > 0):
        return
    if shards.is_dir() and any(shard.is_dir() for shard in shards.iterdir()):
        state = "empty" if catalog.is_file() else "missing"
        raise Corrupt(
            f"{catalog} is {state}, yet {shards} holds data; restore the catalog from a backup, name the catalog's "
            "database with TENANTRY_CATALOG_URL, or use another folder"
        )


def feeds_of(settings: Settings) -> list[EventFeed]:
    """What carries events between the processes of a fleet; none where a process has its cluster to itself."""
    if settings.catalog_url is None:
        return []
    feeds: list[EventFeed] = []
    url = settings.catalog_url.get_secret_value()
    if url.startswith("postgres"):
        feeds.append(import_module("tenantry.feeds.postgres").PostgresFeed(url))
    if settings.redis_url is not None:
        module = _with_redis("tenantry.feeds.redis")
        feeds.append(module.RedisFeed(settings.redis_url.get_secret_value(), settings.redis_prefix))
    return feeds


def shared_routes_of(settings: Settings) -> SharedRoutes | None:
    """Where the processes of a fleet keep routes for each other; nowhere without Redis."""
    if settings.catalog_url is None or settings.redis_url is None:
        return None
    module = _with_redis("tenantry.caches.redis")
    made: SharedRoutes = module.RedisRoutes(
        settings.redis_url.get_secret_value(), settings.redis_prefix, settings.redis_routes_s
    )
    return made


def limiter_of(settings: Settings) -> Limiter | None:
    """What counts for all processes of a fleet; None without Redis."""
    if settings.redis_url is None:
        return None
    module = _with_redis("tenantry.caches.redis_limiter")
    made: Limiter = module.RedisLimiter(settings.redis_url.get_secret_value(), settings.redis_prefix)
    return made


def _with_redis(module: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise Unsupported(
            "TENANTRY_REDIS_URL needs redis, which is not installed: pip install 'tenantry[redis]'"
        ) from error


async def _open(settings: Settings, telemetry: Telemetry | None) -> Cluster:
    catalog = await open_catalog(settings.catalog())
    wiring = Wiring(settings)

    async def close() -> None:
        await wiring.close()
        await catalog.aclose()

    return Cluster(
        Parts(
            feeds=feeds_of(settings),
            shared=shared_routes_of(settings),
            check_every_s=settings.routing_check_s,
            service=settings.service(),
            limiter=limiter_of(settings),
            catalog=catalog,
            cache=MemoryRouteCache(settings.route_cache_size),
            open_backend=wiring.open_backend,
            backends=(EMBEDDED, *BACKENDS),
            default_backend=settings.default_backend,
            policy=policy,
            embedder=wiring.embedder,
            clock=SystemClock(),
            telemetry=telemetry or SilentTelemetry(),
            token=secrets.token_hex,
            limits=settings.limits(),
            request_timeout_s=settings.request_timeout_s,
            search_deadline_s=settings.search_deadline_s,
            close=close,
            announce=wiring.announce,
            exclusive=wiring.exclusive,
            sole=settings.catalog_url is None,
            lease_s=settings.lease_s,
            moving=settings.moving(),
        )
    )
