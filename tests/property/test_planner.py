"""Plans over many random clusters: hard goals at every step, determinism, progress, rest."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tenantry.control.planner import balance, plan
from tenantry.control.planner.picture import picture_of
from tenantry.control.planner.problem import balancing
from tenantry.model.plan import Aim, Plan, PlanOptions, PlanView, TenantLoad
from tenantry.model.topology import Claim, ClusterView, Shard, ShardState, ShardView, TenantSpec
from tenantry.placement.eligible import rule_against

NOW = 1_000_000.0


@st.composite
def views(draw: st.DrawFn) -> PlanView:
    """Small clusters in which every hard goal occurs; some shards are over their limits, some views know less than
    the shards hold."""
    count = draw(st.integers(1, 6))
    chance = random.Random(draw(st.integers(0, 2**32)))
    strict = draw(st.sampled_from([0.0, 0.2, 0.6]))
    names = [f"s{n}" for n in range(count)]
    tenants, owned = [], {}
    for n in range(draw(st.integers(0, 24))):
        home = chance.choice(names[: max(1, count - 1)]) if chance.random() < 0.6 else names[0]
        if home in owned:
            continue
        odd = chance.random() < strict
        alone = odd and chance.random() < 0.15 and all(each.shard != home for each in tenants)
        if alone:
            owned[home] = f"t{n}"
        spec = TenantSpec(
            shard=home if odd and chance.random() < 0.2 else None,
            dedicated=alone,
            region=chance.choice([None, None, "eu"]) if odd else None,
            tier=chance.choice([None, None, "hot"]) if odd else None,
            expected_vectors=chance.choice([0, 0, 300]) if odd else 0,
        )
        tenants.append(
            TenantLoad(
                f"t{n}",
                home,
                int(chance.lognormvariate(4, 1)),
                int(chance.lognormvariate(9, 1)),
                chance.choice([0.0, 1.0, chance.lognormvariate(1, 1)]),
                spec,
                moved_at=NOW - chance.choice([60, 90_000]) if odd else None,
                fixed="suspended" if odd and chance.random() < 0.1 else None,
            )
        )
    return PlanView(
        ClusterView("docs", tuple(_shard(chance, strict, name, tenants, owned) for name in names)), tuple(tenants), NOW
    )


def _shard(
    chance: random.Random, strict: float, name: str, tenants: list[TenantLoad], owned: dict[str, str]
) -> ShardView:
    mine = [each for each in tenants if each.shard == name]
    odd = chance.random() < strict
    extra = chance.choice([0, 0, 1]) if odd else 0
    return ShardView(
        Shard(
            "docs",
            name,
            "embedded",
            max_tenants=chance.randint(1, 14) if odd else None,
            max_vectors=chance.choice([None, 400, 1_500]) if odd else None,
            weight=chance.choice([0.5, 1.0, 3.0]) if odd else 1.0,
            region=chance.choice([None, "eu"]),
            tier=chance.choice([None, "hot"]),
            state=chance.choice(list(ShardState)) if odd else ShardState.ACTIVE,
            tenants=len(mine) + extra,
            copies=extra,
        ),
        sum(each.vectors for each in mine) + 50 * extra,
        Claim(owned.get(name), sum(each.spec.expected_vectors for each in mine)),
    )


options = st.builds(
    PlanOptions,
    max_moves=st.sampled_from([1, 3, 50]),
    max_bytes=st.sampled_from([None, 0, 20_000]),
    tolerance=st.sampled_from([0.0, 0.1, 0.5]),
    fill=st.sampled_from([0.5, 0.9, 1.0]),
)


def after(view: PlanView, made: Plan) -> PlanView:
    """The view when the plan is carried out, every step of it checked against the hard goals."""
    shards = {each.shard.name: each for each in view.cluster.shards}
    tenants = {each.name: each for each in view.tenants}
    for move in made.moves:
        tenant = tenants[move.tenant]
        assert (tenant.shard, tenant.vectors, tenant.bytes) == (move.source, move.vectors, move.bytes)
        assert move.source != move.target
        for name, sign in ((move.target, 1), (move.source, -1)):
            each = shards[name]
            owner = each.claim.dedicated_to
            if tenant.spec.dedicated:
                owner = tenant.name if sign > 0 else None
            shards[name] = ShardView(
                msgspec.structs.replace(each.shard, tenants=each.shard.tenants + sign),
                each.vectors + sign * tenant.vectors,
                Claim(owner, each.claim.expected_vectors + sign * tenant.spec.expected_vectors),
            )
        tenants[move.tenant] = msgspec.structs.replace(tenant, shard=move.target)
    cluster = ClusterView("docs", tuple(shards[each.shard.name] for each in view.cluster.shards))
    return msgspec.structs.replace(view, cluster=cluster, tenants=tuple(tenants[each.name] for each in view.tenants))


def check_hard_goals(view: PlanView, made: Plan, chosen: PlanOptions) -> None:
    """Each move against the state that those before it leave; written out, apart from the planner's own account."""
    assert len(made.moves) <= chosen.max_moves
    assert chosen.max_bytes is None or made.bytes <= chosen.max_bytes
    assert made.bytes == sum(move.bytes for move in made.moves)
    assert len({move.tenant for move in made.moves}) == len(made.moves)
    fill = chosen.fill if made.aim in (Aim.BALANCE, Aim.CONSOLIDATE) else 1.0
    homes = {each.shard.name: each.shard.state for each in view.cluster.shards}
    for n, move in enumerate(made.moves):
        now = after(view, msgspec.structs.replace(made, moves=made.moves[:n]))
        tenant = next(each for each in now.tenants if each.name == move.tenant)
        target = next(each for each in now.cluster.shards if each.shard.name == move.target)
        shard = target.shard
        assert shard.state is ShardState.ACTIVE
        assert homes[move.source] is not ShardState.RETIRED
        assert tenant.spec.shard is None
        assert tenant.fixed is None
        assert tenant.moved_at is None or NOW - tenant.moved_at >= chosen.cool_down_s
        assert tenant.spec.region in (None, shard.region)
        assert tenant.spec.tier in (None, shard.tier)
        assert target.claim.dedicated_to is None
        assert not tenant.spec.dedicated or (made.aim is not Aim.BALANCE and shard.tenants + shard.copies == 0)
        need = max(tenant.vectors, tenant.spec.expected_vectors, 1)
        if shard.max_tenants is not None:
            assert shard.tenants + shard.copies + 1 <= shard.max_tenants * fill + 1e-6
        if shard.max_vectors is not None:
            assert max(target.vectors, target.claim.expected_vectors) + need <= shard.max_vectors * fill + 1e-6
        spec = msgspec.structs.replace(tenant.spec, expected_vectors=need)
        assert rule_against(spec, target) is None


