"""Keep matrix products on one thread.

A product of one query with a few thousand rows takes a quarter of a millisecond on one core and thirty times that
when a thread pool is woken for it (7.9 against 0.26 ms measured at 3,000 x 768). Searches run side by side instead.
The limit is the process's, so it is set while an engine works and taken back with the last one.
"""

from __future__ import annotations

import threading
from typing import Any

from threadpoolctl import ThreadpoolController


class _Hold:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.holders = 0
        self.limiter: Any = None


_hold = _Hold()


def hold_single_threaded() -> None:
    """Limit BLAS to one thread until as many `release_single_threaded`."""
    with _hold.lock:
        _hold.holders += 1
        if _hold.holders == 1:
            _hold.limiter = ThreadpoolController().select(user_api="blas").limit(limits=1)


def release_single_threaded() -> None:
    """Take the limit back, if this was the last holder."""
    with _hold.lock:
        _hold.holders -= 1
        if _hold.holders == 0:
            _hold.limiter.restore_original_limits()


def single_threaded_here() -> None:
    """Limit OpenMP (FAISS) to one thread in the calling thread, which is how far that setting reaches."""
    import faiss

    faiss.omp_set_num_threads(1)
