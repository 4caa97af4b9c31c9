"""Thousands of simulated courses of events; and each rule of the protocol left out in turn, which must be found."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import eventual
import mutants
import scenario
from courses import POINTS, Directed, Settings

HERE = Path(__file__).parent
#: Of each kind; `make soak` plays 10,000.
COURSES = 300
EVENTUAL_COURSES = 80
JOBS = 2


def soaked(first: int, last: int, *without: str) -> dict:
    """Play courses in processes of their own; returns the summary."""
    command = [sys.executable, str(HERE / "soak.py"), str(first), str(last), "--jobs", str(JOBS), "--without", *without]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    *problems, summary = done.stdout.splitlines()
    assert not problems, "\n".join(problems[:3])
    return json.loads(summary)


@pytest.mark.timeout(900)
def test_the_guarantees_hold_whatever_happens() -> None:
    summary = soaked(0, COURSES)
    assert summary["courses"] == COURSES
    assert set(POINTS) <= set(summary["points"])  # each fault point was reached
    moves = summary["moves"]
    assert min(moves.get(end, 0) for end in ("done", "cancelled", "rolled-back")) > COURSES / 20, moves


@pytest.mark.timeout(900)
def test_copy_and_log_are_right_without_the_comparison_that_would_heal() -> None:
    summary = soaked(COURSES, 2 * COURSES, "verifying")
    assert summary["moves"]["done"] > COURSES


def test_the_same_seed_gives_the_same_course() -> None:
    one, two = scenario.play(4), scenario.play(4)
    assert one.trace == two.trace
    assert len(one.trace) > 50


@pytest.mark.timeout(300)
def test_the_guarantees_hold_on_stores_that_give_no_help() -> None:
    ends = Counter()
    for seed in range(EVENTUAL_COURSES):
        outcome = scenario.play(seed, eventual.settings_for(seed), kind=eventual.EventualCourse)
        assert not outcome, f"seed {seed}: {outcome[0]}"
        ends.update(outcome.moves)
    assert ends["done"] > EVENTUAL_COURSES, ends


def slow_pages(seed: int) -> dict:
    """Pages that take long between being read and being written, under many writers."""
    return {
        "settings": Settings(seed, kills=0, suspensions=0, wishes=False, clients=6),
        "directed": Directed("copy.page-read", 1 + seed % 3, "delay", 0.3),
    }


def ambushed(seed: int) -> dict:
    """Routers that stand still between asking for a route and writing to it, until they are given up."""
    return {"settings": Settings(seed, rounds_s=6.0, kills=0, suspensions=0, ambushes=3, wishes=False)}


def crowded(seed: int) -> dict:
    """Many writers, and the moves as they are meant to go."""
    return {"settings": Settings(seed, kills=0, suspensions=0, wishes=False, clients=8)}


def sharing(seed: int) -> dict:
    """Routers that keep one route each and share theirs; some of them are young."""
    return {"settings": Settings(seed, routes=1, shared=True, kills=2, wishes=False)}


def as_it_comes(seed: int) -> dict:
    return {}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("rule", "courses", "course"),
    [
        ("R1", 80, ambushed),
        ("R2", 40, as_it_comes),
        ("R3", 160, crowded),
        ("R4", 120, slow_pages),
        ("R5", 120, crowded),
        ("R6", 60, crowded),
        ("moments", 200, sharing),
        ("floors", 200, sharing),
    ],
)
def test_leaving_out_a_rule_is_found(rule: str, courses: int, course) -> None:
    with mutants.mutated(mutants.RULES[rule], mutants.without_verifying):
        for seed in range(courses):
            if any("must not" in problem for problem in scenario.play(seed, **course(seed))):
                return
    raise AssertionError(f"{courses} courses without {rule}, and nothing was wrong")
