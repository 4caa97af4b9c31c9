"""A cluster on dictionaries: real catalog, router and placement; backends in memory, time by hand."""

import itertools

import pytest

from tenantry.caches.memory import MemoryRouteCache
from tenantry.catalogs.sql import open_catalog
from tenantry.cluster import Cluster, Parts
from tenantry.errors import InvalidArgument
from tenantry.model.limits import Limits
from tenantry.placement import policy
from tenantry.telemetry.silent import SilentTelemetry
from tenantry.testing.clock import ManualClock
from tenantry.testing.memory_backend import MemoryBackend


class Lab:
    """A cluster and its insides."""

    def __init__(self, catalog, **changes):
        self.catalog = catalog
        self.clock = ManualClock()
        self.cache = MemoryRouteCache()
        self.backends: dict[tuple[str, str], MemoryBackend] = {}
        tokens = itertools.count(1)
        parts = {
            "catalog": catalog,
            "cache": self.cache,
            "open_backend": self.open_backend,
            "backends": ("memory",),
            "default_backend": "memory",
            "policy": policy,
            "embedder": no_embedder,
            "clock": self.clock,
            "telemetry": SilentTelemetry(),
            "token": lambda size: f"{next(tokens):0{2 * size}x}",
            "limits": Limits(),
            "request_timeout_s": 5.0,
            "search_deadline_s": 0.2,
            "close": catalog.aclose,
        }
        self.cluster = Cluster(Parts(**{**parts, **changes}))

    def open_backend(self, index, shard):
        return self.backends.setdefault((index.name, shard.name), MemoryBackend(index.metric))

    def backend(self, shard, index="default"):
        return self.backends[index, shard]


def no_embedder(name):
    raise InvalidArgument("embedder", name, "none here")


@pytest.fixture
async def lab(tmp_path):
    lab = Lab(await open_catalog(f"sqlite:///{tmp_path}/catalog.db"))
    await lab.cluster.indexes.create("default", 2, shards=3)
    yield lab
    await lab.cluster.aclose()
