"""Many courses of events, one after another: ``soak.py FROM TO [--without NAME...] [--jobs N]``.

Prints one line of JSON for each course that went wrong, then a summary. ``--without verifying`` takes away the
comparison of both sides, so that copy and log alone must be right; ``--without r1`` to ``r6`` leaves out a rule.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import mutants
import scenario


def soak(first: int, last: int, without: list[str]) -> dict:
    """Play the courses; returns the summary."""
    wrong, points, moves = [], set(), Counter()
    with mutants.mutated(*(getattr(mutants, f"without_{name}") for name in without)):
        for seed in range(first, last):
            try:
                outcome = scenario.play(seed)
            except Exception as error:  # a course that breaks the simulation itself is wrong too
                wrong.append(seed)
                print(json.dumps({"seed": seed, "problems": [repr(error)]}), flush=True)
                continue
            points |= outcome.points
            moves.update(outcome.moves)
            if outcome:
                wrong.append(seed)
                print(json.dumps({"seed": seed, "problems": list(outcome)[:3]}), flush=True)
    return {"courses": last - first, "wrong": wrong, "points": sorted(points), "moves": dict(moves)}


def spread(first: int, last: int, without: list[str], jobs: int) -> int:
    """The same, in several processes."""
    step = -(-(last - first) // jobs)
    parts = [(start, min(start + step, last)) for start in range(first, last, step)]
    running = [
        subprocess.Popen([sys.executable, __file__, str(a), str(b), "--without", *without], stdout=subprocess.PIPE)
        for a, b in parts
    ]
    total = {"courses": 0, "wrong": [], "points": set(), "moves": Counter()}
    for one in running:
        told, _ = one.communicate()
        *problems, summary = told.decode().splitlines() or ["{}"]
        for problem in problems:
            print(problem)
        part = json.loads(summary)
        total["courses"] += part["courses"]
        total["wrong"] += part["wrong"]
        total["points"] |= set(part["points"])
        total["moves"].update(part["moves"])
    print(json.dumps({**total, "points": sorted(total["points"]), "moves": dict(total["moves"])}))
    return 1 if total["wrong"] else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("--without", nargs="*", default=[])
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    if given.jobs > 1:
        return spread(given.first, given.last, given.without, given.jobs)
    summary = soak(given.first, given.last, given.without)
    print(json.dumps(summary))
    return 1 if summary["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