def objective(view: PlanView, measured: PlanView, chosen: PlanOptions) -> float:
    """The planner's objective of a later view, costs of the moves included."""
    problem = balancing(picture_of(view, chosen, Aim.BALANCE))
    where = {each.name: each.shard for each in measured.tenants}
    picture = picture_of(view, chosen, Aim.BALANCE)
    inside = {picture.shards[n].shard.name: m for m, n in enumerate(picture.members())}
    assign = problem.home.copy()
    for n, tenant in enumerate(problem.tenants.tolist()):
        assign[n] = inside[where[picture.tenants[tenant].name]]
    return problem.objective(assign)


def check_rest(view: PlanView, chosen: PlanOptions) -> None:
    """Planning again after a plan gives nothing, unless the plan said that more would follow."""
    made = plan(view, chosen)
    if any("must wait" in note for note in made.notes):
        event("some moves had to wait")
    else:
        assert plan(after(view, made), chosen).moves == []


@pytest.fixture(params=["beam", "descent"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both searches, on the same small clusters."""
    if request.param == "descent":
        monkeypatch.setattr(balance, "MOST_SINGLE_MOVES", 0)
    return str(request.param)


FEW = settings(max_examples=100, deadline=None)


@given(views(), options)
@FEW
def test_no_step_of_a_balancing_plan_breaks_a_hard_goal_and_the_objective_sinks(
    view: PlanView, chosen: PlanOptions
) -> None:
    made = plan(view, chosen)
    check_hard_goals(view, made, chosen)
    event("moves" if made.moves else "no moves")
    assert made.moves or made.notes
    before = objective(view, view, chosen) if made.moves else 0.0
    assert not made.moves or objective(view, after(view, made), chosen) < before
    assert all(any(sign.isdigit() for sign in move.why) for move in made.moves)


@pytest.mark.usefixtures("engine")
def test_both_searches_keep_the_hard_goals_and_come_to_rest() -> None:
    @given(views(), options)
    @settings(max_examples=60, deadline=None)
    def each(view: PlanView, chosen: PlanOptions) -> None:
        made = plan(view, chosen)
        check_hard_goals(view, made, chosen)
        check_rest(view, msgspec.structs.replace(chosen, max_moves=1_000, max_bytes=None))

    each()


@given(views(), options, st.randoms(use_true_random=False))
@FEW
def test_the_order_in_which_a_view_lists_things_does_not_matter(
    view: PlanView, chosen: PlanOptions, chance: random.Random
) -> None:
    shards, tenants = list(view.cluster.shards), list(view.tenants)
    chance.shuffle(shards)
    chance.shuffle(tenants)
    other = PlanView(ClusterView("docs", tuple(shards)), tuple(tenants), NOW)
    for aim in (Aim.BALANCE, Aim.CONSOLIDATE):
        assert plan(other, chosen, aim) == plan(view, chosen, aim)
    assert plan(other, chosen, Aim.DRAIN, "s0") == plan(view, chosen, Aim.DRAIN, "s0")


@given(views(), options, st.integers(0, 5))
@FEW
def test_a_drain_empties_the_shard_or_names_who_stays(view: PlanView, chosen: PlanOptions, which: int) -> None:
    subject = view.cluster.shards[which % len(view.cluster.shards)].shard.name
    made = plan(view, chosen, Aim.DRAIN, subject)
    check_hard_goals(view, made, chosen)
    assert all(move.source == subject for move in made.moves)
    gone = {move.tenant for move in made.moves}
    said = " ".join(note for note in made.notes if "cannot go" in note)
    left = [each.name for each in view.tenants if each.shard == subject and each.name not in gone]
    counted = sum(int(note.split()[0]) for note in made.notes if "cannot go" in note)
    assert counted == len(left)
    assert len(left) > 10 or all(name in said for name in left)


@given(views(), options)
@FEW
def test_an_isolated_tenant_comes_to_an_empty_shard(view: PlanView, chosen: PlanOptions) -> None:
    for tenant in view.tenants[:3]:
        made = plan(view, chosen, Aim.ISOLATE, tenant.name)
        check_hard_goals(view, made, chosen)
        assert made.moves or made.notes
        for move in made.moves:
            target = next(each for each in view.cluster.shards if each.shard.name == move.target)
            assert (target.shard.tenants, target.shard.copies, target.claim) == (0, 0, Claim())


@given(views(), options)
@FEW
def test_consolidation_empties_whole_shards_only(view: PlanView, chosen: PlanOptions) -> None:
    made = plan(view, chosen, Aim.CONSOLIDATE)
    check_hard_goals(view, made, chosen)
    then = {each.shard.name: each.shard.tenants for each in after(view, made).cluster.shards}
    sources, targets = {move.source for move in made.moves}, {move.target for move in made.moves}
    assert not sources & targets
    assert all(then[name] == 0 for name in sources)
    assert not sources or all(name in made.notes[0] for name in sources)
