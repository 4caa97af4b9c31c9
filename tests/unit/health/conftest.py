"""A running cluster whose shards take as long as a test says, and whose limits are small."""

import itertools

import pytest

from tenantry.caches.memory import MemoryRouteCache
from tenantry.cluster import Cluster
from tenantry.control.health.values import Thresholds
from tenantry.errors import Unavailable
from tenantry.model.topology import TenantSpec
from tenantry.testing.clock import ManualClock
from tenantry.testing.memory_backend import MemoryBackend
from tenantry.testing.memory_catalog import MemoryCatalog
from tenantry.testing.parts import parts_in_memory

#: So that nothing else is found where a test is about one thing.
QUIET = Thresholds(wasteful=0.0, least_operations=20)


class TimedBackend(MemoryBackend):
    """Each call on records takes ``seconds`` of the clock by hand."""

    def __init__(self, metric, clock):
        super().__init__(metric)
        self.clock = clock
        self.seconds = 0.0

    async def enter(self, call):
        await super().enter(call)
        if call == "query":
            self.clock.advance(self.seconds)


class Notes:
    """A notifier that keeps what it is told, or refuses it."""

    def __init__(self):
        self.told, self.refuse = [], False

    async def notify(self, body):
        if self.refuse:
            raise Unavailable("nobody there")
        self.told.append(body)

    async def aclose(self):
        self.closed = True


class Ward:
    """A cluster of one process."""

    def __init__(self, thresholds=QUIET, *, catalog=None, clock=None, backends=None, sole=True, **parts):
        self.catalog = catalog or MemoryCatalog()
        self.clock = clock or ManualClock()
        self.cache = MemoryRouteCache()
        self.backends = {} if backends is None else backends
        self.notes = Notes()
        tokens = itertools.count(id(self))
        self.cluster = Cluster(
            parts_in_memory(
                self.catalog,
                self.open_backend,
                self.clock,
                cache=self.cache,
                token=lambda size: f"{next(tokens):0{2 * size}x}",
                thresholds=thresholds,
                notifier=self.notes,
                sole=sole,
                **parts,
            )
        )

    def open_backend(self, index, shard):
        key = (index.name, shard.name)
        if key not in self.backends:
            self.backends[key] = TimedBackend(index.metric, self.clock)
        return self.backends[key]

    def backend(self, shard):
        return self.backends["default", shard]

    async def tenants(self, shard, count, vectors=1, prefix=""):
        for number in range(count):
            await self.tenant(f"{prefix or shard}-{number:03}", shard, vectors)

    async def tenant(self, name, shard, vectors=1):
        await self.cluster.tenants.create(name, spec=TenantSpec(shard=shard))
        for first in range(0, vectors, 1_000):
            rows = [(f"r{i}", [1.0, i + 1.0]) for i in range(first, min(vectors, first + 1_000))]
            await self.cluster.tenant(name).upsert(rows)

    async def query(self, tenant, times=1):
        for _ in range(times):
            await self.cluster.tenant(tenant).query([1.0, 0.5])

    async def kinds(self):
        return {(one.kind, one.subject) for one in (await self.cluster.health()).warnings}

    async def only(self):
        """The one warning that there is."""
        found = await self.cluster.health()
        assert len(found.warnings) == 1, [one.message for one in found.warnings]
        return found.warnings[0]


@pytest.fixture
async def ward():
    async with open_ward() as ward:
        yield ward


class open_ward:
    """A ward with its default index, closed at the end."""

    def __init__(self, thresholds=QUIET, shards=5, **given):
        self.ward, self.shards = Ward(thresholds, **given), shards

    async def __aenter__(self):
        await self.ward.cluster.indexes.create("default", 2, shards=self.shards)
        return self.ward

    async def __aexit__(self, *error):
        await self.ward.cluster.aclose()


@pytest.fixture
def opened():
    return open_ward


@pytest.fixture
def quiet():
    return QUIET
