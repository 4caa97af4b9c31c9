"""How fast a copy may go beside the traffic that it shares the shards with."""

from __future__ import annotations

from tenantry.control.mover.context import Context

#: Longest such pause, seconds: a slow page must not stop the copy.
PAUSE_MOST_S = 1.0


class Throttle:
    """Paces pages. Without other requests in this process a copy goes as fast as it can; with them it pauses after
    each page, so that the tenants on both shards feel it little. A given rate bounds it besides. What backends say
    themselves (429, trouble) is heeded where they are called.

    Args:
        rate: most records a second; None: no bound.
        share: of the time that it may take beside other requests, over 0 to 1.
    """

    def __init__(self, context: Context, rate: float | None, share: float) -> None:
        self._context = context
        self._rate = rate
        self._share = share
        self._answered = context.inflight.answered
        self._began = context.clock.monotonic()
        self._records = 0

    async def page(self, records: int, seconds: float) -> None:
        """Pause after a page of that many records that took that long."""
        inflight, clock = self._context.inflight, self._context.clock
        pause = 0.0
        if inflight.answered != self._answered:
            pause = min(seconds * (1 / self._share - 1), PAUSE_MOST_S)
        if self._rate is not None:
            self._records += records
            pause = max(pause, self._records / self._rate - (clock.monotonic() - self._began))
        await clock.sleep(pause)
        self._answered = inflight.answered
