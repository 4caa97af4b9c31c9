"""Pinecone's control plane on logical indexes."""

from __future__ import annotations

import re
import secrets
from typing import Any

from tenantry.errors import InvalidArgument, PermissionDenied, Refused, Unsupported
from tenantry.gateway.errors import BadRequest
from tenantry.gateway.pinecone.control_wire import (
    SCHEMA_SINCE,
    ConfigureIndexRequest,
    CreateIndexRequest,
    IndexList,
    IndexModel,
    IndexStatus,
)
from tenantry.gateway.table import Call
from tenantry.model.records import Metric
from tenantry.model.topology import LogicalIndex

#: The one schema field of an index that the vector operations serve.
VALUES_FIELD = "_values"
PROTECTION = {"enabled": True, "disabled": False}
#: Clients insist on a cloud that they know; the region tells the truth.
CLOUD, REGION = "aws", "local"
READ_CAPACITY = {"mode": "OnDemand", "status": {"state": "Ready"}}
MAX_TAGS = 20

_TAG_KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")
_TAG_VALUE = re.compile(r"[A-Za-z0-9;@_.+ -]{0,120}")


async def list_indexes(call: Call, _: None) -> IndexList:
    """All indexes; a key that is bound to one sees that one only."""
    indexes = await call.cluster.indexes.list()
    return IndexList([_shown(call, one) for one in indexes if call.who.reaches(one.name)])


async def create_index(call: Call, asked: CreateIndexRequest) -> IndexModel:
    """Make an index with one shard on the default backend."""
    for field in ("source_collection", "source_backup_id", "cmek_id", "embed"):
        if getattr(asked, field) is not None:
            raise Unsupported(f"{field}: not supported; create the index without it")
    _check_deployment(asked)
    dimension, metric = _vectors_of(asked)
    made = await call.cluster.indexes.create(
        asked.name if asked.name is not None else f"index-{secrets.token_hex(4)}",
        dimension,
        metric,
        deletion_protection=_protection(asked.deletion_protection) or False,
        tags=_tags({}, asked.tags),
    )
    return _shown(call, made)


async def describe_index(call: Call, _: None) -> IndexModel:
    """One index; this is how SDKs find its host."""
    return _shown(call, await call.cluster.indexes.get(call.index))


async def configure_index(call: Call, asked: ConfigureIndexRequest) -> IndexModel:
    """Change deletion protection and tags."""
    for field in ("spec", "schema", "deployment", "read_capacity", "embed"):
        if getattr(asked, field) is not None:
            raise Unsupported(f"{field}: an index here has nothing to configure there; add shards to grow it")
    current = await call.cluster.indexes.get(call.index)
    changes: dict[str, Any] = {}
    protected = _protection(asked.deletion_protection)
    if protected is not None:
        changes["deletion_protection"] = protected
    if asked.tags is not None:
        changes["tags"] = _tags(current.tags, asked.tags)
    return _shown(call, await call.cluster.indexes.update(call.index, **changes) if changes else current)


async def delete_index(call: Call, _: None) -> None:
    """Delete an index with all its namespaces, unless it is protected."""
    try:
        await call.cluster.indexes.delete(call.index)
    except Refused as protected:
        raise PermissionDenied(
            "Deletion protection is enabled for this index. Disable deletion protection before retrying."
        ) from protected


