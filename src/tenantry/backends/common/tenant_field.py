"""Tenants that share a collection which others laid out, told apart by a field of their records' metadata.

`FieldTenants` makes a shard of such a collection: a namespace is a value of the field. Records that are there stay as
they are, under their own ids. Ids are one space for all tenants there, so a record that a tenant adds is kept under an
id which begins with a hash of the tenant's: two tenants cannot overwrite, see or guess at each other's records. What a
tenant writes is what it reads: where its record lacks the field, or has something else in it, the field holds the
tenant all the same, and beside it what the record had (`Spelling`).

An empty tenant cannot be told from one that is not there (``Features.tells_missing``).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import msgspec

from tenantry.backends.common.collection import OURS, Collection
from tenantry.backends.common.gate import Gates
from tenantry.backends.common.index import CommonIndex
from tenantry.backends.common.listing import Listings
from tenantry.backends.common.names import hashed
from tenantry.errors import Refused
from tenantry.model.filters import And, Compare, Filter, Op, Or
from tenantry.model.records import ByFilter, ByIds, Everything, Hit, Metadata, NamespaceStats, Query, Record, Selector
from tenantry.ports import Features

#: What ids of records begin with that were added here.
MADE = f"{OURS}:"
#: A survey is good for so many times what it took, and at least for `LEAST_S`.
GOOD_FOR = 20.0
LEAST_S = 60.0


class Spelling:
    """How the records of one tenant are written in the collection.

    Args:
        field: of the metadata, that tells tenants apart.
        tenant: the field's value; one of digits stands for the number too.
    """

    def __init__(self, field: str, tenant: str) -> None:
        self._field = field
        self._tenant = tenant
        self._start = f"{MADE}{hashed(tenant)}:"
        self._values: tuple[str, ...] | tuple[str, int] = (tenant,)
        if tenant == str(number_of(tenant)):
            self._values = (tenant, int(tenant))
        self.own = Compare(field, Op.IN, self._values)
        self._flag = f"{OURS}-own"
        self._kept = f"{OURS}-was-{field}"

    def added(self, id: str) -> str:
        """The id of a record that the tenant adds."""
        return self._start + id

    def shown(self, id: str) -> str:
        """The tenant's id of a record of its own."""
        return id.removeprefix(self._start)

    def is_added(self, id: str) -> bool:
        """Whether the tenant added it, or it was there before."""
        return id.startswith(self._start)

    def written(self, metadata: Metadata | None, kind: type[str] | type[int] | None = None) -> Metadata:
        """Metadata as they are kept, where the field takes values of one kind (None: of any)."""
        kept = {_escaped(key): value for key, value in (metadata or {}).items()}
        named = self._values[-1] if kind is int else self._tenant
        if not self.holds(metadata) or (kind is not None and type(kept[self._field]) is not type(named)):
            if self._field in kept:
                kept[self._kept] = kept[self._field]
            kept |= {self._field: named, self._flag: True}
        return kept

    def read(self, metadata: Metadata | None) -> Metadata | None:
        """Metadata as they were written."""
        if not metadata:
            return metadata
        found = {_plain(key): value for key, value in metadata.items() if key not in (self._flag, self._kept)}
        if self._flag in metadata:
            del found[self._field]
            if self._kept in metadata:
                found[self._field] = metadata[self._kept]
        return found or None

    def holds(self, metadata: Metadata | None) -> bool:
        """Whether the field names this tenant, and no other beside it."""
        value = (metadata or {}).get(self._field)
        return not isinstance(value, bool | list) and value in self._values

    def among(self, condition: Filter | None) -> Filter:
        """The tenant's records that match."""
        return self.own if condition is None else And((self.own, self._within(condition)))

    def _within(self, condition: Filter) -> Filter:
        if not isinstance(condition, Compare):
            return type(condition)(tuple(map(self._within, condition.parts)))
        if condition.field != self._field:
            return msgspec.structs.replace(condition, field=_escaped(condition.field))
        return Or(
            (
                And((Compare(self._flag, Op.NE, True), condition)),
                And((Compare(self._flag, Op.EQ, True), msgspec.structs.replace(condition, field=self._kept))),
            )
        )


