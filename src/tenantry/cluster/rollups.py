"""The roll-up of an index: switching it on and off, telling how it is, comparing it with the tenants' shards."""

from __future__ import annotations

import msgspec

from tenantry.cluster.recording import note, recorded
from tenantry.cluster.shards import ShardAdmin
from tenantry.control.rollup.comparing import Comparing, Comparison
from tenantry.control.rollup.service import RollupService
from tenantry.control.rollup.target import Target
from tenantry.errors import DeadlineExceeded, NotFound, Refused, TenantryError
from tenantry.model.rollup import Rollup, RollupState
from tenantry.model.topology import DEFAULT_INDEX
from tenantry.ports import Catalog, Clock
from tenantry.router.rollup import Freshness
from tenantry.router.shards import ShardPool

#: The shard that is made when none is named.
SHARD = "rollup"
#: How often is looked whether it has got somewhere, seconds.
LOOK_S = 0.1
OFF = "off"


class RollupStatus(msgspec.Struct, frozen=True):
    """How the roll-up of an index is.

    Attributes:
        state: ``off``, or that of `RollupState`.
        shard: where it is; None when off.
        lag_s: everything that was acknowledged longer ago is in it, seconds; None: not known, and ``why``.
        vectors: copies that it has; None: its shard does not say.
        due: changes that are still to be copied; due_tenants: tenants of which that is all.
        error: what the last try to copy failed with; empty: nothing.
        since: when it was switched on or rebuilt, seconds since the Unix epoch.
    """

    index: str
    state: str
    shard: str | None = None
    lag_s: float | None = None
    why: str = ""
    vectors: int | None = None
    due: int = 0
    due_tenants: int = 0
    error: str = ""
    since: float | None = None


class RollupAdmin:
    """At most one roll-up for each logical index."""

    def __init__(
        self,
        catalog: Catalog,
        pool: ShardPool,
        shards: ShardAdmin,
        service: RollupService,
        freshness: Freshness,
        clock: Clock,
    ) -> None:
        self._catalog = catalog
        self._pool = pool
        self._shards = shards
        self._service = service
        self._freshness = freshness
        self._clock = clock

    @recorded("rollup.on", index="index", shard="shard")
    async def on(
        self, index: str = DEFAULT_INDEX, shard: str | None = None, *, rebuild: bool = False, wait_s: float = 0.0
    ) -> RollupStatus:
        """Begin to copy every record of an index to a shard that has nothing else; searches use it once everything was
        copied. Where it is on already nothing happens, unless ``rebuild``: then it is filled anew.

        Args:
            shard: a registered and empty one; None: the one it is on, or else ``rollup``, which is made if need be on
                the default backend.
            wait_s: how long to wait for everything to be copied.

        Raises:
            NotFound: no such index or shard.
            Refused: the shard is not empty or not active, or the roll-up is on another one.
            DeadlineExceeded: it is on, but not filled within ``wait_s``.
        """
        await self._catalog.indexes.get(index)
        old = await self._find(index)
        chosen = shard or (SHARD if old is None else old.shard)
        if old is None or rebuild or chosen != old.shard:
            if shard is None and old is None:
                await self._made(index)
            begun = await self._catalog.rollups.begin(index, chosen, self._clock.now())
            await self._pool.refresh(index)
            note(shard=begun.shard)
        self._service.wake()
        if wait_s > 0:
            await self._filled(index, wait_s)
        return await self.status(index)

    @recorded("rollup.off", index="index")
    async def off(self, index: str = DEFAULT_INDEX, *, remove_shard: bool = False) -> RollupStatus:
        """Search the shards from now on, and drop the copies. Off already is success.

        Args:
            remove_shard: take its shard out of the registry too; else it is an active one, for tenants, as others are.

        Raises:
            NotFound: no such index.
            Unavailable: it is off, but its shard could not be reached to drop the copies.
        """
        await self._catalog.indexes.get(index)
        old = await self._catalog.rollups.end(index)
        if old is not None:
            note(shard=old.shard)
            self._freshness.forget(index)
            await self._pool.refresh(index)
            self._service.wake()
            await self._service.dropped(old)
            if remove_shard:
                await self._shards.remove(old.shard, index)
        return RollupStatus(index, OFF)

    async def status(self, index: str = DEFAULT_INDEX) -> RollupStatus:
        """How it is at this moment. Raises NotFound (index)."""
        await self._catalog.indexes.get(index)
        rollup = await self._find(index)
        if rollup is None:
            return RollupStatus(index, OFF)
        self._service.wake()
        fresh = await self._freshness.of(index)
        due, tenants = await self._catalog.rollups.count_due(index)
        return RollupStatus(
            index=index,
            state=str(rollup.state),
            shard=rollup.shard,
            lag_s=None if fresh.lag_s is None else round(fresh.lag_s, 3),
            why=fresh.why,
            vectors=await self._vectors(self._service.target(rollup)),
            due=due,
            due_tenants=tenants,
            error=rollup.error,
            since=rollup.created_at,
        )

    @recorded("rollup.verify", index="index")
    async def verify(self, index: str = DEFAULT_INDEX, *, heal: bool = False, wait_s: float = 60.0) -> Comparison:
        """Compare every record of every active tenant with its copy, bit for bit where the engines keep values so.
        What is written meanwhile is compared again, when it must have been copied.

        Args:
            heal: have tenants copied again in which something is wrong.
            wait_s: how long to wait for copies of what is written meanwhile.

        Raises:
            NotFound: no such index.
            Refused: it is off, or still being filled.
            DeadlineExceeded: the roll-up does not catch up within ``wait_s``.
            Unavailable: a shard cannot be read.
        """
        await self._catalog.indexes.get(index)
        rollup = await self._find(index)
        if rollup is None:
            raise Refused(f"index {index!r} has no roll-up: switch it on with `tenantry rollup on`")
        if rollup.state is not RollupState.ON:
            raise Refused(f"the roll-up of index {index!r} is {rollup.state}: wait until it is on")
        self._service.wake()
        comparing = Comparing(self._catalog, self._service.target(rollup), self._freshness, self._clock, wait_s)
        found = await comparing.run()
        if heal and found.tenants_wrong:
            await self._catalog.rollups.demand(index, found.tenants_wrong)
            self._service.wake()
        return found

    async def _find(self, index: str) -> Rollup | None:
        return next((one for one in await self._catalog.rollups.list() if one.index == index), None)

    async def _made(self, index: str) -> None:
        """The shard that nobody named; no tenant is ever placed on it."""
        if all(one.name != SHARD for one in await self._catalog.shards.list(index)):
            await self._shards.add(SHARD, index=index, max_tenants=0)

    async def _filled(self, index: str, wait_s: float) -> None:
        until = self._clock.monotonic() + wait_s
        while True:
            rollup = await self._find(index)
            if rollup is None:
                raise NotFound("roll-up", index, "it was switched off meanwhile")
            if rollup.state is RollupState.ON:
                return
            if self._clock.monotonic() >= until:
                trouble = f": {rollup.error}" if rollup.error else ""
                raise DeadlineExceeded(f"the roll-up is {rollup.state} after {wait_s:g} s, and goes on{trouble}")
            await self._clock.sleep(LOOK_S)

    @staticmethod
    async def _vectors(target: Target) -> int | None:
        try:
            return (await (await target.backend()).stats(target.rollup.namespace)).vectors
        except TenantryError:
            return None
