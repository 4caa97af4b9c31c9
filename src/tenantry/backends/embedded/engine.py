"""The engine of one data folder: the lock, the workers, and the bounds that all its shards share."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from urllib.parse import quote

from tenantry.backends.embedded import blas
from tenantry.backends.embedded.connections import ConnectionPool
from tenantry.backends.embedded.indexing import INDEX_FROM_ROWS
from tenantry.backends.embedded.lock import FolderLock
from tenantry.backends.embedded.shard import Shard
from tenantry.errors import InvalidArgument, Unavailable
from tenantry.model.records import Metric

if TYPE_CHECKING:
    from tenantry.backends.embedded.namespace import Namespace

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

IO_WORKERS = 8
RESIDENT_BYTES = 2 << 30
OPEN_CONNECTIONS = 128
BACKGROUND_WORKERS = 4
"""One of them for a build."""
BACKGROUND_NICE = 10
FOLDER_NAME_MOST = 200
TURN_NUMBERS = 10_000_000
"""Vector components read on the loop's thread (some 2 ms) after which others get their turn."""
TURN_OVERHEAD_NUMBERS = 200_000
"""What the fixed cost of a read is worth in vector components."""


class Engine:
    """Everything that one process keeps of one data folder.

    Making one costs nothing and touches nothing. The first use of data takes the folder's lock, which is held until
    `aclose`. An engine serves one event loop.

    Args:
        root: the data folder; each shard gets a folder in it.
        max_resident_bytes: memory for rows and indexes of the namespaces in use. The least recently used go first;
            one namespace that is larger than this alone still works, and is then the only one kept.
        max_connections: SQLite connections kept open, at most four file descriptors each.
        compute_workers: threads for searches that are too long for the event loop; default: one per core.
        index_from_rows: vectors from which a namespace gets an approximate index; below, every search is exact.
    """

    def __init__(
        self,
        root: Path,
        *,
        max_resident_bytes: int = RESIDENT_BYTES,
        max_connections: int = OPEN_CONNECTIONS,
        compute_workers: int | None = None,
        index_from_rows: int = INDEX_FROM_ROWS,
    ) -> None:
        self.root = Path(root)
        self.pool = ConnectionPool(max_connections)
        self._lock = FolderLock(self.root)
        self.index_from_rows = index_from_rows
        self._max_resident_bytes = max_resident_bytes
        self._compute_workers = compute_workers or os.cpu_count() or 1
        self._io: ThreadPoolExecutor | None = None
        self._compute: ThreadPoolExecutor | None = None
        self._background: ThreadPoolExecutor | None = None
        self._shards: dict[str, Shard] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._resident: OrderedDict[Namespace, int] = OrderedDict()
        self._resident_bytes = 0
        self._since_turn = 0
        self.build_slot = asyncio.Semaphore(1)
        """One build at a time: each takes a core and the memory of an index."""
        self.build_threads = max(1, (os.cpu_count() or 1) // 2)
        self.closing = False
        self._closed = False

    # ------------------------------------------------------------------------------- life

    def start(self) -> None:
        """Take the lock and start the workers, unless done before.

        Raises:
            Locked: another process owns the data folder; the message says which, and where it serves.
            Unavailable: the engine is closed.
        """
        if self._closed:
            raise Unavailable(f"the engine of {self.root} is closed")
        if self._io is not None:
            return
        self._lock.acquire()
        blas.hold_single_threaded()
        self._io = ThreadPoolExecutor(IO_WORKERS, thread_name_prefix="tenantry-io")
        self._compute = ThreadPoolExecutor(
            self._compute_workers, thread_name_prefix="tenantry-search", initializer=blas.single_threaded_here
        )
        self._background = ThreadPoolExecutor(
            BACKGROUND_WORKERS, thread_name_prefix="tenantry-background", initializer=_yield_to_others
        )

    def announce(self, url: str) -> None:
        """Say where this process serves the folder: others that find it locked are told. Takes the lock."""
        self.start()
        self._lock.announce(url)

    async def settled(self) -> None:
        """Wait until no background work (builds, compactions, queued writes) is left."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def aclose(self) -> None:
        """Finish what runs, store the counts, close the files, give up the lock; safe to call twice."""
        if self._closed:
            return
        self.closing = True
        for shard in self._shards.values():
            await shard.close()
        await self.settled()
        self._closed = True
        if self._io is None:
            return
        await asyncio.to_thread(self._stop_workers)
        blas.release_single_threaded()
        self._lock.release()

    def _stop_workers(self) -> None:
        for workers in (self._background, self._compute, self._io):
            if workers is not None:
                workers.shutdown()
        self.pool.close()

    # ----------------------------------------------------------------------------- shards

    def shard(self, name: str, dimension: int, metric: Metric) -> Shard:
        """The shard of that name; those who ask for the same one share it. Pair with `leave`.

        Raises:
            InvalidArgument: the name cannot be a folder's, or the shard is in use with another dimension or metric.
        """
        folder = quote(name, safe=" ~")
        if not name or name.strip(".") == "" or len(folder) > FOLDER_NAME_MOST:
            raise InvalidArgument("shard", name, f"a name of at most {FOLDER_NAME_MOST} bytes that is not only dots")
        shard = self._shards.get(name)
        if shard is None:
            shard = self._shards[name] = Shard(self, self.root / folder, dimension, metric)
        elif (shard.dimension, shard.metric) != (dimension, metric):
            raise InvalidArgument("shard", f"{name}: {dimension}, {metric}", f"{shard.dimension}, {shard.metric}")
        shard.users += 1
        return shard

    async def leave(self, shard: Shard) -> None:
        """One user less; the last one closes the shard's files, and the engine forgets what it was made for."""
        shard.users -= 1
        if shard.users == 0:
            await shard.close()
        if shard.users == 0:  # nobody came back meanwhile
            self._shards = {name: known for name, known in self._shards.items() if known is not shard}

    # ---------------------------------------------------------------------------- workers

    def spawn(self, job: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run beside the caller; kept, waited for by `settled`, and heard when it fails."""
        task = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def in_io(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``job`` in a worker that may block on disk."""
        return await self._in(self._io, lambda: job(*args, **kwargs))

    async def in_compute(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``job`` in a worker for arithmetic."""
        return await self._in(self._compute, lambda: job(*args, **kwargs))

    async def in_background(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``job`` in a worker that gives way to the others: builds of indexes, pages of scans and copies."""
        return await self._in(self._background, lambda: job(*args, **kwargs))

    async def _in(self, workers: ThreadPoolExecutor | None, job: Callable[[], T]) -> T:
        if workers is None or self._closed:
            raise Unavailable(f"the engine of {self.root} is closed")
        return await asyncio.get_running_loop().run_in_executor(workers, job)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.debug("background work ended", exc_info=task.exception())

    async def take_turn(self, numbers: int) -> None:
        """Account for a read of that many vector components on the event loop's thread.

        Such a read never suspends, so a caller who does one after the other would keep everybody else waiting; after
        a few milliseconds' worth of them, this lets the others run.
        """
        self._since_turn += numbers + TURN_OVERHEAD_NUMBERS
        if self._since_turn > TURN_NUMBERS:
            self._since_turn = 0
            await asyncio.sleep(0)

    # ----------------------------------------------------------------------------- memory

    @property
    def resident_bytes(self) -> int:
        """Bytes of memory that resident namespaces take, nearly."""
        return self._resident_bytes

    @property
    def resident_count(self) -> int:
        """Namespaces in memory."""
        return len(self._resident)

    def note_used(self, namespace: Namespace) -> None:
        """The namespace was read: the last to be let go."""
        self._resident.move_to_end(namespace)

    def note_resident(self, namespace: Namespace) -> None:
        """The namespace is in memory, or has grown there; others give way when there is not room for all."""
        resident = namespace.resident
        if resident is None:
            return
        self._resident_bytes += resident.nbytes - self._resident.pop(namespace, 0)
        self._resident[namespace] = resident.nbytes
        while self._resident_bytes > self._max_resident_bytes and len(self._resident) > 1:
            next(iter(self._resident)).forget_memory()

    def note_forgotten(self, namespace: Namespace) -> None:
        """The namespace is no longer in memory."""
        self._resident_bytes -= self._resident.pop(namespace, 0)


def _yield_to_others() -> None:
    """Lower the calling thread's priority, where a thread has one of its own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BACKGROUND_NICE)
