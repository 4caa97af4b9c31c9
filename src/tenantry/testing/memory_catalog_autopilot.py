"""The record of the auto-pilot of a `MemoryCatalog`."""

from __future__ import annotations

from tenantry.errors import Conflict, NotFound
from tenantry.model.autopilot import PilotEntry
from tenantry.testing.memory_catalog_tables import Enter, Tables, at_least_one


class MemoryAutopilot:
    """`tenantry.ports.AutopilotCatalog` in memory."""

    def __init__(self, tables: Tables, enter: Enter) -> None:
        self._all, self._enter = tables, enter

    async def append(self, entry: PilotEntry) -> None:
        """Raises Conflict."""
        await self._enter("autopilot.append")
        newest = max(self._all.autopilot, default=0)
        if entry.seq != newest + 1:
            raise Conflict(f"the record of the auto-pilot goes on from entry {newest}, not {entry.seq - 1}")
        self._all.autopilot[entry.seq] = entry

    async def settle(self, entry: PilotEntry) -> None:
        """Raises NotFound."""
        await self._enter("autopilot.settle")
        if entry.seq not in self._all.autopilot:
            raise NotFound("entry of the auto-pilot", str(entry.seq))
        self._all.autopilot[entry.seq] = entry

    async def list(
        self, *, limit: int, before: int | None = None, index: str | None = None, since: float | None = None
    ) -> list[PilotEntry]:
        """Raises InvalidArgument (limit)."""
        await self._enter("autopilot.list")
        at_least_one(limit)
        found = (
            entry
            for seq, entry in self._all.autopilot.items()
            if (before is None or seq < before)
            and index in (None, entry.index)
            and (since is None or entry.at >= since)
        )
        return sorted(found, key=lambda entry: -entry.seq)[:limit]

    async def prune(self, keep: int, since: float) -> int:
        """How many went."""
        await self._enter("autopilot.prune")
        newest = max(self._all.autopilot, default=0)
        gone = [
            seq
            for seq, entry in self._all.autopilot.items()
            if seq < newest and (seq <= newest - keep or entry.at < since)
        ]
        for seq in gone:
            del self._all.autopilot[seq]
        return len(gone)
