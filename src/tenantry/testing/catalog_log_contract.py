"""The part of the catalog's contract that is about write logs, leases, barriers and retired copies; see
`catalog_contract`."""

# ruff: noqa: D102, S101  (a test says in its name what holds, and asserts it)

from __future__ import annotations

import asyncio

import msgspec
import numpy as np
import pytest

from tenantry.errors import Conflict, InvalidArgument, NotFound, Refused
from tenantry.model.changes import Change, Clear, Nothing, Patch, Put, Remove, RemoveWhere, encode
from tenantry.model.filters import parse_filter
from tenantry.model.leases import Copy, Lease
from tenantry.model.moves import FENCED, Phase
from tenantry.model.records import Record, Update
from tenantry.model.topology import Place, TenantState
from tenantry.ports import Catalog
from tenantry.testing.catalog_samples import INDEX, Run, buried, outcomes, placed, prepared, rerouted

P = Phase


def changes() -> list[Change]:
    """One of each kind."""
    values = np.array([1.5, -0.0, 3e-30], dtype=np.float32)
    where = parse_filter({"k": {"$gt": 1}})
    assert where is not None
    return [
        Put((Record("é", values, {"k": [""], "n": 1.5}), Record("b", values, None))),
        Remove(("a", "b"), where),
        Clear(),
        Patch(Update("a", values, {"k": ["x"]})),
        RemoveWhere(where),
        Nothing("because"),
    ]


