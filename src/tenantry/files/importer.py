"""Reads files, checks what is in them, sends it, and remembers how far it came."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from tenantry.errors import InvalidArgument, Refused, TenantryError
from tenantry.files.check import Checker, Whose
from tenantry.files.formats import Format
from tenantry.files.progress import FORMAT, Journal, Reject, State, refused_of, reject_of
from tenantry.files.reading import ReadOptions, rows
from tenantry.files.rows import Problem
from tenantry.files.sources import Source, mark, sources
from tenantry.model.limits import Limits, check_count
from tenantry.model.records import Metric, Record

#: What is read, sent and noted in one go.
WINDOW_ROWS = 10_000
WINDOW_BYTES = 32 * 2**20
#: Rejects that end an import, unless another number is given.
MOST_REJECTS = 1_000
#: What a number of a rejected JSON record takes in memory, and any record besides its numbers.
VALUE_BYTES, RECORD_BYTES = 32, 1_024
#: Tenants that are written to at once.
AT_ONCE = 4
#: Of one kind of rejects, how many reasons a report shows.
REASONS_SHOWN = 10


class Refusal(msgspec.Struct, frozen=True):
    """A record that was not taken: its place in what was sent, and what is wrong with it."""

    place: int
    problem: Problem


class Sink(Protocol):
    """Where records go."""

    async def write(self, tenant: str, records: Sequence[Record]) -> list[Refusal]:
        """Write records of one tenant, in their order; those that are not refused are durable when it returns. May be
        repeated. Raises what is not a record's own fault."""


class ImportOptions(msgspec.Struct, frozen=True):
    """What is imported, and how.

    Attributes:
        tenant, tenant_field: whose the records are; see `tenantry.files.check.Whose`.
        format: None: told by each file's name and beginning.
        rejects: file for what is not taken, with the state of the import beside it.
        max_rejects: more than so many end the import.
        resume: go on with one that was interrupted.
        dry_run: read and check everything, write nothing.
    """

    rejects: Path
    tenant: str | None = None
    tenant_field: str | None = None
    format: Format | None = None
    read: ReadOptions = ReadOptions()
    flatten: bool = False
    max_rejects: int = MOST_REJECTS
    resume: bool = False
    dry_run: bool = False


class ImportReport(msgspec.Struct, frozen=True):
    """What was done, all runs of an import together.

    Attributes:
        rows: read; written, or that would be in a dry run; rejected.
        resumed_after: rows that this run passed over, for they were done with.
        tenants: records written, by tenant.
        reasons: of rejects: an example and how many there are, by field.
        rejects: the file that has them, if there are any and it is no dry run.
        all_compared: every id was compared with all before it to find those that come twice.
    """

    files: int
    rows: int
    written: int
    rejected: int
    resumed_after: int
    tenants: dict[str, int]
    reasons: list[tuple[str, int]]
    rejects: str | None
    dry_run: bool
    all_compared: bool = True


class _Window(msgspec.Struct):
    """Rows that are done with together: of a file (by number), up to its row ``end``; records by tenant, each with the
    number of its row."""

    file: int
    end: int = 0
    bytes: int = 0
    records: int = 0
    rejects: list[Reject] = []
    kept: dict[str, list[tuple[int, Record]]] = {}

    @property
    def full(self) -> bool:
        """Whether it is to be carried out."""
        return self.bytes >= WINDOW_BYTES or max(self.records, len(self.rejects)) >= WINDOW_ROWS

    def reject(self, found: Reject, values: Any) -> None:
        """Add what is not taken."""
        self.rejects.append(found)
        self.bytes += VALUE_BYTES * (len(values) if isinstance(values, list) else 0) + RECORD_BYTES

    def keep(self, tenant: str, number: int, record: Record) -> None:
        """Add what is to be sent."""
        self.kept.setdefault(tenant, []).append((number, record))
        self.records += 1
        self.bytes += record.values.nbytes + RECORD_BYTES


