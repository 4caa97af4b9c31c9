"""A shard on collections that others laid out."""

from __future__ import annotations

from tenantry.backends.common.collection import Collections, Engine
from tenantry.backends.common.tenant_field import FieldTenants
from tenantry.errors import InvalidArgument
from tenantry.ports import VectorBackend


def adopted(engine: Engine, collection: str, tenant_field: str, where: str) -> VectorBackend:
    """Tenants by a field of one collection, or else one in each collection."""
    if not tenant_field:
        return Collections(engine)
    named = f"{where}, collection {collection}"
    return FieldTenants(
        engine.collection(collection), tenant_field, named, engine.features, engine.probe, engine.aclose
    )


def check_adopted(adopted: bool, collection: str, tenant_field: str) -> None:
    """That a shard's options go together. Raises InvalidArgument."""
    if tenant_field and not adopted:
        raise InvalidArgument("options.tenant_field", tenant_field, "only with adopted=true")
    if bool(collection) != bool(tenant_field):
        name, given = ("tenant_field", tenant_field) if collection else ("collection", collection)
        raise InvalidArgument(f"options.{name}", given, "both of collection and tenant_field, or neither")
