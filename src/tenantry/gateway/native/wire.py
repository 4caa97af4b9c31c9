"""Requests and responses of the native API. Unknown fields are refused, so that a typing error is not passed over."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from tenantry.router.problems import Problem


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """Base of request bodies and query strings."""


class Version(msgspec.Struct):
    """What serves."""

    version: str


class Index(msgspec.Struct):
    """A logical index."""

    name: str
    dimension: int
    metric: str
    policy: str
    auto_create: bool
    embedder: str | None
    deletion_protection: bool
    tags: dict[str, str]
    created_at: float


class Indexes(msgspec.Struct):
    """All logical indexes, by name."""

    indexes: list[Index]


class CreateIndex(Body):
    """A new logical index with ``shards`` shards on the default backend."""

    name: str
    dimension: int
    metric: str = "cosine"
    shards: int = 1
    policy: str = "rendezvous"
    auto_create: bool = True
    embedder: str | None = None
    deletion_protection: bool = False
    tags: dict[str, str] = {}


class ChangeIndex(Body):
    """What may change of an index; fields that are left out stay."""

    policy: str | UnsetType = UNSET
    auto_create: bool | UnsetType = UNSET
    embedder: str | UnsetType | None = UNSET
    deletion_protection: bool | UnsetType = UNSET
    tags: dict[str, str] | UnsetType = UNSET


class Shard(msgspec.Struct):
    """A shard with what it measures now; ``error`` says why when it could not be asked."""

    name: str
    index: str
    backend: str
    state: str
    tenants: int
    vectors: int
    bytes: int
    max_tenants: int | None
    max_vectors: int | None
    weight: float
    region: str | None
    tier: str | None
    options: dict[str, str]
    error: str | None


class Shards(msgspec.Struct):
    """All shards of an index, by name."""

    shards: list[Shard]


class CreateShard(Body):
    """A new shard."""

    name: str
    backend: str | None = None
    options: dict[str, str] = {}
    max_tenants: int | None = None
    max_vectors: int | None = None
    weight: float = 1.0
    region: str | None = None
    tier: str | None = None


class ChangeShard(Body):
    """What may change of a shard; fields that are left out stay."""

    max_tenants: int | UnsetType | None = UNSET
    max_vectors: int | UnsetType | None = UNSET
    weight: float | UnsetType = UNSET
    region: str | UnsetType | None = UNSET
    tier: str | UnsetType | None = UNSET
    state: str | UnsetType = UNSET


class Stats(msgspec.Struct):
    """An index in figures."""

    index: str
    dimension: int
    metric: str
    shards: int
    tenants: int
    vectors: int
    bytes: int
    shard_stats: list[Shard]


class Spec(msgspec.Struct):
    """What was asked for of a tenant's placement and use."""

    shard: str | None
    dedicated: bool
    region: str | None
    tier: str | None
    expected_vectors: int
    embedder: str | None
    plan: str | None


class ServicePlan(msgspec.Struct):
    """What a tenant may use; null is no limit."""

    name: str
    requests_per_s: int | None
    vectors: int | None
    bytes: int | None
    concurrent: int | None
    weight: int


class Tenant(msgspec.Struct):
    """A tenant with its route, what its shard measures now, and what it may use (``plan``; its spec names its own)."""

    name: str
    index: str
    state: str
    shard: str
    namespace: str
    epoch: int
    mode: str
    generation: int
    vectors: int
    bytes: int
    spec: Spec
    created_at: float
    error: str | None
    plan: ServicePlan


class ListTenants(Body):
    """One page of tenants by name."""

    after: str | None = None
    limit: int = 100
    prefix: str = ""
    shard: str | None = None


class Tenants(msgspec.Struct):
    """One page of tenants; go on with ``after`` = ``next``."""

    tenants: list[Tenant]
    next: str | None


class CreateTenant(Body):
    """A new tenant; all but the name is optional."""

    name: str
    shard: str | None = None
    dedicated: bool = False
    region: str | None = None
    tier: str | None = None
    expected_vectors: int = 0
    embedder: str | None = None
    plan: str | None = None


class RenameTenant(Body):
    """Always refused."""

    name: str


class RecordIn(Body, gc=False):
    """A record to write."""

    id: str
    values: list[float]
    metadata: dict[str, Any] | None = None


class Upsert(Body):
    """A batch of records."""

    records: list[RecordIn]


