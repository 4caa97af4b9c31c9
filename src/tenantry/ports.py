"""Every seam between the core and the outside, as Protocols. Adapters implement them; nothing else may.

A call that raises has changed nothing that was acknowledged; every call may be repeated.
Errors are those of `tenantry.errors` and no others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from tenantry.model.keys import ApiKey
from tenantry.model.records import Hit, IdPage, NamespaceStats, Page, Query, Record, Selector, Update, Vector
from tenantry.model.topology import (
    Claim,
    ClusterView,
    LogicalIndex,
    Route,
    Shard,
    ShardState,
    Tenant,
    TenantSpec,
    TenantState,
)

# --------------------------------------------------------------------------------- vector backends


class Features(msgspec.Struct, frozen=True):
    """What a backend can do; code branches on these, never on a backend's type.

    Attributes:
        filters: queries and deletes take metadata filters.
        atomic_update: `Index.update` cannot lose a concurrent write of the same record.
        read_your_writes: a read that starts after a write's acknowledgement sees it.
        exact_counts: `VectorBackend.stats` is exact at any moment.
        many_namespace_query: one call can search several namespaces.
        sparse: sparse values are stored and searched.
    """

    filters: bool = True
    atomic_update: bool = False
    read_your_writes: bool = False
    exact_counts: bool = False
    many_namespace_query: bool = False
    sparse: bool = False


class Index(Protocol):
    """One physical namespace on one shard. All raise NotFound (kind ``namespace``) when it is not there."""

    async def upsert(self, records: Sequence[Record]) -> None:
        """Write the records, replacing those of the same id; durable when it returns. All or nothing
        where the engine has transactions. Ids within one call are unique (the router checks)."""

    async def update(self, update: Update) -> bool:
        """Apply a partial change; False (and no change) when no record has that id."""

    async def delete(self, selector: Selector) -> None:
        """Delete what the selector names; nothing to delete is success."""

    async def fetch(self, ids: Sequence[str]) -> dict[str, Record]:
        """The records with these ids; absent ids are left out."""

    async def query(self, query: Query) -> list[Hit]:
        """At most ``top_k`` nearest records, best first, ties by id."""

    async def scan(self, cursor: str | None, limit: int, prefix: str = "") -> Page:
        """Records with ids after ``cursor`` (an id, exclusive; None: from the start), ascending by id.
        A record that exists throughout a whole scan is seen exactly once, whatever is written meanwhile."""

    async def list_ids(self, cursor: str | None, limit: int, prefix: str = "") -> IdPage:
        """As `scan`, ids only."""


class VectorBackend(Protocol):
    """One shard's store."""

    @property
    def features(self) -> Features:
        """What it can do."""

    async def create(self, namespace: str) -> None:
        """Make the namespace; one that exists already is success."""

    async def drop(self, namespace: str) -> None:
        """Remove the namespace and its data; one that does not exist is success."""

    def index(self, namespace: str) -> Index:
        """A handle; costs nothing and touches nothing. Handles are cached by callers."""

    async def namespaces(self, after: str | None, limit: int) -> list[str]:
        """Names in ascending order, after ``after``."""

    async def stats(self, namespace: str | None = None) -> NamespaceStats:
        """Vectors and bytes of one namespace, or of the whole shard."""

    async def aclose(self) -> None:
        """Finish what runs, close files and connections; safe to call twice."""


# ----------------------------------------------------------------------------------------- catalog


class IndexCatalog(Protocol):
    """Logical indexes. One method is one transaction."""

    async def create(self, index: LogicalIndex) -> None:
        """Raises AlreadyExists."""

    async def get(self, name: str) -> LogicalIndex:
        """Raises NotFound."""

    async def list(self) -> list[LogicalIndex]:
        """All, by name."""

    async def update(self, index: LogicalIndex) -> None:
        """Replace what is mutable (policy, auto_create, embedder, deletion_protection, tags). Raises NotFound."""

    async def delete(self, name: str) -> None:
        """Remove an index that has no live tenants, with its shards. Raises NotFound, Refused."""


class ShardCatalog(Protocol):
    """The shard registry."""

    async def add(self, shard: Shard) -> None:
        """Raises AlreadyExists, NotFound (index)."""

    async def list(self, index: str) -> list[Shard]:
        """All shards of a logical index, by name, with their exact number of tenants."""

    async def update(self, shard: Shard) -> None:
        """Replace limits, weight, region, tier and state; ``tenants`` and ``options`` stay. Raises NotFound."""

    async def set_state(self, index: str, name: str, state: ShardState) -> None:
        """Raises NotFound; Refused when it is to be retired and still holds tenants."""

    async def remove(self, index: str, name: str) -> None:
        """Raises NotFound, Refused while it holds tenants."""


