"""Searches the model of a move with SPIN: the model itself must hold, and each variant with a rule left out must not.

``python spec/check.py`` takes about a minute on two cores and under 2 GiB; ``--full`` searches wider bounds and takes
some ten minutes and up to 6 GiB. ``--trace FOLLOW`` shows how a variant goes wrong, step by step. Exits with 1 when
anything is not as it must be, with 2 when SPIN or a C compiler is missing.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

MODEL = Path(__file__).resolve().parent / "move.pml"
AT_ONCE = 2
#: Bounds of the variants: the smallest that find every one of them.
SMALL = {"WRITES": 2}
DEPTH = 10_000
LIMIT_MIB = 1_000
LIMIT_FULL_MIB = 8_000

#: What is left out in the variant ``BUG_<name>``.
VARIANTS: Mapping[str, str] = {
    "R1": "a router acknowledges a write without looking at its lease",
    "R1_READ": "a router answers a read without looking at its lease",
    "R2": "s0 is taken before the barrier has passed",
    "R3": "what was logged before s0 counts as captured",
    "R4": "the copier reads in one step and writes in another",
    "R5": "the flip drains only the authoritative side",
    "R6": "while old routes are about, the authoritative side's word is enough",
    "SETTLE": "no barrier after the flip",
    "CAPTURE_ACK": "in CAPTURE, acknowledged before the mark is saved",
    "CLOSE_ACK": "in CLOSE, acknowledged before the mark is saved",
    "REPLAY": "a new owner replays entry by entry to the authoritative side",
    "FOLLOW": "a new owner feeds the other side before the leading one has caught up",
    "OWNER": "a new owner does not wait until the last call of the old one has ended",
    "TOUCHED": "a new owner copies what the log has touched",
}

#: Bounds under which the model itself is searched.
BOUNDS: Mapping[str, Mapping[str, int]] = {
    "model": {"WRITES": 3},
    "model, two ids": {"WRITES": 2, "IDS": 2},
}
BOUNDS_FULL: Mapping[str, Mapping[str, int]] = {
    "model, two of each": {"WRITES": 3, "CRASHES": 2, "LAPSES": 2},
    "model, two ids, two of each": {"WRITES": 2, "IDS": 2, "CRASHES": 2, "LAPSES": 2},
    "model, four writes, no crash": {"WRITES": 4, "CRASHES": 0, "LAPSES": 1},
}


class ToolMissingError(Exception):
    """SPIN or a C compiler is not installed; the message says how to get it."""


@dataclass(frozen=True)
class Result:
    """What one search found.

    Attributes:
        complete: every state within the bounds was visited, each stored exactly.
        errors: violations found; the search stops at the first.
        violated: what did not hold, as SPIN says it; empty without errors.
    """

    name: str
    complete: bool
    errors: int
    violated: str
    states: int
    depth: int
    memory_mib: float
    seconds: float

    @property
    def as_expected(self) -> bool:
        """The model holds and was searched to the end; a variant does not hold."""
        return self.errors > 0 if self.name in VARIANTS else self.complete and self.errors == 0


def tools() -> None:
    """Raises ToolMissingError."""
    for program in ("spin", "gcc"):
        if shutil.which(program) is None:
            raise ToolMissingError(f"no {program} to check the model with: apt-get install spin gcc libc6-dev")


def search(name: str, bounds: Mapping[str, int], limit_mib: int = LIMIT_MIB, *, trace: bool = False) -> Result:
    """Search one form of the model. Raises RuntimeError when it cannot be compiled or searched."""
    defines = [f"-D{key}={value}" for key, value in bounds.items()]
    if name in VARIANTS:
        defines.append(f"-DBUG_{name}")
    with tempfile.TemporaryDirectory(prefix="tenantry-spec-") as folder:
        _run(["spin", "-a", *defines, str(MODEL)], folder)
        optimised = "-O1" if name in VARIANTS else "-O2"
        options = ["-DSAFETY", "-DCOLLAPSE", f"-DMEMLIM={limit_mib}"]
        _run(["gcc", optimised, "-w", *options, "-o", "pan", "pan.c"], folder)
        began = time.monotonic()
        said = _run(["./pan", f"-m{DEPTH}"], folder)
        seconds = time.monotonic() - began
        if trace and (Path(folder) / f"{MODEL.name}.trail").exists():
            steps = _run(["spin", "-t", "-p", "-g", "-k", f"{MODEL.name}.trail", *defines, str(MODEL)], folder, (0, 1))
            sys.stdout.write(steps)
    return _read(name, said, seconds)


def _run(command: Sequence[str], folder: str, codes: Sequence[int] = (0,)) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603  # ours
    if done.returncode not in codes:
        raise RuntimeError(f"{' '.join(command)} failed with {done.returncode}:\n{done.stdout}\n{done.stderr}"[-4000:])
    return done.stdout + done.stderr


def _read(name: str, said: str, seconds: float) -> Result:
    def number(pattern: str) -> float:
        found = re.search(pattern, said)
        if found is None:
            raise RuntimeError(f"the search of {name} said something else than expected:\n{said}"[-4000:])
        return float(found[1])

    cut_short = ("Search not completed", "max search depth too small", "MEMLIM", "out of memory", "hash-compact")
    violated = re.search(r"^pan:\d+: (.+?)(?: \(at depth \d+\))?$", said, flags=re.MULTILINE)
    return Result(
        name=name,
        complete="Full statespace search" in said and not any(words in said for words in cut_short),
        errors=int(number(r"errors: (\d+)")),
        violated="" if violated is None else violated[1],
        states=int(number(r"(\S+) states, stored")),
        depth=int(number(r"depth reached (\d+)")),
        memory_mib=number(r"(\S+)\s+total actual memory usage"),
        seconds=seconds,
    )


def everything(*, full: bool = False) -> list[Result]:
    """The model and all variants, two at a time; wide bounds one after the other, for they need the memory."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        variants = threads.map(lambda name: search(name, SMALL), VARIANTS)
        if not full:
            models = list(threads.map(lambda name: search(name, BOUNDS[name]), BOUNDS))
            return models + list(variants)
        found = list(variants)
    return [search(name, bounds, LIMIT_FULL_MIB) for name, bounds in BOUNDS_FULL.items()] + found


def _report(results: Sequence[Result]) -> None:
    row = "{:<32} {:>12} {:>6} {:>8} {:>7}  {}\n"
    sys.stdout.write(row.format("", "states", "depth", "MiB", "s", "outcome"))
    for result in results:
        outcome = "does not hold" if result.errors else "holds"
        if not result.errors and not result.complete:
            outcome = "not searched to the end"
        if not result.as_expected:
            outcome += "  <-- NOT AS EXPECTED"
        states, memory, seconds = f"{result.states:,}", f"{result.memory_mib:,.0f}", f"{result.seconds:.1f}"
        sys.stdout.write(row.format(_label(result.name), states, result.depth, memory, seconds, outcome))


def _label(name: str) -> str:
    return f"without {name}" if name in VARIANTS else name


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--full", action="store_true", help="wider bounds")
    parser.add_argument("--trace", choices=sorted(VARIANTS), help="show how this variant goes wrong")
    given = parser.parse_args()
    try:
        tools()
    except ToolMissingError as missing:
        sys.stderr.write(f"{missing}\n")
        return 2
    if given.trace:
        search(given.trace, SMALL, trace=True)
        return 0
    results = everything(full=given.full)
    _report(results)
    return 0 if all(result.as_expected for result in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
