"""Which leases have lapsed, as far as this process can tell without comparing clocks."""

from __future__ import annotations

from tenantry.model.leases import Lease
from tenantry.ports import Clock

#: Leases that are remembered; past that the oldest observations go, which only makes waiting longer.
MOST = 10_000


class LeaseWatch:
    """Remembers since when each lease has been seen unchanged."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[int, int, float]] = {}

    def unchanged_s(self, lease: Lease) -> float:
        """How long this lease has been seen with the same fence and beat, seconds; 0 at first sight."""
        now = self._clock.monotonic()
        known = self._seen.get(lease.name)
        if known is not None and known[:2] == (lease.fence, lease.beat):
            return now - known[2]
        while len(self._seen) >= MOST:
            del self._seen[next(iter(self._seen))]
        self._seen[lease.name] = (lease.fence, lease.beat, now)
        return 0.0
