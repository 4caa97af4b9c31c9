"""Telling other processes of the fleet what changed here, and hearing what changed there."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from tenantry.errors import TenantryError
from tenantry.model.events import Event
from tenantry.ports import Clock, EventFeed

log = logging.getLogger(__name__)

#: Events that wait to be told; past that the oldest are dropped.
MOST_WAITING = 10_000
#: Pause before a feed that broke is followed anew, seconds; doubled up to the second.
AGAIN_S = 0.1
AGAIN_MOST_S = 5.0


class Bulletin:
    """Without feeds (a process that has its cluster to itself) it does nothing.

    Attributes:
        on_event: called with each event that another process told, and with those of this one.
        on_missed: called when events may have been missed: what is cached may be old.
    """

    def __init__(self, feeds: Sequence[EventFeed], clock: Clock) -> None:
        self._feeds = feeds
        self._clock = clock
        self._waiting: deque[Event] = deque(maxlen=MOST_WAITING)
        self._more = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.on_event: list[Callable[[Event], None]] = []
        self.on_missed: list[Callable[[], None]] = []

    def tell(self, event: Event) -> None:
        """Tell the others, soon; at once if they can be reached."""
        if self._feeds:
            self._waiting.append(event)
            self._more.set()

    def start(self) -> None:
        """Follow the feeds from now on. Needs a running event loop; safe to call twice."""
        if not self._tasks and self._feeds:
            self._tasks = [asyncio.create_task(self._follow(feed)) for feed in self._feeds]
            self._tasks.append(asyncio.create_task(self._publish()))

    async def aclose(self) -> None:
        """Stop, and close the feeds; safe to call twice."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for feed in self._feeds:
            await feed.aclose()

    async def _publish(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                event = self._waiting.popleft()
                for feed in self._feeds:
                    with suppress(TenantryError):  # the others find out later
                        await feed.publish(event)

    async def _follow(self, feed: EventFeed) -> None:
        pause = AGAIN_S
        while True:
            began = self._clock.monotonic()
            try:
                await feed.follow(self._heard, self._missed)
            except TenantryError as error:
                if pause == AGAIN_S:  # once for each time that it is away
                    log.warning("changes elsewhere are found out later: %s", error)
            if self._clock.monotonic() - began > AGAIN_MOST_S:
                pause = AGAIN_S
            await self._clock.sleep(pause)
            pause = min(2 * pause, AGAIN_MOST_S)

    def _heard(self, event: Event) -> None:
        for listener in self.on_event:
            listener(event)

    def _missed(self) -> None:
        for listener in self.on_missed:
            listener()
