"""What all commands have in common: the options that say where, the help, and how a command ends."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, TypeVar

import typer

from tenantry.cli.failures import ExitCode, Failure, from_error, usage
from tenantry.errors import TenantryError

if TYPE_CHECKING:
    from tenantry.cli.api import Api
    from tenantry.cli.output import Output

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])

PROGRAM = "tenantry"
PANEL = "Where and how"
#: `tenantry.model.topology.DEFAULT_INDEX`, whose import would make every ``--help`` wait for numpy.
DEFAULT_INDEX = "default"

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        file_okay=False,
        help="Data folder, opened in this process; TENANTRY_DATA, or tenantry-data.",
        rich_help_panel=PANEL,
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", help="Running gateway, in place of a folder; TENANTRY_URL.", rich_help_panel=PANEL
    ),
]
Key = Annotated[
    str | None,
    typer.Option("--key", metavar="KEY", help="API key for --url; TENANTRY_ADMIN_KEY.", rich_help_panel=PANEL),
]
Index = Annotated[str, typer.Option("--index", metavar="NAME", help="Logical index.", rich_help_panel=PANEL)]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.", rich_help_panel=PANEL)]
Debug = Annotated[bool, typer.Option("--debug", help="Tracebacks of errors; TENANTRY_DEBUG=1.", rich_help_panel=PANEL)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@dataclass(frozen=True)
class Session:
    """What a command works with: the API, the place to write, and the logical index that was named."""

    api: Api
    out: Output
    index: str

    def path(self, *parts: str) -> tuple[str, ...]:
        """A path under the index."""
        return ("indexes", self.index, *parts)

    def tenant(self, name: str, *parts: str) -> tuple[str, ...]:
        """A path under a tenant of the index."""
        return self.path("tenants", name, *parts)


Command = Callable[Concatenate[Session, P], Coroutine[Any, Any, None]]


def command(
    group: typer.Typer,
    name: str,
    *,
    examples: Sequence[str],
    panel: str | None = None,
    index: bool = True,
    failing: ExitCode | None = None,
) -> Callable[[Command[P]], Command[P]]:
    """Add a function to a group as a command that talks to the API.

    The function gets a `Session` and its own options; the shared ones (``--data``, ``--url``, ``--key``,
    ``--json``, ``--debug`` and, with ``index``, ``--index``) are added here. The first line of its docstring is
    its purpose; the examples end its help. ``failing`` is the exit code of every failure, for commands whose other
    codes are answers.
    """

    def decorate(function: Command[P]) -> Command[P]:
        def run(**given: Any) -> None:
            shared = {name: given.pop(name) for name in names}
            guarded(lambda: converse(function, given, **shared), debug=shared["debug"], failing=failing)

        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        shared_options = _shared(index)
        names = [option.name for option in shared_options]
        _sign(run, [*own, *shared_options], function)
        group.command(name, epilog=epilog(examples), rich_help_panel=panel)(run)
        return function

    return decorate


def local_command(
    group: typer.Typer, name: str, *, examples: Sequence[str], panel: str | None = None
) -> Callable[[F], F]:
    """Add a function to a group as a command that talks to no API; ``--debug`` is added here."""

    def decorate(function: F) -> F:
        def run(**given: Any) -> None:
            debug = given.pop("debug")
            guarded(lambda: function(**given), debug=debug)

        own = inspect.signature(function, eval_str=True).parameters.values()
        _sign(run, [*own, inspect.Parameter("debug", _NAMED, default=False, annotation=Debug)], function)
        group.command(name, epilog=epilog(examples), rich_help_panel=panel)(run)
        return function

    return decorate


def group(name: str, help: str) -> typer.Typer:
    """A group of commands that shows its help when called alone."""
    made = typer.Typer(name=name, help=help, rich_markup_mode="rich", invoke_without_command=True)
    made.callback()(help_when_alone)
    return made


def help_when_alone(context: typer.Context) -> None:
    """Show the help of a group that was called without a command; that is not a success."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(ExitCode.USAGE)


