"""When to ask a second time, and how often at most. Pure: no clock, no chance."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

#: Latencies of one kind of call that are kept, and the fewest that say anything.
KEPT = 200
LEAST = 20
QUANTILE = 0.95
#: Second requests that may be saved up while none was needed.
MOST_SAVED = 10.0


class Latencies:
    """The last `KEPT` latencies of one kind of call, seconds."""

    __slots__ = ("_order", "_sorted")

    def __init__(self) -> None:
        self._order: deque[float] = deque()
        self._sorted: list[float] = []

    def note(self, seconds: float) -> None:
        """One more; the oldest goes."""
        if len(self._order) == KEPT:
            oldest = self._order.popleft()
            del self._sorted[bisect_left(self._sorted, oldest)]
        self._order.append(seconds)
        insort(self._sorted, seconds)

    def quantile(self, share: float = QUANTILE) -> float | None:
        """That quantile (nearest rank), None while there are fewer than `LEAST`."""
        count = len(self._sorted)
        if count < LEAST:
            return None
        return self._sorted[min(count - 1, int(share * count))]


class Budget:
    """Lets at most ``share`` second requests through for each first one, ever: it begins with nothing saved.

    Args:
        share: 0 to 1; 0 lets none through.
    """

    __slots__ = ("_saved", "_share")

    def __init__(self, share: float) -> None:
        self._share = share
        self._saved = 0.0

    def earn(self) -> None:
        """A first request was sent."""
        self._saved = min(MOST_SAVED, self._saved + self._share)

    def spend(self) -> bool:
        """Whether a second request may be sent; if so it is counted."""
        # The sum of twenty times 0.05 is a hair under 1.
        if self._saved < 1.0 - 1e-9:
            return False
        self._saved -= 1.0
        return True
