"""The planner's cases: hot shards, reasons and figures, plans that would not help, drain, isolate, consolidate."""

from __future__ import annotations

import math
import re

import msgspec
import numpy as np
import pytest

from tenantry.control.planner import balance, plan
from tenantry.control.planner.balance import in_order
from tenantry.control.planner.picture import Places, picture_of
from tenantry.control.planner.problem import Problem, States, objective_after
from tenantry.errors import InvalidArgument, NotFound
from tenantry.model.plan import Aim, PlanOptions, PlanView, TenantLoad
from tenantry.model.topology import Claim, ClusterView, Shard, ShardState, ShardView, TenantSpec

NOW = 1_000_000.0
ALL = PlanOptions()


def cluster(*tenants: TenantLoad, shards: dict[str, dict[str, object]], speed: float | None = None) -> PlanView:
    """Shards by name with their fields; counts and vectors follow from the tenants."""
    views = []
    for name, fields in shards.items():
        mine = [each for each in tenants if each.shard == name]
        owner = next((each.name for each in mine if each.spec.dedicated), None)
        claim = Claim(owner, sum(each.spec.expected_vectors for each in mine))
        shard = Shard("docs", name, "embedded", **({"tenants": len(mine)} | fields))  # type: ignore[arg-type]
        views.append(ShardView(shard, sum(each.vectors for each in mine), claim))
    return PlanView(ClusterView("docs", tuple(views)), tenants, NOW, speed)


def tenant(name: str, shard: str, vectors: int = 100, **fields: object) -> TenantLoad:
    return TenantLoad(name, shard, vectors, vectors * 1_000, vectors / 100, **fields)  # type: ignore[arg-type]


def many(shard: str, count: int, vectors: int = 100, **fields: object) -> list[TenantLoad]:
    return [tenant(f"{shard}-t{n:02}", shard, vectors, **fields) for n in range(count)]


def bare(*names: str) -> dict[str, dict[str, object]]:
    return {name: {} for name in names}


# ------------------------------------------------------------------------------------------ balance


def test_a_shard_of_thirty_tenants_against_fourteen_is_balanced() -> None:
    counts = {"s0": 14, "s1": 14, "s2": 30, "s3": 14, "s4": 14}
    made = plan(cluster(*[t for name, n in counts.items() for t in many(name, n)], shards=bare(*counts)), ALL)
    assert {move.source for move in made.moves} == {"s2"}
    fair = sum(counts.values()) / 5
    assert max(each.tenants_after for each in made.shards) <= fair * 1.1
    assert len(made.moves) == 30 - math.floor(fair * 1.1), "no more moves than it takes"
    for goal in made.goals:
        assert goal.before == pytest.approx(30 / fair)
        assert goal.after <= 1.1


def medium(seed: int) -> PlanView:
    """Thirty tenants of lognormal sizes on three shards, half of them on one."""
    chance = np.random.default_rng(seed)
    sizes = np.ceil(chance.lognormal(8, 0.8, 30)).astype(int).tolist()
    loads = (chance.lognormal(0, 0.3, 30) * sizes / 1_000).tolist()
    homes = ["hot"] * 15 + ["b"] * 8 + ["c"] * 7
    return cluster(
        *[TenantLoad(f"t{n:02}", homes[n], sizes[n], sizes[n] * 3_200, loads[n]) for n in range(30)],
        shards=bare("b", "c", "hot"),
    )


def test_thirty_tenants_on_three_shards_of_which_one_is_hot_take_three_to_five_moves() -> None:
    lengths = []
    for seed in range(20):
        made = plan(medium(seed), ALL)
        lengths.append(len(made.moves))
        assert made.goals[0].after <= max(1.1, made.goals[0].before)
        assert made.shards[2].tenants_after < made.shards[2].tenants_before
    usual = sum(3 <= each <= 5 for each in lengths)
    assert usual >= 18, f"lengths of the plans: {lengths}"
    assert max(lengths) <= 8


def test_vectors_come_before_load_and_load_before_tenants() -> None:
    """With one move to make, the goal that comes first decides which."""
    big, busy = TenantLoad("big", "a", 1_000, 1_000, 0.0), TenantLoad("busy", "a", 0, 1_000, 50.0)
    idle = [TenantLoad(f"idle-{n}", "a", 0, 1_000, 0.0) for n in range(2)]
    one = PlanOptions(max_moves=1)
    both = [TenantLoad("big-2", "a", 1_000, 1_000, 0.0), big, TenantLoad("busy-2", "a", 0, 1_000, 50.0), busy, *idle]
    first = plan(cluster(*both, shards=bare("a", "b")), one).moves[0]
    assert first.vectors == 1_000
    second = plan(cluster(*both[2:], shards=bare("a", "b")), one).moves[0]
    assert second.load == 50.0


