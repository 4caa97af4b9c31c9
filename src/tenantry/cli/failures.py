"""How a command fails: one line for people, a hint, and an exit code that scripts can rely on.

==== ==========================================================================================
code meaning
==== ==========================================================================================
0    done
1    the request failed: not found, refused, invalid data; repeating it as it is cannot help
2    the command was used wrongly: unknown option, missing argument, confirmation needed
3    not possible now: no connection, data folder in use, overload, time limit; try again later
4    done, but ``verify-routing`` or ``audit verify`` found what is wrong, or ``import`` rejected records
     (``health`` has codes of its own: 0 ok, 1 warnings, 2 critical, 3 unknown)
130  interrupted (Ctrl-C)
141  the reader of a pipe went away (``tenantry ids acme | head``)
==== ==========================================================================================
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import TYPE_CHECKING

from tenantry.errors import Bug, InvalidArgument, Locked, NotFound, TenantryError, Unavailable

if TYPE_CHECKING:
    from pydantic import ValidationError

_URL = re.compile(r"https?://[^\s,;]+")


class ExitCode(IntEnum):
    """Exit codes; the table is in the docstring of this module."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNAVAILABLE = 3
    FOUND_PROBLEMS = 4
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class Failure(Exception):
    """Ends a command with a message.

    Attributes:
        message: one line, no trailing full stop.
        hint: what to do about it; may be empty.
        exit_code: see `ExitCode`.
        code, field: those of the API's error, where the failure is one.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        exit_code: ExitCode = ExitCode.FAILED,
        *,
        code: str = "",
        field: str = "",
    ) -> None:
        super().__init__(message)
        self.message, self.hint, self.exit_code, self.code, self.field = message, hint, exit_code, code, field


def usage(message: str, hint: str = "") -> Failure:
    """The command line itself is wrong."""
    return Failure(message, hint, ExitCode.USAGE)


def from_error(error: TenantryError) -> Failure:
    """The failure that an error of the core makes when it reaches a command directly."""
    if isinstance(error, Locked):
        return locked(str(error))
    if isinstance(error, Unavailable):
        return Failure(str(error), "try again in a moment", ExitCode.UNAVAILABLE, code=error.code)
    if isinstance(error, Bug):
        return Failure(str(error), "this is a fault of Tenantry; --debug shows where", code=error.code)
    hint = ""
    if isinstance(error, NotFound) and error.kind == "cluster":
        return no_cluster(error.name)
    field = error.field if isinstance(error, InvalidArgument) else ""
    return Failure(str(error), hint, code=error.code, field=field)


def no_cluster(folder: str) -> Failure:
    """There is nothing in the data folder."""
    return Failure(
        f"there is no cluster in {folder}",
        f"make one with `tenantry init --data {folder}`, or name another place with --data DIR or --url URL",
        code="NOT_FOUND",
    )


def locked(message: str) -> Failure:
    """Another process has the data folder; the message says which and where it serves."""
    url = _URL.search(message)
    said, _, _ = message.partition("; ")
    hint = (
        f"run the same command with --url {url.group()} in place of --data, or stop that process"
        if url
        else "wait for that process to end, or stop it"
    )
    return Failure(said, hint, ExitCode.UNAVAILABLE, code=Locked.code)


def from_settings(error: ValidationError, flags: dict[str, str]) -> Failure:
    """Settings that do not hold: each by the name under which it was given.

    Args:
        flags: settings that came from an option of the command: name to option.
    """
    said = []
    for one in error.errors(include_url=False):
        name = str(one["loc"][0]) if one["loc"] else ""
        shown = flags.get(name) or f"TENANTRY_{name.upper()}"
        secret = any(word in name for word in ("key", "url"))
        given = "" if secret else f" (got {one['input']!r})"
        said.append(f"{shown}: {one['msg'][0].lower()}{one['msg'][1:]}{given}")
    return usage("; ".join(said), "settings come from options, then the environment, then the file .env")
