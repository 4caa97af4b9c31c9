"""The reference of the command line, made from the commands.

``python -m tenantry.cli.reference > docs/reference/cli.md``
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from tenantry.cli import failures
from tenantry.cli.command import PANEL, PROGRAM
from tenantry.cli.main import build

HEAD = """\
# Command line

<!-- Made by `python -m tenantry.cli.reference`; do not edit. -->

Every command talks to the native API: of a running gateway with `--url` (or `TENANTRY_URL`), or, with `--data` (or
`TENANTRY_DATA`), of a cluster that it opens in its own process, with an administrator's rights. `--data` and `--url`
exclude each other; an option counts before a variable, and of the two variables `TENANTRY_URL`. A folder that a
process serves can only be reached through that process: the error names its URL.

With `--json` the answer is one JSON document on stdout; messages, warnings and progress go to stderr. After an error
stdout is empty, and stderr says `error: ...`, mostly with a `hint: ...`. Commands that destroy something ask first;
without a terminal they need `--yes`. `NO_COLOR` is honoured.
"""

_MARKUP = re.compile(r"\[/?bold\]")


def reference() -> str:
    """The whole page, Markdown."""
    program = get_command(build())
    parts = [HEAD, "## Exit codes\n", _exit_codes(), "## Options of every command that talks to a cluster\n"]
    parts.append(_table(_shared(program)))
    for path, command in _leaves(program, PROGRAM):
        parts.append(f"## `{path}`\n")
        parts.append((command.help or "").strip() + "\n")
        parts.append(f"```\n{_usage(path, command)}\n```\n")
        rows = [row for row in _parameters(command) if row[2] != PANEL]
        if rows:
            parts.append(_table(rows))
        examples = [line[4:] for line in _lines(command.epilog) if line.startswith("  $ ")]
        if examples:
            parts.append("```text\n" + "\n".join(examples) + "\n```\n")
    return "\n".join(parts).rstrip() + "\n"


def _leaves(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name in command.list_commands(None):
        yield from _leaves(inner[name], f"{path} {name}")


def _usage(path: str, command: Any) -> str:
    return " ".join(
        [path, *(_argument(one) for one in command.params if one.param_type_name == "argument"), "[OPTIONS]"]
    )


def _argument(one: Any) -> str:
    shown = one.metavar or one.name.upper()
    if one.nargs == -1:
        shown += "..."
    return shown if one.required else f"[{shown}]"


def _parameters(command: Any) -> Iterator[tuple[str, str, str]]:
    """Name, help and panel of each argument and option."""
    for one in command.params:
        if one.name == "help" or getattr(one, "hidden", False):
            continue
        if one.param_type_name == "argument":
            shown = _argument(one)
        else:
            shown = ", ".join(one.opts)
            if one.secondary_opts:
                shown += " / " + ", ".join(one.secondary_opts)
            if not one.is_flag:
                shown += f" {one.metavar or one.name.upper()}"
        yield shown, _help(one), getattr(one, "rich_help_panel", None) or ""


def _help(parameter: Any) -> str:
    said = parameter.help or ""
    default = parameter.default
    if parameter.required:
        return f"{said} Required." if parameter.param_type_name == "option" else said
    if isinstance(default, str | int | float) and not isinstance(default, bool) and default != "":
        return f"{said} Default: `{default}`."
    if isinstance(default, bool) and getattr(parameter, "secondary_opts", None):
        return f"{said} Default: `{(parameter.opts if default else parameter.secondary_opts)[0]}`."
    return said


def _shared(program: Any) -> list[tuple[str, str, str]]:
    return [row for row in _parameters(program.commands["stats"]) if row[2] == PANEL]


def _table(rows: list[tuple[str, str, str]]) -> str:
    lines = ["| | |", "| --- | --- |", *(f"| `{_cell(name)}` | {_cell(said)} |" for name, said, _ in rows)]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _lines(epilog: str | None) -> list[str]:
    return _MARKUP.sub("", epilog or "").replace("\\[", "[").splitlines()


def _exit_codes() -> str:
    rows = re.findall(r"^(\d+) +(\S.*)$", failures.__doc__ or "", re.MULTILINE)
    lines = [
        "| code | meaning |",
        "| --- | --- |",
        *(f"| {code} | {_cell(said.replace('``', '`'))} |" for code, said in rows),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
