"""The part of the catalog's contract that tells which of two readings is the newer; see `catalog_contract`."""

# ruff: noqa: D102, S101  (a test says in its name what holds, and asserts it)

from __future__ import annotations

import asyncio

import msgspec
import pytest

from tenantry.errors import NotFound
from tenantry.model.moves import Move
from tenantry.model.topology import Dated, Mode, Place, TenantState, bucket_of
from tenantry.ports import Catalog
from tenantry.testing.catalog_samples import INDEX, placed, prepared

SUSPEND = {TenantState.ACTIVE: TenantState.SUSPENDED, TenantState.SUSPENDED: TenantState.ACTIVE}
CHANGES = 40


class MomentsContract:
    """Moments of a catalog that several processes use."""

    @pytest.fixture
    async def shared(self, catalog: Catalog) -> Catalog:
        """Prepared; the test is skipped where the catalog is one process's."""
        await prepared(catalog)
        if await catalog.tenants.changes() is None:
            assert await catalog.tenants.moment() is None
            await placed(catalog, "t")
            assert (await catalog.tenants.get_dated(INDEX, "t")).moment is None
            pytest.skip("one process has it to itself")
        return catalog

    async def _usable(self, catalog: Catalog, dated: Dated) -> bool:
        changes = await catalog.tenants.changes()
        assert changes is not None
        assert dated.moment is not None
        return dated.moment > changes.get(bucket_of(INDEX, dated.tenant.name), 0)

    async def test_a_reading_is_out_of_use_once_the_route_has_changed(self, shared: Catalog) -> None:
        tenant = await placed(shared, "t")
        for state in (TenantState.SUSPENDED, TenantState.ACTIVE, TenantState.DELETING):
            before = await shared.tenants.get_dated(INDEX, "t")
            moment = await shared.tenants.moment()
            assert before.tenant == tenant
            assert await self._usable(shared, before)
            tenant = await shared.tenants.set_state(INDEX, "t", state, tenant.route.epoch)
            assert not await self._usable(shared, before)
            assert moment is not None
            assert not await self._usable(shared, Dated(tenant, moment))
            assert await self._usable(shared, await shared.tenants.get_dated(INDEX, "t"))
        with pytest.raises(NotFound):
            await shared.tenants.get_dated(INDEX, "absent")

    async def test_a_move_changes_the_route(self, shared: Catalog) -> None:
        tenant = await placed(shared, "t")
        before = await shared.tenants.get_dated(INDEX, "t")
        shard = next(each.name for each in await shared.shards.list(INDEX) if each.name != tenant.route.place.shard)
        target = Place(shard, "t~2")
        move = Move("m1", INDEX, "t", tenant.route.place, target, 0.0)
        begun = await shared.moves.begin(move, tenant.route.epoch)
        if begun.route != tenant.route:
            assert not await self._usable(shared, before)
        route = msgspec.structs.replace(begun.route, epoch=begun.route.epoch + 1, mode=Mode.LOGGED, other=target)
        between = await shared.tenants.get_dated(INDEX, "t")
        await shared.tenants.set_route(INDEX, "t", route, begun.route.epoch)
        assert not await self._usable(shared, between)

    async def test_of_readings_beside_changes_none_is_used_that_is_old(self, shared: Catalog) -> None:
        """Whatever else is written at the same time."""
        names = ["t", "u", "v"]
        for name in names:
            await placed(shared, name)
        committed = {name: (await shared.tenants.get(INDEX, name)).route.epoch for name in names}
        read: list[Dated] = []
        over = False

        async def change(name: str) -> None:
            for _ in range(CHANGES):
                tenant = await shared.tenants.get(INDEX, name)
                new = await shared.tenants.set_state(INDEX, name, SUSPEND[tenant.state], tenant.route.epoch)
                committed[name] = new.route.epoch

        async def reading() -> None:
            number = 0
            while not over:
                read.append(await shared.tenants.get_dated(INDEX, names[number % 3]))
                number += 1

        async def checking() -> int:
            used = 0
            while not over:
                known = dict(committed)
                changes = await shared.tenants.changes()
                assert changes is not None
                for dated in read:
                    assert dated.moment is not None
                    name = dated.tenant.name
                    if dated.moment > changes.get(bucket_of(INDEX, name), 0):
                        used += 1
                        assert dated.tenant.route.epoch >= known[name]
            return used

        readers = [asyncio.create_task(reading()) for _ in range(3)]
        checker = asyncio.create_task(checking())
        await asyncio.gather(*(change(name) for name in names))
        over = True
        await asyncio.gather(*readers)
        assert await checker > 0
        final = [await shared.tenants.get_dated(INDEX, name) for name in names]
        assert all([await self._usable(shared, dated) for dated in final])
