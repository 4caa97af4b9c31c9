"""The audit log of a `MemoryCatalog`."""

from __future__ import annotations

from tenantry.catalogs.audited import pruned
from tenantry.model.audit import Chain, Deed, Entry, Wanted, chained, extended
from tenantry.testing.memory_catalog_tables import Enter, Tables, at_least_one


class MemoryAudit:
    """`tenantry.ports.AuditCatalog` in memory."""

    def __init__(self, tables: Tables, enter: Enter) -> None:
        self._all, self._enter = tables, enter

    async def append(self, deed: Deed) -> Entry:
        """The next entry."""
        await self._enter("audit.append")
        entry = chained(self._all.chain, deed)
        self._all.chain = extended(self._all.chain, entry)
        self._all.audit[entry.seq] = entry
        return entry

    async def list(self, wanted: Wanted) -> list[Entry]:
        """Raises InvalidArgument (limit)."""
        await self._enter("audit.list")
        at_least_one(wanted.limit)
        found = [entry for entry in self._all.audit.values() if _fits(entry, wanted)]
        return sorted(found, key=lambda entry: entry.seq, reverse=wanted.after is None)[: wanted.limit]

    async def chain(self) -> Chain:
        """Where the log begins and ends."""
        await self._enter("audit.chain")
        return self._all.chain

    async def prune(self, through: int, deed: Deed) -> Entry:
        """Raises InvalidArgument."""
        await self._enter("audit.prune")
        shorter, entry = pruned(self._all.chain, self._all.audit.get(through), through, deed)
        self._all.chain = shorter
        self._all.audit = {seq: kept for seq, kept in self._all.audit.items() if seq > through} | {entry.seq: entry}
        return entry


def _fits(entry: Entry, wanted: Wanted) -> bool:
    return (
        (wanted.after is None or entry.seq > wanted.after)
        and (wanted.before is None or entry.seq < wanted.before)
        and wanted.index in (None, entry.index)
        and wanted.tenant in (None, entry.tenant)
        and wanted.actor in (None, entry.actor)
        and wanted.action in (None, entry.action)
        and (wanted.since_us is None or entry.at_us >= wanted.since_us)
        and (wanted.until_us is None or entry.at_us < wanted.until_us)
    )
