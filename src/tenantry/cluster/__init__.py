"""The library's face: a cluster, its indexes, shards, tenants and keys, and handles to work with one tenant."""

from tenantry.cluster.cluster import Cluster, Parts
from tenantry.cluster.handles import TenantHandle

__all__ = ["Cluster", "Parts", "TenantHandle"]