class Upserted(msgspec.Struct):
    """How many records were written."""

    upserted: int


class Query(Body):
    """A nearest-neighbour question: exactly one of ``vector`` and ``id``."""

    vector: list[float] | None = None
    id: str | None = None
    top_k: int = 10
    filter: dict[str, Any] | None = None
    include_values: bool = False
    include_metadata: bool = True


class Hit(msgspec.Struct, gc=False):
    """One hit. Scores grow with nearness."""

    id: str
    score: float
    values: list[float] | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET


class Hits(msgspec.Struct):
    """Hits, best first."""

    hits: list[Hit]
    took_ms: float


class Fetch(Body):
    """Which records to fetch."""

    ids: list[str]


class RecordOut(msgspec.Struct, gc=False):
    """A record as stored."""

    id: str
    values: list[float]
    metadata: dict[str, Any] | None


class Records(msgspec.Struct):
    """The records that exist, in the order asked."""

    records: list[RecordOut]


class Update(Body):
    """A partial change of one record."""

    id: str
    values: list[float] | None = None
    set_metadata: dict[str, Any] | None = None


class Updated(msgspec.Struct):
    """Whether there was such a record."""

    found: bool


class Delete(Body):
    """Exactly one of ``ids``, ``filter`` and ``all: true``."""

    ids: list[str] | None = None
    filter: dict[str, Any] | None = None
    all: bool = False


class Done(msgspec.Struct):
    """Nothing more to say."""


class ListIds(Body):
    """One page of ids."""

    prefix: str = ""
    cursor: str | None = None
    limit: int = 100


class Ids(msgspec.Struct):
    """One page of ids, ascending; ``cursor`` is null on the last."""

    ids: list[str]
    cursor: str | None


class DocumentIn(Body):
    """A text with a name of its own within its tenant."""

    id: str
    text: str
    metadata: dict[str, Any] = {}


class AddDocuments(Body):
    """Documents to chunk, embed and store."""

    documents: list[DocumentIn]


class Added(msgspec.Struct):
    """Documents by outcome, chunks written and deleted."""

    added: int
    replaced: int
    unchanged: int
    chunks_written: int
    chunks_deleted: int


class DeleteDocuments(Body):
    """Documents to delete with all their chunks."""

    ids: list[str]


class Search(Body):
    """A search by meaning."""

    text: str
    top_k: int = 10
    filter: dict[str, Any] | None = None


class TextHit(msgspec.Struct):
    """A chunk that answers a search."""

    document: str
    chunk: int
    text: str
    score: float
    metadata: dict[str, Any]


class TextHits(msgspec.Struct):
    """Chunks, best first."""

    hits: list[TextHit]
    took_ms: float


class VerifyRouting(Body):
    """Whether to mend what can be mended."""

    heal: bool = True


class RoutingReport(msgspec.Struct):
    """What cache, catalog and backends say about each other."""

    index: str
    tenants: int
    shards: int
    consistent: bool
    problems: list[Problem]


class ListKeys(Body):
    """Which keys."""

    index: str | None = None
    tenant: str | None = None


class Key(msgspec.Struct):
    """A key, without its secret. It begins with ``prefix``."""

    id: str
    prefix: str
    scope: str
    index: str | None
    tenant: str | None
    label: str
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    replaced_by: str | None


class Keys(msgspec.Struct):
    """Keys, newest first."""

    keys: list[Key]


class CreateKey(Body):
    """``scope``: admin, operator, tenant, tenant-read or reader; without it ``tenant`` with a tenant, else ``admin``.
    ``index`` is that of the tenant, ``default`` unless given, or the one that a reader is held to."""

    tenant: str | None = None
    index: str | None = None
    scope: str | None = None
    label: str = ""
    expires_in_s: float | None = None


class RotateKey(Body):
    """The old key works for ``overlap_s`` seconds more; the new one for ``expires_in_s``, or as long as the old one
    was given."""

    overlap_s: float = 0.0
    expires_in_s: float | None = None


class CreatedKey(msgspec.Struct):
    """A new key and its secret, which is shown this once."""

    key: Key
    secret: str


class ErrorDetail(msgspec.Struct, omit_defaults=True):
    """What went wrong; ``field`` names the field when one is to blame."""

    code: str
    message: str
    field: str | None = None


class Error(msgspec.Struct):
    """Every answer with a status of 400 or more."""

    error: ErrorDetail
