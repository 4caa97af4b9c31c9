"""One namespace: an ordered queue of writes, and its rows in memory while it is in use.

Everything that changes the namespace passes through one queue: writes, loading into memory, compaction, dropping.
Writes that wait together are committed together (one sync for all), and each is still all or nothing: when a shared
transaction fails, its writes are tried again one by one. The commit runs in a worker; its effect on the memory is
applied on the event loop's thread before the caller hears of it, so a read that starts after sees it.

A cancelled caller stops waiting; its write goes on in the queue, so file and memory never part.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from tenantry.backends.embedded.ann import Attached
from tenantry.backends.embedded.indexing import Indexer
from tenantry.backends.embedded.manifest import Entry, State
from tenantry.backends.embedded.resident import Change, Resident
from tenantry.backends.embedded.store import Store
from tenantry.backends.embedded.writes import Clear, DeleteMatching, Pull, Write
from tenantry.errors import Bug, NotFound, TenantryError, Unavailable

if TYPE_CHECKING:
    from tenantry.backends.embedded.shard import Shard

GROUP_ROWS = 2000
MOST_WAITING = 10_000
COMPACT_OVER_DEAD = 0.25
COMPACT_OVER_ROWS = 1000


class Waiting(msgspec.Struct, eq=False):
    """A write in the queue, or a job that needs the queue to itself (``alone``: worker part and loop part)."""

    future: asyncio.Future[Any]
    write: Write | None = None
    alone: tuple[Callable[[], Any], Callable[[Any], Any]] | None = None


class Namespace:
    """Belongs to one event loop's thread, apart from the methods marked as worker's."""

    def __init__(self, shard: Shard, entry: Entry) -> None:
        self.name = entry.name
        self.number = entry.number
        self.resident: Resident | None = None
        self.dropped = False
        self.store = Store(shard.engine.pool, shard.folder / f"ns-{entry.number}.db", shard.dimension)
        self.indexer = Indexer(shard.engine, shard.folder / f"ns-{entry.number}.hnsw")
        self.written = entry.state is State.WRITTEN
        self.dirty = entry.dirty
        self.vectors: int | None = None if entry.dirty else entry.vectors
        self.bytes = entry.bytes
        self.marked = False
        """Whether this process has marked it dirty in the manifest."""
        self._shard = shard
        self._queue: deque[Waiting] = deque()
        self._drain: asyncio.Task[None] | None = None
        self._loading: asyncio.Future[Any] | None = None
        self._compacting = False
        self._closed = False
        self._stored_vectors = self.vectors
        self.changes = 0
        """Grows before and after each commit, so it is odd while one runs."""
        self._version: tuple[int, str] | None = None
        self._committing = threading.Lock()
        """Held by a commit that outlives its event loop, so that the next one waits for it."""

    # ------------------------------------------------------------------------------ queue

    async def write(self, write: Write) -> None:
        """Queue a write; returns when it is durable and visible.

        Raises:
            NotFound: the namespace was dropped.
            InvalidArgument: the write itself is wrong; nothing of it was done.
            StorageFailed: it could not be made durable; nothing of it was done.
            Unavailable: too many writes wait already.
        """
        await self._submit(Waiting(asyncio.get_running_loop().create_future(), write=write))

    async def alone(self, job: Callable[[], Any], apply: Callable[[Any], Any]) -> Any:
        """Run ``job`` in a worker and ``apply`` with its result on the loop, with no write beside them."""
        return await self._submit(Waiting(asyncio.get_running_loop().create_future(), alone=(job, apply)))

    async def settled(self) -> None:
        """Wait until the queue is empty."""
        while self._drain is not None:
            await asyncio.wait([self._drain])

    async def close(self) -> None:
        """Take no more writes, finish those that wait, let the memory go."""
        self._closed = True
        await self.settled()
        self.forget_memory()

    def _submit(self, item: Waiting) -> asyncio.Future[Any]:
        if self.dropped:
            raise NotFound("namespace", self.name)
        if self._closed:
            raise Unavailable(f"the shard of namespace {self.name!r} is closed")
        if len(self._queue) >= MOST_WAITING:
            raise Unavailable(f"namespace {self.name!r} has {MOST_WAITING} writes waiting")
        self._queue.append(item)
        if self._drain is None:
            self._drain = self._shard.engine.spawn(self._run())
        return item.future

    async def _run(self) -> None:
        engine = self._shard.engine
        group: list[Waiting] = []
        try:
            while self._queue:
                group = self._next_group()
                if not group:
                    continue
                if group[0].alone is not None:
                    await self._run_alone(group[0])
                else:
                    writes = [item.write for item in group if item.write is not None]
                    run = engine.in_background if isinstance(writes[0], Pull) else engine.in_io
                    outcomes = await run(self._commit, writes)
                    self._apply(group, outcomes)
        except BaseException as error:
            # What reached the file is not known here, so nothing in memory may claim to know it.
            self.forget_memory()
            self.vectors = None
            lost = Unavailable(f"the write to {self.name!r} was interrupted: {error!r}")
            for item in (*group, *self._queue):
                if not item.future.done():
                    item.future.set_exception(lost)
            self._queue.clear()
            raise
        finally:
            self._drain = None

    def _next_group(self) -> list[Waiting]:
        """The next writes to commit together. Those whose callers have gone before they began are passed over."""
        group: list[Waiting] = []
        rows = 0
        while self._queue:
            item = self._queue[0]
            if item.future.cancelled():
                self._queue.popleft()
                continue
            by_itself = item.alone is not None or isinstance(item.write, Clear | DeleteMatching | Pull)
            rows += item.write.rows if item.write is not None else 0
            if group and (by_itself or rows > GROUP_ROWS):
                break
            group.append(self._queue.popleft())
            if by_itself:
                break
        return group

    async def _run_alone(self, item: Waiting) -> None:
        assert item.alone is not None  # noqa: S101  chosen by the caller
        job, apply = item.alone
        try:
            if self.dropped:
                raise NotFound("namespace", self.name)
            result = apply(await self._shard.engine.in_io(job))
        except Exception as error:
            if not item.future.done():
                item.future.set_exception(error)
            return
        if not item.future.done():
            item.future.set_result(result)

    # ----------------------------------------------------------------------------- writes

    def _commit(self, writes: list[Write]) -> list[Change | Exception]:
        """Worker: commit the writes, together if that works, and stage them behind the resident rows."""
        with self._committing:
            self.changes += 1
            try:
                return self._commit_all(writes)
            finally:
                self.changes += 1

    def _commit_all(self, writes: list[Write]) -> list[Change | Exception]:
        outcomes: list[Change | Exception | None] = [None] * len(writes)
        if self.dropped:
            return [NotFound("namespace", self.name) for _ in writes]
        for i, write in enumerate(writes):
            try:
                write.prepare(self._shard.dimension)
            except Exception as error:
                outcomes[i] = error
        good = [i for i, outcome in enumerate(outcomes) if outcome is None]
        if good:
            for i, outcome in zip(good, self._commit_prepared([writes[i] for i in good]), strict=True):
                outcomes[i] = outcome
        done = [outcome for outcome in outcomes if outcome is not None]
        resident = self.resident
        changes = [change for change in done if isinstance(change, Change) and change.matrix is not None]
        if resident is not None and changes:
            try:
                resident.stage(
                    (c.matrix, np.arange(c.first_seq, c.first_seq + len(c.ids)))
                    for c in changes
                    if c.matrix is not None
                )
            except MemoryError:
                self.resident = None  # the file has it; the next read loads what fits
        return done

    def _commit_prepared(self, writes: list[Write]) -> list[Change | Exception]:
        try:
            self._make_ready()
            return list(self._transact(writes))
        except Exception as error:
            if len(writes) == 1:
                return [error]
        return [outcome for write in writes for outcome in self._commit_prepared([write])]

    def _transact(self, writes: list[Write]) -> list[Change]:
        resident = self.resident
        view = resident.snapshot() if resident is not None and len(writes) == 1 else None
        source = next((write.source for write in writes if isinstance(write, Pull)), None)
        with self.store.writing(source) as tx:
            changes = [write.run(tx, view) for write in writes]
        if any(change.cleared for change in changes):
            self.store.shrink()
        self.bytes = self.store.size_bytes()
        return changes

    def _make_ready(self) -> None:
        """Worker: before the first write since opening, the file exists, its count is known, its mark is durable."""
        if self.vectors is None:
            self.vectors = self.recount()
        if self.marked:
            return
        if not self.written:
            self.store.create(self.name)
        self._shard.manifest.mark_dirty(self.number)
        self.written = self.dirty = self.marked = True

    def _apply(self, group: list[Waiting], outcomes: list[Change | Exception]) -> None:
        changes = [outcome for outcome in outcomes if isinstance(outcome, Change)]
        if changes:
            self._apply_changes(changes)
        for item, outcome in zip(group, outcomes, strict=True):
            if item.future.done():
                continue
            if isinstance(outcome, Change):
                item.future.set_result(None)
            else:
                item.future.set_exception(outcome)

    def _apply_changes(self, changes: list[Change]) -> None:
        if self.vectors is None:
            raise Bug(f"namespace {self.name!r} was written without a known count")
        for change in changes:
            if change.cleared:
                self.vectors = 0
            self.vectors += len(change.ids) - len(change.removed)
        if self.resident is None:
            self._shard.engine.note_forgotten(self)
            return
        if any(change.cleared for change in changes):
            self.resident = Resident(self._shard.dimension, self._shard.metric)
        else:
            self.resident.apply(changes)
        self._shard.engine.note_resident(self)
        self._maybe_compact()
        self.indexer.consider(self)

    # ----------------------------------------------------------------------------- memory

    async def load(self) -> Resident:
        """The rows in memory, read from the file if they are not there yet; callers that wait together share it.

        Raises:
            NotFound, Corrupt, StorageFailed.
        """
        if self.resident is not None:
            self._shard.engine.note_used(self)
            return self.resident
        if self._loading is None or self._loading.done():
            self._loading = self._submit(
                Waiting(asyncio.get_running_loop().create_future(), alone=(self._read_all, self._install))
            )
        loaded: Resident = await asyncio.shield(self._loading)
        return loaded

    def forget_memory(self) -> None:
        """Let the rows in memory go; readers that hold a snapshot keep theirs."""
        self.resident = None
        self._shard.engine.note_forgotten(self)

    def _read_all(self) -> Resident:
        if self.resident is not None:
            return self.resident
        if not self.written:
            return Resident(self._shard.dimension, self._shard.metric)
        expected = self.vectors if self.vectors is not None else 0
        resident = Resident(self._shard.dimension, self._shard.metric, expected)
        for part in self.store.stretches():
            resident.stage([(part.matrix, part.seqs)])
            resident.append(part.ids, part.metadata)
        self.indexer.load(resident)
        return resident

    def _install(self, resident: Resident) -> Resident:
        self.resident = resident
        self.vectors = resident.live  # the file is the truth, also when it was replaced behind the manifest's back
        self._shard.engine.note_resident(self)
        self.indexer.consider(self)
        return resident

    def _maybe_compact(self) -> None:
        resident = self.resident
        if resident is None or self._compacting or resident.dead < COMPACT_OVER_ROWS:
            return
        if resident.dead > COMPACT_OVER_DEAD * resident.n:
            self._compacting = True
            self._shard.engine.spawn(self._compact())

    async def _compact(self) -> None:
        try:
            await self.alone(self._compacted, self._replace)
        except TenantryError:
            return  # dropped meanwhile
        finally:
            self._compacting = False

    def _compacted(self) -> Resident | None:
        """Worker."""
        resident = self.resident
        if resident is None:
            return None
        copy = resident.compacted()
        if resident.ann is not None:
            copy.ann = Attached(resident.ann.index, copy.seqs[: copy.n])
        return copy

    def _replace(self, compacted: Resident | None) -> None:
        if compacted is not None and self.resident is not None:
            if self.resident.ann is not None and (
                compacted.ann is None or compacted.ann.index is not self.resident.ann.index
            ):
                compacted.ann = Attached(self.resident.ann.index, compacted.seqs[: compacted.n])
            self.resident = compacted
            self._shard.engine.note_resident(self)
            self.indexer.consider(self)

    # ------------------------------------------------------------------------------ counts

    async def count(self) -> int:
        """The exact number of records; counts the file only after a crash."""
        if self.vectors is None:
            await self.alone(self.recount, self._set_count)
        return self.vectors or 0

    def recount(self) -> int:
        """Worker: the exact count, read from the file."""
        return self.store.count() if self.written else 0

    def unstored_count(self) -> int | None:
        """The exact count, when it is known and the manifest does not have it."""
        return self.vectors if self.marked or self.vectors != self._stored_vectors else None

    # ----------------------------------------------------------------------------- version

    def known_version(self) -> str | None:
        """What `note_version` was last told, if nothing was written since."""
        return self._version[1] if self._version is not None and self._version[0] == self.changes else None

    def note_version(self, changes: int, version: str | None) -> None:
        """The file was of this version at some time after ``changes`` was read; of use only if no commit ran then."""
        self._version = None if version is None or changes % 2 else (changes, version)

    def _set_count(self, vectors: int) -> None:
        self.vectors = vectors
        self.bytes = self.store.size_bytes()
