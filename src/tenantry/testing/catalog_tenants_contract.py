"""The part of the catalog's contract that is about tenants and their routes; see `catalog_contract`."""

# ruff: noqa: D102, S101  (a test says in its name what holds, and asserts it)

from __future__ import annotations

import asyncio
import random

import msgspec
import pytest

from tenantry.errors import AlreadyExists, Conflict, InvalidArgument, NotFound, Refused
from tenantry.model.topology import LogicalIndex, Place, Route, Shard, ShardState, Tenant, TenantSpec, TenantState
from tenantry.ports import Catalog
from tenantry.testing.catalog_samples import (
    DEDICATED,
    INDEX,
    NAMES,
    PLAIN,
    buried,
    counts,
    outcomes,
    owners,
    placed,
    prepared,
    rerouted,
)


class PlaceContract:
    """Placing tenants."""

    async def test_a_placed_tenant_is_there_and_counted(self, catalog: Catalog) -> None:
        await prepared(catalog)
        spec = TenantSpec("s1", False, "eu", "hot", 2**40, "local")
        tenant = await catalog.tenants.place(INDEX, "t", spec, "s1", 1_000.5)
        assert tenant == Tenant(INDEX, "t", Route(1, Place("s1", "t"), state=TenantState.CREATING), spec, 1, 1_000.5)
        assert await catalog.tenants.get(INDEX, "t") == tenant
        assert await counts(catalog) == {"s0": 0, "s1": 1, "s2": 0}
        with pytest.raises(NotFound, match="tenant 'T'"):
            await catalog.tenants.get(INDEX, "T")
        with pytest.raises(NotFound):
            await catalog.tenants.get("other", "t")

    async def test_what_tenants_are_expected_to_hold_is_spoken_for(self, catalog: Catalog) -> None:
        await prepared(catalog)
        shard = msgspec.structs.replace((await catalog.shards.list(INDEX))[0], max_vectors=1_000)
        await catalog.shards.update(shard)
        await placed(catalog, "a", spec=TenantSpec(expected_vectors=600))
        with pytest.raises(Conflict, match="at most 1000 vectors"):
            await placed(catalog, "b", spec=TenantSpec(expected_vectors=401))
        with pytest.raises(NotFound):
            await catalog.tenants.get(INDEX, "b")
        tenant = await placed(catalog, "b", spec=TenantSpec(expected_vectors=400))
        await placed(catalog, "c")
        assert {name: claim.expected_vectors for name, claim in (await catalog.tenants.claims(INDEX)).items()} == {
            "s0": 1_000
        }
        await buried(catalog, tenant)
        assert (await catalog.tenants.claims(INDEX))["s0"].expected_vectors == 600

    async def test_a_name_is_taken_while_it_lives(self, catalog: Catalog) -> None:
        await prepared(catalog)
        tenant = await placed(catalog, "t")
        for state in (TenantState.SUSPENDED, TenantState.DELETING):
            with pytest.raises(AlreadyExists, match=f"it is {tenant.state}"):
                await placed(catalog, "t", "s1")
            tenant = await catalog.tenants.set_state(INDEX, "t", state, tenant.route.epoch)
        with pytest.raises(AlreadyExists):
            await placed(catalog, "t", "s1")
        assert await counts(catalog) == {"s0": 1, "s1": 0, "s2": 0}

    async def test_a_full_or_closed_or_missing_shard_takes_nobody(self, catalog: Catalog) -> None:
        await prepared(catalog, 1, room=2)
        await placed(catalog, "a")
        await placed(catalog, "b")
        with pytest.raises(Conflict, match="full: 2 of 2"):
            await placed(catalog, "c")
        await catalog.shards.update(Shard(INDEX, "s0", "embedded", max_tenants=1))  # below what it holds
        with pytest.raises(Conflict, match="full: 2 of 1"):
            await placed(catalog, "c")
        for state in (ShardState.DRAINING, ShardState.READ_ONLY):
            await catalog.shards.update(Shard(INDEX, "s0", "embedded", state=state))
            with pytest.raises(Conflict, match=str(state)):
                await placed(catalog, "c")
        with pytest.raises(Conflict, match="gone"):
            await placed(catalog, "c", "s9")
        assert [tenant.name for tenant in await catalog.tenants.list(INDEX)] == ["a", "b"]
        assert await counts(catalog) == {"s0": 2}

    async def test_a_dedicated_shard_is_nobody_elses(self, catalog: Catalog) -> None:
        await prepared(catalog, 2)
        await placed(catalog, "plain", "s0")
        with pytest.raises(Conflict, match="cannot be dedicated"):
            await placed(catalog, "alone", "s0", DEDICATED)
        alone = await placed(catalog, "alone", "s1", DEDICATED)
        assert await owners(catalog) == {"s1": "alone"}
        for spec in (PLAIN, DEDICATED):
            with pytest.raises(Conflict, match="dedicated to tenant 'alone'"):
                await placed(catalog, "late", "s1", spec)
        await buried(catalog, alone)
        assert await owners(catalog) == {}
        await placed(catalog, "late", "s1")

    async def test_a_tombstone_is_revived_one_epoch_and_generation_on(self, catalog: Catalog) -> None:
        await prepared(catalog, room=1)
        gone = await buried(catalog, await placed(catalog, "t"))
        with pytest.raises(NotFound):
            await catalog.tenants.get(INDEX, "t")
        assert await catalog.tenants.list(INDEX) == []
        spec = TenantSpec(expected_vectors=5)
        again = await catalog.tenants.place(INDEX, "t", spec, "s1", 2_000.0)
        route = Route(gone.route.epoch + 1, Place("s1", "t~2"), state=TenantState.CREATING)
        assert again == Tenant(INDEX, "t", route, spec, 2, 2_000.0)
        assert await counts(catalog) == {"s0": 0, "s1": 1, "s2": 0}
        await placed(catalog, "u", "s0")
        await buried(catalog, again)
        with pytest.raises(Conflict, match="full"):
            await placed(catalog, "t", "s0")  # and the tombstone is as it was
        third = await placed(catalog, "t", "s2")
        assert (third.generation, third.route.epoch) == (3, again.route.epoch + 4)

    async def test_room_is_never_given_twice(self, catalog: Catalog) -> None:
        await prepared(catalog, 1, room=5)
        succeeded, failed = await outcomes(placed(catalog, f"t{i}") for i in range(20))
        assert (succeeded, set(failed)) == (5, {Conflict})
        assert await counts(catalog) == {"s0": 5}

    async def test_of_one_name_at_once_one_succeeds(self, catalog: Catalog) -> None:
        await prepared(catalog)
        for _ in range(3):  # the later rounds revive a tombstone
            succeeded, failed = await outcomes(placed(catalog, "t", f"s{i % 3}") for i in range(9))
            assert (succeeded, set(failed)) == (1, {AlreadyExists})
            assert sum((await counts(catalog)).values()) == 1
            await buried(catalog, await catalog.tenants.get(INDEX, "t"))
        assert sum((await counts(catalog)).values()) == 0


