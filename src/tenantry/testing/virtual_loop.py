"""An asyncio event loop in virtual time: when nothing is ready, time jumps to the next timer."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class DeadlockError(RuntimeError):
    """Nothing is ready and no timer is set: nothing will ever happen again."""


class _Jumping(selectors.DefaultSelector):
    """Instead of waiting, moves its loop's clock on. The system is never asked: there is nothing to come from it."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout != 0:
            if timeout is None:
                raise DeadlockError("nothing is ready and no timer is set")
            self.loop.virtual_s += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Deterministic: the same program runs the same way each time. No sockets; what is given to a thread runs at once,
    in no time, in this one.

    Attributes:
        virtual_s: the time, seconds; starts at 0.
    """

    def __init__(self) -> None:
        self.virtual_s = 0.0
        jumping = _Jumping()
        jumping.loop = self
        super().__init__(jumping)

    def time(self) -> float:
        """Virtual seconds."""
        return self.virtual_s

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """Call it here: a thread would take time that this clock does not know."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future


class VirtualClock:
    """Implements `Clock` on a `VirtualLoop`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, epoch: float = 1_800_000_000.0) -> None:
        self._loop = loop
        self._epoch = epoch

    def now(self) -> float:
        """Seconds since the Unix epoch, as if the loop had begun at ``epoch``."""
        return self._epoch + self._loop.time()

    def monotonic(self) -> float:
        """Seconds since the loop began."""
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)


def run_virtual(main: Coroutine[Any, Any, T], limit_s: float = 3_600.0) -> T:
    """Run to the end in virtual time. Raises TimeoutError after ``limit_s`` virtual seconds, DeadlockError."""
    loop = VirtualLoop()
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(asyncio.wait_for(main, limit_s))
    finally:
        try:
            _cancel_rest(loop)
        finally:
            asyncio.set_event_loop(None)
            loop.close()


def _cancel_rest(loop: VirtualLoop) -> None:
    """What still hangs is cancelled, again and again if it minds: a killed process would have run no `finally`."""
    for _ in range(100):
        rest = asyncio.all_tasks(loop)
        if not rest:
            return
        for task in rest:
            task.cancel()
        loop.run_until_complete(asyncio.wait(rest, timeout=1.0))
    raise RuntimeError(f"{len(asyncio.all_tasks(loop))} tasks cannot be cancelled")
