"""A clock that counts what this process does itself, and skips what it only waits for.

On a machine that others use too, a latency by the wall clock shows mostly what they do. By this clock a second is one
in which the event loop's thread had a core, or one in which it would have slept: that is skipped at once. So figures
depend on this process alone, and a minute of light load takes seconds. It fits where all is done in the loop, or
stood in for by timers; what is done by other threads and processes takes no time here.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Iterator
from contextlib import contextmanager


class OwnTime:
    """The clock: by the wall, but own time within `counted`. It never goes back."""

    def __init__(self) -> None:
        self._counted = False
        self._ahead = 0.0

    def now(self) -> float:
        """Seconds."""
        return (time.thread_time() if self._counted else time.perf_counter()) + self._ahead

    def loop(self) -> asyncio.AbstractEventLoop:
        """An event loop that goes by this clock."""
        return _Loop(self)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count own time meanwhile."""
        self._ahead += time.perf_counter() - time.thread_time()
        self._counted = True
        try:
            yield
        finally:
            self._counted = False
            self._ahead += time.thread_time() - time.perf_counter()

    def skip(self, seconds: float) -> bool:
        """Let that time pass, if own time is counted."""
        self._ahead += seconds if self._counted else 0.0
        return self._counted


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: OwnTime) -> None:
        super().__init__(_Selector(clock))
        self.time = clock.now  # type: ignore[method-assign]


class _Selector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    def __init__(self, clock: OwnTime) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if not timeout or timeout < 0:
            return super().select(timeout)
        found = super().select(0)
        return found if found or self._clock.skip(timeout) else super().select(timeout)
