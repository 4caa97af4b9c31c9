"""What every `Catalog` must do with plans of tenants and with usage; part of `CatalogContract`."""

# ruff: noqa: D102, S101  (a test says in its name what holds, and asserts it)

from __future__ import annotations

import asyncio

import msgspec
import pytest

from tenantry.errors import Conflict, InvalidArgument, NotFound, Refused
from tenantry.model.leases import Copy
from tenantry.model.moves import Phase
from tenantry.model.topology import Place, TenantSpec, TenantState
from tenantry.model.usage import DAY_S, HOUR_S, Usage
from tenantry.ports import Catalog
from tenantry.testing.catalog_samples import INDEX, NAMES, Run, buried, placed, prepared, rerouted

HOUR = 500_000 * HOUR_S
MIDNIGHT = HOUR - HOUR % DAY_S


class PlanContract:
    """The plan of a tenant, which its route carries."""

    async def test_a_plan_is_in_the_spec_and_on_the_route(self, catalog: Catalog) -> None:
        await prepared(catalog)
        tenant = await placed(catalog, "t", spec=TenantSpec(plan="free", region=None))
        assert (tenant.spec.plan, tenant.route.plan, tenant.route.epoch) == ("free", "free", 2)
        changed = await catalog.tenants.set_plan(INDEX, "t", "pro", 2)
        assert (changed.spec.plan, changed.route.plan, changed.route.epoch) == ("pro", "pro", 3)
        assert changed.route.place == tenant.route.place
        assert await catalog.tenants.get(INDEX, "t") == changed
        gone = await catalog.tenants.set_plan(INDEX, "t", None, 3)
        assert (gone.spec.plan, gone.route.plan) == (None, None)
        assert await catalog.tenants.list(INDEX) == [gone]

    async def test_a_plan_stays_through_changes_of_state_route_and_place(self, catalog: Catalog) -> None:
        await prepared(catalog)
        await placed(catalog, "t", spec=TenantSpec(plan="pro"))
        suspended = await catalog.tenants.set_state(INDEX, "t", TenantState.SUSPENDED, 2)
        assert suspended.route.plan == "pro"
        active = await catalog.tenants.set_state(INDEX, "t", TenantState.ACTIVE, 3)
        moved = await rerouted(catalog, active, Place("s1", "t~2"))
        assert (moved.route.plan, moved.spec.plan) == ("pro", "pro")
        run = await Run.begin(catalog, "t", "s2")
        assert run.tenant.route.plan == "pro"
        await run.to(Phase.CAPTURE)
        assert run.tenant.route.plan == "pro"
        changed = await catalog.tenants.set_plan(INDEX, "t", "free", run.tenant.route.epoch)
        await run.to(Phase.COPY)
        assert run.tenant.route == msgspec.structs.replace(changed.route, epoch=run.tenant.route.epoch)
        assert await catalog.tenants.get(INDEX, "t") == run.tenant

    async def test_a_tenant_that_comes_back_has_its_plan_and_a_new_one_of_the_name_its_own(
        self, catalog: Catalog
    ) -> None:
        await prepared(catalog)
        tenant = await placed(catalog, "t", spec=TenantSpec(plan="pro"))
        assert (await placed(catalog, "u", spec=TenantSpec(plan="free"))).route.plan == "free"
        gone = await buried(catalog, tenant)
        copy = Copy(INDEX, "t", gone.route.place, "", 10.0)
        await catalog.copies.keep(copy)
        back = await catalog.tenants.undelete(copy)
        assert (back.route.plan, back.spec.plan) == ("pro", "pro")
        assert await catalog.tenants.get(INDEX, "t") == back
        await buried(catalog, back)
        new = await catalog.tenants.place(INDEX, "t", TenantSpec(plan="free"), "s1", 1.0)
        assert (new.route.plan, new.generation) == ("free", 2)

    async def test_another_epoch_is_a_conflict(self, catalog: Catalog) -> None:
        await prepared(catalog)
        tenant = await placed(catalog, "t")
        with pytest.raises(Conflict):
            await catalog.tenants.set_plan(INDEX, "t", "pro", 1)
        with pytest.raises(NotFound):
            await catalog.tenants.set_plan(INDEX, "x", "pro", 1)
        await buried(catalog, tenant)
        with pytest.raises((NotFound, Refused)):
            await catalog.tenants.set_plan(INDEX, "t", "pro", 4)

    async def test_a_change_of_plan_dates_the_route(self, catalog: Catalog) -> None:
        await prepared(catalog)
        tenant = await placed(catalog, "t")
        before = await catalog.tenants.get_dated(INDEX, "t")
        await catalog.tenants.set_plan(INDEX, "t", "pro", tenant.route.epoch)
        changes = await catalog.tenants.changes()
        if changes is not None and before.moment is not None:
            assert max(changes.values()) >= before.moment


