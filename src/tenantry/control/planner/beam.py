"""Search for small problems: many states at once, each level one move further, the best kept.

Where a greedy search takes the first good move, this one finds the two middling moves that are better together, and so
comes close to the exact optimum (the tests compare).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tenantry.control.planner.goals import NO_GAIN
from tenantry.control.planner.picture import Numbers, Places
from tenantry.control.planner.problem import Problem, States, objective_after

#: Tenants times members: above that the search is `descent`.
MOST_SINGLE_MOVES = 6_000
WORK_PER_LEVEL = 200_000
WIDEST = 384
NARROWEST = 4
PATIENCE = 5
CHILDREN_LOOKED_AT = 8
_MIX = np.uint64(0x9E3779B97F4A7C15)

Marks = NDArray[np.uint64]


def beam(problem: Problem) -> Places:
    """Where each tenant should be; no worse than where it is."""
    states = States.at_home(problem)
    best, lowest = problem.home, problem.objective(problem.home)
    while True:
        found, value = _levels(problem, states)
        if value >= lowest - NO_GAIN:
            return best
        best, lowest = found.assign[0], value
        states = found


def _levels(problem: Problem, states: States) -> tuple[States, float]:
    """The best state that one widening search from these comes to, and its objective."""
    everyone, everywhere = np.arange(len(problem.tenants)), np.arange(len(problem.members))
    width = int(np.clip(WORK_PER_LEVEL // max(1, len(everyone) * len(everywhere)), NARROWEST, WIDEST))
    marks = _marks(problem)
    best, lowest, since = states, np.inf, 0
    seen: set[int] = set()
    while since < PATIENCE:
        values = objective_after(problem, states, everyone, everywhere)
        chosen = _different(problem, states, values, marks, width, seen)
        if not chosen:
            break
        states = states.pick(np.array([row for row, _, _ in chosen]))
        for n, (_, tenant, target) in enumerate(chosen):
            states.move(problem, n, tenant, target)
        value = float(values[chosen[0]])
        since += 1
        if value < lowest - NO_GAIN:
            best, lowest, since = states.pick(np.array([0])), value, 0
    return best, float(lowest)


def _different(
    problem: Problem, states: States, values: Numbers, marks: Marks, width: int, seen: set[int]
) -> list[tuple[int, int, int]]:
    """The best moves (state, tenant, target) that lead to states not seen before, at most ``width``."""
    flat = values.ravel()
    some = min(width * CHILDREN_LOOKED_AT, flat.size)
    if not some:
        return []
    bound = np.partition(flat, some - 1)[some - 1]
    near = np.flatnonzero(flat <= bound)
    order = near[np.argsort(flat[near], kind="stable")][:some]
    rows, tenants, targets = np.unravel_index(order[np.isfinite(flat[order])], values.shape)
    here = marks[np.arange(len(problem.tenants))[None], states.assign].sum(axis=1, dtype=np.uint64)
    after = here[rows] - marks[tenants, states.assign[rows, tenants]] + marks[tenants, targets]
    chosen = []
    for mark, row, tenant, target in zip(
        after.tolist(), rows.tolist(), tenants.tolist(), targets.tolist(), strict=True
    ):
        if mark not in seen:
            seen.add(mark)
            chosen.append((row, tenant, target))
            if len(chosen) == width:
                break
    return chosen


def _marks(problem: Problem) -> Marks:
    """A number for each tenant and member, the same for like tenants: the sum over tenants tells states apart,
    and takes as one the states that differ only in which of two like tenants has moved."""
    like = np.column_stack(
        [problem.share, problem.cost, problem.room, problem.expected, problem.kind, problem.home, problem.bytes]
    )
    _, sort = np.unique(like, axis=0, return_inverse=True)
    members = len(problem.members)
    number = sort.reshape(-1, 1) * members + np.arange(members) + 1
    mixed: Marks = number.astype(np.uint64) * _MIX
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
