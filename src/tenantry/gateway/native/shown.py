"""The core's values as the native API shows them."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from tenantry.cluster.keys import shown_prefix
from tenantry.cluster.shards import ShardStatus
from tenantry.cluster.tenants import TenantStatus
from tenantry.documents.store import TextHit
from tenantry.gateway.native import wire, wire_searching
from tenantry.gateway.vectors import numbers
from tenantry.model.keys import ApiKey
from tenantry.model.records import Hit, Record
from tenantry.model.service import ServicePlan
from tenantry.model.topology import LogicalIndex
from tenantry.router.scatter import TenantHit


def shown_index(index: LogicalIndex) -> wire.Index:
    """A logical index."""
    return wire.Index(
        name=index.name,
        dimension=index.dimension,
        metric=str(index.metric),
        policy=index.policy,
        auto_create=index.auto_create,
        embedder=index.embedder,
        deletion_protection=index.deletion_protection,
        tags=index.tags,
        created_at=index.created_at,
    )


def shown_shard(status: ShardStatus) -> wire.Shard:
    """A measured shard."""
    shard = status.shard
    return wire.Shard(
        name=shard.name,
        index=shard.index,
        backend=shard.backend,
        state=str(shard.state),
        tenants=shard.tenants,
        vectors=status.vectors,
        bytes=status.bytes,
        max_tenants=shard.max_tenants,
        max_vectors=shard.max_vectors,
        weight=shard.weight,
        region=shard.region,
        tier=shard.tier,
        options=shard.options,
        error=status.error,
    )


def shown_tenant(status: TenantStatus) -> wire.Tenant:
    """A measured tenant."""
    tenant, spec = status.tenant, status.tenant.spec
    return wire.Tenant(
        name=tenant.name,
        index=tenant.index,
        state=str(tenant.state),
        shard=tenant.route.place.shard,
        namespace=tenant.route.place.namespace,
        epoch=tenant.route.epoch,
        mode=str(tenant.route.mode),
        generation=tenant.generation,
        vectors=status.vectors,
        bytes=status.bytes,
        spec=wire.Spec(
            shard=spec.shard,
            dedicated=spec.dedicated,
            region=spec.region,
            tier=spec.tier,
            expected_vectors=spec.expected_vectors,
            embedder=spec.embedder,
            plan=spec.plan,
        ),
        created_at=tenant.created_at,
        error=status.error,
        plan=shown_plan(status.plan),
    )


def shown_plan(plan: ServicePlan) -> wire.ServicePlan:
    """A plan."""
    return wire.ServicePlan(**msgspec.structs.asdict(plan))


def shown_hit(hit: Hit) -> wire.Hit:
    """A tenant's hit."""
    return wire.Hit(
        hit.id,
        float(hit.score),
        UNSET if hit.values is None else numbers(hit.values),
        UNSET if hit.metadata is None else hit.metadata,
    )


def shown_tenant_hit(found: TenantHit) -> wire_searching.AnyHit:
    """A hit of a cross-tenant search by vector."""
    hit = found.hit
    metadata = UNSET if hit.metadata is None else hit.metadata
    return wire_searching.AnyHit(found.tenant, float(hit.score), id=hit.id, metadata=metadata)


def shown_text_hit(hit: TextHit) -> wire.TextHit:
    """A chunk of a tenant's document."""
    return wire.TextHit(hit.document, hit.chunk, hit.text, float(hit.score), hit.metadata)


def shown_tenant_text_hit(hit: TextHit) -> wire_searching.AnyHit:
    """A hit of a cross-tenant search by text."""
    return wire_searching.AnyHit(
        hit.tenant or "",
        float(hit.score),
        document=hit.document,
        chunk=hit.chunk,
        text=hit.text,
        metadata=hit.metadata,
    )


def shown_record(record: Record) -> wire.RecordOut:
    """A stored record."""
    return wire.RecordOut(record.id, numbers(record.values), record.metadata)


def shown_key(key: ApiKey) -> wire.Key:
    """A key without its digest."""
    return wire.Key(
        id=key.id,
        prefix=shown_prefix(key),
        scope=str(key.scope),
        index=key.index,
        tenant=key.tenant,
        label=key.label,
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        replaced_by=key.replaced_by,
    )