class UsageContract:
    """What tenants used."""

    async def test_parts_add_up_by_tenant_and_hour(self, catalog: Catalog) -> None:
        mine = Usage(INDEX, "a", HOUR, 1, 2, 3, 4, 5, 70, 600)
        theirs = Usage(INDEX, "a", HOUR, 10, 20, 30, 40, 2**50, 60, None)
        other = Usage("other", "a", HOUR, queries=1)
        assert await catalog.usage.add("one", 1, [mine, other], 0.0)
        assert await catalog.usage.add("two", 1, [theirs], 0.0)
        found = await catalog.usage.list(HOUR, HOUR + 1)
        assert found == [Usage(INDEX, "a", HOUR, 11, 22, 33, 44, 2**50 + 5, 70, 600), other]
        assert await catalog.usage.list(HOUR + 1, HOUR + DAY_S) == []
        assert await catalog.usage.list(HOUR - DAY_S, HOUR) == []
        assert await catalog.usage.list(0, 2**40, index="other") == [other]
        assert await catalog.usage.list(0, 2**40, tenant="b") == []

    async def test_the_most_that_was_stored_counts(self, catalog: Catalog) -> None:
        for part, stored in enumerate([None, 5, None, 9, 7], start=1):
            await catalog.usage.add("one", part, [Usage(INDEX, "a", HOUR, 1, vectors_stored=stored)], 0.0)
        assert await catalog.usage.list(0, 2**40) == [Usage(INDEX, "a", HOUR, 5, vectors_stored=9)]

    async def test_no_part_is_added_twice(self, catalog: Catalog) -> None:
        row = Usage(INDEX, "a", HOUR, queries=1)
        assert await catalog.usage.add("one", 1, [row], 0.0)
        assert not await catalog.usage.add("one", 1, [row], 0.0)
        assert await catalog.usage.add("one", 3, [row], 0.0)
        assert not await catalog.usage.add("one", 2, [row], 0.0)
        assert await catalog.usage.add("two", 1, [row], 0.0)
        assert await catalog.usage.add("two", 2, [], 0.0)
        assert await catalog.usage.list(0, 2**40) == [Usage(INDEX, "a", HOUR, queries=3)]
        with pytest.raises(InvalidArgument):
            await catalog.usage.add("one", 0, [row], 0.0)

    async def test_the_same_part_at_once_is_added_once(self, catalog: Catalog) -> None:
        rows = [Usage(INDEX, name, HOUR, queries=1) for name in ("b", "a", "c")]
        for part in range(1, 6):
            added = await asyncio.gather(
                *(catalog.usage.add("one", part, rows, 0.0) for _ in range(4)),
                *(catalog.usage.add(f"other-{i}", part, rows[::-1], 0.0) for i in range(2)),
            )
            assert sum(added) == 3
        assert {row.queries for row in await catalog.usage.list(0, 2**40)} == {15}

    async def test_days_are_sums_of_their_hours(self, catalog: Catalog) -> None:
        rows = [
            Usage(INDEX, tenant, MIDNIGHT + hour * HOUR_S, 1, vectors_stored=hour)
            for tenant in ("a", "b")
            for hour in (-1, 0, 5, 23, 24)
        ]
        await catalog.usage.add("one", 1, rows, 0.0)
        days = await catalog.usage.list(0, 2**40, by_day=True)
        assert [(row.tenant, row.start - MIDNIGHT, row.queries, row.vectors_stored) for row in days] == [
            ("a", -DAY_S, 1, -1),
            ("b", -DAY_S, 1, -1),
            ("a", 0, 3, 23),
            ("b", 0, 3, 23),
            ("a", DAY_S, 1, 24),
            ("b", DAY_S, 1, 24),
        ]
        first = await catalog.usage.list(MIDNIGHT, MIDNIGHT + DAY_S, by_day=True, limit=1)
        last = first[0].start, first[0].index, first[0].tenant
        assert await catalog.usage.list(MIDNIGHT, MIDNIGHT + DAY_S, by_day=True, after=last) == [days[3]]

    async def test_pages_show_every_row_once_in_order(self, catalog: Catalog) -> None:
        rows = [Usage(INDEX, name, HOUR + hour * HOUR_S, queries=1) for name in NAMES for hour in range(3)]
        await catalog.usage.add("one", 1, rows, 0.0)
        seen: list[Usage] = []
        while page := await catalog.usage.list(
            0, 2**40, limit=7, after=(seen[-1].start, seen[-1].index, seen[-1].tenant) if seen else None
        ):
            assert len(page) <= 7
            seen += page
        assert seen == sorted(rows, key=lambda row: (row.start, row.tenant))
        with pytest.raises(InvalidArgument):
            await catalog.usage.list(0, 1, limit=0)

    async def test_old_hours_are_forgotten_with_old_sources(self, catalog: Catalog) -> None:
        rows = [Usage(INDEX, "a", HOUR + hour * HOUR_S, queries=1) for hour in range(3)]
        await catalog.usage.add("old", 1, rows, float(HOUR))
        await catalog.usage.add("new", 1, [], HOUR + 5.0 * HOUR_S)
        assert await catalog.usage.forget(HOUR + 2 * HOUR_S + 1) == 2
        assert await catalog.usage.list(0, 2**40) == rows[2:]
        assert not await catalog.usage.add("new", 1, rows, 0.0)

    @pytest.mark.parametrize("name", ["a\x00b", "\ud800"], ids=["nul", "surrogate"])
    async def test_a_name_that_no_database_holds_adds_nothing(self, catalog: Catalog, name: str) -> None:
        with pytest.raises(InvalidArgument):
            await catalog.usage.add("one", 1, [Usage(INDEX, "a", HOUR, 1), Usage(INDEX, name, HOUR, 1)], 0.0)
        assert await catalog.usage.list(0, 2**40) == []
        assert await catalog.usage.add("one", 1, [Usage(INDEX, "a", HOUR, 1)], 0.0)
