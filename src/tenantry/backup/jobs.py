"""Long work that somebody has asked for: how far it is, and what came of it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import StrEnum
from typing import Any

import msgspec

from tenantry.errors import NotFound, Refused, TenantryError
from tenantry.ports import Clock

MOST_JOBS = 100
#: A watcher is told at most that often, seconds.
TELL_S = 0.1


class JobState(StrEnum):
    """Where a job stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobProgress(msgspec.Struct, frozen=True):
    """How far a job is.

    Attributes:
        tenants, tenants_done: in all, and done with; reused: of these, those that need not be read.
        records, bytes: that went through; written_bytes: stored anew in an archive.
        what: what it is about, in words.
    """

    tenants: int = 0
    tenants_done: int = 0
    reused: int = 0
    records: int = 0
    bytes: int = 0
    written_bytes: int = 0
    what: str = ""


class Job(msgspec.Struct, eq=False):
    """One job of this process.

    Attributes:
        kind: ``backup``, ``verify``, ``prune`` or ``restore``.
        started_at, ended_at: seconds since the Unix epoch.
        result: what came of it, when it is done.
        error, code: why it failed, and the code of that error.
    """

    id: str
    kind: str
    started_at: float
    state: JobState = JobState.RUNNING
    progress: JobProgress = JobProgress()
    ended_at: float | None = None
    result: Any = None
    error: str | None = None
    code: str | None = None

    def note(self, **changes: Any) -> None:
        """Change fields of the progress."""
        self.progress = msgspec.structs.replace(self.progress, **changes)


class Jobs:
    """The jobs of this process; one at a time for each `exclusive` name."""

    def __init__(self, clock: Clock, token: Callable[[int], str]) -> None:
        self._clock = clock
        self._token = token
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, BaseException] = {}

    def start(self, kind: str, work: Callable[[Job], Awaitable[Any]]) -> Job:
        """Begin. Raises Refused when too many run."""
        if len(self._tasks) >= MOST_JOBS:
            raise Refused(f"{MOST_JOBS} jobs run already; wait for one of them")
        job = Job(self._token(6), kind, self._clock.now())
        self._jobs[job.id] = job
        while len(self._jobs) > MOST_JOBS:
            old = next((id for id, one in self._jobs.items() if one.state is not JobState.RUNNING), job.id)
            self._failures.pop(old, None)
            del self._jobs[old]
        self._tasks[job.id] = asyncio.create_task(self._run(job, work))
        return job

    async def _run(self, job: Job, work: Callable[[Job], Awaitable[Any]]) -> None:
        try:
            job.result = await work(job)
            job.state = JobState.DONE
        except asyncio.CancelledError:
            job.state, job.error = JobState.CANCELLED, "it was stopped"
        except BaseException as raised:
            error = first_of(raised)
            self._failures[job.id] = error
            job.state, job.error = JobState.FAILED, str(error) or type(error).__name__
            job.code = error.code if isinstance(error, TenantryError) else TenantryError.code
        finally:
            job.ended_at = self._clock.now()
            self._tasks.pop(job.id, None)

    def get(self, id: str) -> Job:
        """Raises NotFound."""
        if id not in self._jobs:
            raise NotFound("job", id, "jobs are known to the process that does them, and while it lives")
        return self._jobs[id]

    def list(self) -> list[Job]:
        """Newest first."""
        return list(reversed(self._jobs.values()))

    async def cancel(self, id: str) -> Job:
        """Stop a job; what it had done in part is taken back where that is needed. Raises NotFound."""
        job, task = self.get(id), self._tasks.get(id)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        return job

    async def wait(self, id: str) -> Any:
        """Its result. Raises what it failed with; Refused when it was stopped. A caller who is cancelled stops it."""
        task = self._tasks.get(id)
        if task is not None:
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                raise
        job = self.get(id)
        if job.state is JobState.FAILED:
            raise self._failures[id]
        if job.state is JobState.CANCELLED:
            raise Refused(f"job {id} was stopped")
        return job.result

    async def watch(self, id: str) -> AsyncIterator[Job]:
        """The job as it stands, then whenever it has changed, until it has ended. Raises NotFound."""
        job, last = self.get(id), b""
        while True:
            ended = job.state is not JobState.RUNNING
            now = msgspec.json.encode((job.state, job.progress))
            if now != last:
                yield job
            last = now
            if ended:
                return
            task = self._tasks.get(id)
            if task is not None:
                await asyncio.wait([task], timeout=TELL_S)

    async def aclose(self) -> None:
        """Stop all. Safe to call twice."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def first_of(error: BaseException) -> BaseException:
    """The first error of a group of tasks that failed together."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
