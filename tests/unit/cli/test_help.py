"""Help that teaches, fits a terminal and comes at once; the reference made of it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from tenantry.cli.main import ORDER, build
from tenantry.cli.reference import reference
from tenantry.version import __version__

ROOT = Path(__file__).parents[3]
HEAVY = ("numpy", "sqlalchemy", "faiss", "httpx", "pydantic", "starlette", "uvicorn", "wordllama", "asyncio")


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


ALL = dict(commands(get_command(build())))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
@pytest.mark.parametrize("columns", ["80", "120"])
def test_help_fits_and_teaches(cli, monkeypatch, path, columns):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TERMINAL_WIDTH", columns)
    done = cli(*path, "--help")
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= int(columns)
    assert "…" not in done.out
    if not hasattr(ALL[path], "commands"):
        assert "Examples" in done.out
        assert f"$ tenantry {' '.join(path)}" in done.out or path == ("upsert",) or "completion" in path


def test_every_command_has_its_place_in_the_help():
    assert set(ALL[()].commands) <= set(ORDER)


@pytest.mark.parametrize("arguments", [(), ("shard",), ("tenant",)])
def test_a_group_alone_shows_its_help_and_is_no_success(cli, arguments):
    done = cli(*arguments)
    assert done.code == 2
    assert "Usage: tenantry" in done.out


@pytest.mark.parametrize(
    ("arguments", "said", "where"),
    [
        (("shrad", "list"), "no such command 'shrad'", "tenantry --help"),
        (("shard", "lst"), "no such command 'lst'", "tenantry shard --help"),
        (("shard", "list", "--jsno"), "no such option", "tenantry shard list --help"),
        (("tenant", "show"), "missing argument 'NAME'", "tenantry tenant show --help"),
        (("tenant", "show", "a", "b"), "unexpected extra argument", "tenantry tenant show --help"),
        (("search", "a", "b", "--top-k", "many"), "--top-k", "tenantry search --help"),
        (("completion", "tcsh"), "no completion for 'tcsh'", "bash, zsh, fish"),
    ],
)
def test_wrong_usage_is_two_lines(cli, arguments, said, where):
    done = cli(*arguments)
    assert done.code == 2
    assert done.out == ""
    error, hint = done.err.splitlines()
    assert error.startswith("error: ")
    assert said in error
    assert where in hint


def test_version(cli):
    assert cli("--version").out == f"{__version__}\n"
    assert cli("version").out == f"{__version__}\n"
    assert cli("version", "--json").json == {"version": __version__}


def test_help_imports_nothing_heavy():
    script = "import sys; from tenantry.cli.main import run; run(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert set(HEAVY) & set(done.stderr.split()) == set()


@pytest.mark.parametrize(("typed", "offered"), [("tenantry sha", "shard"), ("tenantry tenant su", "suspend")])
def test_shell_completion(typed, offered):
    asked = {"_TENANTRY_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    program = [sys.executable, "-m", "tenantry"]
    done = subprocess.run(program, env=os.environ | asked, capture_output=True, text=True, check=False)
    assert done.stdout.split() == [offered]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_scripts(cli, shell):
    done = cli("completion", shell)
    assert done.code == 0
    assert "_TENANTRY_COMPLETE" in done.out


def test_the_entry_point_is_the_program():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"tenantry": "tenantry.cli.main:main"}


def test_the_reference_is_up_to_date():
    stored = (ROOT / "docs" / "reference" / "cli.md").read_text()
    assert stored == reference(), "run `python -m tenantry.cli.reference > docs/reference/cli.md`"


def test_the_reference_names_every_command_and_option():
    page = reference()
    for path, command in ALL.items():
        if hasattr(command, "commands"):
            continue
        assert f"## `tenantry {' '.join(path)}`" in page
        for parameter in command.params:
            for option in getattr(parameter, "opts", ()):
                if option.startswith("--") and option != "--help":
                    assert option in page
