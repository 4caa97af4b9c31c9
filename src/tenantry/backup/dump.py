"""Reads one tenant, whatever its engine can do, and stores it as segments."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, cast

import msgspec

from tenantry.backup.columns import digest_of_segments
from tenantry.backup.manifest import Consistency, Entry, Ref, Segment
from tenantry.backup.segments import Cutter, Packed, pack
from tenantry.backup.vault import Vault
from tenantry.control.mover.context import Context
from tenantry.control.mover.throttle import Throttle
from tenantry.errors import NotFound, Unavailable
from tenantry.model.blocks import Block, block_of
from tenantry.model.topology import Tenant, TenantState
from tenantry.ports import Features, Index, Snapshotting

#: Of the time, beside other requests; of all dumps together.
SHARE = 0.08
PAGE = 512
#: Segments that are encoded and stored while the next one is read.
MOST_PENDING = 3
#: Passes over a tenant whose engine has no snapshots, until two agree.
MOST_PASSES = 5
#: Tries of a tenant that is moved while it is read, or whose shard is in trouble, and the pause before the next.
TRIES = 6
PAUSE_S = 0.2
#: States in which a tenant has data that are its own.
DUMPED = (TenantState.CREATING, TenantState.ACTIVE, TenantState.SUSPENDED)


class Pages(Protocol):
    """What gives a namespace's records in columns."""

    async def page(self, cursor: str | None, limit: int) -> Block:
        """As `tenantry.ports.Index.scan`."""


class Sums(msgspec.Struct):
    """What a run has done so far."""

    read_records: int = 0
    read_bytes: int = 0
    written_bytes: int = 0


