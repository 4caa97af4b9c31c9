"""Plans: time for 10,000 tenants and for a million, and how near the objective comes to the exact optimum."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np

from bench.machine import resident_bytes
from bench.measure import Context, Report
from bench.planner_cases import compared, skewed
from tenantry.control.planner import plan
from tenantry.model.plan import PlanOptions

TENANTS, SHARDS = 10_000, 100
MOST_TENANTS, MOST_SHARDS = 1_000_000, 10_000
SMALL_TENANTS, SMALL_SHARDS = 30, 4
INSTANCES = 50
MAX_SECONDS = 2.0
MAX_RATIO = 1.05


def run(context: Context) -> Report:
    report = Report("planner", "balancing plans: time, and distance from the optimum")
    _usual(report, context)
    _optimum(report, context)
    if not context.quick:
        _largest(report, context)
    report.notes.append(
        "Clusters: lognormal sizes and loads; one shard drew three times as many tenants as another. No limit on the "
        "number of moves, so each plan goes all the way."
    )
    return report


def _usual(report: Report, context: Context) -> None:
    context.say(f"{TENANTS:,} tenants on {SHARDS} shards")
    seconds, moves, skews = [], [], []
    for seed in range(context.rounds):
        view = skewed(seed, TENANTS, SHARDS)
        started = time.perf_counter()
        made = plan(view, PlanOptions(max_moves=TENANTS))
        seconds.append(time.perf_counter() - started)
        moves.append(len(made.moves))
        skews.append(max(goal.after for goal in made.goals))
    report.at_most(f"plan for {TENANTS:,} tenants on {SHARDS} shards", seconds, "s", MAX_SECONDS)
    report.info("moves of that plan", moves, "moves")
    report.info("worst skew of a goal after it (tolerance 10%)", skews, "of fair")


def _optimum(report: Report, context: Context) -> None:
    context.say(f"{INSTANCES} clusters of {SMALL_TENANTS} tenants on {SMALL_SHARDS} shards, exactly")
    found = [compared(skewed(seed, SMALL_TENANTS, SMALL_SHARDS, ruled=seed % 2 == 1)) for seed in range(INSTANCES)]
    ratios = [each.ratio for each in found]
    report.at_most("objective over the optimum, median", [float(np.median(ratios))], "x", MAX_RATIO)
    report.info("objective over the optimum, 90th percentile", [float(np.quantile(ratios, 0.9))], "x")
    report.info("objective over the optimum, most", [max(ratios)], "x")
    report.info("moves over those of the optimum", [each.moves - each.optimal_moves for each in found], "moves")
    report.notes.append(
        f"Optimum: the same objective by HiGHS, proven to 0.1% on {sum(each.proven for each in found)} of {INSTANCES}; "
        "half of the clusters have pins, regions, weights and limits of tenants."
    )
    report.extra["ratios"] = ratios


def _largest(report: Report, context: Context) -> None:
    context.say(f"{MOST_TENANTS:,} tenants on {MOST_SHARDS:,} shards in a fresh process")
    done = subprocess.run([sys.executable, "-m", "bench.planner"], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    name = f"{MOST_TENANTS:,} tenants on {MOST_SHARDS:,} shards"
    report.info(f"plan for {name}", [found["seconds"]], "s")
    report.info(f"moves of that plan, of at most {found['most_moves']:,}", [found["moves"]], "moves")
    report.info("skew of vectors before it", [found["before"]], "of fair")
    report.info("skew of vectors after it", [found["after"]], "of fair")
    report.info("memory of the view", [found["view_mb"]], "MB")
    report.info("peak memory while planning, with the view", [found["peak_mb"]], "MB")


def largest() -> dict[str, float]:
    """Plan for the largest cluster; peak memory is read from the process, so it needs one of its own."""
    import resource

    empty = resident_bytes()
    view = skewed(0, MOST_TENANTS, MOST_SHARDS)
    held = resident_bytes()
    started = time.perf_counter()
    made = plan(view, PlanOptions(max_moves=MOST_TENANTS))
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "seconds": seconds,
        "moves": len(made.moves),
        "most_moves": MOST_TENANTS,
        "before": made.goals[0].before,
        "after": made.goals[0].after,
        "view_mb": (held - empty) / 1e6,
        "peak_mb": peak / 1e6,
    }


if __name__ == "__main__":
    print(json.dumps(largest()))
