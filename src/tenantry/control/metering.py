"""Adds what a process counted of its tenants' use to the catalog."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from tenantry.control.regularly import Regularly
from tenantry.errors import TenantryError
from tenantry.model.records import NamespaceStats
from tenantry.model.usage import Usage
from tenantry.ports import Clock, UsageCatalog
from tenantry.router.meter import Meter

log = logging.getLogger(__name__)

#: Rows of one part: one transaction of some milliseconds.
MOST_ROWS = 1_000
#: Tenants whose store is measured at one flush; the others come at a later one.
MOST_MEASURED = 200
#: Longest time for these measurements, seconds.
MEASURE_S = 2.0

Measure = Callable[[str, str], Awaitable[NamespaceStats]]


class Metering:
    """Saves what a `Meter` counted, every ``flush_s`` from its first count on, and when the process ends in order.

    Exactness: nothing is counted twice, for each part carries this process's name (``source``) and a number, and the
    catalog takes no part again: one whose outcome is not known is sent again as it is. A process that is killed loses
    what it counted since its last flush, so at most that of ``flush_s`` and the time that one flush takes. While the
    catalog is away nothing is lost, but a kill then loses all that was counted since.

    Args:
        flush_s: seconds; 0: nothing is counted.
        source: unique to this process's life.
        measure: what a tenant stores now.
    """

    def __init__(
        self, meter: Meter, catalog: UsageCatalog, clock: Clock, source: str, measure: Measure, flush_s: float
    ) -> None:
        self._meter = meter
        self._catalog = catalog
        self._clock = clock
        self._source = source
        self._measure = measure
        self._rows: list[Usage] = []
        self._sent: list[Usage] = []
        self._part = 0
        self._measured: dict[tuple[str, str], int] = {}
        self._flushing = asyncio.Lock()
        self._rounds = Regularly(
            clock,
            flush_s,
            self.flush,
            lambda error: log.warning("what tenants used is kept in memory, as the catalog did not take it: %s", error),
        )
        meter.first = self._rounds.start

    async def flush(self) -> None:
        """Add everything counted so far. Raises Unavailable and other errors of the catalog: it stays here, and is
        added at the next try."""
        async with self._flushing:
            self._rows = _together([*self._rows, *self._meter.take()])
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
        self._meter.first = _nothing
        if not await self._rounds.aclose():
            return
        try:
            await self.flush()
        except TenantryError as error:
            log.warning("what %d tenants used was not saved: %s", len(self._rows) + len(self._sent), error)

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


def _nothing() -> None:
    """What is counted from now on is nobody's any more."""


def _together(rows: Sequence[Usage]) -> list[Usage]:
    """One row for each tenant and hour."""
    found: dict[tuple[int, str, str], Usage] = {}
    for row in rows:
        key = (row.start, row.index, row.tenant)
        old = found.get(key)
        found[key] = row if old is None else old.plus(row)
    return list(found.values())
