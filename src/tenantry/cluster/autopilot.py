"""The auto-pilot: what it may do, what it did or would do, and why it stopped."""

from __future__ import annotations

from typing import Any

import msgspec

from tenantry.cluster.recording import recorded
from tenantry.control.autopilot.deciding import spent
from tenantry.control.autopilot.pilot import Autopilot, Crew
from tenantry.control.autopilot.record import Orders, PilotRecord
from tenantry.errors import InvalidArgument
from tenantry.model.autopilot import Halt, PilotEntry, Policy, Stance, check_policy
from tenantry.model.limits import check_count
from tenantry.model.windows import next_opening, open_until, parse_windows

LIST_MOST = 1_000


class PilotStatus(msgspec.Struct, frozen=True):
    """How the auto-pilot stands; times are seconds since the Unix epoch.

    Attributes:
        since: when the policy was put in force.
        halt: why it does nothing any more, until the policy is given anew.
        open_until: when the window closes that is open now; next_opening: when the next one opens. Both None where
            there are no windows: then it may act at any time.
        moves_last_hour, bytes_last_hour, cost_last_day: counted against the budgets.
        open_moves: of its moves, those that have not committed yet.
        currency: of ``cost_last_day`` and of the budget.
    """

    policy: Policy
    since: float
    halt: Halt | None
    open_until: float | None
    next_opening: float | None
    moves_last_hour: int
    bytes_last_hour: int
    cost_last_day: float
    open_moves: int
    currency: str


class AutopilotAdmin:
    """Operations on the auto-pilot. It is off until `set` says otherwise, and works in processes that serve."""

    def __init__(self, crew: Crew, every_s: float) -> None:
        self._crew = crew
        self._pilot = Autopilot(crew, every_s)

    async def status(self) -> PilotStatus:
        """As the catalog has it now."""
        record = PilotRecord(self._crew.catalog, self._crew.clock)
        orders, now = await record.orders(), self._crew.clock.now()
        entries = await record.recent()
        used = spent(entries, now)
        windows = parse_windows(orders.policy.windows)
        return PilotStatus(
            policy=orders.policy,
            since=orders.since,
            halt=await record.halt(),
            open_until=open_until(windows, now),
            next_opening=next_opening(windows, now),
            moves_last_hour=used.moves,
            bytes_last_hour=used.bytes,
            cost_last_day=used.cost,
            open_moves=sum(one.open for one in entries),
            currency=self._crew.book.currency,
        )

    async def history(
        self, *, index: str | None = None, limit: int = 100, before: int | None = None
    ) -> list[PilotEntry]:
        """What it did or would do, and why, the newest first; go on with ``before`` = the last number. 1 to 1,000 a
        page. Kept are 10,000 entries and 90 days. Raises InvalidArgument."""
        check_count(limit, "limit", 1, LIST_MOST)
        return await self._crew.catalog.autopilot.list(limit=limit, before=before, index=index)

    @recorded("autopilot.set")
    async def set(self, stance: str, **changes: Any) -> PilotStatus:
        """Put a policy in force, for all gateways from their next look on. Sets it going again when it had stopped.

        Args:
            stance: ``off``, ``observe`` or ``on``.
            changes: fields of `Policy`; what is left out stays as it is.

        Raises:
            InvalidArgument: of a field; nothing has changed.
        """
        if stance not in list(Stance):
            raise InvalidArgument("stance", stance, "one of " + ", ".join(Stance))
        for name in changes:
            if name not in Policy.__struct_fields__:
                raise InvalidArgument(name, changes[name], "one of " + ", ".join(Policy.__struct_fields__))
        record = PilotRecord(self._crew.catalog, self._crew.clock)
        values = {**msgspec.structs.asdict((await record.orders()).policy), **changes, "stance": stance}
        try:
            policy = msgspec.convert(values, Policy)
        except msgspec.ValidationError as wrong:
            raise InvalidArgument("policy", str(wrong), "fields of their kinds") from wrong
        check_policy(policy)
        await record.give(policy)
        return await self.status()

    async def look(self) -> None:
        """One round of the auto-pilot, here and now. Raises Unavailable."""
        await self._pilot.look()

    def start(self) -> None:
        """Look regularly from now on, until the cluster is closed."""
        self._pilot.start()

    @property
    def seen(self) -> tuple[Orders, Halt | None]:
        """What this process found at its last look."""
        return self._pilot.orders, self._pilot.halt

    async def aclose(self) -> None:
        """Stop looking; safe to call twice."""
        await self._pilot.aclose()