class RouteContract:
    """Changing tenants and their routes."""

    async def test_the_life_of_a_tenant(self, catalog: Catalog) -> None:
        ways = {
            "creating": "creating active deleting",
            "active": "active suspended deleting",
            "suspended": "active suspended deleting",
            "deleting": "deleting deleted",
        }
        before_that = {
            "creating": [],
            "active": ["active"],
            "suspended": ["active", "suspended"],
            "deleting": ["deleting"],
        }
        await prepared(catalog)
        for before, path in before_that.items():
            for after in TenantState:
                name = f"{before}-{after}"
                tenant = await catalog.tenants.place(INDEX, name, PLAIN, "s0", 0.0)
                for state in path:
                    tenant = await catalog.tenants.set_state(INDEX, name, TenantState(state), tenant.route.epoch)
                change = catalog.tenants.set_state(INDEX, name, after, tenant.route.epoch)
                if after in ways[before].split():
                    changed = await change
                    assert (changed.state, changed.route.epoch) == (after, tenant.route.epoch + 1)
                else:
                    with pytest.raises(Refused, match=f"is {before} and cannot become {after}"):
                        await change
                    assert (await catalog.tenants.get(INDEX, name)) == tenant
        assert (await counts(catalog))["s0"] == len(before_that) * len(TenantState) - 1

    async def test_a_change_needs_the_epoch_that_is_there(self, catalog: Catalog) -> None:
        await prepared(catalog)
        tenant = await placed(catalog, "t")
        suspended = await catalog.tenants.set_state(INDEX, "t", TenantState.SUSPENDED, 2)
        for stale in (0, 1, 2, 4):
            with pytest.raises(Conflict, match="epoch 3"):
                await catalog.tenants.set_state(INDEX, "t", TenantState.ACTIVE, stale)
            with pytest.raises(Conflict, match="epoch 3"):
                await catalog.tenants.set_route(INDEX, "t", Route(stale + 1, Place("s1", "t~2")), stale)
        for wrong in (3, 5):
            with pytest.raises(InvalidArgument, match="epoch"):
                await catalog.tenants.set_route(INDEX, "t", Route(wrong, Place("s1", "t~2")), 3)
        assert await catalog.tenants.get(INDEX, "t") == suspended
        route = Route(3, Place("s0", "t"), state=TenantState.SUSPENDED)
        assert suspended == msgspec.structs.replace(tenant, route=route)
        for missing in (
            catalog.tenants.set_state(INDEX, "x", TenantState.ACTIVE, 1),
            catalog.tenants.set_route(INDEX, "x", Route(2, Place("s1", "x")), 1),
        ):
            with pytest.raises(NotFound):
                await missing

    async def test_a_tombstone_cannot_be_changed(self, catalog: Catalog) -> None:
        await prepared(catalog)
        gone = await buried(catalog, await placed(catalog, "t"))
        with pytest.raises(NotFound):
            await catalog.tenants.set_state(INDEX, "t", TenantState.ACTIVE, gone.route.epoch)
        with pytest.raises(NotFound):
            await rerouted(catalog, gone, Place("s1", "t~2"))

    async def test_the_count_follows_the_authoritative_place(self, catalog: Catalog) -> None:
        await prepared(catalog, room=1)
        await placed(catalog, "settled", "s1")
        tenant = await placed(catalog, "t")
        source, target = Place("s0", "t"), Place("s1", "t~2")
        tenant = await rerouted(catalog, tenant, source, other=target)
        assert await counts(catalog) == {"s0": 1, "s1": 1, "s2": 0}
        tenant = await rerouted(catalog, tenant, target, other=source)  # room is the mover's affair
        assert await counts(catalog) == {"s0": 0, "s1": 2, "s2": 0}
        tenant = await rerouted(catalog, tenant, target)
        assert tenant == await catalog.tenants.get(INDEX, "t")
        assert tenant.route == Route(5, target)
        tenant = await catalog.tenants.set_state(INDEX, "t", TenantState.DELETING, 5)
        await rerouted(catalog, tenant, Place("s2", "t~3"))
        assert await counts(catalog) == {"s0": 0, "s1": 1, "s2": 1}

    async def test_a_generation_is_never_used_again(self, catalog: Catalog) -> None:
        await prepared(catalog)
        tenant = await placed(catalog, "t")
        moving = await rerouted(catalog, tenant, tenant.route.place, other=Place("s1", "t~5"))
        assert moving.generation == 5
        aborted = await rerouted(catalog, moving, tenant.route.place)
        elsewhere = await rerouted(catalog, aborted, Place("s1", "imported namespace~99"))
        assert elsewhere.generation == 5
        await buried(catalog, elsewhere)
        assert (await placed(catalog, "t")).route.place.namespace == "t~6"

    async def test_a_route_cannot_lead_to_a_shard_that_is_gone_or_retired(self, catalog: Catalog) -> None:
        await prepared(catalog)
        await catalog.shards.set_state(INDEX, "s1", ShardState.RETIRED)
        tenant = await placed(catalog, "t")
        for bad in ("s1", "s9"):
            with pytest.raises(Conflict, match=bad):
                await rerouted(catalog, tenant, Place(bad, "t~2"))
            with pytest.raises(Conflict, match=bad):
                await rerouted(catalog, tenant, tenant.route.place, other=Place(bad, "t~2"))
        assert await catalog.tenants.get(INDEX, "t") == tenant
        assert await counts(catalog) == {"s0": 1, "s1": 0, "s2": 0}

    async def test_a_dedicated_tenant_keeps_both_shards_while_it_moves(self, catalog: Catalog) -> None:
        await prepared(catalog, 4)
        alone = await placed(catalog, "alone", "s0", DEDICATED)
        plain = await placed(catalog, "plain", "s3")
        source, target = Place("s0", "alone"), Place("s1", "alone~2")
        with pytest.raises(Conflict, match="for itself"):
            await rerouted(catalog, alone, source, other=Place("s3", "alone~2"))
        with pytest.raises(Conflict, match="dedicated"):
            await rerouted(catalog, plain, Place("s0", "plain~2"))
        alone = await rerouted(catalog, alone, source, other=target)
        assert await owners(catalog) == {"s0": "alone", "s1": "alone"}
        alone = await rerouted(catalog, alone, target, other=source)
        with pytest.raises(Conflict):
            await placed(catalog, "late", "s0")  # it may yet roll back to there
        alone = await rerouted(catalog, alone, target)
        assert await owners(catalog) == {"s1": "alone"}
        assert await counts(catalog) == {"s0": 0, "s1": 1, "s2": 0, "s3": 1}

    async def test_of_changes_at_one_epoch_one_wins(self, catalog: Catalog) -> None:
        await prepared(catalog)
        tenant = await placed(catalog, "t")
        calls = (rerouted(catalog, tenant, Place(f"s{i % 3}", f"t~{i + 2}")) for i in range(12))
        succeeded, failed = await outcomes(calls)
        assert (succeeded, set(failed)) == (1, {Conflict})
        assert sum((await counts(catalog)).values()) == 1

    async def test_crossing_moves_do_not_block_each_other(self, catalog: Catalog) -> None:
        await prepared(catalog, 2)
        tenants = [await placed(catalog, f"t{i}", f"s{i % 2}") for i in range(20)]
        succeeded, failed = await outcomes(
            rerouted(catalog, tenant, Place(f"s{(i + 1) % 2}", f"t{i}~2")) for i, tenant in enumerate(tenants)
        )
        assert (succeeded, failed) == (20, [])
        assert await counts(catalog) == {"s0": 10, "s1": 10}

    async def test_counts_stay_right_and_epochs_grow_whatever_happens(self, catalog: Catalog) -> None:
        chance = random.Random(7)  # noqa: S311
        await prepared(catalog, 3, room=2)
        highest: dict[str, int] = {}
        happened = 0
        for _ in range(150):
            name = chance.choice("abcd")
            try:
                changed = await _anything(catalog, name, chance)
            except (Conflict, Refused):
                continue
            happened += 1
            assert changed.route.epoch > highest.get(name, 0)
            highest[name] = changed.route.epoch
            await counts(catalog)
            dedicated = {tenant.name for tenant in await catalog.tenants.list(INDEX) if tenant.spec.dedicated}
            assert set((await owners(catalog)).values()) == dedicated
        assert happened > 30


