"""The auto-pilot on the command line, on a real folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tenantry.cli.main import run as run_program

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run the program on one folder: exit code, stdout, stderr."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TENANTRY_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("TENANTRY_URL", raising=False)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run_program(["autopilot", *arguments])
        shown = capsys.readouterr()
        return int(code), shown.out, shown.err

    assert run_program(["init", "--dimension", "3"]) == 0
    capsys.readouterr()
    return call


def test_it_is_off_then_observes_then_is_on_then_off(ask: Ask) -> None:
    assert ask("status")[1].startswith("the auto-pilot is off\n")
    code, out, _ = ask("observe", "--window", "Sat 02:00-05:00", "--bytes-per-hour", "5GiB", "--tenant-cool-down", "7d")
    assert code == 0
    assert out.startswith("the auto-pilot observes: it writes down what it would do, and does nothing\n")
    shown = {line.split("  ")[0]: line.split("  ", 1)[1].strip() for line in out.splitlines()[1:]}
    assert shown["windows"] == "Sat 02:00-05:00"
    assert shown["now"].startswith(("closed; the next window opens 20", "a window is open until 20"))
    assert shown["copied"] == "0 B of 5.0 GiB in the last hour"
    assert shown["tenants rest"] == "7 d"
    code, out, _ = ask("on", "--yes", "--bytes-per-hour", "none", "--json")
    policy = json.loads(out)["policy"]
    assert (code, policy["stance"], policy["bytes_per_hour"], policy["tenant_cool_down_s"]) == (0, "on", None, 604_800)
    assert ask("off")[1].startswith("the auto-pilot is off\n")
    assert "nothing yet" in "".join(ask("history")[1:])
    assert json.loads(ask("history", "--json")[1]) == {"entries": []}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["on", "--yes"], 1, "windows: got 'none'; allowed: at least one, such as 'Sat 02:00-05:00 UTC', or 'always'"),
        (["on", "--window", "always"], 2, "this needs confirmation"),
        (["observe", "--window", "Sam 02:00-05:00"], 1, "windows: got 'Sam 02:00-05:00'; allowed: days among Mon"),
        (["observe", "--moves-per-hour", "101"], 1, "moves_per_hour: got 101; allowed: 1 to 100"),
        (["observe", "--bytes-per-hour", "5x"], 2, "--bytes-per-hour '5x' is not a whole number"),
        (["observe", "--shard-cool-down", "soon"], 2, "--shard-cool-down"),
    ],
)
def test_what_is_wrong_is_said_and_changes_nothing(ask: Ask, arguments: list[str], code: int, said: str) -> None:
    ended, _, err = ask(*arguments)
    assert (ended, said in err) == (code, True), err
    assert json.loads(ask("status", "--json")[1])["policy"]["stance"] == "off"
