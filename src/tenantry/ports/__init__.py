"""Every seam between the core and the outside, as Protocols. Adapters implement them; nothing else may.

A call that raises has changed nothing that was acknowledged; every call may be repeated.
Errors are those of `tenantry.errors` and no others.
"""

from tenantry.ports.archive import Archive, Stored
from tenantry.ports.backend import (
    Features,
    Index,
    ManyNamespaces,
    NativeCopy,
    Snapshot,
    Snapshotting,
    VectorBackend,
    Warming,
)
from tenantry.ports.catalog import (
    AuditCatalog,
    AutopilotCatalog,
    BarrierCatalog,
    Catalog,
    CopyCatalog,
    IndexCatalog,
    KeyCatalog,
    LeaseCatalog,
    MeasureCatalog,
    MigrationCatalog,
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
    Notifier,
    PlacementPolicy,
    RouteCache,
    SharedRoutes,
    Telemetry,
)
from tenantry.ports.rollups import RollupCatalog
from tenantry.ports.tracing import Span, Tracer

__all__ = [
    "Archive",
    "AuditCatalog",
    "AutopilotCatalog",
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
    "ManyNamespaces",
    "MeasureCatalog",
    "MigrationCatalog",
    "MoveCatalog",
    "NativeCopy",
    "Notifier",
    "PlacementPolicy",
    "RollupCatalog",
    "RouteCache",
    "SettingCatalog",
    "ShardCatalog",
    "SharedRoutes",
    "Snapshot",
    "Snapshotting",
    "Span",
    "Stored",
    "Telemetry",
    "TenantCatalog",
    "Tracer",
    "UsageCatalog",
    "VectorBackend",
    "Warming",
    "WriteLog",
]
