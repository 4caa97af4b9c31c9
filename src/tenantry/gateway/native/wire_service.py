"""Requests and responses of the native API about plans, limits and usage."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from tenantry.gateway.native.wire import Body, ServicePlan


class ServicePlans(msgspec.Struct):
    """All plans, by name; ``default`` is that of tenants without one of their own, null for no limits."""

    plans: list[ServicePlan]
    default: str | None


class SetPlan(Body):
    """Limits to change; fields that are left out stay, null takes a limit away. ``default`` true makes it the plan of
    tenants without one of their own."""

    requests_per_s: int | UnsetType | None = UNSET
    vectors: int | UnsetType | None = UNSET
    bytes: int | UnsetType | None = UNSET
    concurrent: int | UnsetType | None = UNSET
    weight: int | UnsetType = UNSET
    default: bool = False


class SetDefaultPlan(Body):
    """The plan of tenants without one of their own; null: no limits."""

    plan: str | None


class AssignPlan(Body):
    """The tenant's plan; null: the default one."""

    plan: str | None


class TenantLimits(msgspec.Struct):
    """What a tenant uses of what it may. ``plan`` is what holds; ``assigned`` its own plan, null for the default.
    ``in_hand`` counts operations in the gateway that answers; ``error`` says why the store could not be measured."""

    tenant: str
    index: str
    assigned: str | None
    plan: ServicePlan
    vectors: int
    bytes: int
    in_hand: int
    error: str | None


class ListUsage(Body):
    """Which usage: hours that start from ``from`` on and before ``to`` (Unix seconds), by ``hour`` or ``day``, as
    ``json`` or ``csv``; go on with ``after`` = ``next``."""

    since: float = msgspec.field(default=0.0, name="from")
    until: float | None = msgspec.field(default=None, name="to")
    by: str = "hour"
    index: str | None = None
    tenant: str | None = None
    format: str = "json"
    after: str | None = None
    limit: int = 1_000


class Usage(msgspec.Struct):
    """What a tenant used in the hour or day (UTC) from ``start`` on (Unix seconds). ``vectors_stored`` and
    ``bytes_stored`` are the most that was measured then, null when nothing was."""

    start: int
    index: str
    tenant: str
    queries: int
    reads: int
    writes: int
    vectors_upserted: int
    bytes_upserted: int
    vectors_stored: int | None
    bytes_stored: int | None


class UsageRows(msgspec.Struct):
    """One page of usage, by start, index and tenant; ``next`` is null on the last."""

    usage: list[Usage]
    next: str | None
