"""The native API's operations on plans, limits and usage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET

from tenantry.cluster.usage import as_csv
from tenantry.errors import InvalidArgument
from tenantry.gateway.native import wire, wire_service
from tenantry.gateway.native.shown import shown_plan, shown_tenant
from tenantry.gateway.table import Answer, Call, Endpoint
from tenantry.model.usage import Usage

CSV = b"text/csv; charset=utf-8"
NEXT_HEADER = b"x-next"

_TENANT = "/v1/indexes/{index}/tenants/{tenant}"

_place = msgspec.json.Decoder(tuple[int, str, str])


async def list_plans(call: Call, _: None) -> wire_service.ServicePlans:
    """All plans."""
    plans = await call.cluster.service_plans.all()
    return wire_service.ServicePlans([shown_plan(one) for one in plans.plans], plans.default)


async def set_plan(call: Call, asked: wire_service.SetPlan) -> wire.ServicePlan:
    """Change a plan, or make it."""
    given: dict[str, Any] = msgspec.structs.asdict(asked)
    default = given.pop("default")
    changes = {name: value for name, value in given.items() if value is not UNSET}
    admin, name = call.cluster.service_plans, call.path["plan"]
    changed = await admin.set(name, **changes)
    if default:
        await admin.set_default(name)
    return shown_plan(changed)


async def set_default(call: Call, asked: wire_service.SetDefaultPlan) -> wire_service.ServicePlans:
    """Choose the plan of tenants without one."""
    plans = await call.cluster.service_plans.set_default(asked.plan)
    return wire_service.ServicePlans([shown_plan(one) for one in plans.plans], plans.default)


async def assign(call: Call, asked: wire_service.AssignPlan) -> wire.Tenant:
    """Give a tenant a plan."""
    name = call.path["tenant"]
    await call.cluster.service_plans.assign(name, asked.plan, call.index)
    return shown_tenant(await call.cluster.tenants.get(name, call.index))


async def limits(call: Call, _: None) -> wire_service.TenantLimits:
    """What a tenant uses of what it may."""
    cluster, name = call.cluster, call.path["tenant"]
    status = await cluster.tenants.get(name, call.index)
    return wire_service.TenantLimits(
        tenant=name,
        index=call.index,
        assigned=status.tenant.spec.plan,
        plan=shown_plan(status.plan),
        vectors=status.vectors,
        bytes=status.bytes,
        in_hand=cluster.service.admission.in_hand(call.index, name),
        error=status.error,
    )


async def usage(call: Call, asked: wire_service.ListUsage) -> wire_service.UsageRows | Answer:
    """One page of usage; of CSV, the header ``X-Next`` says how to go on."""
    if asked.format not in ("json", "csv"):
        raise InvalidArgument("format", asked.format, "json or csv")
    cursors = call.cluster.cursors
    listing = ("usage", *(str(part) for part in (asked.since, asked.until, asked.by, asked.index, asked.tenant)))
    after = await cursors.read(asked.after, *listing, field="after")
    page = await call.cluster.usage.page(
        asked.since,
        asked.until,
        by=asked.by,
        index=asked.index,
        tenant=asked.tenant,
        after=None if after is None else _place.decode(after),
        limit=asked.limit,
    )
    last = page.after
    following = None if last is None else await cursors.make(_encoded(last), *listing)
    if asked.format == "csv":
        if following is not None:
            call.headers.append((NEXT_HEADER, following.encode()))
        return Answer(as_csv(page.rows, head=asked.after is None).encode(), CSV)
    return wire_service.UsageRows([shown_usage(row) for row in page.rows], following)


def shown_usage(row: Usage) -> wire_service.Usage:
    """Usage of one hour or day."""
    return wire_service.Usage(
        start=row.start,
        index=row.index,
        tenant=row.tenant,
        queries=row.queries,
        reads=row.reads,
        writes=row.writes,
        vectors_upserted=row.vectors,
        bytes_upserted=row.bytes,
        vectors_stored=row.vectors_stored,
        bytes_stored=row.bytes_stored,
    )


def _encoded(row: Usage) -> str:
    return msgspec.json.encode((row.start, row.index, row.tenant)).decode()


def routes(
    see: Callable[..., Endpoint], control: Callable[..., Endpoint], count: Callable[..., Endpoint]
) -> list[Endpoint]:
    """The table."""
    return [
        see(
            method="GET",
            path="/v1/plans",
            handle=list_plans,
            response=wire_service.ServicePlans,
            summary="List the plans of tenants",
        ),
        control(
            method="PATCH",
            path="/v1/plans",
            handle=set_default,
            request=wire_service.SetDefaultPlan,
            response=wire_service.ServicePlans,
            action="service-plan.default",
            about={"subject": "plan"},
            summary="Choose the plan of tenants without one",
        ),
        control(
            method="PATCH",
            path="/v1/plans/{plan}",
            handle=set_plan,
            request=wire_service.SetPlan,
            response=wire.ServicePlan,
            action="service-plan.set",
            summary="Change a plan, or make it",
        ),
        control(
            method="POST",
            path=_TENANT + "/plan",
            handle=assign,
            request=wire_service.AssignPlan,
            response=wire.Tenant,
            action="tenant.set-plan",
            summary="Give a tenant a plan",
        ),
        count(
            method="GET",
            path=_TENANT + "/limits",
            handle=limits,
            response=wire_service.TenantLimits,
            summary="Tell what a tenant uses of what it may",
        ),
        see(
            method="GET",
            path="/v1/usage",
            handle=usage,
            query=wire_service.ListUsage,
            response=wire_service.UsageRows,
            patient=True,
            summary="Export what tenants used, by hour or day",
        ),
    ]