class TenantCatalog(Protocol):
    """Tenants and their routes. Every change of a route grows its epoch by one."""

    async def place(self, index: str, name: str, spec: TenantSpec, shard: str, created_at: float) -> Tenant:
        """Record a new tenant on ``shard``, state CREATING, in one transaction with the shard's count.

        A tombstone of the same name is revived with a higher epoch and generation.

        Raises:
            AlreadyExists: a live tenant of that name is there.
            Conflict: the shard is full (of tenants, or of what they are expected to hold), not active, dedicated
                to another or gone: look again, choose again.
        """

    async def get(self, index: str, name: str) -> Tenant:
        """Live tenants (all but deleted). Raises NotFound."""

    async def list(
        self, index: str, after: str | None = None, limit: int = 100, prefix: str = "", shard: str | None = None
    ) -> list[Tenant]:
        """Live tenants by name, after ``after``; with ``shard``, only those whose route points there."""

    async def set_state(self, index: str, name: str, state: TenantState, expected_epoch: int) -> Tenant:
        """Compare-and-set on the epoch; DELETED also frees the tenant's room on its shard.
        Raises NotFound; Conflict; Refused when a tenant's life does not go that way."""

    async def set_route(self, index: str, name: str, route: Route, expected_epoch: int) -> Tenant:
        """Compare-and-set of the whole route; its epoch must be ``expected_epoch + 1``.
        Raises InvalidArgument (another epoch), NotFound, Refused; Conflict when the tenant has another epoch, or a
        shard newly named is gone, retired or somebody else's."""

    async def claims(self, index: str) -> dict[str, Claim]:
        """Shard name to what is spoken for on it; shards without a claim are left out."""


class KeyCatalog(Protocol):
    """API keys."""

    async def add(self, key: ApiKey) -> None:
        """Raises AlreadyExists."""

    async def get(self, id: str) -> ApiKey:
        """Raises NotFound."""

    async def list(self, index: str | None = None, tenant: str | None = None) -> list[ApiKey]:
        """All, newest first, or those of one index or tenant."""

    async def revoke(self, id: str, at: float) -> None:
        """Raises NotFound; a revoked key stays revoked as of its first revocation."""


class SettingCatalog(Protocol):
    """Settings of the cluster that all processes share: small JSON values by name."""

    async def get(self, name: str) -> Any:
        """None when it was never set."""

    async def put(self, name: str, value: Any) -> None:
        """Set or replace."""

    async def put_if_absent(self, name: str, value: Any) -> Any:
        """Set unless there; returns what is there afterwards. Safe from several processes at once."""

    async def all(self) -> Mapping[str, Any]:
        """Every setting."""


class Catalog(Protocol):
    """The truth: what exists and where. Not on the hot path."""

    @property
    def indexes(self) -> IndexCatalog:
        """Logical indexes."""

    @property
    def shards(self) -> ShardCatalog:
        """The shard registry."""

    @property
    def tenants(self) -> TenantCatalog:
        """Tenants and routes."""

    @property
    def keys(self) -> KeyCatalog:
        """API keys."""

    @property
    def settings(self) -> SettingCatalog:
        """Shared settings."""

    async def aclose(self) -> None:
        """Close connections; safe to call twice."""


# ------------------------------------------------------------------------------------ other seams


class RouteCache(Protocol):
    """Routes close at hand. A cache may forget; it never goes back to a lower epoch."""

    def get(self, index: str, tenant: str) -> Route | None:
        """The cached route, or None."""

    def put(self, index: str, tenant: str, route: Route) -> None:
        """Keep the route, unless one with a higher epoch is kept."""

    def forget(self, index: str, tenant: str) -> None:
        """Drop the route; the next look-up goes to the catalog."""

    def __len__(self) -> int:
        """Number of cached routes."""


class PlacementPolicy(Protocol):
    """Chooses a shard for a new tenant. Pure: the same view gives the same answer in any process."""

    def choose(self, tenant: str, spec: TenantSpec, view: ClusterView) -> str:
        """Name of the chosen shard. Raises CapacityExceeded when no eligible shard has room."""


class Embedder(Protocol):
    """Turns text into vectors."""

    @property
    def model(self) -> str:
        """Recorded with the data, so that another model is never mixed in (``local:l2_supercat``)."""

    @property
    def dimension(self) -> int:
        """Length of each vector."""

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        """One vector per text, in order. Batches, time limits and retries are its own affair."""

    async def aclose(self) -> None:
        """Close connections; safe to call twice."""


class Clock(Protocol):
    """Time, so that tests and simulations can own it."""

    def now(self) -> float:
        """Seconds since the Unix epoch."""

    def monotonic(self) -> float:
        """Seconds that never go back; for durations."""

    async def sleep(self, seconds: float) -> None:
        """Let others run for that long."""


class Telemetry(Protocol):
    """Where measurements go. Calls are cheap and never raise."""

    def operation(self, kind: str, index: str, shard: str, seconds: float, ok: bool) -> None:
        """One finished data-plane operation on a shard."""

    def lookup(self, cached: bool) -> None:
        """One route look-up, from the cache or from the catalog."""
