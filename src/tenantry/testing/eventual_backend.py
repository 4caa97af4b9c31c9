"""A vector backend that gives no help, as some services do: writes show late, calls are throttled, fail and stall.

Registered as the kind ``testing``, for tests and for trying things out: its data live in memory and are gone when the
process ends. Everything it does comes from its clock and a seeded generator, so a run can be repeated.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np

from tenantry.backends.common.options import options_of
from tenantry.clock import SystemClock
from tenantry.errors import NotFound, RateLimited, Unavailable
from tenantry.model.changes import patched
from tenantry.model.filters import matches
from tenantry.model.records import (
    ByFilter,
    ByIds,
    Hit,
    IdPage,
    Metric,
    NamespaceStats,
    Page,
    Query,
    Record,
    Selector,
    Update,
)
from tenantry.model.topology import LogicalIndex, Shard
from tenantry.ports import Clock, Features
from tenantry.testing.memory_backend import score

Seconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Temper(msgspec.Struct, frozen=True):
    """How a backend behaves; the defaults are those of a well-behaved one.

    Attributes:
        fetch_delay_s, query_delay_s, list_delay_s: how long after its acknowledgement a write shows in each kind of
            read, seconds. Until then the older state shows.
        throttle_every: every so many calls one is answered with 429 and a pause to keep; 0: none.
        fail_share: part of the calls that fail; of writes, half of these after they took effect.
        stall_share, stall_s: part of the calls that take so long, seconds.
        latency_s: longest usual latency, drawn evenly, seconds.
        seed: of the generator.
    """

    fetch_delay_s: Seconds = 0.0
    query_delay_s: Seconds = 0.0
    list_delay_s: Seconds = 0.0
    throttle_every: Count = 0
    fail_share: Share = 0.0
    stall_share: Share = 0.0
    stall_s: Seconds = 0.0
    latency_s: Seconds = 0.0
    seed: int = 0

    @property
    def visible_s(self) -> float:
        """Until a write shows everywhere."""
        return max(self.fetch_delay_s, self.query_delay_s, self.list_delay_s)


#: Of an id: when it was written, and what, None for deleted; oldest first.
Versions = list[tuple[float, Record | None]]
THROTTLE_S = 0.05


class EventualBackend:
    """Implements `VectorBackend`. Creating and dropping a namespace show at once.

    Attributes:
        temper: may be changed at any time.
        data: namespace to id to versions.
    """

    def __init__(
        self,
        metric: Metric = Metric.COSINE,
        dimension: int = 8,
        temper: Temper = Temper(),
        clock: Clock | None = None,
    ) -> None:
        self.metric = metric
        self.dimension = dimension
        self.temper = temper
        self.clock = clock or SystemClock()
        self.data: dict[str, dict[str, Versions]] = {}
        self._chance = random.Random(temper.seed)  # noqa: S311 - reproducible by design
        self._calls = 0

    @classmethod
    def of_shard(cls, index: LogicalIndex, shard: Shard) -> EventualBackend:
        """From a shard's options, which are the fields of `Temper`. Raises InvalidArgument."""
        return cls(index.metric, index.dimension, options_of(Temper, shard.options))

    async def probe(self) -> Features:
        """It is there."""
        return self.features

    @property
    def features(self) -> Features:
        """Reads show late if the temper says so."""
        visible_s = self.temper.visible_s
        prompt = visible_s == 0
        return Features(
            filters=True, atomic_update=True, read_your_writes=prompt, exact_counts=prompt, visible_s=visible_s
        )

    async def create(self, namespace: str) -> None:
        """Idempotent."""
        await self.enter()
        self.data.setdefault(namespace, {})

    async def drop(self, namespace: str) -> None:
        """Idempotent."""
        await self.enter()
        self.data.pop(namespace, None)

    def index(self, namespace: str) -> EventualIndex:
        """A handle."""
        return EventualIndex(self, namespace)

    async def namespaces(self, after: str | None, limit: int) -> list[str]:
        """By name."""
        await self.enter()
        return sorted(name for name in self.data if after is None or name > after)[:limit]

    async def stats(self, namespace: str | None = None) -> NamespaceStats:
        """What a listing shows; no bytes."""
        await self.enter()
        names = list(self.data) if namespace is None else [namespace]
        return NamespaceStats(sum(len(self.seen(name, self.temper.list_delay_s)) for name in names))

    async def sizes(self) -> dict[str, NamespaceStats]:
        """As `stats`."""
        await self.enter()
        return {name: NamespaceStats(len(self.seen(name, self.temper.list_delay_s))) for name in self.data}

    async def aclose(self) -> None:
        """Nothing to close."""

    async def enter(self) -> bool:
        """What every call goes through first. True when it is to fail after it took effect. Raises RateLimited,
        Unavailable."""
        temper = self.temper
        self._calls += 1
        await self.clock.sleep(self._chance.random() * temper.latency_s)
        if temper.throttle_every and self._calls % temper.throttle_every == 0:
            raise RateLimited("too many requests", retry_after_s=THROTTLE_S)
        if self._chance.random() < temper.stall_share:
            await self.clock.sleep(temper.stall_s)
        if self._chance.random() >= temper.fail_share:
            return False
        if self._chance.random() < 0.5:
            raise Unavailable("the service failed before it did anything", retry_after_s=0.0)
        return True

    def versions(self, namespace: str) -> dict[str, Versions]:
        """All that is known of a namespace. Raises NotFound."""
        if namespace not in self.data:
            raise NotFound("namespace", namespace)
        return self.data[namespace]

    def seen(self, namespace: str, delay_s: float) -> dict[str, Record]:
        """What a reader sees who is ``delay_s`` behind."""
        now = self.clock.monotonic() - delay_s
        found: dict[str, Record] = {}
        for key, versions in self.versions(namespace).items():
            record = next((record for at, record in reversed(versions) if at <= now), None)
            if record is not None:
                found[key] = record
        return found

    def write(self, namespace: str, key: str, record: Record | None) -> None:
        """A new state of an id; what nobody can see any more is forgotten."""
        rows = self.versions(namespace)
        now = self.clock.monotonic()
        versions = rows.setdefault(key, [])
        versions.append((now, record))
        settled = [i for i, (at, _) in enumerate(versions) if at <= now - self.temper.visible_s]
        if settled:
            del versions[: settled[-1]]


