"""Search for large problems: relieve one overloaded member after the other by its best move or swap."""

from __future__ import annotations

from itertools import islice

import numpy as np

from tenantry.control.planner.goals import GOAL_WEIGHTS, NO_GAIN
from tenantry.control.planner.picture import Numbers, Places
from tenantry.control.planner.problem import Problem, States, objective_after

MOST_TARGETS = 128
MOST_FROM_ONE = 256
SWAP_TARGETS = 6
MOST_IN_A_SWAP = 24
MOST_PASSES = 6


def descent(problem: Problem) -> Places:
    """Where each tenant should be; no worse than where it is."""
    search = _Descent(problem)
    for _ in range(MOST_PASSES):
        if not search.relieve_all():
            break
    return np.asarray(search.states.assign[0])


class _Descent:
    """The one state, who is on each member, and which members are known to be stuck."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.states = States.at_home(problem)
        self.value = problem.objective(problem.home)
        self.on: list[dict[int, None]] = [{} for _ in problem.members]  # in order of arrival, unlike a set
        for tenant, member in enumerate(problem.home.tolist()):
            self.on[member][tenant] = None
        self.targets = np.flatnonzero((problem.most_tenants > 0) & problem.allowed.any(axis=0))
        self.weights = np.array(GOAL_WEIGHTS)

    def relieve_all(self) -> bool:
        """Relieve members, the worst first, until all that are over are stuck; whether anything changed."""
        stuck = np.zeros(len(self.problem.members), dtype=np.bool_)
        changed = False
        while True:
            pain = self._pain()
            pain[stuck] = 0.0
            source = int(pain.argmax()) if len(pain) else 0
            if not len(pain) or pain[source] <= NO_GAIN:
                return changed
            if self._move(source) or self._swap(source):
                changed = True
            else:
                stuck[source] = True

    def _pain(self) -> Numbers:
        """How much each member is over, in fair shares, over all goals."""
        measure = self.problem.measure
        over = np.maximum(0.0, self.states.x[0] - measure.limit[:, None]) / measure.fair[:, None]
        return np.asarray(over @ self.weights)

    def _coolest(self, source: int, many: int) -> Places:
        """The members with the least to carry for their weight that take tenants like those of the source."""
        measure = self.problem.measure
        heat = (self.states.x[0][self.targets] / measure.fair[self.targets, None]) @ self.weights
        heat[self.targets == source] = np.inf
        if len(self.targets) <= many:
            return self.targets
        kinds = np.unique(self.problem.kind[list(self.on[source])])
        chosen: list[Places] = []
        for kind in kinds[:4]:
            fit = np.flatnonzero(self.problem.allowed[kind][self.targets])
            order = np.argpartition(heat[fit], many)[:many] if len(fit) > many else np.arange(len(fit))
            chosen.append(self.targets[fit[order]])
        return np.unique(np.concatenate(chosen)) if chosen else self.targets[:0]

    def _move(self, source: int) -> bool:
        """Make the best single move off this member, if one helps."""
        rows = np.array(list(islice(self.on[source], MOST_FROM_ONE)), dtype=np.int64)
        targets = self._coolest(source, MOST_TARGETS)
        if not len(rows) or not len(targets):
            return False
        values = objective_after(self.problem, self.states, rows, targets)[0]
        n, m = divmod(int(values.argmin()), len(targets))
        if values[n, m] >= self.value - NO_GAIN:
            return False
        self._carry_out(int(rows[n]), int(targets[m]), float(values[n, m]))
        return True

    def _swap(self, source: int) -> bool:
        """Exchange two tenants of this member and a cool one, if that helps where no single move does."""
        rows = self._largest(source)
        for target in self._coolest(source, SWAP_TARGETS)[:SWAP_TARGETS]:
            if target == source or not len(rows):
                continue
            back = self._largest(int(target))
            before = objective_after(self.problem, self.states, rows, np.array([target]))[0, :, 0]
            for n in np.argsort(before, kind="stable")[:SWAP_TARGETS]:
                if not np.isfinite(before[n]) or not len(back):
                    break
                values = self._values_back(int(rows[n]), source, int(target), back)
                best = int(values.argmin())
                if values[best] < self.value - NO_GAIN:
                    self._carry_out(int(rows[n]), int(target), float(before[n]))
                    self._carry_out(int(back[best]), source, float(values[best]))
                    return True
        return False

    def _values_back(self, tenant: int, source: int, target: int, back: Places) -> Numbers:
        """The objective after this move and one back, for each that could go back; the state stays as it is."""
        both = [source, target]
        x = self.states.x[0, both].copy()  # restored as it was: adding what was taken away may round otherwise
        counted = self.states.bytes[0], self.states.cost[0]
        self.states.move(self.problem, 0, tenant, target)
        values = objective_after(self.problem, self.states, back, np.array([source]))[0, :, 0]
        self.states.move(self.problem, 0, tenant, source)
        self.states.x[0, both] = x
        self.states.bytes[0], self.states.cost[0] = counted
        return values

    def _largest(self, member: int) -> Places:
        rows = np.array(list(self.on[member]), dtype=np.int64)
        size = self.problem.share[rows] @ self.weights
        return rows[np.argsort(-size, kind="stable")[:MOST_IN_A_SWAP]]

    def _carry_out(self, tenant: int, target: int, value: float) -> None:
        del self.on[int(self.states.assign[0, tenant])][tenant]
        self.on[target][tenant] = None
        self.states.move(self.problem, 0, tenant, target)
        self.value = value
