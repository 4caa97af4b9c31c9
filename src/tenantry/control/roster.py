"""All tenants of an index with their sizes and load, as of a moment ago: to be searched, sorted and paged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from tenantry.control.measure.readings import Reading, Readings
from tenantry.control.sizes import sizes_of
from tenantry.errors import NotFound
from tenantry.model.records import NamespaceStats
from tenantry.model.topology import Tenant
from tenantry.ports import Catalog, Clock
from tenantry.router.listing import every_tenant
from tenantry.router.shards import ShardPool

log = logging.getLogger(__name__)

#: A roster older than that is made anew when somebody asks, seconds; meanwhile the old one is shown.
FRESH_S = 10.0
#: One older than that is not shown any more, seconds.
STALE_S = 60.0
#: A shard that does not answer for that long counts as empty, seconds.
ANSWER_S = 5.0
#: Indexes of which one is kept; the one asked for least recently goes.
MOST_INDEXES = 8


class RosterRow(msgspec.Struct, frozen=True, gc=False):
    """A tenant. ``per_second`` counts its operations over the window, ``error_rate`` (0 to 1) those that failed.
    ``moving``: a move of it is under way."""

    name: str
    state: str
    shard: str
    vectors: int
    bytes: int
    per_second: float
    error_rate: float
    created_at: float
    moving: bool


class RosterSort(StrEnum):
    """By what rows are sorted; equal ones by name."""

    NAME = "name"
    STATE = "state"
    SHARD = "shard"
    VECTORS = "vectors"
    BYTES = "bytes"
    PER_SECOND = "per_second"
    ERROR_RATE = "error_rate"
    CREATED_AT = "created_at"


class Roster(msgspec.Struct, frozen=True):
    """All tenants of an index, by name, as they were ``at`` (seconds since the Unix epoch)."""

    at: float
    rows: tuple[RosterRow, ...]


class RosterPage(msgspec.Struct, frozen=True):
    """Part of a roster: ``found`` of ``total`` tenants match; `tenants` are those from ``offset`` on."""

    index: str
    at: float
    total: int
    found: int
    offset: int
    tenants: list[RosterRow]


def page_of(
    index: str,
    roster: Roster,
    *,
    text: str,
    shard: str | None,
    sort: RosterSort,
    descending: bool,
    offset: int,
    limit: int,
) -> RosterPage:
    """Rows whose name holds ``text`` (upper and lower case alike), and that are on ``shard`` if one is given."""
    wanted = text.casefold()
    rows: Sequence[RosterRow] = roster.rows
    if wanted or shard is not None:
        rows = [row for row in rows if wanted in row.name.casefold() and shard in (None, row.shard)]
    if sort is not RosterSort.NAME:
        key: Callable[[RosterRow], Any] = lambda row: getattr(row, sort.value)  # noqa: E731 - one line, used once
        rows = sorted(rows, key=key, reverse=descending)  # stable, so equal ones stay by name
    elif descending:
        rows = rows[::-1]
    shown = list(rows[offset : offset + limit])
    return RosterPage(index, roster.at, len(roster.rows), len(rows), offset, shown)


class Rosters:
    """Measures an index when somebody asks for its tenants, at most once every `FRESH_S`, however many ask.

    Args:
        readings: gives what was counted of an index of late.
    """

    def __init__(self, catalog: Catalog, pool: ShardPool, readings: Callable[[str], Readings], clock: Clock) -> None:
        self._catalog = catalog
        self._pool = pool
        self._readings = readings
        self._clock = clock
        self._made: dict[str, tuple[float, Roster]] = {}
        self._making: dict[str, asyncio.Task[Roster]] = {}

    async def roster(self, index: str) -> Roster:
        """At most `STALE_S` old. The first one of an index takes as long as measuring it. Raises NotFound (index),
        Unavailable."""
        known = self._made.pop(index, None)
        if known is not None:
            self._made[index] = known  # asked for most recently
            age = self._clock.monotonic() - known[0]
            if age <= FRESH_S:
                return known[1]
            making = self._begin(index)
            if age <= STALE_S:
                return known[1]
        else:
            await self._catalog.indexes.get(index)
            if index in self._made:  # another one that asked at the same time was quicker by all of a measurement
                return self._made[index][1]
            making = self._begin(index)
        return await asyncio.shield(making)

    async def aclose(self) -> None:
        """Give up what is being measured; safe to call twice."""
        tasks = list(self._making.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, index: str) -> asyncio.Task[Roster]:
        making = self._making.get(index)
        if making is None:
            making = self._making[index] = asyncio.create_task(self._make(index))
            making.add_done_callback(lambda task: self._ended(index, task))
        return making

    def _ended(self, index: str, task: asyncio.Task[Roster]) -> None:
        self._making.pop(index, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("the tenants of index %s were not measured: %s", index, error)
            if isinstance(error, NotFound):
                self._made.pop(index, None)

    async def _make(self, index: str) -> Roster:
        started = self._clock.monotonic()
        tenants = [tenant async for tenant in every_tenant(self._catalog.tenants, index)]
        moves = await self._catalog.moves.list(index, open_only=True, limit=1_000)
        sizes = await sizes_of(self._pool, await self._catalog.shards.list(index), ANSWER_S)
        read = self._readings(index).tenants
        moving = {move.tenant for move in moves}
        rows = tuple(
            _row(tenant, sizes.of(tenant)[0], read.get(tenant.name), tenant.name in moving) for tenant in tenants
        )
        made = Roster(self._clock.now(), rows)
        self._made.pop(index, None)
        self._made[index] = (started, made)
        while len(self._made) > MOST_INDEXES:
            del self._made[next(iter(self._made))]
        return made


def _row(tenant: Tenant, size: NamespaceStats, reading: Reading | None, moving: bool) -> RosterRow:
    return RosterRow(
        name=tenant.name,
        state=str(tenant.state),
        shard=tenant.route.place.shard,
        vectors=size.vectors,
        bytes=size.bytes,
        per_second=0.0 if reading is None else reading.per_second,
        error_rate=0.0 if reading is None else reading.error_rate,
        created_at=tenant.created_at,
        moving=moving,
    )