class EventualIndex:
    """Implements `Index`."""

    def __init__(self, backend: EventualBackend, namespace: str) -> None:
        self._backend = backend
        self._namespace = namespace

    async def upsert(self, records: Sequence[Record]) -> None:
        """Replace by id."""
        failing = await self._backend.enter()
        self._backend.versions(self._namespace)
        for record in records:
            self._backend.write(self._namespace, record.id, record)
        _fail_after(failing)

    async def update(self, update: Update) -> bool:
        """Of the newest state, whether it shows already or not."""
        failing = await self._backend.enter()
        old = self._backend.seen(self._namespace, 0.0).get(update.id)
        if old is not None:
            self._backend.write(self._namespace, update.id, patched(old, update))
        _fail_after(failing)
        return old is not None

    async def delete(self, selector: Selector) -> None:
        """By ids, by filter or all; a filter is held against the newest states."""
        failing = await self._backend.enter()
        newest = self._backend.seen(self._namespace, 0.0)
        if isinstance(selector, ByIds):
            gone = [key for key in selector.ids if key in newest]
        elif isinstance(selector, ByFilter):
            gone = [key for key, record in newest.items() if matches(selector.filter, record.metadata)]
        else:
            gone = list(newest)
        for key in gone:
            self._backend.write(self._namespace, key, None)
        _fail_after(failing)

    async def fetch(self, ids: Sequence[str]) -> dict[str, Record]:
        """As of ``fetch_delay_s`` ago."""
        _fail_after(await self._backend.enter())
        seen = self._backend.seen(self._namespace, self._backend.temper.fetch_delay_s)
        return {key: seen[key] for key in ids if key in seen}

    async def query(self, query: Query) -> list[Hit]:
        """Exact, as of ``query_delay_s`` ago."""
        _fail_after(await self._backend.enter())
        seen = self._backend.seen(self._namespace, self._backend.temper.query_delay_s)
        vector = np.asarray(query.vector, dtype=np.float32)
        chosen = [one for one in seen.values() if query.filter is None or matches(query.filter, one.metadata)]
        scored = sorted((-score(self._backend.metric, one.values, vector), one.id) for one in chosen)
        return [
            Hit(
                key,
                -negative,
                seen[key].values if query.include_values else None,
                seen[key].metadata if query.include_metadata else None,
            )
            for negative, key in scored[: query.top_k]
        ]

    async def scan(self, cursor: str | None, limit: int, prefix: str = "") -> Page:
        """By id, as of ``list_delay_s`` ago."""
        _fail_after(await self._backend.enter())
        seen = self._backend.seen(self._namespace, self._backend.temper.list_delay_s)
        ids = sorted(key for key in seen if key.startswith(prefix) and (cursor is None or key > cursor))
        page = [seen[key] for key in ids[:limit]]
        return Page(page, page[-1].id if len(ids) > limit else None)

    async def list_ids(self, cursor: str | None, limit: int, prefix: str = "") -> IdPage:
        """By id."""
        page = await self.scan(cursor, limit, prefix)
        return IdPage([record.id for record in page.records], page.cursor)


def _fail_after(failing: bool) -> None:
    if failing:
        raise Unavailable("the service failed after it did its work", retry_after_s=0.0)
