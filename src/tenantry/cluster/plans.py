"""Plans: which tenants to move, and carrying them out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from tenantry.cluster.recording import note, recorded
from tenantry.cluster.shards import ShardAdmin
from tenantry.control.monitor import Monitor
from tenantry.control.planner import plan as make_plan
from tenantry.control.runs import Run, Runs
from tenantry.control.service import options_of
from tenantry.control.starting import check_options
from tenantry.errors import InvalidArgument
from tenantry.model.limits import Limits
from tenantry.model.moves import Options
from tenantry.model.plan import Aim, Plan, PlanOptions
from tenantry.model.topology import DEFAULT_INDEX, ShardState


class PlanAdmin:
    """Plans are made from what is measured at that moment. A plan by itself changes nothing."""

    def __init__(self, monitor: Monitor, runs: Runs, shards: ShardAdmin, limits: Limits) -> None:
        self._monitor = monitor
        self._runs = runs
        self._shards = shards
        self._limits = limits

    async def plan(
        self, index: str = DEFAULT_INDEX, aim: str = Aim.BALANCE, subject: str | None = None, **options: Any
    ) -> Plan:
        """Measure an index and plan.

        Args:
            aim: ``balance``, ``drain`` (subject: the shard), ``isolate`` (subject: the tenant) or ``consolidate``.
            options: fields of `PlanOptions`; None is the default.

        Raises:
            InvalidArgument: of an option or the aim; NotFound: of the index or the subject.
        """
        if aim not in list(Aim):
            raise InvalidArgument("aim", aim, "one of " + ", ".join(Aim))
        for name in options:
            if name not in PlanOptions.__struct_fields__:
                raise InvalidArgument(name, options[name], "one of " + ", ".join(PlanOptions.__struct_fields__))
        given = {name: value for name, value in options.items() if value is not None}
        chosen = msgspec.structs.replace(PlanOptions(), **given)
        return make_plan(await self._monitor.view(index), chosen, Aim(aim), subject)

    @recorded("plan.execute", subject="subject")
    async def execute(
        self,
        plan: Plan,
        subject: str | None = None,
        *,
        soak_s: float | None = None,
        retention_s: float | None = None,
        rate: float | None = None,
    ) -> Run:
        """Begin to carry a plan out; returns at once. A shard that is to be drained takes no new tenants from now on.
        Raises InvalidArgument; Refused while another plan of the index is carried out."""
        options = options_of(Options(), soak_s=soak_s, retention_s=retention_s, rate=rate)
        check_options(options, self._limits)
        run = self._runs.start(plan, subject, options)
        if plan.aim is Aim.DRAIN and subject is not None:
            await self._shards.update(subject, plan.index, state=ShardState.DRAINING)
        note(index=plan.index, run=run.id, aim=str(plan.aim))
        return run

    def run(self, id: str) -> Run:
        """A run of this process. Raises NotFound."""
        return self._runs.get(id)

    async def watch(self, id: str) -> AsyncIterator[Run]:
        """The run as it stands, then after each change, until it has ended. Raises NotFound."""
        async for run in self._runs.watch(id):
            yield run
