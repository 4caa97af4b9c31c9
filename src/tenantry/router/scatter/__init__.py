"""One question to many tenants: who holds them, asking their shards, merging what they answer."""

from tenantry.router.scatter.merge import TenantHit
from tenantry.router.scatter.search import Scatter
from tenantry.router.scatter.shapes import (
    ModelGroup,
    Options,
    Outcome,
    ScatterResult,
    SearchLimits,
    ShardTiming,
    Source,
)

__all__ = [
    "ModelGroup",
    "Options",
    "Outcome",
    "Scatter",
    "ScatterResult",
    "SearchLimits",
    "ShardTiming",
    "Source",
    "TenantHit",
]
