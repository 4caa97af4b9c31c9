"""The part of the catalog's contract that is about moves and the routes that belong to them; see `catalog_contract`."""

# ruff: noqa: D102, S101  (a test says in its name what holds, and asserts it)

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from tenantry.errors import AlreadyExists, Conflict, InvalidArgument, NotFound, Refused
from tenantry.model.leases import Copy
from tenantry.model.moves import ENDED, NEXT, Move, Options, Phase, Progress, Proof, Wish, route_of
from tenantry.model.topology import LogicalIndex, Mode, Place, Route, Shard, ShardState, TenantSpec, TenantState
from tenantry.ports import Catalog
from tenantry.testing.catalog_begin_contract import BeginContract
from tenantry.testing.catalog_samples import (
    INDEX,
    TO_FLIP,
    TO_SOAK,
    Run,
    buried,
    copies,
    counts,
    move_of,
    outcomes,
    placed,
    prepared,
    rerouted,
)

P = Phase
PROOF = Proof(3, "é", 1, 2, 3, 4, 5, 0.5, 6, 7, 8.5, 9.25)


class StepContract:
    """Steps of a move."""

    @pytest.mark.parametrize(
        ("path", "outcome"),
        [
            ((*TO_SOAK, P.CLOSE, P.CLEAN, P.DONE), P.DONE),
            ((*TO_SOAK, P.BACK, P.BACK_SETTLE, P.CLOSE, P.CLEAN, P.ROLLED_BACK), P.ROLLED_BACK),
            ((*TO_FLIP, P.CLOSE, P.CLEAN, P.CANCELLED), P.CANCELLED),
            ((P.CLOSE, P.CLEAN, P.FAILED), P.FAILED),
        ],
        ids=["done", "rolled-back", "cancelled", "failed"],
    )
    async def test_the_route_follows_the_phase(self, catalog: Catalog, path: tuple[Phase, ...], outcome: Phase) -> None:
        await prepared(catalog)
        run = await Run.begin(catalog)
        for phase in path:
            before, after = run.tenant.route, P.CLOSE in path[: path.index(phase) + 1]
            given = run.changed(phase, outcome=outcome if after else None)
            tenant = await run.to(phase, outcome=given.outcome)
            assert run.move == given == await catalog.moves.get(given.id)
            same = route_of(given, before.epoch, TenantState.ACTIVE) == before
            assert tenant.route == route_of(given, before.epoch + (not same), TenantState.ACTIVE)
            assert await catalog.tenants.get(INDEX, "t") == tenant
            await counts(catalog)
        assert NEXT[phase] == frozenset()
        home = "s1" if outcome is P.DONE else "s0"
        assert {shard for shard, number in (await counts(catalog)).items() if number} == {home}
        assert sum((await copies(catalog)).values()) == 0
        assert len(await catalog.copies.list(INDEX)) == (outcome is P.DONE)

    async def test_a_step_without_another_route_keeps_the_epoch(self, catalog: Catalog) -> None:
        await prepared(catalog)
        run = await Run.begin(catalog)
        epoch = (await run.to(P.CAPTURE)).route.epoch
        assert (await run.through(P.COPY, P.CATCH_UP, P.VERIFY)).route.epoch == epoch
        assert (await run.to(P.VERIFY)).route.epoch == epoch  # a repeated call
        assert (await run.to(P.FLIP)).route.epoch == epoch + 1

    async def test_a_suspended_tenant_stays_suspended_on_its_way(self, catalog: Catalog) -> None:
        await prepared(catalog)
        run = await Run.begin(catalog)
        await catalog.tenants.set_state(INDEX, "t", TenantState.SUSPENDED, run.tenant.route.epoch)
        await run.through(*TO_SOAK)
        assert run.tenant.route == Route(7, Place("s1", "t~2"), Mode.LOGGED, Place("s0", "t"), TenantState.SUSPENDED)

    async def test_who_lost_the_lease_changes_nothing(self, catalog: Catalog) -> None:
        await prepared(catalog)
        run = await Run.begin(catalog)
        before = await catalog.moves.get(run.move.id)
        lease = await catalog.leases.get(run.move.lease)
        assert lease is not None

        async def refused(fence: int) -> None:
            with pytest.raises(Conflict, match="lost"):
                await catalog.moves.advance(run.changed(P.CAPTURE), fence)
            with pytest.raises(Conflict, match="lost"):
                await catalog.moves.save(msgspec.structs.replace(run.move, source_mark=7), fence)

        await refused(run.fence + 1)
        await catalog.leases.release(lease.name, "mover")
        await refused(run.fence)
        again = await catalog.leases.claim(lease.name, "other", None)
        await refused(run.fence)
        assert await catalog.leases.expel(again)
        await refused(again.fence)
        assert await catalog.moves.get(run.move.id) == before
        assert await catalog.tenants.get(INDEX, "t") == run.tenant
        run.fence = (await catalog.leases.claim(lease.name, "mover", None)).fence
        await run.to(P.CAPTURE)
        stranger = msgspec.structs.replace(run.move, id="unknown")
        with pytest.raises(Conflict):
            await catalog.moves.advance(stranger, run.fence)

    async def test_a_step_may_ask_for_the_end_of_the_log(self, catalog: Catalog) -> None:
        await prepared(catalog)
        run = await Run.begin(catalog)
        await run.to(P.CAPTURE, head=0)
        await run.append()
        await run.append()
        for wrong in (0, 1, 3):
            with pytest.raises(Conflict, match="ends at 2"):
                await run.to(P.FLIP, head=wrong)
        assert (await catalog.moves.get(run.move.id)).phase is P.CAPTURE
        await run.to(P.FLIP, head=2)

    async def test_a_route_that_somebody_changed_stops_the_move(self, catalog: Catalog) -> None:
        await prepared(catalog)
        run = await Run.begin(catalog)
        changed = await rerouted(catalog, run.tenant, Place("s2", "t"))
        for phase in (P.CAPTURE, P.FAILED):
            with pytest.raises(Conflict, match="not of move"):
                await run.to(phase)
        assert await catalog.tenants.get(INDEX, "t") == changed

    async def test_of_a_deleted_tenant_only_the_end_is_saved(self, catalog: Catalog) -> None:
        await prepared(catalog)
        run = await Run.begin(catalog)
        await run.to(P.CAPTURE)
        deleting = await catalog.tenants.set_state(INDEX, "t", TenantState.DELETING, run.tenant.route.epoch)
        assert (await run.to(P.COPY)).state is TenantState.DELETING
        gone = await buried(catalog, deleting)
        assert sum((await counts(catalog)).values()) == sum((await copies(catalog)).values()) == 0
        with pytest.raises(AlreadyExists):  # not before that move has ended
            await catalog.moves.begin(move_of(await placed(catalog, "t"), id="m2"), gone.route.epoch + 2)
        for phase in (P.CATCH_UP, P.CLOSE, P.CLEAN):
            with pytest.raises(NotFound, match="tenant 't'"):
                await run.to(phase)
        again = await catalog.tenants.get(INDEX, "t")
        assert await run.to(P.FAILED, outcome=P.FAILED, error="deleted") == again
        assert (await catalog.moves.get(run.move.id)) == run.move
        assert await catalog.tenants.get(INDEX, "t") == again

    async def test_the_end_of_a_deleted_tenants_move_leaves_the_tombstone(self, catalog: Catalog) -> None:
        await prepared(catalog)
        run = await Run.begin(catalog)
        await buried(catalog, run.tenant)
        ended = await run.to(P.DONE)
        assert ended.state is TenantState.DELETED
        assert await catalog.copies.list(INDEX) == []
        assert (await catalog.moves.get(run.move.id)).phase is P.DONE

    async def test_a_move_that_is_done_leaves_its_source_as_a_copy(self, catalog: Catalog) -> None:
        await prepared(catalog)
        run = await Run.begin(catalog, options=Options(retention_s=100.0))
        await run.through(*TO_SOAK)
        await run.to(P.CLOSE, outcome=P.DONE)
        await run.to(P.CLEAN)
        with pytest.raises(InvalidArgument, match="started"):
            await catalog.moves.advance(msgspec.structs.replace(run.move, phase=P.DONE), run.fence)
        assert (await catalog.moves.get(run.move.id)).phase is P.CLEAN
        await run.to(P.DONE)
        copy = Copy(INDEX, "t", Place("s0", "t"), run.move.id, run.move.started[P.DONE] + 100.0)
        assert await catalog.copies.list(INDEX) == [copy]
        await catalog.copies.forget(copy)
        await run.to(P.DONE)  # a repeated call does not bring back what is purged
        assert await catalog.copies.list(INDEX) == []

    async def test_a_save_keeps_phase_and_wish_and_never_lowers_marks(self, catalog: Catalog) -> None:
        await prepared(catalog)
        run = await Run.begin(catalog)
        await run.to(P.CAPTURE)
        await catalog.moves.set_wish(run.move.id, Wish.PAUSE)
        progress = Progress(1, 2, 3, 4, "é", 5, 6.5)
        given = msgspec.structs.replace(
            run.move, source_mark=5, target_mark=3, progress=progress, proof=PROOF, error="e\x00", s0=2
        )
        await catalog.moves.save(given, run.fence)
        assert await catalog.moves.get(given.id) == msgspec.structs.replace(given, wish=Wish.PAUSE)
        older = msgspec.structs.replace(given, source_mark=4, target_mark=4, proof=None, error=None, s0=None)
        await catalog.moves.save(older, run.fence)
        kept = msgspec.structs.replace(older, source_mark=5, wish=Wish.PAUSE, s0=2)
        assert await catalog.moves.get(given.id) == kept
        await run.to(P.COPY, source_mark=1, target_mark=9, s0=2)
        assert (run.move.source_mark, run.move.target_mark, run.move.wish) == (5, 9, Wish.PAUSE)
        assert await catalog.moves.get(given.id) == run.move

    async def test_a_save_that_comes_after_a_step_brings_its_marks_only(self, catalog: Catalog) -> None:
        await prepared(catalog)
        run = await Run.begin(catalog)
        await run.to(P.CAPTURE)
        late = msgspec.structs.replace(run.move, source_mark=8, error="old")
        step = await run.to(P.COPY)
        await catalog.moves.save(late, run.fence)
        assert await catalog.moves.get(late.id) == msgspec.structs.replace(run.move, source_mark=8)
        assert await catalog.tenants.get(INDEX, "t") == step

    async def test_a_closed_shard_does_not_stop_a_move_that_has_begun(self, catalog: Catalog) -> None:
        await prepared(catalog, 2, room=1)
        run = await Run.begin(catalog)
        for shard in ("s0", "s1"):
            await catalog.shards.set_state(INDEX, shard, ShardState.DRAINING)
        await run.through(*TO_SOAK, P.BACK, P.BACK_SETTLE)
        assert await counts(catalog) == {"s0": 1, "s1": 0}


