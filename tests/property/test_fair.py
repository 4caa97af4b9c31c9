"""The fair queue: work-conserving, in order within a flow, and fair within its bound."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenantry.errors import Bug
from tenantry.router.fair import MOST_COST, QUANTUM, FairQueue

FLOWS = "abcd"
costs = st.integers(1, MOST_COST)
weights = st.fixed_dictionaries({flow: st.sampled_from([1, 1, 2, 4, 16, 100]) for flow in FLOWS})
#: A push of a flow's entry of some cost, or a pop.
steps = st.lists(st.one_of(st.tuples(st.sampled_from(FLOWS), costs), st.none()), max_size=200)


@given(steps, weights)
def test_nothing_is_lost_and_each_flow_is_in_order(
    steps: list[tuple[str, int] | None], weights: dict[str, int]
) -> None:
    queue: FairQueue[int] = FairQueue()
    waiting: dict[str, list[int]] = defaultdict(list)
    for number, step in enumerate(steps):
        if step is not None:
            flow, cost = step
            queue.push(flow, weights[flow], cost, number)
            waiting[flow].append(number)
        else:
            found = queue.pop()
            held = sum(map(len, waiting.values()))
            assert (found is None) == (held == 0)
            if found is not None:
                assert waiting[found[0].key].pop(0) == found[1]
        assert len(queue) == sum(map(len, waiting.values()))
        assert queue.flows == sum(map(bool, waiting.values()))
        assert all(queue.waiting(flow) == len(waiting[flow]) for flow in FLOWS)
    while (found := queue.pop()) is not None:
        assert waiting[found[0].key].pop(0) == found[1]
    assert not any(waiting.values())


@settings(deadline=None)
@given(st.data(), weights, st.integers(2, 4))
def test_flows_that_wait_are_served_by_their_weights(data: st.DataObject, weights: dict[str, int], many: int) -> None:
    """Of every two flows, in every interval in which both wait throughout: the bound of the docstring."""
    flows = FLOWS[:many]
    lines = {flow: data.draw(st.lists(costs, min_size=1, max_size=60)) for flow in flows}
    late = data.draw(st.integers(0, 10))  # the last flow comes after some have been served
    served, waits = served_by_pop(lines, weights, late)
    for i, one in enumerate(flows):
        for other in flows[i + 1 :]:
            bound = 2 * QUANTUM + MOST_COST / weights[one] + MOST_COST / weights[other]
            both = [at for at in range(len(served)) if waits[at] >= {one, other}]
            gaps = [served[at][one] / weights[one] - served[at][other] / weights[other] for at in both]
            assert not gaps or max(gaps) - min(gaps) <= bound


def served_by_pop(
    lines: dict[str, list[int]], weights: dict[str, int], late: int
) -> tuple[list[dict[str, int]], list[set[str]]]:
    """Before each pop: cost served of each flow, and which flows wait. Each waits in one stretch."""
    queue: FairQueue[int] = FairQueue()
    *early, last = lines
    arrivals = dict.fromkeys(early, 0) | {last: late}
    total = dict.fromkeys(lines, 0)
    served: list[dict[str, int]] = []
    waits: list[set[str]] = []
    for pops in range(late + sum(map(len, lines.values())) + 1):
        for flow in (flow for flow, at in arrivals.items() if at == pops):
            for cost in lines[flow]:
                queue.push(flow, weights[flow], cost, cost)
        served.append(dict(total))
        waits.append({flow for flow in lines if queue.waiting(flow)})
        found = queue.pop()
        if found is not None:
            total[found[0].key] += found[1]
    assert not queue
    return served, waits


def test_one_that_floods_waits_for_itself() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(1_000):
        queue.push("noisy", 1, 1, f"noisy {number}")
    for number in range(10):
        queue.push("quiet", 1, 1, f"quiet {number}")
    first = [queue.pop() for _ in range(20)]
    assert sum(found is not None and found[0].key == "quiet" for found in first) == 10


def test_one_that_comes_anew_is_next() -> None:
    queue: FairQueue[None] = FairQueue()
    for flow in "abcd":
        for _ in range(50):
            queue.push(flow, 16, 1, None)
    for _ in range(70):
        queue.pop()
    queue.push("new", 1, 1, None)
    assert next_of(queue) == "new"


def test_coming_and_going_gains_nothing() -> None:
    """One that asks again as soon as it was served gets no more than those that wait all the time."""
    queue: FairQueue[None] = FairQueue()
    for flow in "abc":
        for _ in range(1_000):
            queue.push(flow, 1, 1, None)
    queue.push("again", 1, 1, None)
    served = 0
    for _ in range(400):
        if next_of(queue) == "again":
            served += 1
            queue.push("again", 1, 1, None)
    assert 95 <= served <= 105


def test_flows_that_are_gone_are_forgotten() -> None:
    queue: FairQueue[None] = FairQueue()
    for number in range(1_000):
        queue.push(str(number), 1, 1, None)
        queue.pop()
    assert not queue._flows
    for _ in range(3_000):
        queue.push("a", 1, 1, None)
    for number in range(1_000):
        queue.push(str(number), 1, 1, None)
        queue.pop()
        queue.pop()
        assert len(queue._flows) <= 5


def next_of(queue: FairQueue[None]) -> str:
    found = queue.pop()
    assert found is not None
    return found[0].key


def test_an_expensive_one_takes_no_more_than_a_cheap_one() -> None:
    queue: FairQueue[None] = FairQueue()
    for _ in range(100):
        queue.push("large", 1, MOST_COST, None)
        for _ in range(MOST_COST):
            queue.push("small", 1, 1, None)
    served = {"large": 0, "small": 0}
    for _ in range(17 * 40):
        found = queue.pop()
        assert found is not None
        served[found[0].key] += MOST_COST if found[0].key == "large" else 1
    assert abs(served["large"] - served["small"]) <= 2 * QUANTUM + 2 * MOST_COST


@pytest.mark.parametrize(("weight", "cost"), [(0, 1), (1, 0), (1, MOST_COST + 1)])
def test_senseless_entries_are_bugs(weight: int, cost: int) -> None:
    with pytest.raises(Bug):
        FairQueue[None]().push("a", weight, cost, None)


@given(steps, weights, st.sets(st.sampled_from(FLOWS)))
def test_flows_that_are_passed_over_wait_and_lose_nothing(
    steps: list[tuple[str, int] | None], weights: dict[str, int], passed: set[str]
) -> None:
    queue: FairQueue[int] = FairQueue()
    waiting: dict[str, list[int]] = defaultdict(list)
    for number, step in enumerate(steps):
        if step is not None:
            queue.push(step[0], weights[step[0]], step[1], number)
            waiting[step[0]].append(number)
        else:
            found = queue.pop(passed.__contains__)
            assert (found is None) == (not any(waiting[flow] for flow in FLOWS if flow not in passed))
            if found is not None:
                assert found[0].key not in passed
                assert waiting[found[0].key].pop(0) == found[1]
    while (found := queue.pop()) is not None:
        assert waiting[found[0].key].pop(0) == found[1]
    assert not any(waiting.values())