class FieldTenants:
    """Implements `VectorBackend` on a `Collection`.

    Args:
        where: the collection, for messages.
        features: of the engine.
        probe, close: of the engine.
    """

    def __init__(
        self,
        collection: Collection,
        field: str,
        where: str,
        features: Features,
        probe: Callable[[], Awaitable[object]],
        close: Callable[[], Awaitable[None]],
    ) -> None:
        self.collection = collection
        self.field = field
        self.where = where
        self.gates = Gates()
        self.listings = Listings()
        self._features = msgspec.structs.replace(
            features,
            tells_missing=False,
            exact_counts=False,
            atomic_update=False,
            many_namespace_query=False,
            snapshots=False,
            native_copy="",
            warms=False,
        )
        self._probe = probe
        self._close = close
        self._survey: Counter[str] = Counter()
        self._good_until = 0.0
        self._surveying = asyncio.Lock()

    @property
    def features(self) -> Features:
        """Those of the engine that do not rest on namespaces of its own."""
        return self._features

    async def probe(self) -> Features:
        """As the engine's."""
        await self._probe()
        return self._features

    async def create(self, namespace: str) -> None:
        """There is nothing to make."""

    async def drop(self, namespace: str) -> None:
        """The tenant's records."""
        await self.collection.remove(ByFilter(Spelling(self.field, namespace).own))
        self._survey.pop(namespace, None)

    def index(self, namespace: str) -> FieldTenant:
        """A handle."""
        return FieldTenant(self, namespace)

    async def namespaces(self, after: str | None, limit: int) -> list[str]:
        """Values of the field, as far as the last survey saw them."""
        return sorted(name for name in await self._surveyed() if after is None or name > after)[:limit]

    async def stats(self, namespace: str | None = None) -> NamespaceStats:
        """As surveyed; of the whole collection counted, records of nobody too. No bytes."""
        if namespace is None:
            return NamespaceStats(await self.collection.count())
        return NamespaceStats((await self._surveyed())[namespace])

    async def sizes(self) -> dict[str, NamespaceStats]:
        """As surveyed."""
        return {name: NamespaceStats(vectors) for name, vectors in (await self._surveyed()).items()}

    async def aclose(self) -> None:
        """As the engine's."""
        await self._close()

    async def _surveyed(self) -> Counter[str]:
        """Records of each tenant, by a look at every record, which is taken a twentieth of the time at most. Raises
        Refused: a record is of no single tenant."""
        async with self._surveying:
            began = time.monotonic()
            if began < self._good_until:
                return self._survey
            found: Counter[str] = Counter()
            async for page in self.collection.values_of(self.field):
                for id, value in page:
                    found[self._tenant_of(id, value)] += 1
            ended = time.monotonic()
            self._survey, self._good_until = found, ended + max(LEAST_S, GOOD_FOR * (ended - began))
            return found

    def _tenant_of(self, id: str, value: Any) -> str:
        if isinstance(value, str):
            return value
        number = number_of(value)
        if number is None:
            raise Refused(
                f"{self.where}: record {id!r} has {value!r} in {self.field!r}, which names no single tenant; "
                "let it be a text or a whole number in every record"
            )
        return str(number)


class FieldTenant(CommonIndex):
    """Implements `Index`: one tenant of the collection. A write looks first which of the records were there before."""

    def __init__(self, backend: FieldTenants, namespace: str) -> None:
        super().__init__(namespace, backend.gates, backend.listings)
        self._collection = backend.collection
        self._field = backend.field
        self._spelling = Spelling(backend.field, namespace)
        self.at_once = max(1, self._collection.at_once // 2)
        self.most_hits = self._collection.most_hits

    async def put(self, records: Sequence[Record]) -> None:
        """Each in place of the one that is there, or as a new one of the tenant's."""
        old = set(await self._old([record.id for record in records]))
        kind = await self._collection.kind_of(self._field)
        await self._collection.put(
            [
                Record(
                    record.id if record.id in old else self._spelling.added(record.id),
                    record.values,
                    self._spelling.written(record.metadata, kind),
                )
                for record in records
            ]
        )

    async def remove(self, selector: Selector) -> None:
        """Of what was there before, only what is the tenant's."""
        if isinstance(selector, Everything):
            await self._collection.remove(ByFilter(self._spelling.own))
            return
        if isinstance(selector, ByFilter):
            await self._collection.remove(ByFilter(self._spelling.among(selector.filter)))
            return
        for start in range(0, len(selector.ids), self.at_once):
            ids = selector.ids[start : start + self.at_once]
            await self._collection.remove(ByIds((*await self._old(ids), *map(self._spelling.added, ids))))

    async def get(self, ids: Sequence[str]) -> list[Record]:
        """One request for both kinds of ids."""
        found = await self._collection.get([*self._not_added(ids), *map(self._spelling.added, ids)])
        return self._shown(found)

    async def nearest(self, query: Query, top_k: int) -> list[Hit]:
        """Among the tenant's own."""
        among = msgspec.structs.replace(query, filter=self._spelling.among(query.filter))
        hits = {}
        for hit in await self._collection.nearest(among, top_k):
            id = self._spelling.shown(hit.id)
            if id not in hits or self._spelling.is_added(hit.id):
                hits[id] = msgspec.structs.replace(hit, id=id, metadata=self._spelling.read(hit.metadata))
        return list(hits.values())

    async def every_id(self, prefix: str) -> list[str]:
        """Of the tenant's own."""
        return list({self._spelling.shown(id) for id in await self._collection.ids_where(self._spelling.own)})

    async def _old(self, ids: Sequence[str]) -> list[str]:
        """Those of these that were there before, and are the tenant's."""
        plain = self._not_added(ids)
        found = await self._collection.metadata_of(plain) if plain else {}
        return [id for id, metadata in found.items() if self._spelling.holds(metadata)]

    def _not_added(self, ids: Sequence[str]) -> list[str]:
        """Those that records may have which were there before."""
        return [id for id in ids if not id.startswith(MADE) and self._collection.takes(id)]

    def _shown(self, records: Iterable[Record]) -> list[Record]:
        """The tenant's own, as it wrote them; where two writes beside a delete left both kinds, what it added."""
        own = [record for record in records if self._spelling.holds(record.metadata)]
        own.sort(key=lambda record: self._spelling.is_added(record.id))
        read = self._spelling.read
        return list(
            {
                (id := self._spelling.shown(record.id)): Record(id, record.values, read(record.metadata))
                for record in own
            }.values()
        )


def number_of(value: Any) -> int | None:
    """The whole number that a field's value or a tenant's name is."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        return int(value) if value.isascii() and value.removeprefix("-").isdigit() else None
    return value if isinstance(value, int) else None


def _escaped(key: str) -> str:
    return OURS + key if key.startswith(OURS) else key


def _plain(key: str) -> str:
    return key.removeprefix(OURS) if key.startswith(OURS + OURS) else key