class WishContract:
    """What is wanted of a move, and the list of moves."""

    async def test_a_wish_is_kept_unless_it_makes_no_sense(self, catalog: Catalog) -> None:
        await prepared(catalog)
        run = await Run.begin(catalog)
        id = run.move.id
        for wish in (Wish.PAUSE, Wish.PAUSE, Wish.RUN, Wish.CANCEL, Wish.CANCEL):
            wished = await catalog.moves.set_wish(id, wish)
            assert wished.wish is wish
            assert await catalog.moves.get(id) == wished
        for wish in (Wish.RUN, Wish.PAUSE, Wish.ROLL_BACK, Wish.FINALISE):
            with pytest.raises(Refused):
                await catalog.moves.set_wish(id, wish)
        assert (await catalog.moves.get(id)).wish is Wish.CANCEL
        await run.to(P.CLOSE, outcome=P.CANCELLED)
        await run.to(P.CLEAN)
        await run.to(P.CANCELLED)
        with pytest.raises(Refused, match="has ended"):
            await catalog.moves.set_wish(id, Wish.CANCEL)
        with pytest.raises(NotFound, match="move 'x'"):
            await catalog.moves.set_wish("x", Wish.RUN)

    async def test_the_wish_forbids_the_commit_and_the_closing(self, catalog: Catalog) -> None:
        await prepared(catalog)
        run = await Run.begin(catalog)
        await run.through(*TO_FLIP)
        await catalog.moves.set_wish(run.move.id, Wish.CANCEL)
        with pytest.raises(Conflict, match="to be cancelled"):
            await run.to(P.SETTLE)
        await run.to(P.CLOSE, outcome=P.CANCELLED)
        assert run.move.wish is Wish.CANCEL
        other = await Run.begin(catalog, "u")
        await other.through(*TO_SOAK)
        await catalog.moves.set_wish(other.move.id, Wish.ROLL_BACK)
        with pytest.raises(Conflict, match="to be rolled back"):
            await other.to(P.CLOSE, outcome=P.DONE)
        await other.through(P.BACK, P.BACK_SETTLE)
        await other.to(P.CLOSE, outcome=P.ROLLED_BACK)

    @pytest.mark.parametrize("committed", [False, True])
    async def test_of_a_wish_and_the_step_that_it_forbids_one_wins(self, catalog: Catalog, committed: bool) -> None:
        await prepared(catalog)
        wish, phase, outcome = (
            (Wish.ROLL_BACK, P.CLOSE, P.DONE) if committed else (Wish.CANCEL, P.SETTLE, None)
        )  # what is wished, and what it forbids
        for i in range(4):
            run = await Run.begin(catalog, f"t{i}")
            await run.through(*(TO_SOAK if committed else TO_FLIP))
            calls: list[Any] = [run.to(phase, outcome=outcome), catalog.moves.set_wish(run.move.id, wish)]
            succeeded, failed = await outcomes(calls if i % 2 else calls[::-1])
            stored = await catalog.moves.get(run.move.id)
            assert succeeded == 1
            assert (failed[0], stored.phase is phase, stored.wish is wish) in [
                (Refused, True, False),
                (Conflict, False, True),
            ]

    async def test_moves_are_listed_newest_first_page_by_page(self, catalog: Catalog) -> None:
        await prepared(catalog)
        await catalog.indexes.create(LogicalIndex("other", 8))
        await catalog.shards.add(Shard("other", "s0", "embedded"))
        await catalog.shards.add(Shard("other", "s1", "embedded"))
        made: list[Move] = []
        for i in range(7):
            run = await Run.begin(catalog, f"t{i}", id=f"m{(i * 3) % 7}", created_at=float(i // 3))
            made.append(run.move)
            if i % 2:
                await run.to(P.CLOSE, outcome=P.FAILED)
                await run.to(P.CLEAN)
                await run.to(P.FAILED)
                made[-1] = run.move
        far = await catalog.tenants.place("other", "t0", TenantSpec(), "s0", 0.0)
        far = await catalog.tenants.set_state("other", "t0", TenantState.ACTIVE, 1)
        made.append(move_of(far, id="far", created_at=99.0))
        await catalog.moves.begin(made[-1], 2)
        made.sort(key=lambda move: (move.created_at, move.id), reverse=True)

        async def walked(limit: int, **which: Any) -> list[Move]:
            found: list[Move] = []
            while page := await catalog.moves.list(limit=limit, before=found[-1] if found else None, **which):
                assert len(page) <= limit
                found += page
            return found

        for limit in (1, 2, 100):
            assert await walked(limit) == made
            assert await walked(limit, index=INDEX) == [move for move in made if move.index == INDEX]
            assert await walked(limit, tenant="t0") == [move for move in made if move.tenant == "t0"]
            assert await walked(limit, index=INDEX, open_only=True) == [
                move for move in made if move.index == INDEX and move.phase not in ENDED
            ]
        assert await catalog.moves.list("nothing") == []
        with pytest.raises(InvalidArgument, match="limit"):
            await catalog.moves.list(limit=0)


class MovesContract(BeginContract, StepContract, WishContract):
    """All about moves."""

    async def test_a_shard_with_a_side_of_an_open_move_stays(self, catalog: Catalog) -> None:
        await prepared(catalog)
        run = await Run.begin(catalog)

        async def stays(name: str, match: str) -> None:
            retired = next(shard for shard in await catalog.shards.list(INDEX) if shard.name == name)
            for call in (
                catalog.shards.remove(INDEX, name),
                catalog.shards.set_state(INDEX, name, ShardState.RETIRED),
                catalog.shards.update(msgspec.structs.replace(retired, state=ShardState.RETIRED)),
            ):
                with pytest.raises(Refused, match=match):
                    await call

        await stays("s1", "move of tenant 't'.*moves list")
        await run.through(*TO_SOAK)
        await stays("s0", "move of tenant 't'.*moves list")
        await run.to(P.CLOSE, outcome=P.DONE)
        await run.to(P.CLEAN)
        await stays("s0", "move of tenant 't'.*moves list")  # no route names it, but the move is not done with it
        await run.to(P.DONE)
        await stays("s0", "1 retired copies.*moves purge")
        (copy,) = await catalog.copies.list(INDEX)
        await catalog.copies.forget(copy)
        await catalog.shards.remove(INDEX, "s0")

    async def test_an_index_stays_while_there_is_something_to_clear_away(self, catalog: Catalog) -> None:
        await prepared(catalog)
        run = await Run.begin(catalog)
        with pytest.raises(Refused, match="1 tenants"):
            await catalog.indexes.delete(INDEX)
        await buried(catalog, run.tenant)
        with pytest.raises(Refused, match=r"move of tenant 't'.*moves list"):
            await catalog.indexes.delete(INDEX)
        await run.to(P.FAILED)
        other = await Run.begin(catalog, "u")
        await other.through(*TO_SOAK)
        await other.append()
        await other.to(P.CLOSE, outcome=P.DONE)
        await other.to(P.CLEAN)
        await other.to(P.DONE)
        await buried(catalog, other.tenant)
        with pytest.raises(Refused, match=r"1 retired copies.*moves purge"):
            await catalog.indexes.delete(INDEX)
        (copy,) = await catalog.copies.list(INDEX)
        await catalog.copies.forget(copy)
        await catalog.indexes.delete(INDEX)
        assert await catalog.moves.list() == []
        await prepared(catalog)
        assert await catalog.log.read(INDEX, "u", 0, 10) == []
        assert await catalog.log.head(INDEX, "u") == 1  # places in the log are never given out again

    async def test_moves_that_cross_do_not_block_each_other(self, catalog: Catalog) -> None:
        await prepared(catalog, 2)
        for i in range(12):
            await placed(catalog, f"t{i}", f"s{i % 2}")
        runs = [await Run.begin(catalog, f"t{i}", f"s{(i + 1) % 2}") for i in range(12)]
        await asyncio.gather(*(run.through(*TO_SOAK) for run in runs))
        assert await counts(catalog) == await copies(catalog) == {"s0": 6, "s1": 6}
