"""A catalog in plain dictionaries, for tests and simulations: it keeps the whole contract, forgets at exit, uses no
thread, and takes a few microseconds a call.

Every method is atomic: it waits at one point only, in `enter`, before it looks at anything. So whoever owns `enter`
owns the schedule: a simulation can delay a call there, make it fail (nothing has happened then), or never let it go on.
"""

from __future__ import annotations

from typing import Self

import msgspec

from tenantry.model.image import CatalogImage
from tenantry.model.topology import TenantState
from tenantry.testing.memory_catalog_audit import MemoryAudit
from tenantry.testing.memory_catalog_autopilot import MemoryAutopilot
from tenantry.testing.memory_catalog_migrations import MemoryMigrations
from tenantry.testing.memory_catalog_moves import MemoryCopies, MemoryLog, MemoryMoves
from tenantry.testing.memory_catalog_rollups import MemoryRollups
from tenantry.testing.memory_catalog_shared import (
    MemoryBarriers,
    MemoryKeys,
    MemoryLeases,
    MemoryMeasures,
    MemorySettings,
)
from tenantry.testing.memory_catalog_tables import Enter, Tables, go_on
from tenantry.testing.memory_catalog_topology import MemoryIndexes, MemoryShards, MemoryTenants
from tenantry.testing.memory_catalog_usage import MemoryUsage


class MemoryCatalog:
    """`tenantry.ports.Catalog` in memory.

    Args:
        enter: called with the method's name (``"log.append"``) before each call acts. What it raises comes out of
            the call.
        tables: what another one holds, to share: several processes of a simulation each have their own `enter` to
            one truth.

    Attributes:
        tables: everything that it holds, for checkers to look at.
    """

    def __init__(self, enter: Enter | None = None, tables: Tables | None = None) -> None:
        self.tables = Tables() if tables is None else tables
        self._enter = go_on if enter is None else enter
        given = (self.tables, self._enter)
        self.indexes = MemoryIndexes(*given)
        self.shards = MemoryShards(*given)
        self.tenants = MemoryTenants(*given)
        self.keys = MemoryKeys(*given)
        self.audit = MemoryAudit(*given)
        self.settings = MemorySettings(*given)
        self.moves = MemoryMoves(*given)
        self.leases = MemoryLeases(*given)
        self.barriers = MemoryBarriers(*given)
        self.log = MemoryLog(*given)
        self.copies = MemoryCopies(*given)
        self.measures = MemoryMeasures(*given)
        self.rollups = MemoryRollups(*given)
        self.autopilot = MemoryAutopilot(*given)
        self.usage = MemoryUsage(*given)
        self.migrations = MemoryMigrations(*given)

    async def image(self) -> CatalogImage:
        """As of this moment."""
        await self._enter("image")
        tables = self.tables
        return CatalogImage(
            [tables.indexes[name] for name in sorted(tables.indexes)],
            [tables.shards[key] for key in sorted(tables.shards)],
            sorted(
                (one for one in tables.tenants.values() if one.state is not TenantState.DELETED),
                key=lambda one: (one.index, one.name),
            ),
            [tables.keys[id] for id in sorted(tables.keys)],
            {name: msgspec.json.decode(tables.settings[name]) for name in sorted(tables.settings)},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Nothing to close; what is held stays."""
