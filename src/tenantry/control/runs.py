"""Carries out a plan: starts its moves, and waits with those that have no room yet."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from enum import StrEnum

import msgspec

from tenantry.control.service import MoveService
from tenantry.errors import CapacityExceeded, Conflict, NotFound, Refused, TenantryError, Unavailable
from tenantry.model.moves import BEFORE_COMMIT, Move, Options, Phase
from tenantry.model.plan import Plan, PlannedMove

#: Runs that are remembered.
MOST_RUNS = 100
#: Moves that wait for room are tried again that often, seconds, and whenever one of the run has ended.
AGAIN_S = 0.5


class RunState(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    """This process ended it; moves that had begun go on."""


class StepState(StrEnum):
    """Where one move of a run stands."""

    WAITING = "waiting"
    MOVING = "moving"
    MOVED = "moved"
    """Committed; it may still soak."""
    FAILED = "failed"


class Step(msgspec.Struct):
    """One planned move, and what became of it."""

    planned: PlannedMove
    state: StepState = StepState.WAITING
    move: str | None = None
    phase: Phase | None = None
    error: str | None = None


class Run(msgspec.Struct):
    """A plan that is being carried out."""

    id: str
    plan: Plan
    subject: str | None
    steps: list[Step]
    state: RunState = RunState.RUNNING

    def count(self, state: StepState) -> int:
        """Steps in that state."""
        return sum(step.state is state for step in self.steps)


class Runs:
    """The runs of this process. Moves run as far as limits allow; one that fails neither stops nor touches others."""

    def __init__(self, service: MoveService, token: Callable[[int], str]) -> None:
        self._service = service
        self._token = token
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()

    def start(self, plan: Plan, subject: str | None, options: Options) -> Run:
        """Begin to carry a plan out. Raises Refused while another plan of the index is carried out."""
        for other in self._runs.values():
            if other.state is RunState.RUNNING and other.plan.index == plan.index:
                raise Refused(f"run {other.id} is carrying out a plan of index {plan.index!r}; wait until it is done")
        run = Run(self._token(6), plan, subject, [Step(planned) for planned in plan.moves])
        self._runs[run.id] = run
        while len(self._runs) > MOST_RUNS:
            self._runs.popitem(last=False)
        self._tasks[run.id] = asyncio.create_task(self._carry_out(run, options))
        return run

    def get(self, id: str) -> Run:
        """Raises NotFound."""
        if id not in self._runs:
            raise NotFound("run", id, "runs are known to the process that carries them out; see `tenantry moves list`")
        return self._runs[id]

    async def watch(self, id: str) -> AsyncIterator[Run]:
        """The run as it stands, then after each change, until it has ended. Raises NotFound."""
        run, last = self.get(id), b""
        while True:
            changed, ended, now = self._changed, run.state is not RunState.RUNNING, msgspec.json.encode(run)
            if now != last:
                yield run  # it may go on meanwhile
            last = now
            if ended:
                return
            await changed.wait()

    async def stop(self, id: str) -> None:
        """Begin no more moves of a run; what has begun goes on by itself. Safe to call twice. Raises NotFound."""
        run = self.get(id)
        task = self._tasks.get(run.id)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def aclose(self) -> None:
        """Stop; what has begun goes on by itself. Safe to call twice."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _carry_out(self, run: Run, options: Options) -> None:
        watching: set[asyncio.Task[None]] = set()
        try:
            while True:
                for step in run.steps:
                    if step.state is StepState.WAITING and await self._begin(run, step, options):
                        watching.add(asyncio.create_task(self._follow(step)))
                self._tell()
                if not watching:
                    break
                _, watching = await asyncio.wait(watching, timeout=AGAIN_S, return_when=asyncio.FIRST_COMPLETED)
            for step in run.steps:
                if step.state is StepState.WAITING:  # nothing runs any more that could make room
                    step.state = StepState.FAILED
            run.state = RunState.DONE
        finally:
            for task in watching:
                task.cancel()
            if run.state is RunState.RUNNING:
                run.state = RunState.STOPPED
            self._tasks.pop(run.id, None)
            self._tell()

    async def _begin(self, run: Run, step: Step, options: Options) -> bool:
        planned = step.planned
        try:
            move = await self._service.start(run.plan.index, planned.tenant, planned.target, options, str(run.plan.aim))
        except (CapacityExceeded, Conflict, Unavailable) as later:
            step.error = str(later)
            return False
        except TenantryError as refused:
            step.state, step.error = StepState.FAILED, str(refused)
            return False
        step.state, step.move, step.phase, step.error = StepState.MOVING, move.id, move.phase, None
        return True

    async def _follow(self, step: Step) -> None:
        """Until the move is committed (without a soak: done), or has ended otherwise."""
        async for move in self._service.watch(step.move or ""):
            self._note(step, move)
            if step.state is not StepState.MOVING:
                return

    def _note(self, step: Step, move: Move) -> None:
        step.phase, step.error = move.phase, move.error
        if move.phase in (Phase.CANCELLED, Phase.FAILED, Phase.ROLLED_BACK):
            step.state = StepState.FAILED
            step.error = move.error or f"it was {move.phase}"
        elif is_through(move):
            step.state = StepState.MOVED
        self._tell()


def is_through(move: Move) -> bool:
    """Whether a move is committed and nothing of it is left to wait for. A soak may be long; without one the end
    follows the commit at once."""
    committed = move.phase not in BEFORE_COMMIT and move.outcome in (None, Phase.DONE)
    return committed and (move.ended or move.options.soak_s > 0)
