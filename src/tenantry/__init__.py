"""A sharding control plane and router for vector databases."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tenantry.version import __version__

if TYPE_CHECKING:
    from tenantry.cluster import Cluster, TenantHandle
    from tenantry.documents.store import Document
    from tenantry.model.records import Hit, Record
    from tenantry.settings import Settings
    from tenantry.sync import SyncCluster, connect
    from tenantry.wiring import init_cluster, open_cluster

#: Public names to where they live; loaded on first use, so that importing the package costs nothing.
_PUBLIC = {
    "Cluster": "tenantry.cluster",
    "TenantHandle": "tenantry.cluster",
    "Document": "tenantry.documents.store",
    "Hit": "tenantry.model.records",
    "Record": "tenantry.model.records",
    "Settings": "tenantry.settings",
    "SyncCluster": "tenantry.sync",
    "connect": "tenantry.sync",
    "init_cluster": "tenantry.wiring",
    "open_cluster": "tenantry.wiring",
}

__all__ = [
    "Cluster",
    "Document",
    "Hit",
    "Record",
    "Settings",
    "SyncCluster",
    "TenantHandle",
    "__version__",
    "connect",
    "init_cluster",
    "open_cluster",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'tenantry' has no attribute {name!r}")
