"""Requests and responses of Pinecone's control plane, in the form of 2026-07 and in the form before it."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

#: Since this version an index has `schema` and `deployment` in place of `dimension`, `metric` and `spec`.
SCHEMA_SINCE = "2026-07"


class CreateIndexRequest(msgspec.Struct):
    """Both forms in one; exactly one of ``schema`` and ``dimension`` describes the vectors."""

    name: str | None = None
    schema: dict[str, Any] | None = None
    deployment: dict[str, Any] | None = None
    dimension: int | None = None
    metric: str | None = None
    vector_type: str | None = None
    spec: dict[str, Any] | None = None
    read_capacity: dict[str, Any] | None = None
    deletion_protection: str | None = None
    tags: dict[str, str] | None = None
    source_collection: str | None = None
    source_backup_id: str | None = None
    cmek_id: str | None = None
    embed: dict[str, Any] | None = None


class ConfigureIndexRequest(msgspec.Struct):
    """What may change: deletion protection and tags; an empty tag value removes the tag."""

    deletion_protection: str | None = None
    tags: dict[str, str] | None = None
    spec: dict[str, Any] | None = None
    schema: dict[str, Any] | None = None
    deployment: dict[str, Any] | None = None
    read_capacity: dict[str, Any] | None = None
    embed: dict[str, Any] | None = None


class IndexStatus(msgspec.Struct):
    """An index is ready as soon as it exists."""

    ready: bool
    state: str


class IndexModel(msgspec.Struct):
    """An index; which of the optional parts are there depends on the API version that the client asked for."""

    name: str
    host: str
    status: IndexStatus
    deletion_protection: str
    tags: dict[str, str] | UnsetType | None = UNSET
    dimension: int | UnsetType = UNSET
    metric: str | UnsetType = UNSET
    vector_type: str | UnsetType = UNSET
    spec: dict[str, Any] | UnsetType = UNSET
    schema: dict[str, Any] | UnsetType = UNSET
    deployment: dict[str, Any] | UnsetType = UNSET
    read_capacity: dict[str, Any] | UnsetType = UNSET


class IndexList(msgspec.Struct):
    """All indexes that the key may see."""

    indexes: list[IndexModel]
