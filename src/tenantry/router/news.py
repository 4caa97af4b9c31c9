"""What this process knows of tenants on the move, first hand or told: how far logs are applied, and new routes."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Mapping

from tenantry.model.changes import Change, Resolved
from tenantry.model.events import EpochPassed, Event, KeyChanged, LogApplied, LogGrew, RouteChanged

Key = tuple[str, str]
#: Writers of one tenant that may wait for the log at once.
MOST_WAITING = 10_000


class News:
    """Wakes writers. The applier of a move tells how far it is; whoever changes a route says so; whoever appends to
    a log wakes the applier. It only ever shortens a wait: those who wait also look at the catalog now and then."""

    def __init__(self) -> None:
        self._waiting: dict[Key, list[tuple[int, int, asyncio.Future[Resolved | None]]]] = {}
        self._changed: dict[Key, asyncio.Event] = {}
        self._appended: dict[Key, Callable[[int, Change], None]] = {}
        self._through: dict[Key, int] = {}
        self._number = itertools.count()
        self._grew: dict[Key, Callable[[], None]] = {}
        self._applied: dict[Key, asyncio.Event] = {}
        #: Set whenever a router elsewhere has let go of older routes of some tenant.
        self.passed = asyncio.Event()
        #: Called when a tenant turns out to be on the move and nobody here applies its log.
        self.unattended: Callable[[], None] = lambda: None
        #: Tells the other processes, if there are any.
        self.tell: Callable[[Event], None] = lambda event: None
        #: Called with each change of a route that another process tells of.
        self.on_route: list[Callable[[RouteChanged], None]] = []

    def hear(self, event: Event) -> None:
        """Take note of what another process tells of tenants."""
        if isinstance(event, KeyChanged):
            return
        key = (event.index, event.tenant)
        match event:
            case RouteChanged():
                for listener in self.on_route:
                    listener(event)
                self.route_changed(key)
            case EpochPassed():
                self.passed.set()
            case LogGrew():
                self._grew.get(key, _nothing)()
            case LogApplied():
                waiting = self._applied.pop(key, None)
                if waiting is not None:
                    waiting.set()

    # ------------------------------------------------------------------------------ for the applier

    def attend(self, key: Key, appended: Callable[[int, Change], None], grew: Callable[[], None]) -> None:
        """The tenant's log is applied here from now on; ``appended`` is called with each entry that was appended here,
        ``grew`` when some were elsewhere."""
        self._appended[key] = appended
        self._grew[key] = grew

    def leave(self, key: Key) -> None:
        """It does not any more; those who wait are to look elsewhere."""
        self._appended.pop(key, None)
        self._grew.pop(key, None)
        self._through.pop(key, None)
        for _, _, future in self._waiting.pop(key, ()):
            future.cancel()

    def acknowledge(self, key: Key, through: int, outcomes: Mapping[int, Resolved]) -> None:
        """Entries up to ``through`` may be acknowledged; ``outcomes`` of those that came to something else."""
        if key not in self._appended:
            return
        self._through[key] = max(through, self._through.get(key, 0))
        queue = self._waiting.get(key)
        while queue and queue[0][0] <= through:
            seq, _, future = heapq.heappop(queue)
            if not future.done():
                future.set_result(outcomes.get(seq))
        if queue is not None and not queue:
            del self._waiting[key]

    # ------------------------------------------------------------------------------ for the writers

    def attended(self, key: Key) -> bool:
        """Whether this process applies the tenant's log."""
        return key in self._appended

    def appended(self, key: Key, seq: int, change: Change) -> None:
        """An entry was appended here."""
        take = self._appended.get(key)
        if take is None:
            self.tell(LogGrew(*key))
            self.unattended()
        else:
            take(seq, change)

    def waiting(self, key: Key) -> int:
        """Writers of the tenant that wait."""
        return len(self._waiting.get(key, ()))

    def wait(self, key: Key, seq: int) -> asyncio.Future[Resolved | None]:
        """Done when entries up to ``seq`` may be acknowledged; its result is what the entry came to, where known.
        Cancelled when this process stops applying the log. Only for a tenant that is attended."""
        future: asyncio.Future[Resolved | None] = asyncio.get_running_loop().create_future()
        if seq <= self._through.get(key, 0):
            future.set_result(None)
        else:
            heapq.heappush(self._waiting.setdefault(key, []), (seq, next(self._number), future))
        return future

    async def applied_elsewhere(self, key: Key, limit_s: float) -> None:
        """Wait until a process elsewhere tells that it has applied more of the log, for that long at most."""
        waiting = self._applied.setdefault(key, asyncio.Event())
        try:
            async with asyncio.timeout(limit_s):
                await waiting.wait()
        except TimeoutError:
            return

    def route_changed(self, key: Key) -> None:
        """The tenant has a new route."""
        event = self._changed.pop(key, None)
        if event is not None:
            event.set()

    def route_change(self, key: Key) -> asyncio.Event:
        """Set at the tenant's next change of route that this process makes or hears of."""
        return self._changed.setdefault(key, asyncio.Event())


def _nothing() -> None:
    return
