"""Settings to objects. The one registry of adapters: name to ``module:Class``, imported when first used."""

from __future__ import annotations

import base64
import secrets
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cached_property
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

from tenantry.archives.directory import DirectoryArchive
from tenantry.backends.embedded.backend import EmbeddedBackend
from tenantry.backends.embedded.engine import Engine
from tenantry.backup.rebuild import RESTORING
from tenantry.backup.vault import KEY_BYTES
from tenantry.caches.memory import MemoryRouteCache
from tenantry.catalogs.sql import open_catalog
from tenantry.clock import SystemClock
from tenantry.cluster import Cluster, Parts
from tenantry.control.prices import prices, read_prices
from tenantry.errors import Corrupt, InvalidArgument, NotFound, Refused, Unsupported
from tenantry.model.topology import DEFAULT_INDEX, LogicalIndex, Shard
from tenantry.placement import policy
from tenantry.ports import (
    Archive,
    Clock,
    Embedder,
    EventFeed,
    Limiter,
    Notifier,
    SharedRoutes,
    Telemetry,
    Tracer,
    VectorBackend,
)
from tenantry.settings import CATALOG_FILE, Settings
from tenantry.telemetry.silent import SilentTelemetry

SHARDS_FOLDER = "shards"
EMBEDDED = "embedded"
#: Other kinds to what opens a shard; one whose packages are missing has an extra of its name (``tenantry[pgvector]``).
BACKENDS = {
    "chroma": "tenantry.backends.chroma:of_shard",
    "milvus": "tenantry.backends.milvus:of_shard",
    "pgvector": "tenantry.backends.pgvector:of_shard",
    "pinecone": "tenantry.backends.pinecone:of_shard",
    "qdrant": "tenantry.backends.qdrant:of_shard",
    "testing": "tenantry.testing.eventual_backend:EventualBackend.of_shard",
}
#: Embedder names: the part before a colon, to its class. The part after it is the model.
EMBEDDERS = {
    "local": "tenantry.embedders.local:LocalEmbedder",
    "openai": "tenantry.embedders.openai:OpenAIEmbedder",
}
DEFAULT_LOCAL_EMBEDDER = "local"


def open_archive(settings: Settings, url: str | None) -> Archive:
    """The archive of a URL or folder; None is that of the settings. Raises InvalidArgument; Unsupported: S3 without
    the extra ``tenantry[s3]``."""
    chosen = url or settings.backup_url
    if not chosen:
        raise InvalidArgument(
            "archive", url or "none", "a folder or s3://bucket/prefix: name it, or set TENANTRY_BACKUP_URL"
        )
    scheme, found, _ = chosen.partition("://")
    if not found:
        return DirectoryArchive(Path(chosen))
    if scheme == "file":
        return DirectoryArchive(Path(chosen.removeprefix("file://")))
    if scheme != "s3":
        raise InvalidArgument("archive", f"{scheme}://...", "a folder or s3://bucket/prefix")
    try:
        made: Archive = import_module("tenantry.archives.s3").S3Archive(chosen)
    except ModuleNotFoundError as error:
        raise Unsupported(f"an archive in S3 needs {error.name}: pip install 'tenantry[s3]'") from error
    return made


def backup_key_of(settings: Settings) -> bytes | None:
    """The key of archives, if there is one. Raises InvalidArgument, without showing it."""
    if settings.backup_key is None:
        return None
    text = settings.backup_key.get_secret_value().strip()
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidArgument("TENANTRY_BACKUP_KEY", "another text", "32 bytes in base64; see `tenantry backup key`")
    return key


