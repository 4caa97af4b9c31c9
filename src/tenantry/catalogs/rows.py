"""Rows of the tables as values of the model, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import sqlalchemy as sa

from tenantry.errors import Corrupt, InvalidArgument
from tenantry.model.keys import ApiKey, Scope
from tenantry.model.leases import Copy, Lease
from tenantry.model.moves import Move, Options, Phase, Progress, Proof, Wish
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


class _MoveBody(msgspec.Struct, omit_defaults=True):
    """What of a move has no column of its own."""

    source: str
    target: str
    outcome: Phase | None = None
    options: Options = Options()
    why: str = "manual"
    s0: int | None = None
    progress: Progress = Progress()
    proof: Proof | None = None
    started: dict[str, float] = {}
    flip_ms: float | None = None
    back_ms: float | None = None
    error: str | None = None


_labels = msgspec.json.Decoder(dict[str, str])
_spec = msgspec.json.Decoder(TenantSpec)
_body = msgspec.json.Decoder(_MoveBody)
_json = msgspec.json.Encoder()
_BESIDE_PLACES = tuple(name for name in _MoveBody.__struct_fields__ if name not in ("source", "target"))
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
        copies=row.copies,
        created_at=row.created_at,
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
            "copies": 0,
            "created_at": shard.created_at,
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
    spec = _PLAIN_SPEC if row.spec == "{}" else _spec.decode(row.spec)
    place, state = Place(row.shard, row.namespace), TenantState(row.state)
    route = Route(row.epoch, place, Mode(row.mode), other, state, spec.plan)
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
        replaced_by=row.replaced_by,
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
            "replaced_by": key.replaced_by,
        }
    )


def move_of(row: Row) -> Move:
    """A row of ``tenantry_moves``."""
    body = _body.decode(row.body)
    return Move(
        id=row.id,
        index=row.index_name,
        tenant=row.tenant,
        source=Place(row.source_shard, body.source),
        target=Place(row.target_shard, body.target),
        created_at=row.created_at,
        phase=Phase(row.phase),
        wish=Wish(row.wish),
        source_mark=row.source_mark,
        target_mark=row.target_mark,
        **{name: getattr(body, name) for name in _BESIDE_PLACES},
    )


def move_values(move: Move) -> dict[str, Any]:
    """Columns of a move."""
    rest = {name: getattr(move, name) for name in _BESIDE_PLACES}
    body = _MoveBody(move.source.namespace, move.target.namespace, **rest)
    return _storable(
        {
            "id": move.id,
            "index_name": move.index,
            "tenant": move.tenant,
            "source_shard": move.source.shard,
            "target_shard": move.target.shard,
            "phase": move.phase.value,
            "wish": move.wish.value,
            "source_mark": move.source_mark,
            "target_mark": move.target_mark,
            "created_at": move.created_at,
            "body": encode(body),
        }
    )


def lease_of(row: Row) -> Lease:
    """A row of ``tenantry_leases``."""
    return Lease(row.name, row.owner, row.fence, row.beat)


def copy_of(row: Row) -> Copy:
    """A row of ``tenantry_copies``."""
    return Copy(row.index_name, row.tenant, Place(row.shard, row.namespace), row.move, row.purge_at)


def copy_values(copy: Copy) -> dict[str, Any]:
    """Columns of a retired copy."""
    return _storable(
        {
            "index_name": copy.index,
            "shard": copy.place.shard,
            "namespace": copy.place.namespace,
            "tenant": copy.tenant,
            "move": copy.move,
            "purge_at": copy.purge_at,
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
