"""The model of a move (`spec/move.pml`) holds, notices each rule that is left out, and is a model of this code."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tenantry.model.moves import ENDED, NEXT, Move, Phase, mode_of, sides
from tenantry.model.topology import Mode, Place

SPEC = Path(__file__).resolve().parents[2] / "spec"
OUTCOMES = (Phase.DONE, Phase.CANCELLED, Phase.ROLLED_BACK, Phase.FAILED)


def load_check() -> ModuleType:
    found = importlib.util.spec_from_file_location("spec_check", SPEC / "check.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules["spec_check"] = module  # dataclasses look their module up
    found.loader.exec_module(module)
    return module


check = load_check()
TEXT = (SPEC / "move.pml").read_text()


@pytest.fixture(scope="module")
def spin() -> None:
    """SPIN and a compiler. Without them the test is skipped; with ``CI=true`` it fails."""
    try:
        check.tools()
    except check.ToolMissingError as missing:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"{missing} (a missing checker fails in CI)")
        pytest.skip(str(missing))


# --------------------------------------------------------------------------------------- the search


@pytest.mark.timeout(600)
@pytest.mark.parametrize("bounds", check.BOUNDS)
def test_the_protocol_holds(spin: None, bounds: str) -> None:
    result = check.search(bounds, check.BOUNDS[bounds])
    assert result.errors == 0, result.violated
    assert result.complete
    assert result.states > 500_000


@pytest.mark.timeout(300)
@pytest.mark.parametrize("variant", check.VARIANTS)
def test_a_rule_that_is_left_out_is_noticed(spin: None, variant: str) -> None:
    result = check.search(variant, check.SMALL)
    assert result.errors == 1
    assert result.violated.startswith("assertion violated")  # and not some deadlock of the variant's own making
    assert result.as_expected


@pytest.mark.timeout(300)
def test_the_bounds_of_the_variants_find_nothing_in_the_model_itself(spin: None) -> None:
    result = check.search("model", check.SMALL)
    assert result.as_expected


def test_a_search_that_was_cut_short_does_not_count(spin: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "DEPTH", 60)
    assert not check.search("model", check.SMALL).as_expected
    monkeypatch.undo()
    result = check.search("model", check.SMALL, limit_mib=150)
    assert not result.complete
    assert not result.as_expected


@pytest.mark.parametrize("program", ["spin", "gcc"])
def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == program else f"/bin/{name}")
    with pytest.raises(check.ToolMissingError, match=program):
        check.tools()


# ---------------------------------------------------------------------------- the model is of this code


def test_phases_are_those_of_the_code() -> None:
    numbers = {name: int(number) for name, number in re.findall(r"^#define (\w+) (\d+)$", TEXT, flags=re.MULTILINE)}
    start = TEXT.index("/* Phases, as model/moves.py has them. */")
    block = TEXT[start : TEXT.index("\n\n", start)]
    names = re.findall(r"^#define (\w+) \d+$", block, flags=re.MULTILINE)
    assert names == list(Phase.__members__)
    assert [numbers[name] for name in names] == list(range(1, len(names) + 1))
    ended = re.search(r"^#define ended \(phase >= (\w+)\)$", TEXT, flags=re.MULTILINE)
    assert ended is not None
    assert {Phase[name] for name in names if numbers[name] >= numbers[ended[1]]} == ENDED


def test_steps_are_those_of_the_code() -> None:
    steps = {pair for pair in re.findall(r"\bstep\((\w+), (\w+)\)", TEXT) if pair != ("FROM", "TO")}
    wanted = {(before.name, after.name) for before, following in NEXT.items() for after in following}
    assert steps == wanted
    assert re.findall(r"\bphase = (\w+)", TEXT) == ["PREPARE", "TO"], "phases change by `step` alone"


def test_routes_are_those_of_the_code() -> None:
    rows = re.findall(r":: row\((\w+), (\w+), (\w+)\)", TEXT)
    rows_to = re.findall(r":: row_to\((\w+), (\w+), (\w+), (\w+)\)", TEXT)
    table = {(phase, outcome.name): (mode, side) for phase, mode, side in rows for outcome in OUTCOMES}
    assert len(table) == len(rows) * len(OUTCOMES)
    table |= {(phase, outcome): (mode, side) for phase, outcome, mode, side in rows_to}
    assert len(table) == (len(rows) * len(OUTCOMES)) + len(rows_to)
    assert table == {(phase.name, outcome.name): route(phase, outcome) for phase in Phase for outcome in OUTCOMES}
    assert re.findall(r"\bmode = (\w+)", TEXT)[:1] == [Mode.DIRECT.name]


def route(phase: Phase, outcome: Phase) -> tuple[str, str]:
    source, target = Place("s1", "acme"), Place("s2", "acme~2")
    move = Move("m", "main", "acme", source, target, 0.0, phase=phase, outcome=outcome)
    side = "SOURCE" if sides(move)[0] == source else "TARGET"
    return mode_of(phase).name, side


def test_every_variant_is_described() -> None:
    assert set(re.findall(r"\bBUG_(\w+)", TEXT)) == set(check.VARIANTS)
