"""What a cluster is put together from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tenantry.control.health.values import Thresholds
from tenantry.control.mover.context import MovingLimits, NoFaults
from tenantry.errors import InvalidArgument
from tenantry.model.limits import Limits
from tenantry.model.topology import LogicalIndex, Shard
from tenantry.ports import (
    Archive,
    Catalog,
    Clock,
    Embedder,
    EventFeed,
    Faults,
    Limiter,
    Notifier,
    PlacementPolicy,
    RouteCache,
    SharedRoutes,
    Telemetry,
    Tracer,
    VectorBackend,
)
from tenantry.router.scatter import SearchLimits
from tenantry.router.service import ServiceOptions


def no_archive(url: str | None) -> Archive:
    """Where none can be opened. Raises InvalidArgument."""
    raise InvalidArgument("archive", url, "none here")


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a cluster is put together from; `tenantry.wiring` chooses them by the settings.

    Attributes:
        open_backend: makes a shard's backend.
        backends, default_backend: registered kinds, and the one for shards that name none.
        policy: placement policy by name; raises InvalidArgument.
        embedder: embedder by name, made once; raises InvalidArgument.
        token: that many random bytes as hexadecimal.
        request_timeout_s: longest time of one backend call.
        search_deadline_s: longest time of a cross-tenant search, unless the caller says less.
        searching: the other bounds of such searches.
        close: closes what `wiring` opened, last.
        announce: takes what only one process may use (the embedded data folder) and notes where it is served.
        exclusive: takes it without a note; raises Locked.
        sole: no other process can reach this cluster's shards, so nobody holds or awaits leases.
        lease_s: length of the leases of a fleet, seconds.
        moving: bounds of moves.
        faults: where tests interfere.
        feeds: what carries events between the processes of a fleet.
        shared: where they keep routes for each other.
        open_archive: makes the archive of a URL, or that of the settings for None; backup_key: the key of archives.
        deleted_retention_s: how long the data of a deleted tenant are kept, seconds; 0: not at all.
        key_pepper: under which new API keys are hashed; None: one that the catalog keeps.
        check_every_s: pause between checks of the routing while the cluster is served, seconds; 0: none.
        thresholds: when to warn.
        window_s: over which latencies and rates are taken, seconds.
        health_every_s: pause between checks of the health while the cluster is served, seconds; 0: none.
        top_tenants: tenants that a report of health lists.
        notifier: is told of warnings that come to stand or go.
        prices: tables laid over the price book of the package.
        autopilot_every_s: pause between looks of the auto-pilot while the cluster is served, seconds; 0: none.
        tracer: makes spans; None: nobody traces.
        service: which limits are kept to, how shards are shared, whether usage is counted.
        limiter: counts for all processes of a fleet; None: each counts for itself.
        free_bytes: free disk under a shard; None: its engine does not tell.
    """

    catalog: Catalog
    cache: RouteCache
    open_backend: Callable[[LogicalIndex, Shard], VectorBackend]
    backends: tuple[str, ...]
    default_backend: str
    policy: Callable[[str], PlacementPolicy]
    embedder: Callable[[str], Embedder]
    clock: Clock
    telemetry: Telemetry
    token: Callable[[int], str]
    limits: Limits
    request_timeout_s: float
    search_deadline_s: float
    close: Callable[[], Awaitable[None]]
    announce: Callable[[str], None] = lambda url: None
    exclusive: Callable[[], None] = lambda: None
    sole: bool = True
    lease_s: float = 5.0
    moving: MovingLimits = field(default_factory=MovingLimits)
    searching: SearchLimits = field(default_factory=SearchLimits)
    faults: Faults = field(default_factory=NoFaults)
    feeds: Sequence[EventFeed] = ()
    shared: SharedRoutes | None = None
    check_every_s: float = 0.0
    thresholds: Thresholds = field(default_factory=Thresholds)
    window_s: float = 300.0
    health_every_s: float = 0.0
    top_tenants: int = 20
    notifier: Notifier | None = None
    open_archive: Callable[[str | None], Archive] = no_archive
    backup_key: Callable[[], bytes | None] = lambda: None
    deleted_retention_s: float = 0.0
    key_pepper: str | None = None
    prices: Mapping[str, Any] | None = None
    autopilot_every_s: float = 0.0
    tracer: Tracer | None = None
    service: ServiceOptions = field(default_factory=ServiceOptions)
    limiter: Limiter | None = None
    free_bytes: Callable[[Shard], int | None] = lambda shard: None
