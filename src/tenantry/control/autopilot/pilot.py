"""Looks at the warnings again and again, and acts on them within the policy, or writes down what it would do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from tenantry.control.advisor.moving import price_of_move
from tenantry.control.advisor.pricing import Unpriced
from tenantry.control.autopilot.deciding import (
    Condition,
    Priced,
    Wait,
    affordable,
    condition_of,
    key_of,
    resting,
    spent,
    trigger,
    worse,
)
from tenantry.control.autopilot.record import Orders, PilotRecord
from tenantry.control.elected import Elected
from tenantry.control.health.values import Thresholds
from tenantry.control.health_checks import health_record
from tenantry.control.health_report import HealthReport, Warned
from tenantry.control.monitor import Monitor
from tenantry.control.planner import plan as make_plan
from tenantry.control.regularly import Regularly
from tenantry.control.runs import Run, Runs, RunState
from tenantry.control.service import MoveService
from tenantry.errors import Conflict, NotFound, TenantryError
from tenantry.model.audit import BEGUN, Deed
from tenantry.model.autopilot import DAY_S, KEPT_ENTRIES, Halt, Kind, Outcome, PilotEntry, Stance
from tenantry.model.cost import PriceBook
from tenantry.model.moves import BEFORE_COMMIT, Move, Options, Phase, Wish
from tenantry.model.plan import Plan, PlannedMove, PlanOptions, PlanView
from tenantry.model.windows import open_until, parse_windows
from tenantry.ports import Catalog, Clock
from tenantry.router.member import Member

log = logging.getLogger(__name__)

LEASE = "autopilot"
ACTOR = "autopilot"
#: So long after a move was begun the index is held against how it was doing before, seconds.
WATCH_S = 900.0
#: A move of the record that is nowhere to be found after that was never begun, seconds.
BEGIN_WITHIN_S = 120.0
#: What a move must not come to.
FAILED = frozenset({Phase.FAILED, Phase.CANCELLED, Phase.ROLLED_BACK})
#: What was left out is told of so many moves.
MOST_TOLD = 3
OPTIONS = Options()


@dataclass(frozen=True, kw_only=True)
class Crew:
    """What the auto-pilot works with.

    Attributes:
        recorded: does something with a deed of the audit log around it.
        health_every_s: pause between the checks of the health, seconds.
    """

    catalog: Catalog
    monitor: Monitor
    runs: Runs
    moves: MoveService
    member: Member
    clock: Clock
    limits: Thresholds
    book: PriceBook
    health_every_s: float
    recorded: Callable[[Deed, Callable[[], Awaitable[Any]]], Awaitable[Any]]


class Autopilot:
    """Of a process that serves; one of a fleet, which holds the lease `LEASE`, acts.

    What it means to do is on the record before it is done, under a number that nobody else can use, and budgets are
    counted from there: they hold through a restart, and also should two processes act at once. A crash leaves moves
    that the mover finishes by itself. It stops, until somebody sets it going again, when one of its moves fails or an
    index does worse than before its moves.

    Args:
        every_s: pause between looks, seconds; 0: none.

    Attributes:
        orders, halt: as of the last look.
    """

    def __init__(self, crew: Crew, every_s: float) -> None:
        self._crew = crew
        self._elected = Elected(crew.catalog, crew.member, crew.clock, LEASE)
        self._begun: dict[str, Run] = {}
        self.orders = Orders()
        self.halt: Halt | None = None
        self._rounds = Regularly(
            crew.clock, every_s, self.look, lambda error: log.warning("the auto-pilot could not look: %s", error)
        )

    def start(self) -> None:
        """Look from now on. Needs a running event loop; safe to call twice."""
        self._rounds.start()

    async def aclose(self) -> None:
        """Stop looking; safe to call twice."""
        await self._rounds.aclose()

    async def look(self) -> None:
        """One round: see what became of its moves, then decide for each index. Raises Unavailable."""
        record = PilotRecord(self._crew.catalog, self._crew.clock)
        self.orders, self.halt = await record.orders(), await record.halt()
        entries = await record.recent()
        if len(entries) >= KEPT_ENTRIES:
            log.warning("the auto-pilot's record of a day is full; budgets cannot be counted, so nothing is begun")
            await self._begin_no_more()
            return
        if not self._flying or self._open_until() is None:
            await self._begin_no_more()
        if self.orders.policy.stance is Stance.OFF and not any(one.open for one in entries):
            return
        if not await self._elected.here():
            await self._begin_no_more()
            return
        try:
            entries, failed = await self._follow(record, entries)
            if failed is not None and self._flying:
                await self._halt(record, entries, failed.index, failed.why)
            for index in await self._crew.catalog.indexes.list():
                if self._flying or self.orders.policy.stance is Stance.OBSERVE:
                    await self._look_at(record, entries, index.name)
            await record.prune()
        except Conflict:
            log.info("another process acted at the same time; looking again later")

    @property
    def _flying(self) -> bool:
        """Whether it may act."""
        return self.orders.policy.stance is Stance.ON and self.halt is None

    def _open_until(self) -> float | None:
        """When the window closes that is open; None: none is."""
        windows, now = parse_windows(self.orders.policy.windows), self._crew.clock.now()
        return open_until(windows, now) if windows else now + DAY_S

    async def _begin_no_more(self) -> None:
        """What of its plans still waits for room is not begun any more; what has begun is carried through."""
        for run in self._begun.values():
            if run.state is RunState.RUNNING:
                await self._crew.runs.stop(run.id)

    # ---------------------------------------------------------------------------- what became of it

    async def _follow(
        self, record: PilotRecord, entries: Sequence[PilotEntry]
    ) -> tuple[list[PilotEntry], PilotEntry | None]:
        """The entries as they are now, and one whose move has failed since the last look."""
        now: list[PilotEntry] = []
        failed: PilotEntry | None = None
        for entry in entries:
            after = await self._settled(record, entry) if entry.open else entry
            if after.outcome is Outcome.FAILED and entry.open:
                failed = after
            now.append(after)
        return now, failed

    async def _settled(self, record: PilotRecord, entry: PilotEntry) -> PilotEntry:
        move = await self._move_of(entry)
        if move is None:
            if self._is_beginning(entry):
                return entry
            return await record.settle(entry, outcome=Outcome.DROPPED, why=f"{entry.why}; {self._why_dropped(entry)}")
        if FAILED & {move.phase, move.outcome}:
            why = f"move {move.id} of tenant {move.tenant} to {move.target.shard} {_ended_how(move)}"
            return await record.settle(entry, move=move.id, outcome=Outcome.FAILED, why=why)
        through = move.phase not in BEFORE_COMMIT and move.phase is not Phase.SETTLE
        return await record.settle(entry, move=move.id, outcome=Outcome.MOVED if through else Outcome.MOVING)

    async def _move_of(self, entry: PilotEntry) -> Move | None:
        moves = self._crew.catalog.moves
        if entry.move is not None:
            with suppress(NotFound):
                return await moves.get(entry.move)
            return None
        found = await moves.list(entry.index, tenant=entry.tenant, limit=1)
        begun = [one for one in found if one.created_at >= entry.at and one.target.shard == entry.target]
        return begun[0] if begun else None

    def _is_beginning(self, entry: PilotEntry) -> bool:
        """Whether its move may yet be begun: by this process, or by another one that wrote the entry a moment ago."""
        run = self._begun.get(entry.index)
        if run is not None and any(step.planned.tenant == entry.tenant for step in run.steps):
            return run.state is RunState.RUNNING
        return self._crew.clock.now() - entry.at < BEGIN_WITHIN_S

    def _why_dropped(self, entry: PilotEntry) -> str:
        run = self._begun.get(entry.index)
        steps = [] if run is None else run.steps
        errors = [step.error for step in steps if step.planned.tenant == entry.tenant and step.error]
        return f"it was not begun: {errors[0]}" if errors else "it was not begun"

    # ------------------------------------------------------------------------------------- deciding

    async def _look_at(self, record: PilotRecord, entries: Sequence[PilotEntry], index: str) -> None:
        report = (await health_record(self._crew.catalog, index)).report
        if report is None:
            return
        own = [one for one in entries if one.index == index]
        worsened = self._worsened(own, report)
        if worsened is not None and self._flying:
            await self._halt(record, entries, index, f"index {index} does worse since its moves: {worsened}")
            return
        run = self._begun.get(index)
        if any(one.open for one in own) or (run is not None and run.state is RunState.RUNNING):
            return  # its own moves are under way; a run ends a moment after the last of its moves
        now = self._crew.clock.now()
        found = trigger(report, self.orders.policy, self._crew.health_every_s, now)
        if found is None:
            return
        if isinstance(found, Wait):
            await record.note(index, Kind.WAIT, found.why, found.warning)
            return
        decided = await self._decide(entries, index, found)
        if isinstance(decided, Wait):
            await record.note(index, Kind.WAIT, decided.why, decided.warning)
            return
        plan, moves = decided
        if self.orders.policy.stance is Stance.OBSERVE:
            await self._observe(record, index, found, moves)
        else:
            await self._act(record, index, found, plan, moves, condition_of(report, self._crew.limits))

    def _worsened(self, own: Sequence[PilotEntry], report: HealthReport) -> str | None:
        """Against the state before the first of the moves that are watched."""
        watched = [
            one for one in own if one.counts and max(report.at - WATCH_S, self.orders.since) <= one.at < report.at
        ]
        if not watched:
            return None
        first = min(watched, key=lambda one: one.seq)
        before = Condition(first.error_rate, first.p95_ms)
        return worse(before, condition_of(report, self._crew.limits), self.orders.policy, self._crew.limits)

    async def _decide(
        self, entries: Sequence[PilotEntry], index: str, warning: Warned
    ) -> tuple[Plan, list[Priced]] | Wait:
        policy, now, key = self.orders.policy, self._crew.clock.now(), key_of(warning)
        until = self._open_until()
        if until is None:
            return Wait("the maintenance window is closed", key)
        used = spent(entries, now)
        if used.moves >= policy.moves_per_hour:
            return Wait("the budget of moves per hour is used", key)
        running = await self._crew.catalog.moves.list(index, open_only=True)
        if any(move.phase in BEFORE_COMMIT for move in running):
            return Wait("moves that others began are under way", key)
        view = await self._crew.monitor.view(index)
        options = PlanOptions(
            max_moves=policy.moves_per_hour - used.moves,
            max_bytes=None if policy.bytes_per_hour is None else max(0, policy.bytes_per_hour - used.bytes),
            cool_down_s=policy.tenant_cool_down_s,
        )
        plan = await asyncio.to_thread(make_plan, view, options)
        if not plan.moves:
            return Wait("no move would help" + (f": {plan.notes[0]}" if plan.notes else ""), key)
        price = await self._prices(view)
        chosen = affordable(
            plan.moves,
            policy,
            used,
            resting(entries, policy, now),
            price,
            speed=view.copy_vectors_per_s,
            left_s=until - now,
        )
        if not chosen.moves:
            return Wait("; ".join(chosen.left[:MOST_TOLD]), key)
        return plan, chosen.moves

    async def _prices(self, view: PlanView) -> Callable[[PlannedMove], float | None]:
        dimension = (await self._crew.catalog.indexes.get(view.cluster.index)).dimension
        kinds = {one.shard.name: one.shard.backend for one in view.cluster.shards}

        def price(move: PlannedMove) -> float | None:
            try:
                return price_of_move(
                    self._crew.book,
                    kinds[move.source],
                    kinds[move.target],
                    move.vectors,
                    dimension,
                    OPTIONS.retention_s,
                )
            except Unpriced:
                return None

        return price

    # --------------------------------------------------------------------------------------- acting

    async def _observe(self, record: PilotRecord, index: str, warning: Warned, moves: Sequence[Priced]) -> None:
        """Write down what would be done, unless that is what was written down last."""
        last = await self._crew.catalog.autopilot.list(limit=len(moves) + 1, index=index)
        told = {(one.tenant, one.source, one.target) for one in last if one.kind is Kind.WOULD and one.at == last[0].at}
        if told == {(one.planned.tenant, one.planned.source, one.planned.target) for one in moves}:
            return
        together = {"at": self._crew.clock.now()}
        for one in moves:
            await record.add(index, Kind.WOULD, _why(warning, one), **_about(warning, one), **together)

    async def _act(
        self,
        record: PilotRecord,
        index: str,
        warning: Warned,
        plan: Plan,
        moves: Sequence[Priced],
        before: Condition,
    ) -> None:
        """On the record first, then begun."""
        for one in moves:
            state = {"error_rate": before.error_rate, "p95_ms": before.p95_ms}
            about = {**_about(warning, one), **state, "outcome": Outcome.BEGUN}
            await record.add(index, Kind.MOVE, _why(warning, one), **about)
        part = msgspec.structs.replace(plan, moves=[one.planned for one in moves])

        async def begin() -> None:
            self._begun[index] = self._crew.runs.start(part, None, OPTIONS)

        detail: dict[str, str | int | float | bool] = {"warning": key_of(warning), "moves": len(moves)}
        log.info("auto-pilot: %d moves in %s because of %s", len(moves), index, key_of(warning))
        try:
            await self._crew.recorded(_deed("autopilot.moves", index, detail), begin)
        except TenantryError as error:
            for entry in await record.recent():
                if entry.open and entry.index == index and entry.move is None:
                    await record.settle(entry, outcome=Outcome.DROPPED, why=f"{entry.why}; it was not begun: {error}")

    async def _halt(self, record: PilotRecord, entries: Sequence[PilotEntry], index: str, why: str) -> None:
        """Stop: nothing more is begun, and what has not committed yet is taken back."""

        async def stop() -> None:
            self.halt = await record.stop(index, why)
            await self._begin_no_more()
            for entry in entries:
                if entry.open and entry.move is not None:
                    with suppress(TenantryError):  # it has committed, or ended
                        await self._crew.moves.wish(entry.move, Wish.CANCEL)

        log.warning("the auto-pilot stops: %s", why)
        await self._crew.recorded(_deed("autopilot.halt", index, {"why": why}), stop)
        await record.add(index, Kind.HALT, why)


def _why(warning: Warned, one: Priced) -> str:
    return f"{warning.message}; {one.planned.why}"


def _about(warning: Warned, one: Priced) -> dict[str, Any]:
    planned = one.planned
    return {
        "warning": key_of(warning),
        "tenant": planned.tenant,
        "source": planned.source,
        "target": planned.target,
        "vectors": planned.vectors,
        "bytes": planned.bytes,
        "cost": one.cost,
    }


def _deed(action: str, index: str, detail: dict[str, str | int | float | bool]) -> Deed:
    return Deed(at_us=0, actor=ACTOR, action=action, result=BEGUN, index=index, detail=detail)


def _ended_how(move: Move) -> str:
    how = (move.outcome or move.phase).value
    words = {"failed": "failed", "cancelled": "was cancelled", "rolled-back": "was rolled back"}[how]
    return words + (f": {move.error}" if move.error else "")
