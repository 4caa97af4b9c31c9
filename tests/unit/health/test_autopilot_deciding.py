"""What the auto-pilot decides: which warning, which of a plan's moves, and when things have become worse."""

import pytest

from tenantry.control.autopilot.deciding import (
    Condition,
    Spent,
    Wait,
    affordable,
    resting,
    spent,
    trigger,
    worse,
)
from tenantry.control.health.values import Health, Severity, Thresholds
from tenantry.control.health_report import HealthReport, Warned
from tenantry.errors import InvalidArgument
from tenantry.model.autopilot import DAY_S, HOUR_S, Kind, Outcome, PilotEntry, Policy, Stance, check_policy
from tenantry.model.plan import PlannedMove

NOW, EVERY = 1_000_000.0, 60.0
LIMITS = Thresholds()


def warned(kind="uneven-vectors", subject="s0", since=0.0):
    return Warned(
        kind=kind,
        severity=Severity.WARNING,
        subject=subject,
        message="uneven",
        value=3.0,
        threshold=1.5,
        unit="",
        tenants=[],
        command="",
        page=False,
        since=since,
        runbook="",
    )


def report(*warnings, at=NOW):
    return HealthReport(
        index="default",
        at=at,
        window_s=300.0,
        health=Health.WARNING,
        gateways=1,
        tenants=0,
        vectors=0,
        bytes=0,
        per_second=0.0,
        searches=0,
        partial_searches=0,
        cross_tenant_share=0.0,
        cache_hit_rate=None,
        warnings=list(warnings),
        shards=[],
        top_tenants=[],
        moves={},
        routing=[],
        routing_checked=True,
        largest_tenth_share=0.0,
    )


def test_it_acts_on_warnings_that_moves_help_with_and_that_have_stood():
    policy = Policy(periods=3)
    assert trigger(report(), policy, EVERY, NOW) is None
    assert trigger(report(warned("wasteful-shard"), warned("cross-tenant")), policy, EVERY, NOW) is None
    assert trigger(report(warned(since=None)), policy, EVERY, NOW) is None
    young = trigger(report(warned(since=NOW - 179)), policy, EVERY, NOW)
    assert young == Wait("no warning has stood for 3 checks yet", "uneven-vectors/s0")
    ripe = warned(since=NOW - 180)
    assert trigger(report(warned("full-shard", since=NOW - 5), ripe), policy, EVERY, NOW) == ripe


@pytest.mark.parametrize("kind", ["unreachable-shard", "failing-shard", "inconsistent-routing"])
def test_in_trouble_it_moves_nothing(kind):
    found = trigger(report(warned(), warned(kind, "s1")), Policy(), EVERY, NOW)
    assert found == Wait(f"nothing is moved while this stands: {kind}/s1", "uneven-vectors/s0")


def test_it_does_not_act_on_an_old_report_or_without_checks():
    assert isinstance(trigger(report(warned(), at=NOW - 181), Policy(), EVERY, NOW), Wait)
    assert isinstance(trigger(report(warned()), Policy(), 0.0, NOW), Wait)
    assert isinstance(trigger(report(warned(), at=NOW - 180), Policy(), EVERY, NOW), Warned)


def entry(seq=1, at=NOW, kind=Kind.MOVE, outcome=Outcome.MOVED, size=10, cost=1.0, source="s0", target="s1"):
    return PilotEntry(
        seq, at, "default", kind, "why", source=source, target=target, bytes=size, cost=cost, outcome=outcome
    )


def test_budgets_are_counted_from_what_was_begun():
    entries = [
        entry(5, NOW - 10),
        entry(4, NOW - 20, outcome=Outcome.DROPPED),
        entry(3, NOW - 30, kind=Kind.WOULD, outcome=None),
        entry(2, NOW - HOUR_S, outcome=Outcome.FAILED),
        entry(1, NOW - DAY_S),
    ]
    assert spent(entries, NOW) == Spent(moves=1, bytes=10, cost=2.0)
    policy = Policy(shard_cool_down_s=25)
    assert resting(entries, policy, NOW) == {"s0", "s1"}
    assert resting(entries[1:], Policy(shard_cool_down_s=25), NOW) == {"s0", "s1"}
    assert resting(entries[2:], Policy(shard_cool_down_s=25), NOW) == set()


def planned(tenant, vectors=100, size=1_000, source="s0", target="s1"):
    return PlannedMove(tenant, source, target, vectors, size, 0.0, "it evens out")


