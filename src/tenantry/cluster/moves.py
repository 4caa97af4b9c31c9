"""Moves of tenants between shards: start, watch, steer, and what is left of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from tenantry.cluster.recording import note, recorded
from tenantry.control.service import MoveService, options_of
from tenantry.errors import DeadlineExceeded, InvalidArgument
from tenantry.model.leases import Copy
from tenantry.model.limits import check_count
from tenantry.model.moves import BEFORE_COMMIT, Move, Options, Wish
from tenantry.model.topology import DEFAULT_INDEX
from tenantry.ports import Catalog

LIST_MOST = 1_000
#: What `MoveAdmin.wait` may wait for.
UNTIL = ("soak", "ended")


class MoveAdmin:
    """Operations on moves. What is started here goes on in this process, and when it ends, in whichever opens the
    cluster next."""

    def __init__(self, catalog: Catalog, service: MoveService) -> None:
        self._catalog = catalog
        self._service = service

    @recorded("move.start", index="index", tenant="tenant", shard="target")
    async def start(
        self,
        tenant: str,
        target: str,
        *,
        index: str = DEFAULT_INDEX,
        soak_s: float | None = None,
        retention_s: float | None = None,
        rate: float | None = None,
        page: int | None = None,
        why: str = "manual",
    ) -> Move:
        """Begin to move a tenant to the shard ``target``; returns at once.

        Args:
            soak_s: how long it can be rolled back after the switch, seconds; default 10 minutes.
            retention_s: how long the old copy is kept after that, seconds; default 7 days.
            rate: most records copied a second; default: as fast as the load on the shards allows.
            page: records copied in one step.

        Raises:
            InvalidArgument: an option is out of its range; or the tenant is there already.
            NotFound: no such index, tenant or shard.
            AlreadyExists: a move of the tenant is running.
            CapacityExceeded, Refused: the target or the tenant does not allow it.
        """
        await self._catalog.indexes.get(index)
        options = options_of(Options(), soak_s=soak_s, retention_s=retention_s, rate=rate, page=page)
        move = await self._service.start(index, tenant, target, options, why)
        note(subject=move.id)
        return move

    async def get(self, id: str) -> Move:
        """One move. Raises NotFound."""
        return await self._catalog.moves.get(id)

    async def behind(self, move: Move) -> int | None:
        """Log entries that the side that does not rule is behind; None when there is no log."""
        if move.ended or move.s0 is None:
            return None
        head = await self._catalog.log.head(move.index, move.tenant)
        return max(0, head - min(move.source_mark, move.target_mark))

    @recorded("move.pause", subject="id")
    async def pause(self, id: str) -> Move:
        """Stop copying, or prolong the soak, until it is resumed. Raises NotFound, Refused."""
        return await self._service.wish(id, Wish.PAUSE)

    @recorded("move.resume", subject="id")
    async def resume(self, id: str) -> Move:
        """Go on with a paused move. Raises NotFound, Refused."""
        return await self._service.wish(id, Wish.RUN)

    @recorded("move.cancel", subject="id")
    async def cancel(self, id: str) -> Move:
        """Give a move up before its commit. Raises NotFound; Refused after it."""
        return await self._service.wish(id, Wish.CANCEL)

    @recorded("move.rollback", subject="id")
    async def rollback(self, id: str) -> Move:
        """Take a move back after its commit, with everything written since. Raises NotFound; Refused before the commit
        and after the soak."""
        return await self._service.wish(id, Wish.ROLL_BACK)

    @recorded("move.finalise", subject="id")
    async def finalise(self, id: str) -> Move:
        """End the soak now. Raises NotFound; Refused before the commit."""
        return await self._service.wish(id, Wish.FINALISE)

    async def watch(self, id: str, every_s: float = 0.5) -> AsyncIterator[Move]:
        """The move as it stands, then after each change, until it has ended. Raises NotFound."""
        async for move in self._service.watch(id, every_s):
            yield move

    async def wait(self, id: str, *, until: str = "ended", timeout_s: float | None = None) -> Move:
        """Wait until a move is committed (``until="soak"``) or has ended. Raises NotFound, DeadlineExceeded."""
        if until not in UNTIL:
            raise InvalidArgument("until", until, "one of " + ", ".join(UNTIL))
        try:
            async with asyncio.timeout(timeout_s):
                async for move in self._service.watch(id):
                    if move.ended or (until == "soak" and move.phase not in BEFORE_COMMIT and move.committed):
                        return move
        except TimeoutError as late:
            raise DeadlineExceeded(f"move {id} took over {timeout_s:g} s; it goes on") from late
        return await self.get(id)

    async def copies(
        self, index: str = DEFAULT_INDEX, *, shard: str | None = None, tenant: str | None = None
    ) -> list[Copy]:
        """Old copies that are still kept, the next to go first. Raises NotFound (index)."""
        await self._catalog.indexes.get(index)
        return await self._catalog.copies.list(index, shard=shard, tenant=tenant)

    @recorded("copy.purge", index="index", tenant="tenant", shard="shard")
    async def purge(
        self, index: str = DEFAULT_INDEX, *, shard: str | None = None, tenant: str | None = None
    ) -> list[Copy]:
        """Drop old copies now; returns them. Raises NotFound (index)."""
        await self._catalog.indexes.get(index)
        return await self._service.purge(index, shard=shard, tenant=tenant)

    async def list(
        self,
        index: str | None = None,
        *,
        open_only: bool = False,
        tenant: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[Move]:
        """One page of moves, newest first; go on with ``before`` = the last id. 1 to 1,000 a page."""
        check_count(limit, "limit", 1, LIST_MOST)
        last = None if before is None else await self._catalog.moves.get(before)
        return await self._catalog.moves.list(index, open_only=open_only, tenant=tenant, limit=limit, before=last)
