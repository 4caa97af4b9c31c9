"""Rows of the tables as values of the model, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import sqlalchemy as sa

from tenantry.errors import Corrupt, InvalidArgument
from tenantry.model.keys import ApiKey, Scope
from tenantry.model.records import Metric
from tenantry.model.topology import (
    LogicalIndex,
    Mode,
    Place,
    Route,
    Shard,
    ShardState,
    Tenant,
    TenantSpec,
    TenantState,
)

Row = sa.Row[Any]
_labels = msgspec.json.Decoder(dict[str, str])
_spec = msgspec.json.Decoder(TenantSpec)
_json = msgspec.json.Encoder()
_PLAIN_SPEC = TenantSpec()


def encode(value: Any) -> str:
    """A value as JSON text."""
    return _json.encode(value).decode()


@contextmanager
def checked(where: str, recovery: str, row: str) -> Iterator[None]:
    """Decode a row in the body; what is not as the catalog wrote it is Corrupt, not a crash."""
    try:
        yield
    except (ValueError, TypeError) as error:  # msgspec's DecodeError and an enum's complaint are ValueErrors
        raise Corrupt(f"catalog {where}: {row} cannot be read ({error}); {recovery}") from error


def index_of(row: Row) -> LogicalIndex:
    """A row of ``tenantry_indexes``."""
    return LogicalIndex(
        name=row.name,
        dimension=row.dimension,
        metric=Metric(row.metric),
        policy=row.policy,
        auto_create=row.auto_create,
        embedder=row.embedder,
        deletion_protection=row.deletion_protection,
        tags=_labels.decode(row.tags),
        created_at=row.created_at,
    )


def index_values(index: LogicalIndex) -> dict[str, Any]:
    """Columns of a logical index."""
    fixed = {
        "name": index.name,
        "dimension": index.dimension,
        "metric": index.metric.value,
        "created_at": index.created_at,
    }
    return _storable(fixed) | mutable_index_values(index)


def mutable_index_values(index: LogicalIndex) -> dict[str, Any]:
    """Those columns of a logical index that an update replaces."""
    return _storable(
        {
            "policy": index.policy,
            "auto_create": index.auto_create,
            "embedder": index.embedder,
            "deletion_protection": index.deletion_protection,
            "tags": encode(index.tags),
        }
    )


def shard_of(row: Row) -> Shard:
    """A row of ``tenantry_shards``."""
    return Shard(
        index=row.index_name,
        name=row.name,
        backend=row.backend,
        options=_labels.decode(row.options),
        max_tenants=row.max_tenants,
        max_vectors=row.max_vectors,
        weight=row.weight,
        region=row.region,
        tier=row.tier,
        state=ShardState(row.state),
        tenants=row.tenants,
    )


def shard_values(shard: Shard) -> dict[str, Any]:
    """Columns of a new shard, which holds no tenants."""
    return mutable_shard_values(shard) | _storable(
        {
            "index_name": shard.index,
            "name": shard.name,
            "backend": shard.backend,
            "options": encode(shard.options),
            "tenants": 0,
        }
    )


def mutable_shard_values(shard: Shard) -> dict[str, Any]:
    """Those columns of a shard that an update replaces."""
    return _storable(
        {
            "max_tenants": shard.max_tenants,
            "max_vectors": shard.max_vectors,
            "weight": shard.weight,
            "region": shard.region,
            "tier": shard.tier,
            "state": shard.state.value,
        }
    )


def tenant_of(row: Row) -> Tenant:
    """A row of ``tenantry_tenants``."""
    other = None if row.other_shard is None else Place(row.other_shard, row.other_namespace)
    route = Route(row.epoch, Place(row.shard, row.namespace), Mode(row.mode), other, TenantState(row.state))
    spec = _PLAIN_SPEC if row.spec == "{}" else _spec.decode(row.spec)
    return Tenant(row.index_name, row.name, route, spec, row.generation, row.created_at)


def tenant_values(tenant: Tenant) -> dict[str, Any]:
    """Columns of a tenant and its route."""
    route = tenant.route
    return _storable(
        {
            "index_name": tenant.index,
            "name": tenant.name,
            "epoch": route.epoch,
            "shard": route.place.shard,
            "namespace": route.place.namespace,
            "mode": route.mode.value,
            "other_shard": route.other.shard if route.other else None,
            "other_namespace": route.other.namespace if route.other else None,
            "state": route.state.value,
            "spec": encode(tenant.spec),
            "expected_vectors": tenant.spec.expected_vectors,
            "generation": tenant.generation,
            "created_at": tenant.created_at,
        }
    )


def key_of(row: Row) -> ApiKey:
    """A row of ``tenantry_keys``."""
    return ApiKey(
        id=row.id,
        digest=row.digest,
        scope=Scope(row.scope),
        index=row.index_name,
        tenant=row.tenant,
        label=row.label,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )


def key_values(key: ApiKey) -> dict[str, Any]:
    """Columns of an API key."""
    return _storable(
        {
            "id": key.id,
            "digest": key.digest,
            "scope": key.scope.value,
            "index_name": key.index,
            "tenant": key.tenant,
            "label": key.label,
            "created_at": key.created_at,
            "expires_at": key.expires_at,
            "revoked_at": key.revoked_at,
        }
    )


def setting_values(name: str, value: Any) -> dict[str, Any]:
    """Columns of a setting."""
    return _storable({"name": name, "value": encode(value)})


def _storable(values: dict[str, Any]) -> dict[str, Any]:
    """The same values, when every text among them is one that both databases can hold."""
    for column, value in values.items():
        if isinstance(value, str) and "\x00" in value:
            raise InvalidArgument(column, value, "text without NUL characters")
    return values