def chosen(moves, *, policy=None, used=None, rests=(), price=lambda move: 1.0, speed=100.0, left_s=DAY_S):
    found = affordable(moves, policy or Policy(), used or Spent(), rests, price, speed=speed, left_s=left_s)
    return [one.planned.tenant for one in found.moves], found.left


THREE = [planned("a"), planned("b"), planned("c")]


@pytest.mark.parametrize(
    ("changes", "names", "why"),
    [
        ({}, ["a", "b", "c"], None),
        ({"policy": Policy(moves_per_hour=2)}, ["a", "b"], "moves per hour"),
        ({"policy": Policy(moves_per_hour=4), "used": Spent(moves=3)}, ["a"], "moves per hour"),
        ({"policy": Policy(bytes_per_hour=2_000)}, ["a", "b"], "bytes per hour"),
        ({"policy": Policy(bytes_per_hour=2_000), "used": Spent(bytes=1)}, ["a"], "bytes per hour"),
        ({"policy": Policy(bytes_per_hour=None), "used": Spent(bytes=2**60)}, ["a", "b", "c"], None),
        ({"policy": Policy(dollars_per_day=2.5)}, ["a", "b"], "dollars per day"),
        ({"policy": Policy(dollars_per_day=2.5), "used": Spent(cost=1.0)}, ["a"], "dollars per day"),
        ({"policy": Policy(dollars_per_day=0.0)}, [], "dollars per day"),
        ({"policy": Policy(dollars_per_day=0.0), "price": lambda move: 0.0}, ["a", "b", "c"], None),
        ({"price": lambda move: None if move.tenant == "b" else 0.0}, ["a", "c"], "no published price"),
        ({"rests": {"s1"}}, [], "shard s1 rests"),
        ({"rests": {"s0"}}, [], "shard s0 rests"),
        ({"left_s": 2.0}, ["a", "b"], "before the window closes"),
        ({"speed": None}, ["a"], "how long one takes"),
    ],
)
def test_of_a_plan_it_begins_what_the_policy_has_room_for(changes, names, why):
    found, left = chosen(THREE, **changes)
    assert found == names
    assert len(left) == 3 - len(names)
    assert all(why in one for one in left)


def test_a_smaller_one_goes_where_a_large_one_has_no_room():
    moves = [planned("large", size=9_000), planned("small", size=10)]
    found, left = chosen(moves, policy=Policy(bytes_per_hour=5_000))
    assert found == ["small"]
    assert left == ["large: it has no room in the budget of bytes per hour"]


@pytest.mark.parametrize(
    ("before", "now", "why"),
    [
        (Condition(0.0, 100.0), Condition(0.0, 149.0), None),
        (Condition(0.0, 100.0), Condition(0.0, 151.0), "from 100 to 151 ms"),
        (Condition(0.0, 10.0), Condition(0.0, 49.0), None),  # below what anybody calls slow
        (Condition(0.0, 10.0), Condition(0.0, 51.0), "from 10 to 51 ms"),
        (Condition(0.01, 100.0), Condition(0.029, 100.0), None),
        (Condition(0.01, 100.0), Condition(0.031, 100.0), "from 1.0% to 3.1%"),
        (Condition(), Condition(0.021, None), "from 0.0% to 2.1%"),
        (Condition(), Condition(None, 799.0), None),
        (Condition(), Condition(None, 801.0), "801 ms"),
        (Condition(0.5, 500.0), Condition(), None),
    ],
)
def test_when_an_index_does_worse(before, now, why):
    found = worse(before, now, Policy(), LIMITS)
    assert (found is None) if why is None else (found is not None and why in found)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("windows", ("Sat",)),
        ("moves_per_hour", 0),
        ("moves_per_hour", 101),
        ("bytes_per_hour", -1),
        ("dollars_per_day", -0.01),
        ("dollars_per_day", float("nan")),
        ("tenant_cool_down_s", float("inf")),
        ("shard_cool_down_s", DAY_S + 1),
        ("periods", 0),
        ("errors_more", 1.1),
        ("p95_times", 1.0),
    ],
)
def test_a_policy_out_of_range_says_which_field(field, value):
    with pytest.raises(InvalidArgument) as wrong:
        check_policy(Policy(**{field: value}))
    assert wrong.value.field == field


def test_on_needs_a_window_and_observe_none():
    with pytest.raises(InvalidArgument, match="at least one"):
        check_policy(Policy(Stance.ON))
    check_policy(Policy(Stance.OBSERVE))
    check_policy(Policy(Stance.ON, ("always",)))
