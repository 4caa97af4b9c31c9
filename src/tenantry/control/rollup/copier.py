"""Copies what is due into a roll-up. Whatever is due may be copied again: what counts is what the shard has then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from tenantry.control.mover.context import Context
from tenantry.control.rollup.target import PAGE, Target
from tenantry.errors import NotFound, Refused, TenantryError
from tenantry.model.records import Record
from tenantry.model.rollup import Due, prefix_of
from tenantry.model.topology import TenantState
from tenantry.router.scatter.asking import failure_of

#: Dues that are read at once, and tenants that are copied at once.
DUE_AT_ONCE = 200
ABREAST = 4


class Copier:
    """Copies for one roll-up, as the only one that does.

    Args:
        count: told how many records were copied, and how many removed.

    Attributes:
        error: what the last tenant that could not be copied failed with; empty: all could.
    """

    def __init__(self, context: Context, target: Target, count: Callable[[int, int], None]) -> None:
        self._context = context
        self.target = target
        self._count = count
        self.error = ""

    async def run(self, through: int) -> bool:
        """Copy what is due up to a place; whether all of it was. What a tenant's or the roll-up's shard refuses stays
        due, and keeps nobody else waiting. Raises Conflict when the roll-up is another one now; what the catalog
        raises."""
        rollup, catalog = self.target.rollup, self._context.catalog.rollups
        after, complete, self.error = 0, True, ""
        while due := [one for one in await catalog.due(rollup.index, after, DUE_AT_ONCE) if one.seq <= through]:
            after = due[-1].seq
            await self.target.refresh()
            if self.target.source_visible_s:
                await self._context.clock.sleep(self.target.source_visible_s)
            done = await self._copy(due)
            complete = complete and len(done) == len(due)
            if done:
                if self.target.target_visible_s:
                    await self._context.clock.sleep(self.target.target_visible_s)
                await self._context.faults.reach("rollup.copied")
                await catalog.done(rollup.index, rollup.generation, done)
        return complete

    async def _copy(self, due: Sequence[Due]) -> list[int]:
        """Copy these; returns the places of those that were."""
        by_tenant: dict[str, list[Due]] = {}
        for one in due:
            by_tenant.setdefault(one.tenant, []).append(one)
        waiting, done = iter(by_tenant.items()), list[int]()

        async def worker() -> None:
            for tenant, mine in waiting:
                whole = any(one.ids is None for one in mine)
                ids = None if whole else list(dict.fromkeys(id for one in mine for id in one.ids or ()))
                try:
                    await self._tenant(tenant, ids)
                except TenantryError as error:
                    self.target.check()
                    self.error = f"tenant {tenant!r}: {error}"
                else:
                    done.extend(one.seq for one in mine)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(ABREAST, len(by_tenant))):
                    group.create_task(worker())
        except ExceptionGroup as troubles:
            raise failure_of(troubles) from None
        return done

    async def _tenant(self, tenant: str, ids: Sequence[str] | None) -> None:
        try:
            if not await self._is_active(tenant):
                await self._drop(tenant)
            elif ids is None:
                await self._whole(tenant)
            else:
                await self._some(tenant, ids)
        except (NotFound, Refused):
            # It may have ceased to be active meanwhile, which makes it due once more; or the trouble is another one.
            if await self._is_active(tenant):
                raise
            await self._drop(tenant)

    async def _is_active(self, tenant: str) -> bool:
        try:
            found = await self._context.catalog.tenants.get(self.target.rollup.index, tenant)
        except NotFound:
            return False
        return found.state is TenantState.ACTIVE

    async def _some(self, tenant: str, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), PAGE):
            part = ids[start : start + PAGE]
            found = await self.target.fetch(tenant, part)
            await self._context.faults.reach("rollup.read")
            await self._apply(tenant, list(found.values()), [id for id in part if id not in found])

    async def _whole(self, tenant: str) -> None:
        puts: list[Record] = []
        removes: list[str] = []
        async for one in self.target.differences(tenant, lambda: None):
            if one.record is None:
                removes.append(one.id)
            else:
                puts.append(one.record)
            if len(puts) + len(removes) >= PAGE:
                await self._apply(tenant, puts, removes)
                puts, removes = [], []
        await self._apply(tenant, puts, removes)

    async def _drop(self, tenant: str) -> None:
        after: str | None = None
        while page := await self.target.every_copy(after, PAGE, prefix_of(tenant)):
            await self.target.remove(page)
            self._count(0, len(page))
            after = page[-1]

    async def _apply(self, tenant: str, puts: Sequence[Record], removes: Iterable[str]) -> None:
        gone = [prefix_of(tenant) + id for id in removes]
        if gone:
            await self.target.remove(gone)
        if puts:
            await self.target.put(tenant, puts)
        self._count(len(puts), len(gone))
