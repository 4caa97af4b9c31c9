"""Clusters for the planner, made by seed, and the exact optimum of its objective by HiGHS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from tenantry.control.planner.balance import settled
from tenantry.control.planner.goals import GOAL_WEIGHTS
from tenantry.control.planner.picture import picture_of
from tenantry.control.planner.problem import Problem, balancing
from tenantry.model.plan import Aim, PlanOptions, PlanView, TenantLoad
from tenantry.model.topology import ClusterView, Shard, ShardView, TenantSpec

BYTES_A_VECTOR = 3_200
TIME_LIMIT_S = 20.0
REGIONS = ("eu", "us")


def skewed(seed: int, tenants: int, shards: int, *, ruled: bool = False) -> PlanView:
    """Lognormal sizes and loads; the first shard drew three times as many tenants as another. With ``ruled``, some
    tenants want a region, some are pinned, and shards have limits and different weights."""
    chance = np.random.default_rng(seed)
    drawn = np.ones(shards)
    drawn[0] = 3.0
    home = chance.choice(shards, tenants, p=drawn / drawn.sum())
    vectors = np.ceil(chance.lognormal(8, 1, tenants)).astype(int)
    load = vectors / 1_000 * chance.lognormal(0, 0.6, tenants)
    count = np.bincount(home, minlength=shards)
    stored = np.bincount(home, weights=vectors, minlength=shards)
    region = [REGIONS[n % 2] if ruled else None for n in range(shards)]
    weight = chance.choice([1.0, 1.0, 2.0], shards) if ruled else np.ones(shards)
    most = np.maximum(count, np.ceil(1.6 * tenants / shards)) / 0.9 + 1
    views = tuple(
        ShardView(
            Shard(
                "docs",
                f"shard-{n:05}",
                "embedded",
                weight=float(weight[n]),
                region=region[n],
                tenants=int(count[n]),
                max_tenants=int(most[n]) if ruled else None,
            ),
            int(stored[n]),
        )
        for n in range(shards)
    )
    wanted = chance.random(tenants) if ruled else np.ones(tenants)
    loads = tuple(
        TenantLoad(
            f"tenant-{n:07}",
            f"shard-{at:05}",
            int(vectors[n]),
            int(vectors[n]) * BYTES_A_VECTOR,
            float(load[n]),
            TenantSpec(
                shard=f"shard-{at:05}" if wanted[n] < 0.1 else None, region=region[at] if wanted[n] > 0.8 else None
            )
            if ruled
            else TenantSpec(),
        )
        for n, at in enumerate(home.tolist())
    )
    return PlanView(ClusterView("docs", views), loads, 0.0)


def problem_of(view: PlanView) -> Problem:
    return balancing(picture_of(view, PlanOptions(max_moves=1_000), Aim.BALANCE))


@dataclass(frozen=True)
class Compared:
    """One instance: the objective as it stands, as the planner leaves it, and at its optimum."""

    before: float
    found: float
    optimum: float
    moves: int
    optimal_moves: int
    proven: bool

    @property
    def ratio(self) -> float:
        return self.found / self.optimum if self.optimum > 1e-9 else 1.0 + (self.found > 1e-9)


def compared(view: PlanView, time_limit_s: float = TIME_LIMIT_S) -> Compared:
    problem = problem_of(view)
    assign = settled(problem)
    best, proven = exact(problem, time_limit_s)
    return Compared(
        problem.objective(problem.home),
        problem.objective(assign),
        problem.objective(best),
        int((assign != problem.home).sum()),
        int((best != problem.home).sum()),
        proven,
    )


def exact(problem: Problem, time_limit_s: float) -> tuple[np.ndarray, bool]:
    """The best assignment by mixed-integer programming, and whether it was proven (to 0.1%) in time.

    Variables: y[tenant, member] in {0, 1}, over[member, goal] >= 0, peak[goal] >= 0.
    """
    t, s, g = len(problem.tenants), len(problem.members), len(GOAL_WEIGHTS)
    y, over, peak = np.arange(t * s).reshape(t, s), t * s + np.arange(s * g).reshape(s, g), t * s + s * g + np.arange(g)
    size = t * s + s * g + g
    cost, upper, whole = np.zeros(size), np.full(size, np.inf), np.zeros(size)
    at_home = np.arange(s)[None, :] == problem.home[:, None]
    cost[y] = np.where(at_home, 0.0, problem.cost[:, None])
    upper[y], whole[y] = np.where(at_home | problem.allowed[problem.kind], 1, 0), 1
    cost[over], cost[peak] = np.array(GOAL_WEIGHTS), GOAL_WEIGHTS
    rest = problem.x.copy()
    np.subtract.at(rest, problem.home, problem.share)
    rows: list[tuple[list[tuple[np.ndarray, np.ndarray]], float, float]] = []
    rows += [([(y[n], np.ones(s))], 1, 1) for n in range(t)]
    for m in range(s):
        for k in range(g):
            limit = problem.measure.limit[m] - rest[m, k]
            rows.append(([(y[:, m], problem.share[:, k]), (over[m, k : k + 1], np.array([-1.0]))], -np.inf, limit))
            rows.append(
                (
                    [(over[m, k : k + 1], np.ones(1)), (peak[k : k + 1], np.array([-problem.measure.fair[m]]))],
                    -np.inf,
                    0,
                )
            )
        if np.isfinite(problem.most_tenants[m]):
            others = problem.count[m] - (problem.home == m).sum()
            rows.append(([(y[:, m], np.ones(t))], -np.inf, problem.most_tenants[m] - others))
    data = np.concatenate([values for terms, _, _ in rows for _, values in terms])
    column = np.concatenate([index for terms, _, _ in rows for index, _ in terms])
    row = np.concatenate([np.full(len(index), n) for n, (terms, _, _) in enumerate(rows) for index, _ in terms])
    matrix = csr_array((data, (row, column)), shape=(len(rows), size))
    bounds = LinearConstraint(matrix, [low for _, low, _ in rows], [high for _, _, high in rows])
    options = {"time_limit": time_limit_s, "mip_rel_gap": 1e-3}
    done = milp(cost, constraints=bounds, bounds=Bounds(0, upper), integrality=whole, options=options)
    return done.x[y].argmax(axis=1), done.status == 0
