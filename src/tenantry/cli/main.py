"""The program ``tenantry``: all commands, in the order in which one meets them.

Exit codes are those of `tenantry.cli.failures`. Nothing heavy is imported before a command runs, so that ``--help``
and shell completion answer at once.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from tenantry.cli import (
    adopt,
    advice,
    audit,
    autopilot,
    backups,
    documents,
    files,
    health,
    indexes,
    keys,
    maintenance,
    migrate,
    moves,
    plans,
    records,
    restores,
    rollups,
    service_plans,
    setup,
    shards,
    tenants,
    usage,
)
from tenantry.cli.command import PROGRAM, Json, epilog, help_when_alone, local_command
from tenantry.cli.demo import demo
from tenantry.cli.failures import ExitCode, Failure
from tenantry.version import __version__

EXAMPLES = [
    "tenantry demo --small",
    "tenantry init --data DIR --shards 4",
    "tenantry docs add acme handbook/ --data DIR",
    "tenantry search acme 'how do I get a refund?' --data DIR",
    "tenantry serve --data DIR",
]
SHELLS = ("bash", "zsh", "fish", "powershell")


#: The order of the help: the order in which one meets them.
ORDER = (
    *("demo", "init", "serve"),
    *("index", "shard", "tenant", "plans", "keys", "audit", "usage"),
    *("docs", "search", "search-all", "rollup"),
    *("upsert", "query", "fetch", "update", "delete", "ids"),
    *("move", "moves", "plan", "rebalance", "migrate"),
    *("backup", "restore"),
    *("import", "export"),
    *("adopt", "advise", "cost", "cost-history"),
    *("stats", "health", "autopilot", "verify-routing"),
    *("version", "completion"),
)


class Program(TyperGroup):
    """All commands, listed by `ORDER`."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names, in the order of the help."""
        return sorted(self.commands, key=ORDER.index)


def build() -> typer.Typer:
    """The program with all its commands."""
    app = typer.Typer(
        name=PROGRAM,
        cls=Program,
        rich_markup_mode="rich",
        invoke_without_command=True,
        pretty_exceptions_enable=False,
        epilog=epilog(EXAMPLES) + "\n\nExit codes: 0 done, 1 refused, 2 wrong usage, 3 try later, 4 problems found.",
    )
    app.callback()(root)
    setup.register(app)
    local_command(app, "demo", examples=["tenantry demo", "tenantry demo --small --data DIR"], panel=setup.GROUP)(demo)
    work = "Clusters, shards and tenants"
    for group in (indexes.app, shards.app, tenants.app, service_plans.app, keys.app, audit.app, usage.app):
        app.add_typer(group, rich_help_panel=work)
    app.add_typer(documents.app, rich_help_panel=documents.PANEL)
    documents.register(app)
    app.add_typer(rollups.app, rich_help_panel=documents.PANEL)
    records.register(app)
    moves.register(app)
    app.add_typer(moves.app, rich_help_panel=moves.PANEL)
    plans.register(app)
    app.add_typer(migrate.app, rich_help_panel=moves.PANEL)
    backups.register(app)
    restores.register(app)
    files.register(app)
    adopt.register(app)
    advice.register(app)
    maintenance.register(app)
    health.register(app)
    autopilot.register(app)
    local_command(app, "version", examples=["tenantry version --json"], panel="About")(version)
    local_command(app, "completion", examples=['eval "$(tenantry completion bash)"'], panel="About")(completion)
    return app


def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and end.", is_eager=True)] = False,
) -> None:
    """Tenantry: shards vector databases by tenant, and routes every request to the right shard."""
    if version:
        typer.echo(__version__)
        raise typer.Exit
    help_when_alone(context)


def version(as_json: Json = False) -> None:
    """Show the version."""
    from tenantry.cli.output import Output

    Output(as_json).show({"version": __version__}, __version__)


def completion(
    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell.")] = "bash",
) -> None:
    """Print a completion script; --install-completion installs it."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    if shell not in SHELLS:
        raise Failure(f"no completion for {shell!r}", "there is one for " + ", ".join(SHELLS), ExitCode.USAGE)
    print(get_completion_script(prog_name=PROGRAM, complete_var=f"_{PROGRAM.upper()}_COMPLETE", shell=shell))  # noqa: T201


def main() -> None:
    """The entry point. Ends the process with an exit code of `ExitCode`."""
    sys.exit(run(sys.argv[1:]))


@cache
def built() -> Any:
    """The program, made once: it takes a tenth of a second."""
    return get_command(build())


def run(arguments: list[str]) -> int:
    """Run the program with arguments; returns its exit code."""
    try:
        code = built()(args=arguments, prog_name=PROGRAM, standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except typer.TyperException as error:
        from tenantry.cli.output import say_error

        context = getattr(error, "ctx", None)
        where = context.command_path if context is not None else PROGRAM
        message = error.format_message().rstrip(".")
        say_error("error", f"{message[:1].lower()}{message[1:]}", f"see `{where} --help`")
        return error.exit_code
    return code if isinstance(code, int) else ExitCode.OK
