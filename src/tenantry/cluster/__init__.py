"""The library's face: a cluster, its indexes, shards, tenants and keys, and handles to work with one tenant."""

from tenantry.cluster.cluster import Cluster
from tenantry.cluster.handles import TenantHandle
from tenantry.cluster.parts import Parts

__all__ = ["Cluster", "Parts", "TenantHandle"]
