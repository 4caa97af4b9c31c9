"""What a cluster cost day by day: each day's counted use, at today's prices and on today's shards. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from tenantry.control.advisor import attribute
from tenantry.model.cost import DayCost, PriceBook, TenantUse
from tenantry.model.cost import Usage as Cluster
from tenantry.model.usage import DAY_S, Usage

NOTES = (
    "each day's counted use at today's prices, as if a month were like that day; shards are those of today, "
    "and tenants are taken to have been where they are now",
    "a tenant that was not used on a day counts with the size that was last measured before, or else with today's",
    "tenants that are gone are left out",
)


def cost_by_day(
    now: Cluster,
    created: Mapping[str, float],
    rows: Sequence[Usage],
    book: PriceBook,
    *,
    overhead: Sequence[str] = (),
    top: int = 10,
    tenant: str | None = None,
) -> list[DayCost]:
    """A bill for each day from the first one of which anything was counted.

    Args:
        now: the cluster as it is.
        created: when each tenant was made, seconds since the Unix epoch.
        rows: use by day, in the order of days.
        top: so many tenants of each day, the dearest; ``tenant``: that one instead.

    Raises:
        Refused: something has no published price.
    """
    known: dict[str, TenantUse] = {}
    days = []
    for start, counted in _days(rows):
        length_s = min(DAY_S, max(1.0, now.at - start))
        used = []
        for one in now.tenants:
            row = counted.get(one.name)
            if row is None and one.name not in known and created.get(one.name, 0.0) >= start + DAY_S:
                continue  # it was not there yet
            before = known.get(one.name, one)
            if row is not None and row.vectors_stored is not None:
                before = msgspec.structs.replace(one, vectors=row.vectors_stored, bytes=row.bytes_stored or 0)
                known[one.name] = before
            asked = 0 if row is None else row.queries + row.reads + row.writes
            used.append(msgspec.structs.replace(before, shard=one.shard, qps=asked / length_s))
        bill = attribute(msgspec.structs.replace(now, tenants=tuple(used), at=start), book, overhead=overhead)
        parts = bill.tenants[:top] if tenant is None else [one for one in bill.tenants if one.tenant == tenant]
        days.append(DayCost(start, bill.monthly, parts))
    return days


def _days(rows: Iterable[Usage]) -> Iterator[tuple[int, dict[str, Usage]]]:
    """Each day from the first to the last that has rows, with its rows by tenant; none in between is left out."""
    start: int | None = None
    found: dict[str, Usage] = {}
    for row in rows:
        if start is None:
            start = row.start
        while row.start > start:
            yield start, found
            start, found = start + DAY_S, {}
        found[row.tenant] = row
    if start is not None:
        yield start, found