def test_of_two_ways_that_even_out_the_one_with_fewer_bytes_is_taken() -> None:
    here = [TenantLoad("heavy", "a", 100, 900_000, 1.0), TenantLoad("light", "a", 100, 1_000, 1.0)]
    assert [m.tenant for m in plan(cluster(*here, shards=bare("a", "b")), ALL).moves] == ["light"]


def test_one_move_is_better_than_two_that_do_the_same_for_a_few_bytes_less() -> None:
    one = TenantLoad("one", "a", 200, 210, 0.0)
    two = [TenantLoad(name, "a", 100, 100, 0.0) for name in ("two", "three")]
    assert [m.tenant for m in plan(cluster(one, *two, shards=bare("a", "b")), ALL).moves] == ["one"]


def test_weights_set_the_shares() -> None:
    shards: dict[str, dict[str, object]] = {"a": {"weight": 1.0}, "b": {"weight": 3.0}}
    made = plan(cluster(*many("a", 40), shards=shards), ALL)
    assert [each.tenants_after for each in made.shards] == [11, 29]


def test_each_move_and_the_plan_are_told_in_numbers() -> None:
    view = cluster(
        *many("a", 4, vectors=1_000_000), *many("b", 2, vectors=1_000_000), shards=bare("a", "b"), speed=5_000.0
    )
    made = plan(view, PlanOptions(dollars_per_gib=0.5))
    assert len(made.moves) == 1
    assert made.moves[0].why == (
        "a holds 4,000,000 vectors, 33% over its fair share of 3,000,000 vectors; without a-t00 (1,000,000 vectors) it "
        "comes to 3,000,000 vectors (its fair share), and b to 3,000,000 vectors (its fair share)"
    )
    assert made.bytes == 10**9
    assert made.minutes == pytest.approx(1_000_000 / 5_000 / 60)
    assert made.cost == pytest.approx(10**9 / 2**30 * 0.5)
    assert [(each.shard, each.vectors_before, each.vectors_after) for each in made.shards] == [
        ("a", 4_000_000, 3_000_000),
        ("b", 2_000_000, 3_000_000),
    ]
    assert plan(msgspec.structs.replace(view, copy_vectors_per_s=None), ALL).minutes is None


def test_a_balanced_cluster_is_left_alone_and_the_plan_says_how_balanced_it_is() -> None:
    made = plan(cluster(*many("a", 21), *many("b", 20), shards=bare("a", "b")), ALL)
    assert made.moves == []
    assert "already balanced" in made.notes[0]
    assert "2.4%" in made.notes[0]
    assert plan(cluster(shards=bare("a", "b")), ALL).notes[0].startswith("already balanced")
    assert "only one shard" in plan(cluster(*many("a", 2), shards=bare("a")), ALL).notes[0]


FIELDS = [
    ({"spec": TenantSpec(shard="a")}, {}, "8 pinned"),
    ({"spec": TenantSpec(region="eu")}, {}, "not in region 'eu'"),
    ({"spec": TenantSpec(tier="hot")}, {}, "not of tier 'hot'"),
    ({"moved_at": NOW - 100}, {}, "8 cooling down"),
    ({"fixed": "suspended"}, {}, "8 fixed"),
    ({}, {"max_tenants": 1}, "at their limit of tenants"),
    ({}, {"max_vectors": 80}, "without room for 100 more vectors"),
    ({"spec": TenantSpec(expected_vectors=900)}, {"max_vectors": 950}, "without room for 900 more vectors"),
    ({}, {"state": ShardState.READ_ONLY}, "draining, read-only or retired"),
]


@pytest.mark.parametrize(("of_tenants", "of_target", "says"), FIELDS)
def test_an_overloaded_shard_that_cannot_be_relieved_is_named_with_the_reason(
    of_tenants: dict[str, object], of_target: dict[str, object], says: str
) -> None:
    shards: dict[str, dict[str, object]] = {"a": {"region": "eu", "tier": "hot"}, "b": of_target}
    made = plan(cluster(*many("a", 8, **of_tenants), shards=shards), ALL)
    assert made.moves == []
    assert made.notes[0].startswith("no moves: ")
    assert any(note.startswith("a stays 100% over its fair share of vectors") and says in note for note in made.notes)
    free = plan(cluster(*many("a", 8), shards=bare("a", "b")), ALL)
    assert len(free.moves) == 4, "without the hard goal it would be relieved"


