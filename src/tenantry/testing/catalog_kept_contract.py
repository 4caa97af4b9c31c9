"""The part of the catalog's contract that is about what is kept: retired copies, tenants that come back, the image of
a backup; see `catalog_contract`."""

# ruff: noqa: D102, S101  (a test says in its name what holds, and asserts it)

from __future__ import annotations

import asyncio

import msgspec
import pytest

from tenantry.errors import AlreadyExists, Conflict, NotFound, Refused
from tenantry.model.keys import ApiKey, Scope
from tenantry.model.leases import Copy
from tenantry.model.topology import LogicalIndex, Place, Shard, ShardState, TenantSpec, TenantState
from tenantry.ports import Catalog
from tenantry.testing.catalog_samples import DEDICATED, INDEX, PLAIN, buried, counts, outcomes, placed, prepared


class KeptContract:
    """Copies, undelete, places of restored tenants, images."""

    async def test_copies_are_kept_replaced_due_and_forgotten(self, catalog: Catalog) -> None:
        await prepared(catalog)
        early = Copy(INDEX, "a", Place("s0", "a"), "m1", 10.0)
        late = Copy(INDEX, "b", Place("s1", "b"), "m2", 20.0)
        for copy in (late, early):
            await catalog.copies.keep(copy)
        assert await catalog.copies.list(INDEX) == [early, late]
        assert await catalog.copies.list(INDEX, shard="s1") == [late]
        assert await catalog.copies.list(INDEX, tenant="a") == [early]
        assert await catalog.copies.list("other") == []
        assert await catalog.copies.due(9.9, 10) == []
        assert await catalog.copies.due(10.0, 10) == [early]
        assert await catalog.copies.due(99.0, 1) == [early]
        again = msgspec.structs.replace(early, purge_at=30.0, move="m3")
        await catalog.copies.keep(again)  # the same namespace: one entry
        assert await catalog.copies.list(INDEX) == [late, again]
        for _ in range(2):
            await catalog.copies.forget(again)
        assert await catalog.copies.list(INDEX) == [late]

    async def test_a_namespace_that_a_live_route_names_is_not_due(self, catalog: Catalog) -> None:
        await prepared(catalog)
        tenant = await placed(catalog, "t")
        copy = Copy(INDEX, "t", tenant.route.place, "", 10.0)
        await catalog.copies.keep(copy)
        assert await catalog.copies.due(99.0, 10) == []
        await buried(catalog, tenant)
        assert await catalog.copies.due(99.0, 10) == [copy]

    async def test_an_undeleted_tenant_is_in_its_namespace_and_counted(self, catalog: Catalog) -> None:
        await prepared(catalog)
        gone = await buried(catalog, await placed(catalog, "t"))
        copy = Copy(INDEX, "t", gone.route.place, "", 10.0)
        with pytest.raises(NotFound):  # it was not kept
            await catalog.tenants.undelete(copy)
        await catalog.copies.keep(copy)
        assert await counts(catalog) == {"s0": 0, "s1": 0, "s2": 0}
        back = await catalog.tenants.undelete(copy)
        assert (back.state, back.route.place, back.route.epoch) == (
            TenantState.ACTIVE,
            gone.route.place,
            gone.route.epoch + 1,
        )
        assert await catalog.tenants.get(INDEX, "t") == back
        assert await counts(catalog) == {"s0": 1, "s1": 0, "s2": 0}
        assert await catalog.copies.list(INDEX) == []
        with pytest.raises(AlreadyExists):
            await catalog.tenants.undelete(copy)
        with pytest.raises(NotFound):
            await catalog.tenants.undelete(msgspec.structs.replace(copy, tenant="nobody"))

    async def test_of_two_that_undelete_at_once_one_wins(self, catalog: Catalog) -> None:
        await prepared(catalog)
        gone = await buried(catalog, await placed(catalog, "t"))
        copy = Copy(INDEX, "t", gone.route.place, "", 10.0)
        await catalog.copies.keep(copy)
        won, lost = await outcomes(catalog.tenants.undelete(copy) for _ in range(4))
        assert (won, set(lost) <= {AlreadyExists, NotFound, Conflict}) == (1, True)
        assert await counts(catalog) == {"s0": 1, "s1": 0, "s2": 0}

    async def test_nobody_comes_back_to_what_became_somebody_elses(self, catalog: Catalog) -> None:
        await prepared(catalog)
        gone = await buried(catalog, await placed(catalog, "t"))
        copy = Copy(INDEX, "t", gone.route.place, "", 10.0)
        await catalog.copies.keep(copy)
        await buried(catalog, await placed(catalog, "t", "s1"))  # another one of the name, gone too
        with pytest.raises(NotFound, match="another tenant of the name"):
            await catalog.tenants.undelete(copy)
        other = await buried(catalog, await placed(catalog, "u"))
        kept = Copy(INDEX, "u", other.route.place, "", 10.0)
        await catalog.copies.keep(kept)
        with pytest.raises(Refused, match="2 retired copies"):  # so that they can come back
            await catalog.shards.set_state(INDEX, "s0", ShardState.RETIRED)
        await placed(catalog, "alone", spec=DEDICATED)
        with pytest.raises(Conflict):
            await catalog.tenants.undelete(kept)
        assert await catalog.copies.list(INDEX, tenant="u") == [kept]  # nothing half done

    async def test_a_restored_tenant_has_a_namespace_that_never_was(self, catalog: Catalog) -> None:
        await prepared(catalog)
        state = TenantState.RESTORING
        made = await catalog.tenants.place(INDEX, "t", PLAIN, "s0", 1.0, state=state, generation=7)
        assert (made.state, made.generation, made.route.place) == (state, 7, Place("s0", "t~7"))
        assert await catalog.tenants.get(INDEX, "t") == made
        active = await catalog.tenants.set_state(INDEX, "t", TenantState.ACTIVE, made.route.epoch)
        await buried(catalog, active)
        again = await catalog.tenants.place(INDEX, "t", PLAIN, "s1", 2.0, state=state, generation=3)
        assert again.generation == 8  # the tombstone asks for a higher one
        assert again.route.epoch > active.route.epoch

    async def test_an_image_is_of_one_moment(self, catalog: Catalog) -> None:
        await prepared(catalog)
        await catalog.indexes.create(LogicalIndex("another", 4))
        await catalog.shards.add(Shard("another", "s0", "embedded"))
        first = await placed(catalog, "b")
        second = await placed(catalog, "a", "s1", TenantSpec(plan="pro"))
        await buried(catalog, await placed(catalog, "gone"))
        await catalog.keys.add(ApiKey("k1", "d", Scope.ADMIN))
        await catalog.settings.put("x", [1, {"y": None}])
        image = await catalog.image()
        assert [one.name for one in image.indexes] == ["another", INDEX]
        assert [(one.index, one.name, one.tenants) for one in image.shards] == [
            ("another", "s0", 0),
            (INDEX, "s0", 1),
            (INDEX, "s1", 1),
            (INDEX, "s2", 0),
        ]
        assert image.tenants == [second, first]
        assert [one.id for one in image.keys] == ["k1"]
        assert image.settings["x"] == [1, {"y": None}]

    async def test_an_image_counts_what_it_shows_while_tenants_come(self, catalog: Catalog) -> None:
        await prepared(catalog)

        async def come() -> None:
            for number in range(20):
                await placed(catalog, f"t{number:02}", f"s{number % 3}")

        coming = asyncio.create_task(come())
        while not coming.done():
            image = await catalog.image()
            for shard in image.shards:
                held = [one for one in image.tenants if one.route.place.shard == shard.name]
                assert len(held) == shard.tenants
            await asyncio.sleep(0)
        await coming
        assert len((await catalog.image()).tenants) == 20
