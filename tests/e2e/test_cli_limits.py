"""Plans of tenants and usage on the command line, on a real folder."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tenantry.cli.main import run as run_program

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run the program on one folder: exit code, stdout, stderr."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TENANTRY_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("TENANTRY_URL", raising=False)

    def call(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
        code = run_program(list(arguments))
        shown = capsys.readouterr()
        return int(code), shown.out, shown.err

    assert call("init", "--dimension", "3")[0] == 0
    return call


def lines(count: int) -> str:
    return "".join(json.dumps({"id": f"v{number}", "values": [1, 0, number]}) + "\n" for number in range(count))


def test_a_plan_is_made_given_and_held_to(ask: Ask) -> None:
    code, out, err = ask("plans", "list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["name", "enterprise", "free", "pro"]
    assert "no limits" in err
    code, out, _ = ask("plans", "set", "trial", "--vectors", "3", "--size", "1.5MiB", "--requests-per-s", "50")
    assert (code, out) == (0, "plan trial: 50 requests a second, any number at once, 3 vectors, 1.5 MiB, weight 1\n")
    assert ask("tenant", "create", "acme", "--plan", "trial")[0] == 0
    code, _, err = ask("upsert", "acme", "-", stdin=lines(4))
    assert code == 1
    assert "got 4 more for tenant 'acme', which stores 0; allowed: 3 in all, by plan 'trial'" in err
    assert "no records were written" in err
    assert ask("upsert", "acme", "-", stdin=lines(3))[0] == 0
    code, out, _ = ask("tenant", "show", "acme")
    shown = {line.split()[0]: line.split()[1:] for line in out.split("\n\n")[1].splitlines()}
    assert shown["vectors"] == ["3", "3", "100%"]
    assert ask("tenant", "set-plan", "acme", "pro")[0] == 0
    assert ask("upsert", "acme", "-", stdin=lines(4))[0] == 0
    code, _, err = ask("tenant", "set-plan", "acme", "gold")
    assert code == 1
    assert "plan 'gold' does not exist" in err
    shown = json.loads(ask("tenant", "show", "acme", "--json")[1])
    assert (shown["spec"]["plan"], shown["plan"]["weight"]) == ("pro", 4)
    assert ask("tenant", "set-plan", "acme", "none")[0] == 0
    assert json.loads(ask("tenant", "show", "acme", "--json")[1])["plan"]["name"] == "none"


def test_a_default_is_set_and_taken_back(ask: Ask) -> None:
    assert ask("plans", "set", "free", "--vectors", "2", "--default")[0] == 0
    assert json.loads(ask("plans", "list", "--json")[1])["default"] == "free"
    code, _, err = ask("upsert", "new", "-", stdin=lines(3))
    assert code == 1
    assert "by plan 'free'" in err
    assert json.loads(ask("tenant", "list", "--json")[1]) == []  # not even a tenant was made
    assert ask("plans", "set", "pro", "--no-default")[0] == 0
    assert json.loads(ask("plans", "list", "--json")[1])["default"] == "free"
    assert ask("plans", "set", "free", "--no-default")[0] == 0
    assert json.loads(ask("plans", "list", "--json")[1])["default"] is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["x", "--vectors", "1.5"], "--vectors '1.5' is not a whole number"),
        (["x", "--size", "3 parsecs"], "--size '3 parsecs' is not a whole number"),
        (["x", "--concurrent", "0"], "concurrent: got 0; allowed: a whole number from 1 to 100,000, or none"),
        (["Big", "--vectors", "1"], "plan: got 'Big'; allowed: 1 to 45 of a-z"),
        (["x", "--weight", "101"], "--weight"),
    ],
)
def test_a_wrong_plan_is_refused(ask: Ask, options: list[str], said: str) -> None:
    code, out, err = ask("plans", "set", *options)
    assert code in (1, 2)
    assert out == ""
    assert said in err
    assert len(json.loads(ask("plans", "list", "--json")[1])["plans"]) == 3


def test_usage_is_exported(ask: Ask, tmp_path: Path) -> None:
    for tenant, count in (("acme", 3), ("beta", 5)):
        assert ask("upsert", tenant, "-", stdin=lines(count))[0] == 0
    assert ask("query", "acme", "--vector", "[1,0,0]")[0] == 0
    code, out, _ = ask("usage", "export", "--format", "csv", "--by", "hour")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    seen: dict[str, Counter[str]] = {}
    for row in rows:  # two of a tenant when the hour ended just now
        counted = {name: int(row[name]) for name in ("queries", "writes", "vectors_upserted")}
        seen.setdefault(row["tenant"], Counter()).update(counted)
        assert row["vectors_stored"] == {"acme": "3", "beta": "5"}[row["tenant"]]
    assert seen == {
        "acme": {"queries": 1, "writes": 1, "vectors_upserted": 3},
        "beta": {"queries": 0, "writes": 1, "vectors_upserted": 5},
    }
    found: list[dict[str, Any]] = json.loads(ask("usage", "export", "--format", "json", "--tenant", "beta")[1])
    assert [row["vectors_upserted"] for row in found] == [5]
    assert json.loads(ask("usage", "export", "--json", "--from", "2001-01-01", "--to", "2001-01-02T05:00")[1]) == []
    assert "acme" in ask("usage", "export")[1]
    assert ask("usage", "export", "--format", "csv", "--out", str(tmp_path / "u.csv"))[0] == 0
    assert (tmp_path / "u.csv").read_text().startswith("start,index,tenant,queries,")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--format", "xml"], "neither csv nor json"),
        (["--by", "week"], "neither hour nor day"),
        (["--from", "yesterday"], "--from 'yesterday' is not a time"),
        (["--from", "2026-01-02", "--to", "2026-01-01"], "--to is not after --from"),
        (["--json", "--format", "csv"], "cannot be given together"),
    ],
)
def test_a_wrong_export_is_refused(ask: Ask, options: list[str], said: str) -> None:
    code, out, err = ask("usage", "export", *options)
    assert (code, out) == (2, "")
    assert said in err
