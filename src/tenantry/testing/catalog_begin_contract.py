"""The part of the catalog's contract that is about beginning a move, and the room that it takes; see
`catalog_contract`."""

# ruff: noqa: D102, S101  (a test says in its name what holds, and asserts it)

from __future__ import annotations

import msgspec
import pytest

from tenantry.errors import AlreadyExists, Conflict, InvalidArgument, NotFound, Refused
from tenantry.model.moves import Options, Phase, route_of
from tenantry.model.topology import Mode, Place, Route, Shard, ShardState, TenantSpec, TenantState
from tenantry.ports import Catalog
from tenantry.testing.catalog_samples import (
    DEDICATED,
    INDEX,
    TO_FLIP,
    Run,
    buried,
    copies,
    counts,
    move_of,
    outcomes,
    owners,
    placed,
    prepared,
)

P = Phase


class BeginContract:
    """Beginning a move."""

    async def test_a_move_begins_with_its_route_and_comes_back_as_it_was_given(self, catalog: Catalog) -> None:
        await prepared(catalog)
        tenant = await placed(catalog, "t")
        options = Options(1.5, 2.5, 3, 4.5, 5.5, 6)
        move = move_of(tenant, options=options, why="é\x00", source_mark=2, target_mark=1, started={P.PREPARE: 1.25})
        begun = await catalog.moves.begin(move, tenant.route.epoch)
        route = Route(tenant.route.epoch + 1, Place("s0", "t"), Mode.DIRECT, Place("s1", "t~2"))
        assert begun == msgspec.structs.replace(tenant, route=route, generation=2)
        assert begun.route == route_of(move, route.epoch, TenantState.ACTIVE)
        assert await catalog.tenants.get(INDEX, "t") == begun
        assert await catalog.moves.get(move.id) == move
        assert (await counts(catalog), await copies(catalog)) == (
            {"s0": 1, "s1": 0, "s2": 0},
            {"s0": 0, "s1": 1, "s2": 0},
        )
        with pytest.raises(NotFound, match="move 'x'"):
            await catalog.moves.get("x")

    async def test_what_cannot_begin_changes_nothing(self, catalog: Catalog) -> None:
        await prepared(catalog)
        tenant = await placed(catalog, "t")
        move, epoch = move_of(tenant), tenant.route.epoch
        begin = catalog.moves.begin
        changed = msgspec.structs.replace
        for stale in (epoch - 1, epoch + 1):
            with pytest.raises(Conflict, match="epoch 2"):
                await begin(move, stale)
        with pytest.raises(NotFound, match="tenant 'x'"):
            await begin(changed(move, tenant="x"), epoch)
        with pytest.raises(Conflict, match="not where the move begins"):
            await begin(changed(move, source=Place("s2", "t")), epoch)
        with pytest.raises(InvalidArgument, match="phase"):
            await begin(changed(move, phase=P.COPY), epoch)
        with pytest.raises(Conflict, match="gone"):
            await begin(changed(move, target=Place("s9", "t~2")), epoch)
        for state in (ShardState.DRAINING, ShardState.READ_ONLY, ShardState.RETIRED):
            await catalog.shards.set_state(INDEX, "s1", state)
            with pytest.raises(Conflict, match=str(state)):
                await begin(move, epoch)
        assert await catalog.tenants.get(INDEX, "t") == tenant
        assert await catalog.moves.list() == []
        assert sum((await copies(catalog)).values()) == 0

    async def test_only_a_tenant_in_use_or_suspended_moves(self, catalog: Catalog) -> None:
        await prepared(catalog)
        creating = await catalog.tenants.place(INDEX, "t", TenantSpec(), "s0", 0.0)
        with pytest.raises(Refused, match="creating"):
            await catalog.moves.begin(move_of(creating), 1)
        deleting = await catalog.tenants.set_state(INDEX, "t", TenantState.DELETING, 1)
        with pytest.raises(Refused, match="deleting"):
            await catalog.moves.begin(move_of(deleting), 2)
        await buried(catalog, deleting)
        with pytest.raises(NotFound):
            await catalog.moves.begin(move_of(deleting), 3)
        tenant = await placed(catalog, "u")
        suspended = await catalog.tenants.set_state(INDEX, "u", TenantState.SUSPENDED, tenant.route.epoch)
        begun = await catalog.moves.begin(move_of(suspended), suspended.route.epoch)
        assert begun.state is TenantState.SUSPENDED

    async def test_a_tenant_has_one_move_at_a_time(self, catalog: Catalog) -> None:
        await prepared(catalog)
        run = await Run.begin(catalog)
        with pytest.raises(AlreadyExists, match=f"moves show {run.move.id}"):
            await catalog.moves.begin(move_of(run.tenant, "s2"), run.tenant.route.epoch)
        await run.to(P.CLOSE, outcome=P.CANCELLED)
        await run.to(P.CLEAN)
        with pytest.raises(AlreadyExists):
            await catalog.moves.begin(move_of(run.tenant, "s2"), run.tenant.route.epoch)
        await run.to(P.CANCELLED)
        with pytest.raises(AlreadyExists, match=f"move {run.move.id!r}"):
            await catalog.moves.begin(move_of(run.tenant, id=run.move.id), run.tenant.route.epoch)
        again = await Run.begin(catalog, target="s2")
        assert again.tenant.route.other == Place("s2", "t~3")
        assert again.tenant.generation == 3

    async def test_room_is_kept_on_both_sides_of_a_move(self, catalog: Catalog) -> None:
        await prepared(catalog, 3, room=1)
        run = await Run.begin(catalog)
        for taken in ("s0", "s1"):
            with pytest.raises(Conflict, match="full: 1 of 1"):
                await placed(catalog, "late", taken)
        await placed(catalog, "u", "s2")
        with pytest.raises(Conflict, match="on the move"):
            await Run.begin(catalog, "u", "s1")
        await run.through(*TO_FLIP, P.SETTLE)
        assert await counts(catalog) == {"s0": 0, "s1": 1, "s2": 1}
        assert await copies(catalog) == {"s0": 1, "s1": 0, "s2": 0}
        with pytest.raises(Conflict, match="full"):
            await placed(catalog, "late", "s0")  # it may yet be rolled back
        await run.to(P.SOAK)
        await run.to(P.CLOSE, outcome=P.DONE)
        await run.to(P.CLEAN)
        assert sum((await copies(catalog)).values()) == 0
        await placed(catalog, "late", "s0")

    async def test_what_a_tenant_is_expected_to_hold_is_kept_on_both_sides(self, catalog: Catalog) -> None:
        await prepared(catalog, 0)
        for name in ("s0", "s1"):
            await catalog.shards.add(Shard(INDEX, name, "embedded", max_vectors=1_000))
        tenant = await placed(catalog, "t", spec=TenantSpec(expected_vectors=600))
        await placed(catalog, "u", "s1", TenantSpec(expected_vectors=401))
        with pytest.raises(Conflict, match="at most 1000 vectors"):
            await catalog.moves.begin(move_of(tenant), tenant.route.epoch)
        await buried(catalog, await catalog.tenants.get(INDEX, "u"))
        await Run.begin(catalog)
        for shard in ("s0", "s1"):
            with pytest.raises(Conflict, match="at most 1000 vectors"):
                await placed(catalog, "late", shard, TenantSpec(expected_vectors=401))
        claims = await catalog.tenants.claims(INDEX)
        assert {shard: claim.expected_vectors for shard, claim in claims.items()} == {"s0": 600, "s1": 600}

    async def test_a_dedicated_tenant_moves_to_an_empty_shard_and_has_both(self, catalog: Catalog) -> None:
        await prepared(catalog, 5)
        await placed(catalog, "alone", "s0", DEDICATED)
        await placed(catalog, "other", "s1")
        await Run.begin(catalog, "other", "s2")
        for taken in ("s1", "s2"):
            with pytest.raises(Conflict, match="cannot be dedicated"):
                await Run.begin(catalog, "alone", taken, id=taken)
        run = await Run.begin(catalog, "alone", "s3")
        assert await owners(catalog) == {"s0": "alone", "s3": "alone"}
        with pytest.raises(Conflict, match="dedicated to tenant 'alone'"):
            await Run.begin(catalog, "plain", "s3")
        await run.to(P.CLOSE, outcome=P.FAILED)
        await run.to(P.CLEAN)
        assert await owners(catalog) == {"s0": "alone"}

    async def test_of_fifty_that_begin_at_once_as_many_succeed_as_have_room(self, catalog: Catalog) -> None:
        await prepared(catalog, 1)
        await catalog.shards.add(Shard(INDEX, "s1", "embedded", max_tenants=30))
        tenants = [await placed(catalog, f"t{i:02}") for i in range(50)]
        begun, failed = await outcomes(catalog.moves.begin(move_of(tenant), 2) for tenant in tenants)
        assert (begun, set(failed)) == (30, {Conflict})
        assert await copies(catalog) == {"s0": 0, "s1": 30}
        assert len(await catalog.moves.list(open_only=True)) == 30

    async def test_what_is_planned_is_counted_among_those_that_begin_at_once(self, catalog: Catalog) -> None:
        await prepared(catalog, 1)
        await catalog.shards.add(Shard(INDEX, "s1", "embedded", max_vectors=50))
        tenants = [await placed(catalog, f"t{i}", spec=TenantSpec(expected_vectors=10)) for i in range(6)]
        moves = [catalog.moves.begin(move_of(tenant), 2) for tenant in tenants]
        news = [placed(catalog, f"n{i}", "s1", TenantSpec(expected_vectors=10)) for i in range(6)]
        succeeded, failed = await outcomes([*moves, *news])
        assert (succeeded, set(failed)) == (5, {Conflict})

    async def test_of_two_moves_of_a_tenant_at_once_one_begins(self, catalog: Catalog) -> None:
        await prepared(catalog)
        tenant = await placed(catalog, "t")
        calls = (catalog.moves.begin(move_of(tenant, f"s{1 + i % 2}", id=f"m{i}"), 2) for i in range(8))
        begun, failed = await outcomes(calls)
        assert (begun, set(failed)) == (1, {AlreadyExists})
        assert sum((await copies(catalog)).values()) == 1
