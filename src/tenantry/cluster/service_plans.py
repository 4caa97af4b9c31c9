"""Plans: what tenants may use; see and change them, and see how much of it a tenant uses."""

from __future__ import annotations

from typing import Any

import msgspec

from tenantry.cluster.recording import note, recorded
from tenantry.errors import Conflict, InvalidArgument
from tenantry.model.service import Plans, ServicePlan
from tenantry.model.topology import DEFAULT_INDEX, Tenant
from tenantry.ports import Catalog
from tenantry.router.planbook import SETTING
from tenantry.router.resolve import MAX_PLACEMENT_TRIES, Resolver
from tenantry.router.service import Service

_CHANGEABLE = tuple(name for name in ServicePlan.__struct_fields__ if name != "name")


class ServicePlanAdmin:
    """Definitions are one setting of the cluster. A change holds in this process at once, in others within the seconds
    of ``TENANTRY_PLANS_S``. Of two changes in the same moment the later one counts, as a whole."""

    def __init__(self, catalog: Catalog, resolver: Resolver, service: Service) -> None:
        self._catalog = catalog
        self._resolver = resolver
        self._service = service

    async def all(self) -> Plans:
        """All plans, by name, and which is the default."""
        return await self._service.plans.all()

    @recorded("service-plan.set", subject="name")
    async def set(self, name: str, **changes: Any) -> ServicePlan:
        """Change limits of a plan, or make it; what is not given stays as it is, or is no limit in a new one.

        Args:
            changes: fields of `ServicePlan`; None takes a limit away.

        Raises:
            InvalidArgument: no such field, or a value that makes no sense.
            Refused: there are too many plans.
        """
        for field in changes:
            if field not in _CHANGEABLE:
                raise InvalidArgument("plan", field, "the fields " + ", ".join(_CHANGEABLE))
        note(changes=", ".join(f"{field} {'none' if value is None else value}" for field, value in changes.items()))
        new = (await self.all()).changed(name, changes)
        await self._put(new)
        return new.get(name)

    @recorded("service-plan.default", subject="name")
    async def set_default(self, name: str | None) -> Plans:
        """The plan of tenants that have none of their own; None: no limits. Raises NotFound."""
        new = (await self.all()).with_default(name)
        await self._put(new)
        return new

    @recorded("tenant.set-plan", index="index", tenant="tenant")
    async def assign(self, tenant: str, plan: str | None, index: str = DEFAULT_INDEX) -> Tenant:
        """Give a tenant a plan, or, with None, the cluster's default one. Holds here at once, in other processes as
        soon as they hear of the tenant's new route. Raises NotFound (plan, tenant), Refused (it is being deleted)."""
        note(plan=plan or "none")
        if plan is not None:
            (await self.all()).get(plan)
        for _ in range(MAX_PLACEMENT_TRIES):
            found = await self._catalog.tenants.get(index, tenant)
            if found.spec.plan == plan:
                return found
            try:
                changed = await self._resolver.set_plan(found, plan)
            except Conflict:
                continue  # it moves, so its epoch grows by itself: look again
            return changed
        raise Conflict(f"tenant {tenant!r} kept changing; repeat the command")

    async def _put(self, plans: Plans) -> None:
        await self._catalog.settings.put(SETTING, msgspec.to_builtins(plans))
        self._service.plans.use(plans)
