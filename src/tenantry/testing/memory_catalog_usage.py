"""What tenants used, of a `MemoryCatalog`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tenantry.errors import InvalidArgument
from tenantry.model.usage import DAY_S, HOUR_S, Usage
from tenantry.testing.memory_catalog_tables import Enter, Tables, at_least_one, storable


class MemoryUsage:
    """`tenantry.ports.UsageCatalog` in memory."""

    def __init__(self, tables: Tables, enter: Enter) -> None:
        self._all, self._enter = tables, enter

    async def add(self, source: str, part: int, rows: Sequence[Usage], at: float) -> bool:
        """Raises InvalidArgument."""
        await self._enter("usage.add")
        storable(source=source)
        if part < 1:
            raise InvalidArgument("part", part, "1 or more")
        for row in rows:
            storable(index=row.index, tenant=row.tenant)
        last, _ = self._all.usage_sources.get(source, (0, 0.0))
        if part <= last:
            return False
        self._all.usage_sources[source] = (part, at)
        for row in rows:
            key = (row.start, row.index, row.tenant)
            old = self._all.usage.get(key)
            self._all.usage[key] = row if old is None else old.plus(row)
        return True

    async def list(
        self,
        since: int,
        until: int,
        *,
        index: str | None = None,
        tenant: str | None = None,
        by_day: bool = False,
        after: tuple[int, str, str] | None = None,
        limit: int = 1_000,
    ) -> list[Usage]:
        """By start, index and tenant. Raises InvalidArgument (limit)."""
        await self._enter("usage.list")
        at_least_one(limit)
        found: dict[tuple[int, str, str], Usage] = {}
        for row in self._all.usage.values():
            chosen = index in (None, row.index) and tenant in (None, row.tenant)
            if since <= row.start < until and chosen:
                start = row.start // DAY_S * DAY_S if by_day else row.start
                key = (start, row.index, row.tenant)
                old = found.get(key)
                found[key] = old.plus(row) if old is not None else msgspec.structs.replace(row, start=start)
        return [found[key] for key in sorted(found) if after is None or key > after][:limit]

    async def forget(self, before: int) -> int:
        """Whole hours."""
        await self._enter("usage.forget")
        old = [key for key in self._all.usage if key[0] < before // HOUR_S * HOUR_S]
        for key in old:
            del self._all.usage[key]
        for source, (_, at) in list(self._all.usage_sources.items()):
            if at < before:
                del self._all.usage_sources[source]
        return len(old)
