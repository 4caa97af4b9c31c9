"""Warnings do not flap: whatever the values do."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tenantry.control.health.hysteresis import HealthState, step
from tenantry.control.health.rules import findings
from tenantry.control.health.values import HealthView, ShardHealth, Thresholds

LIMIT = 85


def view(tenants: int) -> HealthView:
    return HealthView("default", 0.0, 300.0, 1, (ShardHealth("s", "active", tenants=tenants),), ())


def played(values: list[int], limits: Thresholds) -> list[tuple[int, str]]:
    """Check number and change, of one shard with so many tenants at each check; the state goes through JSON."""
    state, changes = HealthState(), []
    for number, tenants in enumerate(values):
        done = step(
            state, findings(view(tenants), limits), findings(view(tenants), limits.relaxed()), limits, float(number)
        )
        changes += [(number, "raised") for _ in done.raised] + [(number, "cleared") for _ in done.cleared]
        state = msgspec.json.decode(msgspec.json.encode(done.state), type=HealthState)
        assert set(state.raised) <= {"many-tenants/s"}
    return changes


settings = st.builds(
    Thresholds,
    near_capacity=st.just(0.0),
    full=st.just(0.0),
    wasteful=st.just(0.0),
    many_tenants=st.just(LIMIT),
    raise_after=st.integers(1, 4),
    clear_after=st.integers(1, 4),
    band=st.sampled_from([0.0, 0.1, 0.3]),
)


@given(st.lists(st.integers(0, 120), max_size=60), settings)
def test_changes_alternate_and_lie_apart(values: list[int], limits: Thresholds) -> None:
    changes = played(values, limits)
    for place, (number, change) in enumerate(changes):
        assert change == ("raised", "cleared")[place % 2]
        apart = limits.raise_after if change == "raised" else limits.clear_after
        since = changes[place - 1][0] + 1 if place else 0
        assert number - since + 1 >= apart
        told = values[number - apart + 1 : number + 1]
        low = int(LIMIT * (1 - limits.band))
        assert all(one >= LIMIT for one in told) if change == "raised" else all(one < low for one in told)


@given(st.lists(st.integers(77, 84), max_size=30))
def test_a_value_that_swings_within_the_band_changes_nothing_once_it_stands(values: list[int]) -> None:
    limits = Thresholds(near_capacity=0.0, full=0.0, wasteful=0.0)
    assert played([90, 90, *values], limits) == [(1, "raised")]
    assert played(values, limits) == []


@given(st.integers(0, 30), st.integers(2, 30))
def test_what_lasts_is_told_once(before: int, lasting: int) -> None:
    limits = Thresholds(near_capacity=0.0, full=0.0, wasteful=0.0)
    assert played([10] * before + [90] * lasting + [10] * 3, limits) == [
        (before + 1, "raised"),
        (before + lasting + 2, "cleared"),
    ]