class Dumper:
    """Dumps tenants, one at a time or several beside each other.

    The state that is dumped is always one of the place that the catalog calls authoritative while it is taken: the
    route is read before and after, and a place is never gone back to, for each has a generation of its own. So a move
    may go on meanwhile: before its commit the source has every acknowledged write, after it the target.

    Args:
        rate: most records read a second, of each dump that runs beside others; None: no bound but the load.
        recheck: read back every segment that is there already.
        share: of the time that each may take beside other requests, over 0 to 1.
    """

    def __init__(self, context: Context, vault: Vault, *, rate: float | None, recheck: bool, share: float) -> None:
        self._context = context
        self._vault = vault
        self._recheck = recheck
        self._rate, self._share = rate, share
        self.sums = Sums()
        self.progressed: Callable[[], None] = lambda: None

    async def unchanged(self, tenant: Tenant, base: Entry) -> bool:
        """Whether a tenant is, for certain, as an earlier backup has it, and that can still be used."""
        if base.version is None or base.place != tenant.route.place:
            return False
        if not self._vault.holds([segment.ref for segment in base.segments]):
            return False
        backend = await self._context.pool.backend(tenant.index, base.place.shard)
        if not backend.features.snapshots:
            return False
        handle = cast(Snapshotting, backend.index(base.place.namespace))
        try:
            return await handle.version() == base.version
        except NotFound:
            return False

    async def dump(self, tenant: Tenant) -> Entry:
        """A tenant as it is now. Raises NotFound: it was deleted; Unavailable: it was moved
        again and again, or its shard is in trouble."""
        pause = PAUSE_S
        for left in reversed(range(TRIES)):
            found = await self._context.catalog.tenants.get(tenant.index, tenant.name)
            if found.state not in DUMPED:
                raise NotFound("tenant", tenant.name, f"it is {found.state}")
            try:
                entry = await self._dump(found)
                await self._still_there(found)
            except (Unavailable, NotFound) as error:
                if isinstance(error, NotFound) and error.kind != "namespace":
                    raise
                if found.state is TenantState.CREATING:
                    return self._entry(found, _Pass(), None, self._context.clock.now(), Consistency.SNAPSHOT)
                if not left:
                    raise
            else:
                return entry
            await self._context.clock.sleep(pause)
            pause *= 2
        raise Unavailable(f"tenant {tenant.name!r} was moved again and again while it was read")

    async def _dump(self, tenant: Tenant) -> Entry:
        place = tenant.route.place
        backend = await self._context.pool.backend(tenant.index, place.shard)
        handle = backend.index(place.namespace)
        dimension = (await self._context.pool.index(tenant.index)).dimension
        if backend.features.snapshots:
            async with cast(Snapshotting, handle).snapshot() as held:
                instant = self._context.clock.now()
                # Held while the place was authoritative: it was so before, and is so still.
                await self._still_there(tenant)
                done = await self._pass(held, dimension)
                return self._entry(tenant, done, held.version, instant, Consistency.SNAPSHOT)
        return await self._agreed(tenant, handle, backend.features, dimension)

    async def _still_there(self, tenant: Tenant) -> None:
        """Raises Unavailable when it was moved since; NotFound when it was deleted."""
        now = await self._context.catalog.tenants.get(tenant.index, tenant.name)
        if now.route.place != tenant.route.place:
            raise Unavailable(f"tenant {tenant.name!r} has just been moved")

    async def _agreed(self, tenant: Tenant, handle: Index, features: Features, dimension: int) -> Entry:
        """Passes until two in a row are the same. What the second reads it stores only where it differs."""
        clock = self._context.clock
        before: _Pass | None = None
        for _ in range(MOST_PASSES):
            began = clock.now()
            done = await self._pass(_Scanned(handle, dimension), dimension)
            if before is not None and done.segments == before.segments:
                await self._still_there(tenant)
                return self._entry(tenant, done, None, began, Consistency.AGREED)
            before = done
            await clock.sleep(features.visible_s)
        return self._entry(tenant, done, None, began, Consistency.FUZZY)

    async def _pass(self, source: Pages, dimension: int) -> _Pass:
        """One pass over a tenant: read, cut, encode, store."""
        clock, throttle = self._context.clock, Throttle(self._context, self._rate, self._share)
        cutter, done = Cutter(dimension), _Pass()
        pending: deque[asyncio.Task[tuple[Packed, Ref]]] = deque()
        cursor: str | None = None
        try:
            while True:
                began = clock.monotonic()
                block = await source.page(cursor, PAGE)
                for parts in cutter.add(block):
                    await self._begin(parts, pending, done)
                self.sums.read_records += len(block)
                self.progressed()
                cursor = block.cursor
                if cursor is None:
                    break
                packing_s, done.packing_s = done.packing_s, 0.0
                await throttle.page(len(block), clock.monotonic() - began + packing_s)
            if rest := cutter.rest():
                await self._begin(rest, pending, done)
            while pending:
                self._finish(await pending.popleft(), done)
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
        return done

    async def _begin(
        self, parts: Sequence[Block], pending: deque[asyncio.Task[tuple[Packed, Ref]]], done: _Pass
    ) -> None:
        while len(pending) >= MOST_PENDING:
            self._finish(await pending[0], done)
            pending.popleft()
        pending.append(asyncio.create_task(self._store(parts, done)))

    def _finish(self, stored: tuple[Packed, Ref], done: _Pass) -> None:
        packed, ref = stored
        done.segments.append(Segment(packed.first, packed.last, packed.records, ref, packed.digest))
        done.bytes += packed.bytes

    async def _store(self, parts: Sequence[Block], done: _Pass) -> tuple[Packed, Ref]:
        clock = self._context.clock

        def work() -> Packed:
            began = clock.monotonic()
            packed = pack(parts)
            done.packing_s += clock.monotonic() - began
            return packed

        packed = await self._vault.work(work)
        ref, written = await self._vault.put(packed.data, recheck=self._recheck)
        self.sums.read_bytes += packed.bytes
        if written:
            self.sums.written_bytes += ref.size
        await self._context.faults.reach("backup.segment-stored")
        return msgspec.structs.replace(packed, data=b""), ref

    def _entry(
        self, tenant: Tenant, done: _Pass, version: str | None, instant: float, consistency: Consistency
    ) -> Entry:
        return Entry(
            index=tenant.index,
            name=tenant.name,
            state=TenantState.ACTIVE if tenant.state is TenantState.CREATING else tenant.state,
            spec=tenant.spec,
            created_at=tenant.created_at,
            generation=tenant.generation,
            place=tenant.route.place,
            records=sum(segment.records for segment in done.segments),
            digest=digest_of_segments(done.segments),
            bytes=done.bytes,
            instant=instant,
            took_s=self._context.clock.now() - instant,
            consistency=consistency,
            version=version,
            segments=done.segments,
        )


class _Pass:
    """What one pass over a tenant came to."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.bytes = 0
        self.packing_s = 0.0
        """Time that workers have taken to encode and hash, and that was not paid for with pauses yet."""


class _Scanned:
    """Pages of an engine that gives records, as columns."""

    def __init__(self, handle: Index, dimension: int) -> None:
        self._handle = handle
        self._dimension = dimension

    async def page(self, cursor: str | None, limit: int) -> Block:
        """As `tenantry.ports.Snapshot.page`, of no moment."""
        page = await self._handle.scan(cursor, limit)
        return block_of(page.records, self._dimension, page.cursor)


@asynccontextmanager
async def reading(handle: Index, features: Features, dimension: int) -> AsyncIterator[Pages]:
    """A namespace that nobody writes to, in columns."""
    if features.snapshots:
        async with cast(Snapshotting, handle).snapshot() as held:
            yield held
        return
    yield _Scanned(handle, dimension)
