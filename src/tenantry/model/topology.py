"""Where things are: logical indexes, shards, tenants and the routes between them."""

from __future__ import annotations

from enum import StrEnum

import mmh3
import msgspec

from tenantry.model.records import Metric

DEFAULT_INDEX = "default"
#: Buckets of tenants for which the catalog keeps when a route last changed.
BUCKETS = 1_024
#: What Pinecone calls the namespace of a request that names none. It is a tenant like any other.
DEFAULT_TENANT = "__default__"


class Place(msgspec.Struct, frozen=True, gc=False):
    """A physical namespace on a shard. The namespace carries a generation (``acme``, then ``acme~2``),
    so that a late write of an abandoned copy lands where nobody reads."""

    shard: str
    namespace: str


class Mode(StrEnum):
    """How a tenant's writes travel."""

    DIRECT = "direct"
    """Routers write to the backend themselves: the steady state."""
    LOGGED = "logged"
    """Routers append to the tenant's write log; one applier applies it (during a move)."""
    FENCED = "fenced"
    """Appends wait: the moment of a flip."""


class TenantState(StrEnum):
    """The life of a tenant: creating or restoring, active (or suspended and back), deleting, deleted."""

    CREATING = "creating"
    """Placed, but its namespace may not exist yet; whoever resolves it next makes it and activates it."""
    ACTIVE = "active"
    SUSPENDED = "suspended"
    """Data stays; every data-plane request is refused."""
    RESTORING = "restoring"
    """Its data are being put back from a backup: every request is refused until all of them are there."""
    DELETING = "deleting"
    """No route any more; the data are being dropped. A crash here is finished on the next try."""
    DELETED = "deleted"
    """Kept as a tombstone, so that epochs and generations of a re-created tenant go on growing."""


class Route(msgspec.Struct, frozen=True, gc=False):
    """Where a tenant's requests go, and under which plan. Of two routes of a tenant, the higher epoch is the newer."""

    epoch: int
    place: Place
    mode: Mode = Mode.DIRECT
    other: Place | None = None
    state: TenantState = TenantState.ACTIVE
    plan: str | None = None
    """That of the tenant's spec, so that a gateway hears of a new one as it hears of a new place."""


class TenantSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wanted of a tenant's placement and use; everything is optional.

    Attributes:
        shard: pin to this shard; nothing moves it by itself.
        dedicated: a shard of its own, shared with nobody.
        region, tier: only shards that say the same.
        expected_vectors: planned size, counted by the least-loaded policy and the capacity check.
        embedder: embedder of this tenant, if it is not that of the index (same dimension).
        plan: what it may use (`tenantry.model.service.Plans`); None: the cluster's default.
    """

    shard: str | None = None
    dedicated: bool = False
    region: str | None = None
    tier: str | None = None
    expected_vectors: int = 0
    embedder: str | None = None
    plan: str | None = None


class Tenant(msgspec.Struct, frozen=True):
    """A namespace of a logical index, with its route.

    Attributes:
        generation: grows with each physical namespace that was ever made for this name.
        created_at: seconds since the Unix epoch.
    """

    index: str
    name: str
    route: Route
    spec: TenantSpec
    generation: int
    created_at: float

    @property
    def state(self) -> TenantState:
        """Shorthand for the state that the route carries."""
        return self.route.state


class Dated(msgspec.Struct, frozen=True):
    """A tenant as it was at a moment: every change of a lower moment shows.

    Attributes:
        moment: a number of the catalog's, the same for all processes. None where one process has the catalog to itself.
    """

    tenant: Tenant
    moment: int | None


class DatedRoute(msgspec.Struct, frozen=True):
    """A tenant's route as it was at a moment; see `Dated`."""

    moment: int
    route: Route


class ShardState(StrEnum):
    """What may be done with a shard."""

    ACTIVE = "active"
    DRAINING = "draining"
    """Serves its tenants, takes no new ones; they are to be moved off."""
    READ_ONLY = "read-only"
    """Answers reads; writes and new tenants are refused."""
    RETIRED = "retired"
    """Empty and out of use."""
    ROLLUP = "rollup"
    """Holds the roll-up of its index, and never a tenant; given and taken by `tenantry rollup on` and ``off``."""


class Shard(msgspec.Struct, frozen=True):
    """A backend index that holds tenants of one logical index.

    Attributes:
        backend: registered kind (``embedded``, ``pgvector``, ...).
        options: what that backend needs to reach its index; strings only, never a secret.
        max_tenants: namespaces it may hold; None is no limit.
        max_vectors: vectors it may hold; None is no limit.
        weight: share of new tenants relative to the others, over 0.
        tenants: how many it holds now, kept exact by the catalog.
        copies: second copies of tenants on the move, for which room is kept; kept exact by the catalog.
        created_at: when it was registered, seconds since the Unix epoch; 0: before that was kept.
    """

    index: str
    name: str
    backend: str
    options: dict[str, str] = msgspec.field(default_factory=dict)
    max_tenants: int | None = None
    max_vectors: int | None = None
    weight: float = 1.0
    region: str | None = None
    tier: str | None = None
    state: ShardState = ShardState.ACTIVE
    tenants: int = 0
    copies: int = 0
    created_at: float = 0.0


class LogicalIndex(msgspec.Struct, frozen=True):
    """What an application sees as one index: a dimension, a metric, and tenants spread over shards.

    Attributes:
        dimension: 1 to 20,000.
        policy: placement policy of new tenants (``rendezvous``, ``ring``, ``least-loaded``).
        auto_create: a first write makes the tenant.
        embedder: turns text into vectors of this dimension (``local``, ``openai:MODEL``); None: vectors only.
        deletion_protection: deleting the index is refused.
        tags: free labels, strings.
        created_at: seconds since the Unix epoch.
    """

    name: str
    dimension: int
    metric: Metric = Metric.COSINE
    policy: str = "rendezvous"
    auto_create: bool = True
    embedder: str | None = None
    deletion_protection: bool = False
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    created_at: float = 0.0


class Claim(msgspec.Struct, frozen=True):
    """What is spoken for on a shard, besides what it holds.

    Attributes:
        dedicated_to: the tenant that has the shard for itself, if one has.
        expected_vectors: sum of what its tenants are expected to hold.
    """

    dedicated_to: str | None = None
    expected_vectors: int = 0


class ShardView(msgspec.Struct, frozen=True):
    """A shard as placement sees it: its limits, what it holds at this moment, and what is spoken for."""

    shard: Shard
    vectors: int = 0
    claim: Claim = Claim()

    @property
    def load(self) -> int:
        """Vectors to count with: those that are there, or those that are planned, whichever is more."""
        return max(self.vectors, self.claim.expected_vectors)


class ClusterView(msgspec.Struct, frozen=True):
    """All shards of one logical index, ordered by name."""

    index: str
    shards: tuple[ShardView, ...]


def namespace_of(tenant: str, generation: int) -> str:
    """The physical namespace of a tenant's generation: the name itself, then ``name~2``, ``name~3``..."""
    return tenant if generation == 1 else f"{tenant}~{generation}"


#: The setting that names a catalog among others; one that is restored from a backup gets a name of its own.
HISTORY = "catalog.history"


def bucket_of(index: str, tenant: str) -> int:
    """Which of `BUCKETS` a tenant is in. The same in every process and version."""
    return mmh3.hash(f"{index}\x00{tenant}", signed=False) % BUCKETS
