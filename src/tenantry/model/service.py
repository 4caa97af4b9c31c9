"""What tenants may use, by plan: definitions and the checks of them."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tenantry.errors import InvalidArgument, NotFound, Refused

MOST_PLANS = 100
MOST_REQUESTS_PER_S = 1_000_000
MOST_CONCURRENT = 100_000
MOST_COUNT = 2**53
MOST_WEIGHT = 100
_NAME = re.compile(r"^[a-z0-9]([a-z0-9-]{0,43}[a-z0-9])?$")


class ServicePlan(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a tenant may use. None is no limit.

    Attributes:
        requests_per_s: operations on records, in any one second.
        vectors: stored at once.
        bytes: stored at once, as the tenant's shard measures them.
        concurrent: operations in hand at once, in each gateway.
        weight: share of a busy shard relative to other tenants there, 1 to 100.
    """

    name: str
    requests_per_s: int | None = None
    vectors: int | None = None
    bytes: int | None = None
    concurrent: int | None = None
    weight: int = 1

    @property
    def stores_limited(self) -> bool:
        """Whether what is stored is limited."""
        return self.vectors is not None or self.bytes is not None


#: Of tenants without a plan, where the cluster names no plan for them.
UNLIMITED = ServicePlan("none")


class Plans(msgspec.Struct, frozen=True):
    """All plans of a cluster.

    Attributes:
        default: plan of tenants that have none of their own; None: those have no limits, and weight 1.
        plans: by name.
    """

    default: str | None = None
    plans: tuple[ServicePlan, ...] = (
        ServicePlan("enterprise", weight=16),
        ServicePlan("free", requests_per_s=20, vectors=100_000, bytes=2**30, concurrent=8, weight=1),
        ServicePlan("pro", requests_per_s=200, vectors=5_000_000, bytes=50 * 2**30, concurrent=64, weight=4),
    )

    def get(self, name: str) -> ServicePlan:
        """Raises NotFound."""
        for plan in self.plans:
            if plan.name == name:
                return plan
        known = ", ".join(plan.name for plan in self.plans)
        raise NotFound("plan", name, f"there are {known}; `tenantry plans set` makes one")

    def of(self, name: str | None) -> ServicePlan:
        """The plan of a tenant; one whose plan is not known any more has the default one."""
        for wanted in (name, self.default):
            if wanted is not None:
                for plan in self.plans:
                    if plan.name == wanted:
                        return plan
        return UNLIMITED

    def changed(self, name: str, changes: dict[str, Any]) -> Plans:
        """With some fields of a plan set; a plan that is not there is made. Raises InvalidArgument, Refused."""
        check_plan_name(name)
        old = next((plan for plan in self.plans if plan.name == name), ServicePlan(name))
        if old not in self.plans and len(self.plans) >= MOST_PLANS:
            raise Refused(f"there are {MOST_PLANS} plans, the most there can be: change one of them")
        new = msgspec.structs.replace(old, **changes)
        check_plan(new)
        others = [plan for plan in self.plans if plan.name != name]
        return msgspec.structs.replace(self, plans=tuple(sorted([*others, new], key=lambda plan: plan.name)))

    def with_default(self, name: str | None) -> Plans:
        """With another default. Raises NotFound."""
        if name is not None:
            self.get(name)
        return msgspec.structs.replace(self, default=name)


def check_plan_name(name: Any) -> str:
    """1 to 45 of a-z, 0-9 and -, not - at an end, and not ``none``."""
    if not isinstance(name, str) or not _NAME.match(name) or name == UNLIMITED.name:
        allowed = "1 to 45 of a-z, 0-9 and '-', not starting or ending with '-', and not 'none'"
        raise InvalidArgument("plan", name, allowed)
    return name


def check_plan(plan: ServicePlan) -> None:
    """Raises InvalidArgument for a limit that makes no sense."""
    most = {
        "requests_per_s": MOST_REQUESTS_PER_S,
        "vectors": MOST_COUNT,
        "bytes": MOST_COUNT,
        "concurrent": MOST_CONCURRENT,
    }
    for field, highest in most.items():
        given = getattr(plan, field)
        whole = isinstance(given, int) and not isinstance(given, bool)
        if given is not None and not (whole and 1 <= given <= highest):
            raise InvalidArgument(field, given, f"a whole number from 1 to {highest:,}, or none for no limit")
    weight = plan.weight
    if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight <= MOST_WEIGHT:
        raise InvalidArgument("weight", weight, f"a whole number from 1 to {MOST_WEIGHT}")
