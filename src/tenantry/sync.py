"""The library without ``async``: the same cluster, driven by an event loop in a thread of its own.

::

    with tenantry.connect("data") as cluster:
        acme = cluster.tenant("acme")
        acme.upsert([("a", [0.1, 0.2, 0.3])])
        for record in acme.scan():
            ...

There is no second implementation to fall behind: attributes are looked up on the asynchronous objects, coroutine
functions become calls that block, asynchronous iterators become iterators. What `Cluster` has, `SyncCluster` has.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from tenantry.errors import Refused

if TYPE_CHECKING:
    from tenantry.cluster import Cluster, TenantHandle
    from tenantry.settings import Settings

T = TypeVar("T")

CANCEL_S = 5.0
"""Longest wait for an interrupted call to end before the interruption is passed on all the same."""
CHUNK = 128
"""Items of an iterator that one visit to the loop's thread brings back."""
_HERE = "tenantry."


def connect(data: str | Path | Settings | None = None, **settings: Any) -> SyncCluster:
    """Open the cluster in a data folder, or as settings say, as `tenantry.open_cluster` does.

    `SyncCluster.init` makes one. Raises as `tenantry.open_cluster`.
    """
    from tenantry.wiring import open_cluster

    return SyncCluster(lambda: open_cluster(data, **settings))


class SyncFace(Generic[T]):
    """One asynchronous object, seen without ``async``. Its attributes and methods are those of ``T``.

    Methods block until they are done, and may be called from several threads at once. Values come back as they are;
    objects with asynchronous methods come back as faces.
    """

    def __init__(self, wrapped: T, loop: _LoopThread) -> None:
        self._wrapped = wrapped
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self._seen(getattr(self._wrapped, name))

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(name for name in dir(self._wrapped) if not name.startswith("_"))})

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._wrapped!r}>"

    def _seen(self, value: Any) -> Any:
        if inspect.ismethod(value):
            return self._blocking(value)
        if isinstance(value, AsyncIterator):
            return self._loop.iterate(value)
        kind: Any = type(value)
        return SyncFace(value, self._loop) if _is_asynchronous(kind) else value

    def _blocking(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            async def there() -> Any:
                result = method(*args, **kwargs)
                return await result if inspect.isawaitable(result) else result

            return self._seen(self._loop.run(there()))

        return call


class SyncCluster(SyncFace["Cluster"]):
    """A `Cluster` for programs without an event loop. Use as ``with``; `tenantry.connect` makes one.

    It also works where an event loop is running, in whose thread it then blocks. Ctrl-C cancels the call that runs
    and leaves the cluster usable. Safe to use from several threads.
    """

    def __init__(self, open: Callable[[], Coroutine[Any, Any, Cluster]]) -> None:
        loop = _LoopThread()
        try:
            super().__init__(loop.run(open()), loop)
        except BaseException:
            loop.stop()
            raise

    @classmethod
    def init(cls, data: str | Path | Settings | None = None, **options: Any) -> Self:
        """Make a cluster with its default index and open it, as `tenantry.init_cluster` does."""
        from tenantry.wiring import init_cluster

        return cls(lambda: init_cluster(data, **options))

    def tenant(self, name: str, index: str = "default") -> SyncFace[TenantHandle]:
        """A handle to work with one tenant's records and documents; touches nothing yet."""
        self._loop.check_open()
        return SyncFace(self._wrapped.tenant(name, index), self._loop)

    @property
    def asynchronous(self) -> Cluster:
        """The cluster itself, for `run`."""
        return self._wrapped

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of one's own beside the cluster and wait for it: several steps in one visit, and typed."""
        return self._loop.run(work)

    def close(self) -> None:
        """Finish what runs and close everything; safe to call twice. Every later call raises Refused."""
        self._loop.close(self._wrapped.aclose)

    aclose = close

    def __enter__(self) -> Self:
        self._loop.check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _LoopThread:
    """An event loop that runs in a daemon thread until stopped."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._closing = threading.Lock()
        self._open = True
        self._thread = threading.Thread(target=self._live, name="tenantry-loop", daemon=True)
        self._thread.start()

    def check_open(self) -> None:
        """Raises Refused after the end."""
        if not self._open:
            raise Refused("this cluster is closed; open it again with tenantry.connect(...)")

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run in the loop's thread and wait. An exception in the waiting thread cancels the work first.

        Raises Refused when the loop is closed, or closes before the work ends.
        """
        try:
            self.check_open()
            if threading.current_thread() is self._thread:
                raise Refused("a blocking call was made inside the cluster's own event loop, where it would never end")
        except Refused:
            work.close()
            raise
        outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
        task: list[asyncio.Task[T]] = []

        def start() -> None:
            task.append(self._loop.create_task(work))
            task[0].add_done_callback(functools.partial(_settle, outcome))

        def cancel() -> None:
            if task:
                task[0].cancel()
            else:  # the interrupt came before it was handed over
                work.close()
                outcome.cancel()

        try:
            try:
                self._loop.call_soon_threadsafe(start)
            except RuntimeError:
                work.close()
                outcome.cancel()
                self.check_open()
                raise
            return outcome.result()
        except BaseException:  # an interrupt may come at any point, also while the work is handed over
            if not outcome.done():
                self._loop.call_soon_threadsafe(cancel)
                concurrent.futures.wait([outcome], CANCEL_S)
            raise

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        """The items one after another; closing the iterator closes the asynchronous one."""
        try:
            ended: BaseException | None = None
            while ended is None:
                chunk, ended = self.run(_take(items, CHUNK))
                yield from chunk
            if not isinstance(ended, StopAsyncIteration):
                raise ended
        finally:
            close = getattr(items, "aclose", None)
            if close is not None and self._open:
                self.run(close())

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run ``last``, then stop; what runs beside it is cancelled. Once."""
        with self._closing:
            if not self._open:
                return
            try:
                self.run(last())
            finally:
                self.stop()

    def stop(self) -> None:
        """End the thread."""
        self._open = False
        self._loop.call_soon_threadsafe(self._loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            if left:
                self._loop.run_until_complete(asyncio.wait(left))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            self._loop.close()


async def _take(items: AsyncIterator[T], most: int) -> tuple[list[T], BaseException | None]:
    """At most that many items, and what ended them early: what came before an error is not lost."""
    chunk: list[T] = []
    try:
        while len(chunk) < most:
            chunk.append(await anext(items))
    except (StopAsyncIteration, Exception) as error:
        return chunk, error
    return chunk, None


def _settle(outcome: concurrent.futures.Future[T], task: asyncio.Task[T]) -> None:
    if task.cancelled():
        outcome.set_exception(Refused("the call was cancelled: the cluster was closed, or the call interrupted"))
        return
    error = task.exception()
    if error is None:
        outcome.set_result(task.result())
    else:
        outcome.set_exception(error)


@functools.cache
def _is_asynchronous(kind: Any) -> bool:
    """Whether objects of this kind are worked with by awaiting: ours, with at least one such method."""
    if not kind.__module__.startswith(_HERE):
        return False
    return any(
        inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member)
        for name, member in inspect.getmembers(kind)
        if not name.startswith("_")
    )
