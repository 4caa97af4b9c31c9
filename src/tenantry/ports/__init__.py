"""Every seam between the core and the outside, as Protocols. Adapters implement them; nothing else may.

A call that raises has changed nothing that was acknowledged; every call may be repeated.
Errors are those of `tenantry.errors` and no others.
"""

from tenantry.ports.backend import Features, Index, NativeCopy, VectorBackend, Warming
from tenantry.ports.catalog import (
    BarrierCatalog,
    Catalog,
    CopyCatalog,
    IndexCatalog,
    KeyCatalog,
    LeaseCatalog,
    MoveCatalog,
    SettingCatalog,
    ShardCatalog,
    TenantCatalog,
    UsageCatalog,
    WriteLog,
)
from tenantry.ports.others import (
    Clock,
    Damaged,
    Embedder,
    EventFeed,
    Faults,
    Limiter,
    PlacementPolicy,
    RouteCache,
    SharedRoutes,
    Telemetry,
)

__all__ = [
    "BarrierCatalog",
    "Catalog",
    "Clock",
    "CopyCatalog",
    "Damaged",
    "Embedder",
    "EventFeed",
    "Faults",
    "Features",
    "Index",
    "IndexCatalog",
    "KeyCatalog",
    "LeaseCatalog",
    "Limiter",
    "MoveCatalog",
    "NativeCopy",
    "PlacementPolicy",
    "RouteCache",
    "SettingCatalog",
    "ShardCatalog",
    "SharedRoutes",
    "Telemetry",
    "TenantCatalog",
    "UsageCatalog",
    "VectorBackend",
    "Warming",
    "WriteLog",
]
