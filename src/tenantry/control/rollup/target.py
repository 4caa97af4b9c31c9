"""Both sides of a roll-up: reading tenants where they are, writing and reading their copies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from tenantry.control.mover.context import Context
from tenantry.control.mover.digest import alike
from tenantry.errors import DeadlineExceeded, TenantryError
from tenantry.model.limits import batches
from tenantry.model.records import ByIds, Page, Record
from tenantry.model.rollup import Rollup, of_rollup, prefix_of, tagged
from tenantry.model.topology import Place
from tenantry.ports import Index, VectorBackend
from tenantry.router.router import OWN_WORK, Router

T = TypeVar("T")

#: Records of one page of a comparison, and of one request of a copy.
PAGE = 500


class Difference(msgspec.Struct, frozen=True, eq=False):
    """A record of a tenant that is not the same on both sides: as the shard has it (None: not at all), and whether the
    roll-up has it."""

    tenant: str
    id: str
    record: Record | None
    copied: bool


class Target:
    """The namespace of a roll-up, and the tenants beside it.

    Args:
        check: called right before anything is written; raises when that is not to be.

    Attributes:
        strays: writes that may still be under way, though nobody waits for them.
        source_visible_s, target_visible_s: how long writes take to show, at most: on the tenants' shards, and in the
            roll-up. exactly: values come back bit for bit on all sides. As of the last `refresh`.
    """

    def __init__(self, context: Context, router: Router, rollup: Rollup, check: Callable[[], None]) -> None:
        self._context = context
        self._router = router
        self.rollup = rollup
        self.check = check
        self._most = context.limits.id_chars
        self.strays = 0
        self.source_visible_s = self.target_visible_s = 0.0
        self.exactly = False

    async def backend(self) -> VectorBackend:
        """Of its shard."""
        return await self._context.pool.backend(self.rollup.index, self.rollup.shard)

    async def create(self) -> None:
        """Make the namespace, and drop those of earlier generations."""
        backend = await self.backend()
        await self._write(lambda: backend.create(self.rollup.namespace))
        after: str | None = None
        while page := await self._read(lambda after=after: backend.namespaces(after, PAGE)):  # type: ignore[misc]
            for name in page:
                if name.startswith("rollup-") and name != self.rollup.namespace:
                    await self._write(lambda name=name: backend.drop(name))  # type: ignore[misc]
            after = page[-1]

    async def drop(self) -> None:
        """Drop the namespace."""
        backend = await self.backend()
        await self._write(lambda: backend.drop(self.rollup.namespace))

    async def refresh(self) -> None:
        """Look at what the engines of all shards can do. Raises Unavailable."""
        pool, index = self._context.pool, self.rollup.index
        shards = [one.name for one in await self._context.catalog.shards.list(index)]
        features = {name: (await pool.backend(index, name)).features for name in shards}
        self.target_visible_s = features[self.rollup.shard].visible_s if self.rollup.shard in features else 0.0
        others = (of.visible_s for name, of in features.items() if name != self.rollup.shard)
        self.source_visible_s = max(others, default=0.0)
        self.exactly = all(of.exact_values for of in features.values())

    async def fetch(self, tenant: str, ids: Sequence[str]) -> dict[str, Record]:
        """Records of a tenant where it is now, as a client would read them."""
        return await self._router.fetch(self.rollup.index, tenant, ids, OWN_WORK)

    async def copies(self, tenant: str, ids: Sequence[str]) -> dict[str, Record]:
        """Their copies, by the ids of those records."""
        own = {prefix_of(tenant) + id: id for id in ids}
        found = await self._read_namespace(lambda namespace: namespace.fetch(list(own)))
        return {own[id]: record for id, record in found.items()}

    async def put(self, tenant: str, records: Sequence[Record]) -> None:
        """Copy records. Raises Refused for one whose id is too long."""
        for batch in batches([tagged(tenant, record, self._most) for record in records], self._context.limits):
            await self._write_namespace(lambda namespace, batch=batch: namespace.upsert(batch))  # type: ignore[misc]

    async def remove(self, ids: Sequence[str]) -> None:
        """Delete copies by their ids in the roll-up."""
        for start in range(0, len(ids), PAGE):
            chosen = ByIds(tuple(ids[start : start + PAGE]))
            await self._write_namespace(lambda namespace, chosen=chosen: namespace.delete(chosen))  # type: ignore[misc]

    async def every_copy(self, after: str | None, limit: int, prefix: str = "") -> list[str]:
        """Ids in the roll-up, in order."""
        return (await self._read_namespace(lambda namespace: namespace.list_ids(after, limit, prefix))).ids

    def alike(self, tenant: str, record: Record | None, copy: Record | None) -> bool:
        """Whether a record of a tenant and its copy are as they should be; None: there is none. Raises Refused for a
        record that the roll-up cannot hold."""
        if record is None or copy is None:
            return record is copy
        return alike(tagged(tenant, record, self._most), copy, self.exactly)

    async def differences(self, tenant: str, seen: Callable[[], None]) -> AsyncIterator[Difference]:
        """Compare every record of an active tenant, in the order of ids. What is written meanwhile may differ. ``seen``
        is called for each record on the shard."""
        ours, copies = self._records(tenant), self._copied(tenant)
        mine, copy = await anext(ours, None), await anext(copies, None)
        while mine is not None or copy is not None:
            if mine is not None and (copy is None or mine.id <= copy.id):
                seen()
                same = copy is not None and copy.id == mine.id
                if copy is None or not same or not self.alike(tenant, mine, copy):
                    yield Difference(tenant, mine.id, mine, same)
                if same:
                    copy = await anext(copies, None)
                mine = await anext(ours, None)
            elif copy is not None:
                yield Difference(tenant, copy.id, None, True)
                copy = await anext(copies, None)

    async def _records(self, tenant: str) -> AsyncIterator[Record]:
        cursor: str | None = None
        while True:
            page = await self._router.scan(self.rollup.index, tenant, cursor, PAGE, kind=OWN_WORK)
            for record in page.records:
                yield record
            cursor = page.cursor
            if cursor is None:
                return

    async def _copied(self, tenant: str) -> AsyncIterator[Record]:
        cursor: str | None = None
        while True:
            page: Page = await self._read_namespace(
                lambda namespace, at=cursor: namespace.scan(at, PAGE, prefix_of(tenant))  # type: ignore[misc]
            )
            for record in page.records:
                yield Record(of_rollup(record.id)[1], record.values, record.metadata)
            cursor = page.cursor
            if cursor is None:
                return

    # ------------------------------------------------------------------------------------------ calls

    async def _namespace(self) -> Index:
        return await self._context.pool.namespace(self.rollup.index, Place(self.rollup.shard, self.rollup.namespace))

    async def _read_namespace(self, act: Callable[[Index], Awaitable[T]]) -> T:
        namespace = await self._namespace()
        return await self._read(lambda: act(namespace))

    async def _write_namespace(self, act: Callable[[Index], Awaitable[object]]) -> None:
        namespace = await self._namespace()
        await self._write(lambda: act(namespace))

    async def _read(self, act: Callable[[], Awaitable[T]]) -> T:
        limit_s = self._context.moving.call_s
        try:
            async with asyncio.timeout(limit_s):
                return await act()
        except TimeoutError as late:
            raise self._late(limit_s) from late

    async def _write(self, act: Callable[[], Awaitable[object]]) -> None:
        """One write; after one that took too long, and may still come to effect, its caller is kept for as long."""
        self.check()
        self.strays += 1
        limit_s = self._context.moving.call_s
        try:
            async with asyncio.timeout(limit_s):
                await act()
        except TimeoutError as late:
            await self._context.clock.sleep(limit_s)
            self.strays -= 1
            raise self._late(limit_s) from late
        except TenantryError:
            self.strays -= 1
            raise
        self.strays -= 1

    def _late(self, limit_s: float) -> DeadlineExceeded:
        return DeadlineExceeded(f"the roll-up's shard {self.rollup.shard!r} did not answer within {limit_s:g} s")
