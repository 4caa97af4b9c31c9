"""A cluster on dictionaries with embedders made by hand."""

import asyncio
import re
from hashlib import blake2b

import numpy as np
import pytest

from tenantry.catalogs.sql import open_catalog
from tenantry.cluster import Cluster
from tenantry.errors import InvalidArgument, TenantryError
from tenantry.model.limits import Limits
from tenantry.testing.clock import ManualClock
from tenantry.testing.memory_backend import MemoryBackend
from tenantry.testing.parts import parts_in_memory

DIMENSION = 32


class WordEmbedder:
    """Texts with common words are near each other.

    Calls with a text that contains `held` wait at `gate`; all fail with `fail_with` once it is set.
    """

    def __init__(self, model, dimension=DIMENSION):
        self.model = model
        self.dimension = dimension
        self.calls: list[list[str]] = []
        self.fail_with: TenantryError | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.held = ""
        self.asked = asyncio.Event()

    async def embed(self, texts):
        self.calls.append(list(texts))
        self.asked.set()
        if any(self.held in text for text in texts):
            await self.gate.wait()
        if self.fail_with is not None:
            raise self.fail_with
        return [self._vector(text) for text in texts]

    def _vector(self, text):
        vector = np.full(self.dimension, 1e-3, np.float32)
        for word in re.findall(r"\w+", text.lower()):
            vector[blake2b(word.encode(), digest_size=2).digest()[0] % self.dimension] += 1
        return vector / np.linalg.norm(vector)

    @property
    def texts(self):
        return [text for call in self.calls for text in call]

    async def aclose(self):
        pass


class CountedCatalog:
    """The catalog, with a list of what was asked of it."""

    def __init__(self, catalog, asked=None, name=""):
        self._catalog, self.asked, self._name = catalog, [] if asked is None else asked, name

    def __getattr__(self, name):
        part = getattr(self._catalog, name)
        if name in ("indexes", "shards", "tenants", "keys", "settings"):
            return CountedCatalog(part, self.asked, f"{name}.")
        self.asked.append(self._name + name)
        return part


class HookedBackend(MemoryBackend):
    """Calls `before` with the name of each call on data."""

    def __init__(self, metric, desk):
        super().__init__(metric)
        self._desk = desk

    async def enter(self, call):
        if self._desk.before is not None:
            await self._desk.before(call)
        await super().enter(call)


class Desk:
    """A cluster and its insides."""

    def __init__(self, catalog, limits=None):
        self.catalog = CountedCatalog(catalog)
        self.embedders: dict[str, WordEmbedder] = {}
        self.backends: dict[tuple[str, str], HookedBackend] = {}
        self.before = None
        self.clock = ManualClock()
        self.cluster = Cluster(
            parts_in_memory(
                self.catalog,
                lambda index, shard: self.backends.setdefault(
                    (index.name, shard.name), HookedBackend(index.metric, self)
                ),
                self.clock,
                embedder=self.embedder,
                limits=limits or Limits(),
                request_timeout_s=60.0,
                search_deadline_s=60.0,
                close=catalog.aclose,
            )
        )
        self.documents = self.cluster.documents

    def embedder(self, name):
        """``words``, or ``words:OTHER`` for another model, or ``words:OTHER@DIMENSION``."""
        kind, _, model = name.partition(":")
        if kind != "words":
            raise InvalidArgument("embedder", name, "words")
        model, _, dimension = model.partition("@")
        if name not in self.embedders:
            self.embedders[name] = WordEmbedder(f"words:{model}", int(dimension or DIMENSION))
        return self.embedders[name]

    @property
    def words(self):
        return self.embedder("words")

    @property
    def calls(self):
        return [call for backend in self.backends.values() for call in backend.calls]

    def rows(self):
        """Number of records in all backends."""
        return sum(len(rows) for backend in self.backends.values() for rows in backend.data.values())

    def quiet(self):
        """Forget all calls so far."""
        for backend in self.backends.values():
            backend.calls.clear()
        for embedder in self.embedders.values():
            embedder.calls.clear()
        self.catalog.asked.clear()

    async def stored(self, tenant="acme", index="default"):
        """Every record of a tenant."""
        return {one.id: one async for one in self.cluster.tenant(tenant, index).scan()}

    async def texts(self, tenant="acme"):
        """Document to its chunk texts in order."""
        found: dict[str, list[str]] = {}
        for record in (await self.stored(tenant)).values():
            if "_doc_id" in (record.metadata or {}):
                found.setdefault(record.metadata["_doc_id"], []).append(record.metadata["_doc_text"])
        return found


@pytest.fixture
async def desk(tmp_path):
    desk = Desk(await open_catalog(f"sqlite:///{tmp_path}/catalog.db"))
    await desk.cluster.indexes.create("default", DIMENSION, shards=3, embedder="words")
    yield desk
    await desk.cluster.aclose()