class LogContract:
    """Write logs."""

    async def test_entries_come_back_in_order_without_gaps(self, catalog: Catalog) -> None:
        await prepared(catalog)
        run, other = await Run.begin(catalog), await Run.begin(catalog, "u")
        assert await catalog.log.head(INDEX, "t") == await catalog.log.bytes(INDEX, "t") == 0
        await run.to(P.CAPTURE)
        await other.to(P.CAPTURE)
        given = changes()
        assert [await run.append(change) for change in given] == [1, 2, 3, 4, 5, 6]
        assert await other.append() == 1
        found = await catalog.log.read(INDEX, "t", 0, 100)
        assert [entry.seq for entry in found] == [1, 2, 3, 4, 5, 6]
        assert [encode(entry.change) for entry in found] == [encode(change) for change in given]
        assert [entry.seq for entry in await catalog.log.read(INDEX, "t", 2, 3)] == [3, 4, 5]
        assert await catalog.log.read(INDEX, "t", 6, 3) == []
        assert await catalog.log.bytes(INDEX, "t") == sum(len(encode(change)) for change in given)
        with pytest.raises(InvalidArgument, match="limit"):
            await catalog.log.read(INDEX, "t", 0, 0)

    async def test_trimming_keeps_the_head(self, catalog: Catalog) -> None:
        await prepared(catalog)
        run = await Run.begin(catalog)
        await run.to(P.CAPTURE)
        for _ in range(5):
            await run.append()
        await catalog.log.trim(run.move, run.fence, 3)
        assert [entry.seq for entry in await catalog.log.read(INDEX, "t", 0, 10)] == [4, 5]
        for _ in range(2):
            await catalog.log.trim(run.move, run.fence, 99)
        assert await catalog.log.bytes(INDEX, "t") == 0
        assert await catalog.log.head(INDEX, "t") == 5
        assert await run.append() == 6

    async def test_an_owner_of_long_ago_trims_nothing(self, catalog: Catalog) -> None:
        await prepared(catalog)
        run = await Run.begin(catalog)
        await run.to(P.CAPTURE)
        await run.append()
        with pytest.raises(Conflict):
            await catalog.log.trim(run.move, run.fence - 1, 1)
        assert len(await catalog.log.read(INDEX, "t", 0, 10)) == 1

    async def test_the_head_outlives_moves_and_the_tenant(self, catalog: Catalog) -> None:
        await prepared(catalog)
        run = await Run.begin(catalog)
        await run.to(P.CAPTURE)
        await run.append()
        await run.to(P.CLOSE, outcome=P.CANCELLED)
        await run.to(P.CLEAN)
        await run.to(P.CANCELLED)
        await buried(catalog, run.tenant)
        assert await catalog.log.head(INDEX, "t") == 1
        again = await Run.begin(catalog)
        await again.to(P.CAPTURE, head=1)
        assert await again.append() == 2
        assert await catalog.log.head(INDEX, "x") == 0

    async def test_an_append_needs_the_epoch_and_the_mode(self, catalog: Catalog) -> None:
        await prepared(catalog)
        tenant = await placed(catalog, "t")
        append = catalog.log.append
        with pytest.raises(Conflict, match="direct at epoch 2"):
            await append(INDEX, "t", 2, Clear())
        run = await Run.begin(catalog)
        with pytest.raises(Conflict, match="direct"):
            await run.append()
        await run.to(P.CAPTURE)
        for epoch in (tenant.route.epoch, run.tenant.route.epoch - 1, run.tenant.route.epoch + 1):
            with pytest.raises(Conflict):
                await append(INDEX, "t", epoch, Clear())
        await run.append()
        for phase in (P.FLIP, P.SETTLE, P.SOAK, P.BACK, P.BACK_SETTLE):
            await run.to(phase)
            if phase in FENCED:
                with pytest.raises(Conflict, match="fenced"):
                    await run.append()
            else:
                await run.append()
        for missing in ((INDEX, "x"), ("other", "t")):
            with pytest.raises(NotFound, match="tenant"):
                await append(*missing, 1, Clear())
        assert await catalog.log.head(INDEX, "t") == 4

    async def test_a_tenant_out_of_use_takes_no_append(self, catalog: Catalog) -> None:
        await prepared(catalog)
        run = await Run.begin(catalog)
        await run.to(P.CAPTURE)
        run.tenant = await catalog.tenants.set_state(INDEX, "t", TenantState.SUSPENDED, run.tenant.route.epoch)
        with pytest.raises(Refused, match="is suspended; `tenantry tenant resume` opens it again"):
            await run.append()
        run.tenant = await catalog.tenants.set_state(INDEX, "t", TenantState.DELETING, run.tenant.route.epoch)
        with pytest.raises(Refused, match="is deleting; finish with `tenantry tenant delete`"):
            await run.append()
        run.tenant = await buried(catalog, run.tenant)
        with pytest.raises(NotFound):
            await run.append()
        assert await catalog.log.head(INDEX, "t") == 0

    async def test_appends_at_once_each_have_a_place_of_their_own(self, catalog: Catalog) -> None:
        await prepared(catalog)
        run = await Run.begin(catalog)
        await run.to(P.CAPTURE)
        places = await asyncio.gather(*(run.append(Remove((str(i),))) for i in range(40)))
        assert sorted(places) == list(range(1, 41))
        found = await catalog.log.read(INDEX, "t", 0, 100)
        assert [entry.change for entry in sorted(found, key=lambda entry: entry.seq)] == [
            Remove((str(places.index(seq)),)) for seq in range(1, 41)
        ]

    async def test_what_fails_among_appends_at_once_fails_alone(self, catalog: Catalog) -> None:
        await prepared(catalog)
        run = await Run.begin(catalog)
        await run.to(P.CAPTURE)
        epoch = run.tenant.route.epoch
        calls = (catalog.log.append(INDEX, "x" if i % 3 == 1 else "t", epoch - i % 3 // 2, Clear()) for i in range(30))
        succeeded, failed = await outcomes(calls)
        assert (succeeded, failed.count(NotFound), failed.count(Conflict)) == (10, 10, 10)
        assert await catalog.log.head(INDEX, "t") == 10

    async def test_no_append_gets_past_a_fence(self, catalog: Catalog) -> None:
        await prepared(catalog)
        run = await Run.begin(catalog)
        for _ in range(5):
            await run.to(P.CAPTURE)
            epoch = run.tenant.route.epoch

            async def write(epoch: int = epoch) -> list[int]:
                got: list[int] = []
                while True:
                    try:
                        got.append(await catalog.log.append(INDEX, "t", epoch, Clear()))
                    except Conflict:
                        return got

            writers = [asyncio.create_task(write()) for _ in range(4)]
            before = await catalog.log.head(INDEX, "t")
            while await catalog.log.head(INDEX, "t") < before + 5:  # noqa: ASYNC110  (another task counts)
                await asyncio.sleep(0)
            await run.to(P.FLIP)
            fenced_at = await catalog.log.head(INDEX, "t")
            got = [seq for writer in writers for seq in await writer]
            assert sorted(got)[-1] == fenced_at == await catalog.log.head(INDEX, "t")

    async def test_the_commit_and_an_append_exclude_each_other(self, catalog: Catalog) -> None:
        """A step that names the head never passes over an entry, even where the mode does not hold appends off."""
        await prepared(catalog)
        for i in range(5):
            run = await Run.begin(catalog, f"t{i}")
            await run.to(P.CAPTURE)
            succeeded, failed = await outcomes([run.append(), run.to(P.FLIP, head=0)])
            assert (succeeded, failed) == (1, [Conflict])

    async def test_an_entry_is_resolved_in_its_place(self, catalog: Catalog) -> None:
        await prepared(catalog)
        run = await Run.begin(catalog)
        await run.to(P.CAPTURE)
        for change in changes():
            await run.append(change)
        await catalog.log.resolve(run.move, run.fence, 5, Remove(("x", "y")))
        found = await catalog.log.read(INDEX, "t", 3, 3)
        assert [type(entry.change) for entry in found] == [Patch, Remove, Nothing]
        assert found[1].change == Remove(("x", "y"))
        with pytest.raises(NotFound, match="log entry 't/7'"):
            await catalog.log.resolve(run.move, run.fence, 7, Clear())
        with pytest.raises(Conflict, match="lost"):
            await catalog.log.resolve(run.move, run.fence + 1, 4, Clear())
        await catalog.leases.release(run.move.lease, "mover")
        with pytest.raises(Conflict, match="lost"):
            await catalog.log.resolve(run.move, run.fence, 4, Clear())
        assert type((await catalog.log.read(INDEX, "t", 3, 1))[0].change) is Patch


class LeaseContract:
    """Leases."""

    async def test_a_lease_is_claimed_renewed_and_given_up(self, catalog: Catalog) -> None:
        leases = catalog.leases
        assert await leases.get("router/a") is None
        mine = await leases.claim("router/a", "a", None)
        assert (mine.name, mine.owner) == ("router/a", "a")
        assert await leases.get("router/a") == mine
        for _ in range(2):
            assert await leases.beat("a") == {"router/a": mine.fence}
        beaten = await leases.get("router/a")
        assert beaten is not None
        assert beaten == msgspec.structs.replace(mine, beat=beaten.beat)
        assert beaten.beat == mine.beat + 2
        await leases.release("router/a", "b")
        assert await leases.get("router/a") == beaten
        for _ in range(2):
            await leases.release("router/a", "a")
        free = await leases.get("router/a")
        assert free == msgspec.structs.replace(beaten, owner=None)
        assert await leases.beat("a") == {}
        await leases.release("nothing", "a")

    async def test_a_lease_is_taken_only_as_it_was_seen(self, catalog: Catalog) -> None:
        leases = catalog.leases
        seen = await leases.claim("m", "a", None)
        for wrong in (
            None,
            Lease("m", None, seen.fence, seen.beat),
            msgspec.structs.replace(seen, fence=seen.fence + 1),
            msgspec.structs.replace(seen, beat=seen.beat + 1),
            msgspec.structs.replace(seen, owner="b"),
        ):
            with pytest.raises(Conflict, match="'m'"):
                await leases.claim("m", "b", wrong)
        await leases.beat("a")
        with pytest.raises(Conflict):
            await leases.claim("m", "b", seen)
        assert not await leases.expel(seen)
        now = await leases.get("m")
        taken = await leases.claim("m", "b", now)
        assert (taken.owner, taken.fence) == ("b", seen.fence + 1)
        assert await leases.beat("a") == {}
        await leases.release("m", "a")
        assert (await leases.get("m")) == taken
        with pytest.raises(Conflict):
            await leases.claim("n", "b", Lease("n", None, 1, 1))

    async def test_fences_grow_after_release_and_expulsion_too(self, catalog: Catalog) -> None:
        leases = catalog.leases
        first = await leases.claim("m", "a", None)
        await leases.release("m", "a")
        second = await leases.claim("m", "a", await leases.get("m"))
        assert await leases.expel(second)
        assert not await leases.expel(second)
        free = await leases.get("m")
        assert free is not None
        assert free.owner is None
        assert not await leases.expel(free)
        third = await leases.claim("m", "b", None)
        assert first.fence < second.fence < third.fence

    async def test_leases_with_an_owner_are_listed_by_name(self, catalog: Catalog) -> None:
        leases = catalog.leases
        for name in ("router/b", "router/a%", "router/a", "move/x", "router_c", "router0"):
            await leases.claim(name, "o", None)
        await leases.release("router/b", "o")
        assert [lease.name for lease in await leases.list("router/")] == ["router/a", "router/a%"]
        assert [lease.name for lease in await leases.list("router/a%")] == ["router/a%"]
        everything = await leases.list("")
        assert [lease.name for lease in everything] == ["move/x", "router/a", "router/a%", "router0", "router_c"]
        assert await leases.get("router/a") in everything
        assert await leases.beat("o") == {lease.name: 1 for lease in everything}

    async def test_of_claims_at_once_one_succeeds(self, catalog: Catalog) -> None:
        seen = None
        for _ in range(3):
            calls = (catalog.leases.claim("m", f"o{i}", seen) for i in range(8))
            claimed, failed = await outcomes(calls)
            assert (claimed, set(failed)) == (1, {Conflict})
            seen = await catalog.leases.get("m")
        assert seen is not None
        assert seen.fence == 3

    async def test_of_a_beat_and_an_expulsion_at_once_one_counts(self, catalog: Catalog) -> None:
        for i in range(4):
            seen = await catalog.leases.claim(f"m{i}", "a", None)
            beaten, expelled = await asyncio.gather(catalog.leases.beat("a"), catalog.leases.expel(seen))
            assert expelled is (seen.name not in beaten)
            await catalog.leases.release(seen.name, "a")

    async def test_a_lost_lease_and_a_step_exclude_each_other(self, catalog: Catalog) -> None:
        await prepared(catalog)
        for i in range(4):
            run = await Run.begin(catalog, f"t{i}")
            seen = await catalog.leases.get(run.move.lease)
            step, taken = await asyncio.gather(
                run.to(P.CAPTURE), catalog.leases.claim(run.move.lease, "other", seen), return_exceptions=True
            )
            assert isinstance(taken, Lease)
            stored = await catalog.moves.get(run.move.id)
            assert stored.phase is (P.PREPARE if isinstance(step, Conflict) else P.CAPTURE)
            with pytest.raises(Conflict):
                await run.to(P.COPY)


class BarrierContract:
    """Barriers."""

    async def test_the_highest_epoch_counts(self, catalog: Catalog) -> None:
        barriers = catalog.barriers
        assert await barriers.acknowledged(INDEX, "t") == {}
        for router, epoch in (("router/b", 3), ("router/a", 5), ("router/a", 4), ("router/b", 6)):
            await barriers.acknowledge(router, INDEX, "t", epoch)
        await barriers.acknowledge("router/a", INDEX, "u", 1)
        await barriers.acknowledge("router/a", "other", "t", 2)
        assert await barriers.acknowledged(INDEX, "t") == {"router/a": 5, "router/b": 6}
        for _ in range(2):
            await barriers.forget(INDEX, "t", 5)
        assert await barriers.acknowledged(INDEX, "t") == {"router/b": 6}
        await barriers.forget(INDEX, "t", 9)
        assert await barriers.acknowledged(INDEX, "t") == {}
        assert await barriers.acknowledged(INDEX, "u") == {"router/a": 1}
        assert await barriers.acknowledged("other", "t") == {"router/a": 2}

    async def test_acknowledgements_at_once_leave_the_highest(self, catalog: Catalog) -> None:
        await asyncio.gather(*(catalog.barriers.acknowledge("r", INDEX, "t", epoch) for epoch in (3, 9, 1, 7, 5)))
        assert await catalog.barriers.acknowledged(INDEX, "t") == {"r": 9}


class CopyContract:
    """Retired copies."""

    async def test_copies_are_due_in_their_time_oldest_first(self, catalog: Catalog) -> None:
        await prepared(catalog)
        made = [await self._moved(catalog, name, target) for name, target in (("c", "s1"), ("a", "s1"), ("b", "s2"))]
        at = made[0].purge_at
        assert {copy.purge_at for copy in made} == {at}
        by_name = sorted(made, key=lambda copy: copy.tenant)
        assert await catalog.copies.due(at - 0.5, 10) == []
        assert await catalog.copies.due(at, 10) == by_name
        assert await catalog.copies.due(at + 1, 2) == by_name[:2]
        again = await self._moved(catalog, "a", "s2")
        assert again.place == Place("s1", "a~2")
        assert await catalog.copies.list(INDEX) == [*by_name, again]
        assert await catalog.copies.list(INDEX, tenant="a") == [by_name[0], again]
        assert await catalog.copies.list(INDEX, shard="s1") == [again]
        assert await catalog.copies.list(INDEX, shard="s0", tenant="b") == [by_name[1]]
        assert await catalog.copies.list("other") == []
        for _ in range(2):
            await catalog.copies.forget(by_name[0])
        assert await catalog.copies.list(INDEX) == [*by_name[1:], again]
        with pytest.raises(InvalidArgument, match="limit"):
            await catalog.copies.due(at, 0)

    async def test_what_a_route_names_is_never_due(self, catalog: Catalog) -> None:
        await prepared(catalog)
        copy = await self._moved(catalog, "t", "s1")
        tenant = await catalog.tenants.get(INDEX, "t")
        for place, other in ((copy.place, None), (tenant.route.place, copy.place)):
            tenant = await rerouted(catalog, tenant, place, other)
            assert await catalog.copies.due(copy.purge_at, 10) == []
            assert await catalog.copies.list(INDEX) == [copy]
        await buried(catalog, tenant)
        assert await catalog.copies.due(copy.purge_at, 10) == [copy]

    async def _moved(self, catalog: Catalog, name: str, target: str) -> Copy:
        run = await Run.begin(catalog, name, target)
        await run.through(P.CAPTURE, P.COPY, P.FLIP, P.SETTLE, P.SOAK)
        await run.to(P.CLOSE, outcome=P.DONE)
        await run.to(P.CLEAN)
        await run.to(P.DONE)
        (copy,) = [copy for copy in await catalog.copies.list(INDEX) if copy.move == run.move.id]
        return copy


class LogsContract(LogContract, LeaseContract, BarrierContract, CopyContract):
    """All about what a move uses besides its row."""
