"""What tenants used: for bills, and to see who uses what."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime

import msgspec

from tenantry.cluster.recording import recorded
from tenantry.control.metering import Metering
from tenantry.errors import InvalidArgument
from tenantry.model.limits import check_count
from tenantry.model.usage import DAY_S, HOUR_S, Usage
from tenantry.ports import Catalog, Clock

PAGE_MOST = 10_000
HOUR, DAY = "hour", "day"
LAST = 2**53
COLUMNS = (
    "start",
    "index",
    "tenant",
    "queries",
    "reads",
    "writes",
    "vectors_upserted",
    "bytes_upserted",
    "vectors_stored",
    "bytes_stored",
)


class UsagePage(msgspec.Struct, frozen=True):
    """Rows by start, index and tenant; go on with ``after`` = the last one, until there is none."""

    rows: list[Usage]
    after: Usage | None


class UsageAdmin:
    """What the gateways have counted; what this process has counted is saved first."""

    def __init__(self, catalog: Catalog, metering: Metering, clock: Clock) -> None:
        self._catalog = catalog
        self._metering = metering
        self._clock = clock

    async def page(
        self,
        since: float = 0,
        until: float | None = None,
        *,
        by: str = HOUR,
        index: str | None = None,
        tenant: str | None = None,
        after: tuple[int, str, str] | None = None,
        limit: int = 1_000,
    ) -> UsagePage:
        """Usage by hour or day (UTC) of the hours that start from ``since`` on and before ``until`` (Unix seconds;
        default: all). The present hour goes on growing. Raises InvalidArgument."""
        check_count(limit, "limit", 1, PAGE_MOST)
        if by not in (HOUR, DAY):
            raise InvalidArgument("by", by, "hour or day")
        end = LAST if until is None else until
        for field, given in (("from", since), ("to", end)):
            if not 0 <= given <= LAST:
                raise InvalidArgument(field, given, f"seconds since 1970, 0 to {LAST}")
        if since >= end:
            raise InvalidArgument("to", end, f"a time after {since:.0f}, where it begins")
        await self._metering.flush()
        found = await self._catalog.usage.list(
            int(since), int(end), index=index, tenant=tenant, by_day=by == DAY, after=after, limit=limit
        )
        return UsagePage(found, found[-1] if len(found) == limit else None)

    async def export(
        self,
        since: float = 0,
        until: float | None = None,
        *,
        by: str = HOUR,
        index: str | None = None,
        tenant: str | None = None,
    ) -> AsyncIterator[Usage]:
        """As `page`, all of it."""
        after: tuple[int, str, str] | None = None
        while True:
            page = await self.page(since, until, by=by, index=index, tenant=tenant, after=after, limit=PAGE_MOST)
            for row in page.rows:
                yield row
            if page.after is None:
                return
            after = (page.after.start, page.after.index, page.after.tenant)

    @recorded("usage.forget")
    async def forget(self, before: float) -> int:
        """Drop hours that ended before that time, for good; returns the number of rows."""
        if not 0 <= before <= self._clock.now() - DAY_S:
            raise InvalidArgument("before", before, "a time at least a day ago, in seconds since 1970")
        return await self._catalog.usage.forget(int(before) // HOUR_S * HOUR_S)


def as_csv(rows: Iterable[Usage], *, head: bool = True) -> str:
    """Comma-separated values (RFC 4180), times in ISO 8601, empty where nothing was measured. Names that a spreadsheet
    would take for a formula get an apostrophe in front."""
    out = io.StringIO()
    writer = csv.writer(out)
    if head:
        writer.writerow(COLUMNS)
    for row in rows:
        start = datetime.fromtimestamp(row.start, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        counts = (row.queries, row.reads, row.writes, row.vectors, row.bytes)
        stored = ("" if one is None else one for one in (row.vectors_stored, row.bytes_stored))
        writer.writerow([start, row.index, _harmless(row.tenant), *counts, *stored])
    return out.getvalue()


def _harmless(name: str) -> str:
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name