def test_one_tenant_that_is_larger_than_a_share_is_not_moved_about() -> None:
    made = plan(cluster(tenant("giant", "a", 10_000), *many("b", 3, vectors=10), shards=bare("a", "b")), ALL)
    assert all(move.tenant != "giant" for move in made.moves)
    assert any("not worth moving" in note for note in made.notes)


def test_limits_of_the_plan_hold_and_are_named() -> None:
    view = cluster(*many("a", 30), shards=bare("a", "b"))
    made = plan(view, PlanOptions(max_moves=4))
    assert len(made.moves) == 4
    assert any("max_moves (4)" in note for note in made.notes)
    made = plan(view, PlanOptions(max_bytes=350_000))
    assert len(made.moves) == 3
    assert any("max_bytes (350,000)" in note for note in made.notes)


def test_dedicated_tenants_and_their_shards_are_left_alone() -> None:
    alone = tenant("own", "b", 10, spec=TenantSpec(dedicated=True))
    made = plan(cluster(*many("a", 10), alone, shards=bare("a", "b", "c")), ALL)
    assert {(move.source, move.target) for move in made.moves} == {("a", "c")}


def test_draining_shards_are_named_and_left_out() -> None:
    shards: dict[str, dict[str, object]] = {"a": {}, "b": {}, "c": {"state": ShardState.DRAINING}}
    made = plan(cluster(*many("a", 4), *many("b", 4), *many("c", 9), shards=shards), ALL)
    assert made.moves == []
    assert any("c, which drains" in note for note in made.notes)


def test_moves_that_make_room_come_before_those_that_need_it() -> None:
    shards: dict[str, dict[str, object]] = {"a": {}, "b": {"max_tenants": 2}, "c": {}}
    picture = picture_of(cluster(*many("a", 2), *many("b", 2), shards=shards), PlanOptions(fill=1.0), Aim.BALANCE)
    a, b, c = 0, 1, 2
    assert in_order(picture, [(0, b), (2, c), (1, b)]) == [(2, c), (1, b)], "the first finds no room and is left out"
    assert in_order(picture, [(0, b), (2, a)]) == [(2, a), (0, b)]
    assert in_order(picture, [(0, b)]) == []


