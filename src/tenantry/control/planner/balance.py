"""Even out the shards: search, then order the moves so that each finds room."""

from __future__ import annotations

import numpy as np

from tenantry.control.planner.beam import MOST_SINGLE_MOVES, beam
from tenantry.control.planner.descent import descent
from tenantry.control.planner.figures import Step
from tenantry.control.planner.goals import NO_GAIN
from tenantry.control.planner.hard import Ledger
from tenantry.control.planner.picture import Picture, Places
from tenantry.control.planner.problem import Problem, States, balancing, objective_after

MOST_ROUNDS = 20
#: Up to so many moves are put in the order of what each brings.
MOST_SORTED = 200


def balance(picture: Picture) -> tuple[list[Step], int]:
    """The moves, in order, and how many more would help but must wait until these are done."""
    problem = balancing(picture)
    if not len(problem.tenants) or len(problem.members) < 2:
        return [], 0
    assign = settled(problem)
    moved = np.flatnonzero(assign != problem.home)
    wanted = [(int(problem.tenants[n]), int(problem.members[assign[n]])) for n in _useful_first(problem, assign, moved)]
    steps = in_order(picture, wanted)
    kept = dict(steps)
    final = problem.home.copy()
    for n in moved:
        if int(problem.tenants[n]) in kept:
            final[n] = assign[n]
    if problem.objective(final) >= problem.objective(problem.home) - NO_GAIN:
        return [], len(wanted)
    return steps, len(wanted) - len(steps)


def settled(problem: Problem) -> Places:
    """Search until a search from where it ended finds nothing more, so that the next plan leaves all as it is.

    What is found from there is better here too: moving a tenant straight costs no more than by way of a first target.
    """
    search = beam if len(problem.tenants) * len(problem.members) <= MOST_SINGLE_MOVES else descent
    assign = search(problem)
    for _ in range(MOST_ROUNDS):
        further = search(problem.started_from(assign))
        if (further == assign).all() or not _within_limits(problem, further):
            break
        assign = further
    return assign


def _within_limits(problem: Problem, assign: Places) -> bool:
    moved = assign != problem.home
    return bool(moved.sum() <= problem.max_moves and problem.bytes[moved].sum() <= problem.max_bytes)


def _useful_first(problem: Problem, assign: Places, moved: Places) -> Places:
    """The moves in the order of what they bring, so that a plan that is broken off has done the best part."""
    if len(moved) > MOST_SORTED:
        return moved
    states, left, order = States.at_home(problem), moved, []
    while len(left):
        targets = np.unique(assign[left])
        values = objective_after(problem, states, left, targets)[0]
        mine = values[np.arange(len(left)), np.searchsorted(targets, assign[left])]
        best = int(mine.argmin())
        states.move(problem, 0, int(left[best]), int(assign[left[best]]))
        order.append(int(left[best]))
        left = np.delete(left, best)
    return np.array(order, dtype=np.int64)


def in_order(picture: Picture, wanted: list[Step]) -> list[Step]:
    """As many of the moves as find room one after the other; those without room wait for others to make some."""
    ledger = Ledger(picture.shards, picture.options.fill)
    steps: list[Step] = []
    left = wanted
    while left:
        waiting = []
        for tenant, target in left:
            if ledger.against(picture.tenants[tenant], target) is None:
                ledger.move(picture.tenants[tenant], int(picture.home[tenant]), target)
                steps.append((tenant, target))
            else:
                waiting.append((tenant, target))
        if len(waiting) == len(left):
            break
        left = waiting
    return steps
