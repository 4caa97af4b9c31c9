"""Counts what tenants use, and adds it to the catalog now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from tenantry.errors import TenantryError
from tenantry.model.records import NamespaceStats
from tenantry.model.usage import Load, Usage, hour_of
from tenantry.ports import Clock, UsageCatalog

log = logging.getLogger(__name__)

#: Rows of one part: one transaction of some milliseconds.
MOST_ROWS = 1_000
#: Tenants whose store is measured at one flush; the others come at a later one.
MOST_MEASURED = 200
#: Longest time for these measurements, seconds.
MEASURE_S = 2.0

Measure = Callable[[str, str], Awaitable[NamespaceStats]]


class Meter:
    """Usage by tenant and hour, counted in memory and added to the catalog every ``flush_s``, at ``most_counted``
    operations, and when the process ends in order.

    Exactness: nothing is counted twice, for each part carries this process's name (``source``) and a number, and the
    catalog takes no part again: one whose outcome is not known is sent again as it is. A process that is killed loses
    what it counted since its last flush: operations of at most ``flush_s`` and the time of one flush, and about
    ``most_counted`` of them. While the catalog is away nothing is lost, but a kill then loses all that was counted
    since.

    Counting takes less than a microsecond and waits for nothing.

    Args:
        flush_s: seconds; 0: nothing is counted.
        source: unique to this process's life.
        measure: what a tenant stores now.
    """

    def __init__(
        self,
        catalog: UsageCatalog,
        clock: Clock,
        source: str,
        measure: Measure,
        flush_s: float,
        most_counted: int = 10_000,
    ) -> None:
        self._catalog = catalog
        self._clock = clock
        self._source = source
        self._measure = measure
        self._flush_s = flush_s
        self._most_counted = most_counted
        self._counts: dict[tuple[str, str], list[int]] = {}
        self._counted = 0
        self._hour_end = 0.0
        self._hour = 0
        self._rows: list[Usage] = []
        self._sent: list[Usage] = []
        self._part = 0
        self._measured: dict[tuple[str, str], int] = {}
        self._flushing = asyncio.Lock()
        self._soon = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def count(self, index: str, tenant: str, load: Load) -> None:
        """One operation that was answered."""
        if not self._flush_s or not load.own:
            return
        now = self._clock.now()
        if now >= self._hour_end or now < self._hour:
            self._turn_hour(now)
        counts = self._counts.get((index, tenant))
        if counts is None:
            counts = self._counts[index, tenant] = [0, 0, 0, 0, 0]
            if self._task is None:
                self._task = asyncio.get_running_loop().create_task(self._run())
        counts[0] += load.queries
        counts[1] += load.reads
        if load.write:
            counts[2] += load.writes
            counts[3] += load.vectors
            counts[4] += load.bytes
        self._counted += 1
        if self._counted >= self._most_counted:
            self._soon.set()

    async def flush(self) -> None:
        """Add everything counted so far. Raises Unavailable and other errors of the catalog: it stays here, and is
        added at the next try."""
        async with self._flushing:
            self._turn_hour(self._clock.now())
            self._counted = 0
            stored = await self._stores([row for row in self._rows if row.vectors_stored is None])
            self._rows = _together([*self._rows, *stored])
            while self._sent or self._rows:
                if not self._sent:
                    self._sent, self._rows = self._rows[:MOST_ROWS], self._rows[MOST_ROWS:]
                    self._part += 1
                await self._catalog.add(self._source, self._part, self._sent, self._clock.now())
                self._sent = []

    async def aclose(self) -> None:
        """Stop, after a last flush; safe to call twice."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        try:
            await self.flush()
        except TenantryError as error:
            log.warning("what %d tenants used was not saved: %s", len(self._rows) + len(self._sent), error)

    def _turn_hour(self, now: float) -> None:
        """Turn counts into rows of the hour that they were counted in."""
        for (index, tenant), counts in self._counts.items():
            self._rows.append(Usage(index, tenant, self._hour, *counts))
        self._counts = {}
        self._hour = hour_of(now)
        self._hour_end = self._hour + 3_600.0

    async def _stores(self, rows: Sequence[Usage]) -> list[Usage]:
        """What tenants store that wrote, or were not measured in this hour yet, as rows of their own."""
        found: list[Usage] = []
        wrote = {(row.index, row.tenant): row for row in rows if row.writes or self._unmeasured(row)}
        try:
            async with asyncio.timeout(MEASURE_S):
                for (index, tenant), row in list(wrote.items())[:MOST_MEASURED]:
                    try:
                        stats = await self._measure(index, tenant)
                    except TenantryError:
                        continue  # deleted, suspended, or its shard is away
                    self._measured[index, tenant] = row.start
                    found.append(
                        Usage(index, tenant, row.start, vectors_stored=stats.vectors, bytes_stored=stats.bytes)
                    )
        except TimeoutError:
            pass
        if len(self._measured) > 100 * MOST_ROWS:
            self._measured.clear()
        return found

    def _unmeasured(self, row: Usage) -> bool:
        return self._measured.get((row.index, row.tenant)) != row.start

    async def _run(self) -> None:
        while True:
            timer = asyncio.ensure_future(self._clock.sleep(self._flush_s))
            soon = asyncio.ensure_future(self._soon.wait())
            try:
                await asyncio.wait((timer, soon), return_when=asyncio.FIRST_COMPLETED)
            finally:
                timer.cancel()
                soon.cancel()
            self._soon.clear()
            try:
                await self.flush()
            except TenantryError as error:
                log.warning("what tenants used is kept in memory, as the catalog did not take it: %s", error)
                self._counted = 0


def _together(rows: Sequence[Usage]) -> list[Usage]:
    """One row for each tenant and hour."""
    found: dict[tuple[int, str, str], Usage] = {}
    for row in rows:
        key = (row.start, row.index, row.tenant)
        old = found.get(key)
        found[key] = row if old is None else old.plus(row)
    return list(found.values())
