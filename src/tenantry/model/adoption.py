"""What was found when an existing index was adopted, and what came of it."""

from __future__ import annotations

from typing import Final

import msgspec

from tenantry.model.advice import Card
from tenantry.model.plan import Plan

#: The option of a shard that others laid out, and the kinds of backends that have it.
FOREIGN: Final = {"adopted": "true"}
FOREIGN_KINDS: Final = ("chroma", "milvus", "pgvector", "pinecone", "qdrant")
#: The option with the field of metadata that tells tenants apart in one collection.
TENANT_FIELD: Final = "tenant_field"


class LeftAlone(msgspec.Struct, frozen=True):
    """A namespace that did not become a tenant, and why."""

    namespace: str
    reason: str


class Adoption(msgspec.Struct, frozen=True):
    """The report of an adoption.

    Attributes:
        index: the logical index; its dimension and metric are those of the adopted one.
        made_shard: whether the shard was registered now.
        dry_run: nothing was changed; ``adopted`` is what would be.
        found: namespaces there are.
        adopted: those that became tenants now, by name.
        known: how many were tenants on this shard already.
        left_alone: the others.
        vectors: in all namespaces found.
        top_share: share of them in the largest tenth of the namespaces; None: too few, or nothing.
        advice: the decision card of the whole index; None on a dry run.
        plan: what a balancing plan would do; None on a dry run.
    """

    index: str
    shard: str
    backend: str
    dimension: int
    metric: str
    made_shard: bool
    dry_run: bool
    found: int
    adopted: list[str]
    known: int
    left_alone: list[LeftAlone]
    vectors: int
    top_share: float | None
    advice: Card | None
    plan: Plan | None
