"""Hundreds of simulated courses with a roll-up; and what keeps it right left out in turn, which must be found."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import mutants
import rolled
import scenario
from courses import Directed

COURSES = 60
#: Within so many courses each omission must be found.
ENOUGH = 100
NOTHING = Directed("none", 1, "fail", 0.0)


def play(seed: int, seen: Counter | None = None) -> scenario.Outcome:
    def course(settings):
        made.append(rolled.RolledCourse(settings))
        return made[0]

    made: list[rolled.RolledCourse] = []
    outcome = scenario.play(seed, rolled.settings_for(seed), rolled.directed_for(seed) or NOTHING, kind=course)
    if seen is not None:
        seen.update(searches=made[0].found_rolled, done=outcome.moves.get("done", 0))
        seen.update(outcome.points & set(rolled.POINTS))
    return outcome


@pytest.mark.timeout(300)
def test_it_is_as_fresh_as_it_says_and_right_in_the_end() -> None:
    seen = Counter()
    for seed in range(COURSES):
        outcome = play(seed, seen)
        assert not outcome, f"seed {seed}: {outcome[0]}"
    assert seen["searches"] > 20 * COURSES, seen
    assert seen["done"] > COURSES, seen
    assert all(seen[point] == COURSES for point in rolled.POINTS), seen


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mutant", rolled.MUTANTS, ids=lambda mutant: mutant.__name__)
def test_what_is_left_out_is_found(mutant) -> None:
    with mutants.mutated(mutant):
        assert any(play(seed) for seed in range(ENOUGH))