class Importer:
    """One import.

    Args:
        advance: hears of bytes read; checked: of bytes read to know the files again; total: of all bytes, first.

    Raises:
        InvalidArgument, NotFound: what was asked for cannot be. Refused: an earlier one was interrupted and this is not
            to resume it, the files have changed since, or too many rejects.
        Corrupt: a file was cut off or is damaged; what is before that is written.
    """

    def __init__(
        self,
        given: Sequence[Path],
        options: ImportOptions,
        sink: Sink,
        *,
        dimension: int,
        metric: Metric,
        limits: Limits,
        advance: Callable[[int], None] = lambda size: None,
    ) -> None:
        check_count(options.max_rejects, "max_rejects", 0, 10**9)
        if options.tenant is not None and options.tenant_field is not None:
            raise InvalidArgument("tenant", "both a tenant and a field that names it", "one of them")
        self.sources = sources(given, options.format)
        if any(source.path.resolve() == options.rejects.resolve() for source in self.sources):
            raise InvalidArgument("rejects", str(options.rejects), "a file that is not imported itself")
        self._options = options
        self._sink = sink
        self._checker = Checker(dimension, metric, limits, flatten=options.flatten)
        self._advance = advance
        self._journal = Journal(options.rejects)
        self._reasons: dict[str, tuple[str, int]] = {}
        self._rows = 0
        self.written = 0
        """Records so far, of all runs of this import."""

    @property
    def dry_run(self) -> bool:
        """Whether nothing is written."""
        return self._options.dry_run

    @property
    def state_file(self) -> Path:
        """Where it is noted how far it came; there while it is not finished."""
        return self._journal.state_file

    @property
    def total_bytes(self) -> int:
        """What there is to read."""
        return sum(source.size for source in self.sources)

    async def run(self) -> ImportReport:
        """Carry it out."""
        state = await self._taken_up()
        self.written = state.written
        resumed = state.written + state.rejected
        windows = self._windows(state)
        following = asyncio.create_task(asyncio.to_thread(next, windows, None))
        try:
            while (window := await following) is not None:
                following = asyncio.create_task(asyncio.to_thread(next, windows, None))
                state = await self._carry_out(window, state)
                self.written = state.written
                if state.rejected > self._options.max_rejects:
                    raise Refused(self._too_many(state))
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        if not self._options.dry_run:
            self._journal.done()
        there = state.rejected > 0 and not self._options.dry_run
        return ImportReport(
            files=len(self.sources),
            rows=self._rows,
            written=state.written,
            rejected=state.rejected,
            resumed_after=resumed,
            tenants=dict(sorted(state.tenants.items())),
            reasons=sorted(self._reasons.values(), key=lambda one: -one[1])[:REASONS_SHOWN],
            rejects=str(self._options.rejects) if there else None,
            dry_run=self._options.dry_run,
            all_compared=self._checker.all_remembered,
        )

    # ------------------------------------------------------------------------------ beginning anew or going on

    async def _taken_up(self) -> State:
        """The state to begin with."""
        if self._options.dry_run:
            return State(FORMAT, {}, [])
        found = self._journal.found()
        if found is not None and not self._options.resume:
            raise Refused(
                f"an import into {self._journal.rejects} was interrupted after {found.written:,} records: "
                f"go on with --resume, or remove {self._journal.state_file} to begin anew"
            )
        marks = [await asyncio.to_thread(mark, source, lambda size: None) for source in self.sources]
        fresh = State(FORMAT, self._asked(), marks)
        if found is not None:
            if found.options != fresh.options:
                raise Refused("the interrupted import was asked for otherwise: repeat it with the options that it had")
            changed = [one.name for one, was in zip(marks, found.files, strict=False) if one != was]
            if changed or len(marks) != len(found.files):
                what = changed[0] if changed else "the list of files"
                raise Refused(
                    f"{what} has changed since the import was interrupted; "
                    f"remove {self._journal.state_file} to begin anew"
                )
        await asyncio.to_thread(self._journal.begin, found or fresh, resumed=found is not None)
        return found or fresh

    def _asked(self) -> dict[str, Any]:
        options = self._options
        wanted = (options.tenant, options.tenant_field, options.format, options.flatten)
        names = ("tenant", "tenant_field", "format", "flatten")
        return {**dict(zip(names, wanted, strict=True)), **msgspec.structs.asdict(options.read)}

    # ------------------------------------------------------------------------------------------------- reading

    def _windows(self, state: State) -> Iterator[_Window]:
        """Everything, in parts. What is done with is read again, for ids that come twice, and not sent."""
        for number, source in enumerate(self.sources):
            done = 0 if number > state.file else state.row if number == state.file else None
            yield from self._of_file(number, source, done)

    def _of_file(self, number: int, source: Source, done: int | None) -> Iterator[_Window]:
        """The windows of one file, without the rows that are ``done`` with; None: all of them are."""
        whose = Whose(self._options.tenant, self._options.tenant_field, source.folder)
        window = _Window(number)
        try:
            for row in rows(source.path, source.known, self._options.read, self._advance):
                window.end += 1
                self._rows += 1
                checked = self._checker.check(row, whose)
                if done is None or window.end <= done:
                    continue
                if isinstance(checked, Problem):
                    window.reject(reject_of(str(source.path), row, checked), row.values)
                else:
                    window.keep(checked[0], row.number, checked[1])
                if window.full:
                    yield window
                    window = _Window(number, window.end)
        except TenantryError:
            yield window  # what is before the trouble
            raise
        if window.kept or window.rejects:
            yield window

    # ------------------------------------------------------------------------------------------------- sending

    async def _carry_out(self, window: _Window, state: State) -> State:
        """Send a window; the state after it."""
        rejects = list(window.rejects)
        written: Counter[str] = Counter(state.tenants)
        limit = asyncio.Semaphore(AT_ONCE)

        async def send(tenant: str, found: list[tuple[int, Record]]) -> None:
            async with limit:
                refused = [] if self._options.dry_run else await self._sink.write(tenant, [one for _, one in found])
            file = str(self.sources[window.file].path)
            rejects.extend(refused_of(file, *found[one.place], one.problem, tenant) for one in refused)
            written[tenant] += len(found) - len(refused)

        await asyncio.gather(*(send(tenant, found) for tenant, found in window.kept.items()))
        for one in rejects:
            example, count = self._reasons.get(one.field, (one.reason, 0))
            self._reasons[one.field] = (example, count + 1)
        rejects.sort(key=lambda one: one.row)
        state = msgspec.structs.replace(
            state,
            file=window.file,
            row=window.end,
            written=sum(written.values()),
            rejected=state.rejected + len(rejects),
            tenants=dict(written),
        )
        return state if self._options.dry_run else await asyncio.to_thread(self._note, state, rejects)

    def _note(self, state: State, rejects: list[Reject]) -> State:
        state = msgspec.structs.replace(state, rejects_bytes=self._journal.reject(rejects))
        self._journal.save(state)
        return state

    def _too_many(self, state: State) -> str:
        example = next(iter(self._reasons.values()), ("", 0))[0]
        where = "" if self._options.dry_run else f"; they are in {self._options.rejects}, and --resume goes on"
        return (
            f"{state.rejected:,} records were rejected, over the limit of {self._options.max_rejects:,}, "
            f"{state.written:,} {'would be' if self._options.dry_run else 'are'} written{where}; such as: {example}"
        )