def new_backup_key() -> str:
    """A key for archives."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


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
            opened = attrgetter(attribute)(import_module(module))
        except ModuleNotFoundError as error:
            raise Unsupported(
                f"backend {kind!r} needs {error.name}, which is not installed: pip install 'tenantry[{kind}]'"
            ) from error
        made: VectorBackend = opened(index, shard)
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

    def free_bytes(self, shard: Shard) -> int | None:
        """Free disk under a shard; None: its engine does not tell."""
        if shard.backend != EMBEDDED:
            return None
        try:
            return shutil.disk_usage(self.settings.data).free
        except OSError:
            return None

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


def feeds_of(settings: Settings, history: str) -> list[EventFeed]:
    """What carries events between the processes of a fleet; none where a process has its cluster to itself.

    Args:
        history: of the catalog (`SqlCatalog.history`).
    """
    if settings.catalog_url is None:
        return []
    feeds: list[EventFeed] = []
    url = settings.catalog_url.get_secret_value()
    if url.startswith("postgres"):
        feeds.append(import_module("tenantry.feeds.postgres").PostgresFeed(url))
    if settings.redis_url is not None:
        module = _with_redis("tenantry.feeds.redis")
        # Gateways of before and after a fail-over must hear each other.
        prefix = f"{settings.redis_prefix}:{history.partition('-')[0]}"
        feeds.append(module.RedisFeed(settings.redis_url.get_secret_value(), prefix))
    return feeds


def shared_routes_of(settings: Settings, history: str) -> SharedRoutes | None:
    """Where the processes of a fleet keep routes for each other; nowhere without Redis."""
    if settings.catalog_url is None or settings.redis_url is None:
        return None
    module = _with_redis("tenantry.caches.redis")
    made: SharedRoutes = module.RedisRoutes(
        settings.redis_url.get_secret_value(), f"{settings.redis_prefix}:{history}", settings.redis_routes_s
    )
    return made


def notifier_of(settings: Settings, clock: Clock) -> Notifier | None:
    """Who is told of warnings; nobody unless there is a URL. Raises InvalidArgument."""
    if settings.health_webhook_url is None:
        return None
    made: Notifier = import_module("tenantry.telemetry.webhook").Webhook(
        settings.health_webhook_url.get_secret_value(), clock
    )
    return made


def limiter_of(settings: Settings) -> Limiter | None:
    """What counts for all processes of a fleet; None without Redis."""
    if settings.redis_url is None:
        return None
    module = _with_redis("tenantry.caches.redis_limiter")
    made: Limiter = module.RedisLimiter(settings.redis_url.get_secret_value(), settings.redis_prefix)
    return made


def tracer_of(settings: Settings) -> Tracer | None:
    """What makes spans; nothing unless it is asked for. Raises Unsupported."""
    if not settings.tracing:
        return None
    try:
        module = import_module("tenantry.telemetry.opentelemetry")
    except ModuleNotFoundError as error:
        raise Unsupported(
            "TENANTRY_TRACING needs OpenTelemetry, which is not installed: pip install 'tenantry[otel]'"
        ) from error
    made: Tracer = module.open_tracer()
    return made


def _with_redis(module: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise Unsupported(
            "TENANTRY_REDIS_URL needs redis, which is not installed: pip install 'tenantry[redis]'"
        ) from error


@asynccontextmanager
async def restoring_cluster(settings: Settings) -> AsyncIterator[Cluster]:
    """A cluster to restore into: an empty one, or one whose restore was cut off. Made where there is none; a catalog
    that was made for nothing goes again.

    Raises:
        Refused: there is a cluster already.
    """
    settings.data.mkdir(parents=True, exist_ok=True)
    made = settings.catalog_url is None and not (settings.data / CATALOG_FILE).is_file()
    cluster = await _open(settings, None, restoring=True)
    try:
        async with cluster:
            cluster.announce()
            yield cluster
            empty = not await cluster.indexes.list()
    except BaseException:
        empty = made and not await _has_indexes(settings)
        raise
    finally:
        if made and empty:
            _unlink_catalog(settings)


def _unlink_catalog(settings: Settings) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{settings.data / CATALOG_FILE}{suffix}").unlink(missing_ok=True)


async def _has_indexes(settings: Settings) -> bool:
    catalog = await open_catalog(settings.catalog())
    try:
        return bool(await catalog.indexes.list())
    finally:
        await catalog.aclose()


async def _open(settings: Settings, telemetry: Telemetry | None, *, restoring: bool = False) -> Cluster:
    tables = None if settings.prices is None else read_prices(settings.prices)
    prices(tables)  # a bad file is told of now
    tracer = tracer_of(settings)
    catalog = await open_catalog(settings.catalog())
    history = "" if settings.catalog_url is None else await catalog.history()
    wiring = Wiring(settings)
    clock = SystemClock()
    going = await catalog.settings.get(RESTORING)
    if going is not None and not restoring:
        await catalog.aclose()
        raise Refused(
            f"a restore of backup {going} into this cluster was cut off; finish it with "
            f"`tenantry restore cluster --backup {going}`"
        )

    async def close() -> None:
        await wiring.close()
        await catalog.aclose()
        if tracer is not None:
            await tracer.aclose()

    return Cluster(
        Parts(
            feeds=feeds_of(settings, history),
            shared=shared_routes_of(settings, history),
            check_every_s=settings.routing_check_s,
            thresholds=settings.thresholds(),
            window_s=settings.health_window_s,
            health_every_s=settings.health_check_s,
            top_tenants=settings.metrics_top_tenants,
            notifier=notifier_of(settings, clock),
            service=settings.service(),
            limiter=limiter_of(settings),
            catalog=catalog,
            cache=MemoryRouteCache(settings.route_cache_size),
            open_backend=wiring.open_backend,
            backends=(EMBEDDED, *BACKENDS),
            default_backend=settings.default_backend,
            policy=policy,
            embedder=wiring.embedder,
            clock=clock,
            telemetry=telemetry or SilentTelemetry(),
            token=secrets.token_hex,
            key_pepper=settings.key_pepper.get_secret_value() if settings.key_pepper else None,
            limits=settings.limits(),
            request_timeout_s=settings.request_timeout_s,
            search_deadline_s=settings.search_deadline_s,
            searching=settings.searching(),
            close=close,
            announce=wiring.announce,
            exclusive=wiring.exclusive,
            sole=settings.catalog_url is None,
            lease_s=settings.lease_s,
            moving=settings.moving(),
            open_archive=lambda url: open_archive(settings, url),
            backup_key=lambda: backup_key_of(settings),
            deleted_retention_s=settings.deleted_retention_s,
            prices=tables,
            free_bytes=wiring.free_bytes,
            autopilot_every_s=settings.autopilot_check_s,
            tracer=tracer,
        )
    )
