"""One side of a move: its backend, called under the owner's lease, within a time limit, again and again on trouble."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeVar, cast

from tenantry.control.mover.context import Context
from tenantry.errors import Conflict, NotFound, StorageFailed, Unavailable
from tenantry.model.changes import Effect
from tenantry.model.limits import batches
from tenantry.model.moves import Move
from tenantry.model.records import ByIds, CopiedPage, Everything, Hit, Page, Query, Record, Selector, Update
from tenantry.model.topology import Place
from tenantry.ports import Features, Index, NativeCopy, VectorBackend, Warming

T = TypeVar("T")

#: Pauses between tries of a failing call, seconds.
PAUSE_S = 0.05
PAUSE_MOST_S = 5.0
DELETE_AT_ONCE = 1_000
FETCH_AT_ONCE = 500


class LeaseLostError(Conflict):
    """Another process runs the move now, or may soon: stop, and touch nothing more."""


class Owner:
    """The lease under which one process runs one move."""

    def __init__(self, context: Context, move: Move, fence: int) -> None:
        self._member = context.member
        self.name = move.lease
        self.fence = fence

    def check(self) -> None:
        """To be called right before anything is touched. Raises LeaseLostError."""
        if not self._member.owns(self.name, self.fence):
            raise LeaseLostError(f"the lease {self.name} was lost")


class Side:
    """Calls may be repeated, so each is tried until it succeeds, the lease is lost, or the backend says that it
    never will (a `RequestError` but for a missing namespace, which may be the echo of a restart).

    Attributes:
        trouble: what the last failed try said; None when all is well.
    """

    def __init__(self, context: Context, owner: Owner, index: str, place: Place) -> None:
        self._context = context
        self._owner = owner
        self._index = index
        self.place = place
        self.trouble: str | None = None
        self.throttled_s = 0.0

    async def backend(self) -> VectorBackend:
        """The shard's backend."""
        return await self._context.pool.backend(self._index, self.place.shard)

    async def features(self) -> Features:
        """What it can do."""
        return (await self.backend()).features

    async def create(self) -> None:
        """Make the namespace."""
        backend = await self.backend()
        await self._call(lambda: backend.create(self.place.namespace))

    async def drop(self) -> None:
        """Remove the namespace."""
        backend = await self.backend()
        await self._call(lambda: backend.drop(self.place.namespace))

    async def put(self, records: Sequence[Record]) -> None:
        """Write records, in batches within the limits."""
        namespace = await self._namespace()
        for batch in batches(records, self._context.limits):
            await self._call(lambda batch=batch: namespace.upsert(batch))  # type: ignore[misc]

    async def remove(self, ids: Sequence[str]) -> None:
        """Delete ids."""
        namespace = await self._namespace()
        for start in range(0, len(ids), DELETE_AT_ONCE):
            chosen = ByIds(tuple(ids[start : start + DELETE_AT_ONCE]))
            await self._call(lambda chosen=chosen: namespace.delete(chosen))  # type: ignore[misc]

    async def apply(self, effect: Effect) -> None:
        """Bring the side to what a run of the log comes to."""
        if effect.clear:
            namespace = await self._namespace()
            await self._call(lambda: namespace.delete(Everything()))
        removes, puts = effect.removes, effect.puts
        if removes:
            await self.remove(removes)
        if puts:
            await self.put(puts)

    async def update(self, update: Update) -> bool:
        """Apply a partial update by the backend's own means."""
        namespace = await self._namespace()
        return await self._call(lambda: namespace.update(update))

    async def delete(self, selector: Selector) -> None:
        """Delete by the backend's own means."""
        namespace = await self._namespace()
        await self._call(lambda: namespace.delete(selector))

    async def fetch(self, ids: Sequence[str]) -> dict[str, Record]:
        """Records by id."""
        namespace = await self._namespace()
        found: dict[str, Record] = {}
        for start in range(0, len(ids), FETCH_AT_ONCE):
            part = ids[start : start + FETCH_AT_ONCE]
            found.update(await self._call(lambda part=part: namespace.fetch(part)))  # type: ignore[misc]
        return found

    async def scan(self, cursor: str | None, limit: int) -> Page:
        """One page of records."""
        namespace = await self._namespace()
        return await self._call(lambda: namespace.scan(cursor, limit))

    async def copy_page(self, source: Side, cursor: str | None, limit: int, spared: Collection[str]) -> CopiedPage:
        """Take over one page of records by the engine's own means."""
        namespace, other = cast(NativeCopy, await self._namespace()), await source._namespace()
        return await self._call(lambda: namespace.copy_page(other, cursor, limit, spared))

    async def warm(self, like: Side) -> None:
        """Have the engine make ready for queries, as it is for the other side."""
        namespace, other = cast(Warming, await self._namespace()), await like._namespace()
        await self._call(lambda: namespace.warm(other))

    async def is_warm(self) -> bool:
        """Whether it has."""
        namespace = cast(Warming, await self._namespace())
        return await self._call(namespace.is_warm)

    async def query(self, query: Query) -> list[Hit]:
        """The nearest records."""
        namespace = await self._namespace()
        return await self._call(lambda: namespace.query(query))

    async def size(self) -> tuple[int, int]:
        """Vectors and bytes."""
        backend = await self.backend()
        stats = await self._call(lambda: backend.stats(self.place.namespace))
        return stats.vectors, stats.bytes

    async def _namespace(self) -> Index:
        return await self._context.pool.namespace(self._index, self.place)

    async def _call(self, act: Callable[[], Awaitable[T]]) -> T:
        pause = PAUSE_S
        while True:
            self._owner.check()
            try:
                answer = await self._once(act)
            except StorageFailed:
                raise  # a full disk is not mended by trying
            except Unavailable as error:
                self.trouble = str(error)
                wait = max(pause, min(error.retry_after_s, PAUSE_MOST_S))
            except NotFound as error:
                self.trouble = str(error)
                wait = max(pause, 1.0)
                if error.kind != "namespace" or pause >= PAUSE_MOST_S:
                    raise
            except TimeoutError:
                self.trouble = f"shard {self.place.shard!r} took over {self._context.moving.call_s:g} s"
                wait = pause
            else:
                self.trouble = None
                return answer
            self.throttled_s += wait
            await self._context.clock.sleep(wait)
            pause = min(2 * pause, PAUSE_MOST_S)

    async def _once(self, act: Callable[[], Awaitable[T]]) -> T:
        """One call. A cancelled owner waits for it to end: a write that is under way must not outlive the lease."""
        call = asyncio.ensure_future(act())
        call.add_done_callback(_looked_at)
        half_s = self._context.moving.call_s / 2
        try:
            async with asyncio.timeout(half_s):
                return await asyncio.shield(call)
        except (asyncio.CancelledError, TimeoutError):
            if not call.done():
                await asyncio.wait([call], timeout=half_s)
            raise


def _looked_at(call: asyncio.Future[T]) -> None:
    """Nobody waits for a call that is late; what becomes of it is no news to the event loop either."""
    if not call.cancelled():
        call.exception()