def test_the_search_goes_on_from_where_it_ended_until_it_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_step(problem: Problem) -> Places:
        values = objective_after(problem, States.at_home(problem), np.arange(8), np.arange(2))[0]
        best, assign = int(values.argmin()), problem.home.copy()
        if values.flat[best] < problem.objective(problem.home):
            assign[best // 2] = best % 2
        return assign

    monkeypatch.setattr(balance, "beam", one_step)
    assert len(plan(cluster(*many("a", 8), shards=bare("a", "b")), ALL).moves) == 4
    assert len(plan(cluster(*many("a", 8), shards=bare("a", "b")), PlanOptions(max_moves=2)).moves) == 2


# -------------------------------------------------------------------------------------------- drain


def test_a_drain_moves_everybody_off_to_where_there_is_most_room() -> None:
    shards: dict[str, dict[str, object]] = {"a": {"state": ShardState.DRAINING}, "b": {}, "c": {}}
    made = plan(cluster(*many("a", 6), *many("b", 4), shards=shards), ALL, Aim.DRAIN, "a")
    assert [each.tenants_after for each in made.shards] == [0, 5, 5]
    assert made.notes == ["a is empty after these moves and can be removed"]
    assert "a is drained" in made.moves[0].why


def test_who_cannot_be_drained_is_named_with_the_reason() -> None:
    shards: dict[str, dict[str, object]] = {
        "a": {"region": "eu"},
        "b": {"max_vectors": 1_000},
        "c": {"region": "us", "max_vectors": 500},
    }
    leaving = [
        tenant("pinned", "a", spec=TenantSpec(shard="a")),
        tenant("eu", "a", spec=TenantSpec(region="eu")),
        tenant("large", "a", 2_000),
        tenant("own", "a", spec=TenantSpec(dedicated=True)),
        tenant("still", "a", fixed="suspended"),
        tenant("new", "a", moved_at=NOW - 60),
        tenant("free", "a"),
    ]
    view = cluster(*leaving, *many("b", 1), *many("c", 1), shards=shards)
    made = plan(view, ALL, Aim.DRAIN, "a")
    assert [move.tenant for move in made.moves] == ["free"]
    notes = "\n".join(made.notes)
    for name, reason in (
        ("pinned", "pinned to a"),
        ("eu", "2 not in region 'eu'"),
        ("large", "2 without room for 2,000"),
        ("own", "2 not empty"),
        ("still", "fixed: suspended"),
        ("new", "cooling down"),
    ):
        assert re.search(rf"cannot go \(.*{re.escape(reason.replace(',', ''))}.*\): {name}$", notes, re.MULTILINE), (
            notes
        )
    assert "a is active and still takes new tenants" in notes
    assert "can be removed" not in notes


def test_a_dedicated_tenant_is_drained_to_an_empty_shard_that_nobody_else_gets() -> None:
    here = [tenant("own", "a", spec=TenantSpec(dedicated=True))]
    made = plan(cluster(*here, *many("b", 1), shards=bare("a", "b", "c")), ALL, Aim.DRAIN, "a")
    assert [(move.tenant, move.target) for move in made.moves] == [("own", "c")]


def test_a_drain_goes_over_the_fill_only_when_it_must_and_says_so() -> None:
    shards: dict[str, dict[str, object]] = {"a": {}, "b": {"max_tenants": 10}}
    made = plan(cluster(*many("a", 10), shards=shards), ALL, Aim.DRAIN, "a")
    assert len(made.moves) == 10
    assert any("fuller than 90% of a limit" in note for note in made.notes)


# ------------------------------------------------------------------------- isolate and consolidate


def test_a_tenant_is_isolated_on_an_empty_shard_or_told_to_add_one() -> None:
    view = cluster(*many("a", 3), *many("b", 1), shards={**bare("a", "b"), "c": {"max_tenants": 1}})
    made = plan(view, ALL, Aim.ISOLATE, "a-t01")
    assert [(move.tenant, move.target) for move in made.moves] == [("a-t01", "c")]
    assert "shares a with 2 tenants" in made.moves[0].why
    full = plan(cluster(*many("a", 3), *many("b", 1), shards=bare("a", "b")), ALL, Aim.ISOLATE, "a-t01")
    assert full.moves == []
    assert "add a shard" in full.notes[0]
    alone = plan(view, ALL, Aim.ISOLATE, "b-t00")
    assert alone.notes == ["no moves: b-t00 has b to itself already"]


def test_consolidation_uses_as_few_shards_as_hold_everything() -> None:
    shards: dict[str, dict[str, object]] = {name: {"max_vectors": 1_000} for name in "abcde"}
    here = [t for n, name in enumerate("abcd") for t in many(name, 3 + n, vectors=50)]
    made = plan(cluster(*here, shards=shards), ALL, Aim.CONSOLIDATE)
    used = [each for each in made.shards if each.tenants_after]
    assert len(used) == 1 + (sum(t.vectors for t in here) > 900)
    assert all(each.vectors_after <= 900 for each in used)
    empty = sorted(each.shard for each in made.shards if not each.tenants_after)
    assert made.notes[0] == f"empty after these moves and can be removed: {', '.join(empty)}"


def test_consolidation_empties_a_shard_whole_or_not_at_all() -> None:
    shards: dict[str, dict[str, object]] = {"a": {"max_tenants": 10}, "b": {"max_tenants": 10}}
    view = cluster(*many("a", 3), *many("b", 7), shards=shards)
    made = plan(view, ALL, Aim.CONSOLIDATE)
    assert made.moves == []
    assert "a is kept" in " ".join(made.notes)
    assert len(plan(view, PlanOptions(fill=1.0), Aim.CONSOLIDATE).moves) == 3
    assert plan(view, PlanOptions(fill=1.0, max_moves=2), Aim.CONSOLIDATE).moves == []


# ---------------------------------------------------------------------------------------- bad input


def test_unknown_and_missing_subjects() -> None:
    view = cluster(*many("a", 3), shards=bare("a", "b"))
    with pytest.raises(NotFound, match="shard 'z'"):
        plan(view, ALL, Aim.DRAIN, "z")
    with pytest.raises(NotFound, match="tenant 'z'"):
        plan(view, ALL, Aim.ISOLATE, "z")
    for aim in (Aim.DRAIN, Aim.ISOLATE):
        with pytest.raises(InvalidArgument, match="subject"):
            plan(view, ALL, aim)
    with pytest.raises(InvalidArgument, match="subject"):
        plan(view, ALL, Aim.BALANCE, "a")
    with pytest.raises(NotFound, match="shard 'gone'"):
        plan(cluster(tenant("t", "gone"), shards=bare("a")), ALL)


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("max_moves", 0),
        ("max_bytes", -1),
        ("tolerance", -0.1),
        ("tolerance", math.nan),
        ("cool_down_s", math.inf),
        ("fill", 0.0),
        ("fill", 1.1),
        ("dollars_per_gib", -1.0),
    ],
)
def test_options_out_of_range(field: str, given: float) -> None:
    with pytest.raises(InvalidArgument) as caught:
        plan(cluster(shards=bare("a")), msgspec.structs.replace(ALL, **{field: given}))
    assert caught.value.field == field
    assert caught.value.allowed