class ListContract:
    """Listing tenants."""

    async def test_names_of_any_kind_in_order_of_code_points(self, catalog: Catalog) -> None:
        await prepared(catalog)
        for name in reversed(NAMES):
            assert (await placed(catalog, name)).name == name
        assert [tenant.name for tenant in await catalog.tenants.list(INDEX)] == NAMES
        assert sorted(NAMES) == NAMES
        for name in NAMES:
            assert (await catalog.tenants.get(INDEX, name)).name == name

    async def test_pages_follow_each_other(self, catalog: Catalog) -> None:
        await prepared(catalog)
        for i, name in enumerate(NAMES):
            await placed(catalog, name, f"s{i % 3}")
        for limit in (1, 4, len(NAMES), 1000):
            assert await walked(catalog, limit) == NAMES
        assert [tenant.name for tenant in await catalog.tenants.list(INDEX, after="a%a", limit=2)] == ["a%b", "a\\b"]
        assert await catalog.tenants.list(INDEX, after=NAMES[-1]) == []
        for limit in (0, -1):
            with pytest.raises(InvalidArgument, match="limit"):
                await catalog.tenants.list(INDEX, limit=limit)

    async def test_a_prefix_is_meant_literally(self, catalog: Catalog) -> None:
        await prepared(catalog)
        for name in NAMES:
            await placed(catalog, name)
        for prefix in [*NAMES, "x", "\U0010ffff", "a\U0010ffff"]:
            found = [tenant.name for tenant in await catalog.tenants.list(INDEX, prefix=prefix)]
            assert found == [name for name in NAMES if name.startswith(prefix)], prefix
        found = [tenant.name for tenant in await catalog.tenants.list(INDEX, prefix="a", after="a%", limit=3)]
        assert found == ["a%b", "a\\b", "a_"]

    async def test_a_shard_lists_whom_it_has(self, catalog: Catalog) -> None:
        await prepared(catalog)
        a, b = await placed(catalog, "a", "s0"), await placed(catalog, "b", "s0")
        await placed(catalog, "c", "s1")
        await rerouted(catalog, a, a.route.place, other=Place("s1", "a~2"))
        await rerouted(catalog, b, Place("s1", "b~2"))
        assert [tenant.name for tenant in await catalog.tenants.list(INDEX, shard="s0")] == ["a"]
        assert [tenant.name for tenant in await catalog.tenants.list(INDEX, shard="s1")] == ["b", "c"]

    async def test_indexes_do_not_mix(self, catalog: Catalog) -> None:
        await prepared(catalog, 1, room=1)
        await catalog.indexes.create(LogicalIndex("other", 3))
        await catalog.shards.add(Shard("other", "s0", "embedded", max_tenants=1))
        await placed(catalog, "t")
        twin = await catalog.tenants.place("other", "t", DEDICATED, "s0", 0.0)
        assert await catalog.tenants.list("other") == [twin]
        assert await owners(catalog) == {}
        await buried(catalog, twin)
        assert (await counts(catalog), await counts(catalog, "other")) == ({"s0": 1}, {"s0": 0})

    async def test_paging_sees_what_stays_exactly_once_whatever_is_written(self, catalog: Catalog) -> None:
        await prepared(catalog)
        stays = [f"stays-{i:02d}" for i in range(30)]
        for i, name in enumerate(stays):
            await placed(catalog, name)
            await placed(catalog, f"{name}-goes" if i % 2 else f"goes-{i}")

        async def write() -> None:
            for i, name in enumerate(stays):
                await buried(catalog, await catalog.tenants.get(INDEX, f"{name}-goes" if i % 2 else f"goes-{i}"))
                await placed(catalog, f"{name}-comes", "s1")
                await rerouted(catalog, await catalog.tenants.get(INDEX, name), Place("s2", f"{name}~2"))

        async def read() -> None:
            seen = [name for name in await walked(catalog, 3) if name in stays]
            assert seen == stays

        writer = asyncio.create_task(write())
        while not writer.done():
            await read()
            await asyncio.sleep(0)  # a catalog that never waits must let the writer on
        await writer
        await read()


async def walked(catalog: Catalog, limit: int) -> list[str]:
    """Every name, page by page."""
    names: list[str] = []
    while page := await catalog.tenants.list(INDEX, after=names[-1] if names else None, limit=limit):
        assert len(page) <= limit
        names += [tenant.name for tenant in page]
    return names


async def _anything(catalog: Catalog, name: str, chance: random.Random) -> Tenant:
    shard = f"s{chance.randrange(3)}"
    try:
        tenant = await catalog.tenants.get(INDEX, name)
    except NotFound:
        return await placed(catalog, name, shard, chance.choice([PLAIN, DEDICATED]))
    if chance.random() < 0.5:
        stale = chance.random() < 0.1
        return await catalog.tenants.set_state(
            INDEX, name, chance.choice(list(TenantState)), tenant.route.epoch - stale
        )
    following = tenant.generation + 1
    other = chance.choice([None, Place("s1", f"{name}~{following}")])
    return await rerouted(catalog, tenant, Place(shard, f"{name}~{following + 1}"), other)