def _vectors_of(asked: CreateIndexRequest) -> tuple[int, str]:
    """Dimension and metric from either form."""
    if asked.schema is None:
        if (asked.vector_type or "dense") != "dense":
            raise Unsupported(f"vector_type: {asked.vector_type!r} is not supported; indexes here hold dense vectors")
        if asked.dimension is None:
            raise BadRequest("this field is required", "dimension")
        return asked.dimension, asked.metric or Metric.COSINE
    if asked.dimension is not None or asked.metric is not None:
        raise BadRequest("give either schema or dimension and metric", "schema")
    fields = asked.schema.get("fields")
    if not isinstance(fields, dict) or not fields:
        raise BadRequest("an object with at least one field is required", "schema.fields")
    if list(fields) != [VALUES_FIELD]:
        raise Unsupported(
            f"schema.fields: only the one field {VALUES_FIELD!r} of type dense_vector is supported (what the SDK sends "
            f"for dimension= and metric=), not {sorted(map(str, fields))}: document indexes are not served here"
        )
    field = fields[VALUES_FIELD]
    if not isinstance(field, dict) or field.get("type") != "dense_vector":
        raise Unsupported(f"schema.fields.{VALUES_FIELD}.type: only dense_vector is supported")
    dimension, metric = field.get("dimension"), field.get("metric", Metric.COSINE)
    if not isinstance(dimension, int):
        raise BadRequest("a whole number is required", f"schema.fields.{VALUES_FIELD}.dimension")
    if not isinstance(metric, str):
        raise BadRequest("a string is required", f"schema.fields.{VALUES_FIELD}.metric")
    return dimension, metric


def _check_deployment(asked: CreateIndexRequest) -> None:
    """Serverless and pod placements are taken as read: shards are placed by Tenantry. Others are refused."""
    if asked.deployment is not None and asked.deployment.get("deployment_type") not in ("managed", "pod"):
        raise Unsupported("deployment.deployment_type: only managed (and pod, taken as managed) is supported")
    capacity = asked.read_capacity
    if asked.spec is not None:
        kinds = [kind for kind in ("serverless", "pod") if isinstance(asked.spec.get(kind), dict)]
        if len(asked.spec) != 1 or not kinds:
            raise Unsupported("spec: only serverless (and pod, taken as serverless) is supported")
        inner = asked.spec[kinds[0]]
        if inner.get("source_collection") is not None:
            raise Unsupported(f"spec.{kinds[0]}.source_collection: collections are not supported")
        capacity = capacity or inner.get("read_capacity")
    if isinstance(capacity, dict) and capacity.get("mode", "OnDemand") != "OnDemand":
        raise Unsupported("read_capacity.mode: only OnDemand is supported")


def _protection(given: str | None) -> bool | None:
    if given is None:
        return None
    if given not in PROTECTION:
        raise InvalidArgument("deletion_protection", given, "enabled or disabled")
    return PROTECTION[given]


def _tags(current: dict[str, str], given: dict[str, str] | None) -> dict[str, str]:
    tags = dict(current)
    for key, value in (given or {}).items():
        if not _TAG_KEY.fullmatch(key):
            raise InvalidArgument("tags", key, "keys of 1 to 80 of letters, digits, _ and -")
        if not _TAG_VALUE.fullmatch(value):
            raise InvalidArgument(f"tags.{key}", value, "at most 120 of letters, digits, space and ; @ _ - . +")
        if value:
            tags[key] = value
        else:
            tags.pop(key, None)
    if len(tags) > MAX_TAGS:
        raise InvalidArgument("tags", f"{len(tags)} tags", f"at most {MAX_TAGS}")
    return tags


def _shown(call: Call, index: LogicalIndex) -> IndexModel:
    model = IndexModel(
        name=index.name,
        host=call.host(index.name),
        status=IndexStatus(ready=True, state="Ready"),
        deletion_protection="enabled" if index.deletion_protection else "disabled",
    )
    metric = str(index.metric)
    if call.version >= SCHEMA_SINCE:
        model.tags = index.tags or None
        model.schema = {
            "fields": {VALUES_FIELD: {"type": "dense_vector", "dimension": index.dimension, "metric": metric}}
        }
        model.deployment = {"deployment_type": "managed", "cloud": CLOUD, "region": REGION}
        model.read_capacity = READ_CAPACITY
        return model
    if index.tags:
        model.tags = index.tags
    model.dimension = index.dimension
    model.metric = metric
    model.vector_type = "dense"
    model.spec = {"serverless": {"cloud": CLOUD, "region": REGION}}
    return model
