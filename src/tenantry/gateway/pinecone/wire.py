"""Requests and responses of Pinecone's data plane. Names and defaults are the wire's; unknown fields are passed over,
as newer clients send hints that older servers do not know."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

DEFAULT_PAGE = 100


class SparseValues(msgspec.Struct):
    """Accepted only to be refused with a clear message."""

    indices: list[int]
    values: list[float]


class UpsertVector(msgspec.Struct, rename="camel", gc=False):
    """One record to write."""

    id: str
    values: list[float] = []
    sparse_values: SparseValues | None = None
    metadata: dict[str, Any] | None = None


class UpsertRequest(msgspec.Struct, rename="camel"):
    """A batch of records for one namespace."""

    vectors: list[UpsertVector]
    namespace: str = ""


class UpsertResponse(msgspec.Struct, rename="camel"):
    """How many records were written."""

    upserted_count: int


class QueryRequest(msgspec.Struct, rename="camel"):
    """A nearest-neighbour question by vector or by the id of a stored record."""

    top_k: int
    vector: list[float] | None = None
    id: str | None = None
    namespace: str | None = None
    filter: dict[str, Any] | None = None
    include_values: bool = False
    include_metadata: bool = False
    sparse_vector: SparseValues | None = None
    queries: list[Any] | None = None


class ScoredVector(msgspec.Struct, rename="camel", gc=False):
    """One match."""

    id: str
    score: float
    values: list[float]
    metadata: dict[str, Any] | UnsetType = UNSET


class Usage(msgspec.Struct, rename="camel"):
    """Read units, which Tenantry does not bill: one per request, or per ten records fetched."""

    read_units: int


class QueryResponse(msgspec.Struct, rename="camel"):
    """Matches, nearest first."""

    matches: list[ScoredVector]
    namespace: str
    usage: Usage


class FetchQuery(msgspec.Struct):
    """Which records to fetch."""

    ids: list[str]
    namespace: str = ""


class StoredVector(msgspec.Struct, rename="camel", gc=False):
    """A record as stored."""

    id: str
    values: list[float]
    metadata: dict[str, Any] | UnsetType = UNSET


class FetchResponse(msgspec.Struct, rename="camel"):
    """The records that exist, by id."""

    vectors: dict[str, StoredVector]
    namespace: str
    usage: Usage


class FetchByMetadataRequest(msgspec.Struct, rename="camel"):
    """Records whose metadata match, page by page."""

    filter: dict[str, Any]
    namespace: str | None = None
    limit: int = DEFAULT_PAGE
    pagination_token: str | None = None


class Pagination(msgspec.Struct):
    """Token for the next page."""

    next: str


class FetchByMetadataResponse(msgspec.Struct, rename="camel"):
    """A page of matching records; a page may be short, or empty, while ``pagination`` is there."""

    vectors: dict[str, StoredVector]
    namespace: str
    usage: Usage
    pagination: Pagination | UnsetType = UNSET


class UpdateRequest(msgspec.Struct, rename="camel"):
    """A partial change of one record by id, or metadata to set on all records that match a filter."""

    id: str | None = None
    values: list[float] | None = None
    sparse_values: SparseValues | None = None
    set_metadata: dict[str, Any] | None = None
    namespace: str | None = None
    filter: dict[str, Any] | None = None
    dry_run: bool = False


class UpdateResponse(msgspec.Struct, rename="camel"):
    """How many records matched, for an update by filter."""

    matched_records: int | UnsetType = UNSET


class DeleteRequest(msgspec.Struct, rename="camel"):
    """What to delete: exactly one of ids, filter and deleteAll."""

    ids: list[str] | None = None
    delete_all: bool | None = None
    namespace: str | None = None
    filter: dict[str, Any] | None = None


class Empty(msgspec.Struct):
    """Nothing to say."""


class ListQuery(msgspec.Struct, rename="camel"):
    """One page of record ids."""

    namespace: str = ""
    prefix: str = ""
    limit: int = DEFAULT_PAGE
    pagination_token: str = ""


class ListItem(msgspec.Struct):
    """A record's id."""

    id: str


class ListResponse(msgspec.Struct, rename="camel"):
    """One page of record ids, ascending."""

    vectors: list[ListItem]
    namespace: str
    usage: Usage
    pagination: Pagination | UnsetType = UNSET


class StatsRequest(msgspec.Struct):
    """A filter is refused, as for Pinecone's serverless indexes."""

    filter: dict[str, Any] | None = None


class NamespaceSummary(msgspec.Struct, rename="camel"):
    """What one namespace holds."""

    vector_count: int


class StatsResponse(msgspec.Struct, rename="camel"):
    """What an index holds."""

    namespaces: dict[str, NamespaceSummary]
    dimension: int
    index_fullness: float
    total_vector_count: int
    metric: str
    vector_type: str


class CreateNamespaceRequest(msgspec.Struct):
    """A namespace to make; every metadata field can be filtered on, so ``schema`` is accepted and changes nothing."""

    name: str
    schema: dict[str, Any] | None = None


class NamespaceDescription(msgspec.Struct):
    """One namespace; counts are strings, as 64-bit numbers are in protobuf's JSON."""

    name: str
    record_count: str
    size_bytes: str


class ListNamespacesQuery(msgspec.Struct, rename="camel"):
    """One page of namespaces."""

    prefix: str = ""
    limit: int = DEFAULT_PAGE
    pagination_token: str = ""


class ListNamespacesResponse(msgspec.Struct):
    """One page of namespaces, by name."""

    namespaces: list[NamespaceDescription]
    total_count: int
    pagination: Pagination | UnsetType = UNSET
