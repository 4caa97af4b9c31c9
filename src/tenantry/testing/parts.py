"""What a cluster for a test is put together from, where no engine, server or file is needed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from tenantry.caches.memory import MemoryRouteCache
from tenantry.cluster import Parts
from tenantry.errors import InvalidArgument
from tenantry.model.limits import Limits
from tenantry.model.topology import LogicalIndex, Shard
from tenantry.placement import policy
from tenantry.ports import Catalog, Clock, Embedder, VectorBackend
from tenantry.telemetry.silent import SilentTelemetry


def parts_in_memory(
    catalog: Catalog, open_backend: Callable[[LogicalIndex, Shard], VectorBackend], clock: Clock, /, **others: Any
) -> Parts:
    """Parts with one kind of backend, ``memory``, that ``open_backend`` makes; tokens that count up, no embedder,
    nothing measured.

    Args:
        others: fields of `Parts` that are to be otherwise. Without ``close`` the catalog is closed with the cluster.
    """
    tokens = itertools.count(1)
    return Parts(
        **{
            "catalog": catalog,
            "cache": MemoryRouteCache(),
            "open_backend": open_backend,
            "backends": ("memory",),
            "default_backend": "memory",
            "policy": policy,
            "embedder": no_embedder,
            "clock": clock,
            "telemetry": SilentTelemetry(),
            "token": lambda size: f"{next(tokens):0{2 * size}x}",
            "limits": Limits(),
            "request_timeout_s": 30.0,
            "search_deadline_s": 3.0,
            "close": catalog.aclose,
            **others,
        }
    )


def no_embedder(name: str) -> Embedder:
    """Raises InvalidArgument."""
    raise InvalidArgument("embedder", name, "none here")