def epilog(examples: Sequence[str]) -> str:
    """Examples as the end of a help text, one a line."""
    return "\n".join(["[bold]Examples[/bold]", *(f"  $ {_escaped(example)}" for example in examples)])


def guarded(work: Callable[[], None], *, debug: bool, failing: ExitCode | None = None) -> None:
    """Run a command to its end: every way out of it is an exit code and at most two lines on stderr."""
    from tenantry.cli.target import debugging

    try:
        work()
        sys.stdout.flush()
    except typer.Exit:
        raise
    except BrokenPipeError:
        _silence_stdout()
        raise typer.Exit(ExitCode.BROKEN_PIPE) from None
    except KeyboardInterrupt:
        _end(Failure("stopped before it was done; it may be repeated", exit_code=ExitCode.INTERRUPTED))
    except Exception as error:
        if debugging(debug):
            from rich.console import Console

            Console(stderr=True).print_exception()
        failure = failure_of(error)
        failure.exit_code = failing or failure.exit_code
        _end(failure)


def failure_of(error: Exception) -> Failure:
    """What to say about an exception."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, TenantryError):
        return from_error(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return Failure(f"{where}{error.strerror or error}")
    return Failure(
        f"unexpected {type(error).__name__}: {error}", "this is a fault of Tenantry; --debug shows where it happened"
    )


def _end(failure: Failure) -> None:
    from tenantry.cli.output import say_failure

    try:
        sys.stdout.flush()
    except OSError:
        _silence_stdout()
    say_failure(failure)
    raise typer.Exit(failure.exit_code)


def _silence_stdout() -> None:
    """Nobody can read stdout any more: what is buffered must not raise again at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def converse(
    function: Callable[..., Coroutine[Any, Any, None]],
    given: dict[str, Any],
    *,
    data: Path | None,
    url: str | None,
    key: str | None,
    as_json: bool,
    debug: bool,
    index: str = DEFAULT_INDEX,
) -> None:
    """Open what the options name, and run a command on it."""
    import asyncio
    import signal

    from tenantry.cli.api import open_api
    from tenantry.cli.logs import keep_quiet, log_to_stderr
    from tenantry.cli.output import Output
    from tenantry.cli.target import choose_target, debugging

    if debugging(debug):
        log_to_stderr("debug")
    else:
        keep_quiet()
    if not index:
        raise usage("--index is empty")

    async def ask() -> None:
        async with open_api(choose_target(data, url, key)) as api:
            await function(Session(api, Output(as_json), index), **given)

    # asyncio's own handler only cancels, which does not end a read of stdin that waits.
    before = signal.signal(signal.SIGINT, _interrupt)
    try:
        asyncio.run(ask())
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


_NAMED = inspect.Parameter.KEYWORD_ONLY


def _shared(index: bool) -> list[inspect.Parameter]:
    options: dict[str, tuple[Any, Any]] = {"index": (Index, DEFAULT_INDEX)} if index else {}
    options |= {"data": (Data, None), "url": (Url, None), "key": (Key, None)}
    options |= {"as_json": (Json, False), "debug": (Debug, False)}
    return [inspect.Parameter(name, _NAMED, default=default, annotation=of) for name, (of, default) in options.items()]


def _sign(run: Callable[..., None], parameters: list[inspect.Parameter], function: Callable[..., Any]) -> None:
    """Give the wrapper the signature that typer reads."""
    named = [parameter.replace(kind=_NAMED) for parameter in parameters]
    run.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in named}
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    run.__doc__ = "\n\n".join(" ".join(one.split()) for one in paragraphs)  # the terminal's width wraps them
    run.__name__ = getattr(function, "__name__", "run")


def _escaped(text: str) -> str:
    return text.replace("[", "\\[")
