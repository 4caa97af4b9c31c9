"""``tenantry stats`` and ``tenantry verify-routing``."""

from __future__ import annotations

from typing import Annotated

import typer

from tenantry.cli.command import Session, command
from tenantry.cli.failures import ExitCode
from tenantry.cli.shards import shard_table, warn_of_errors

PANEL = "Look after it"


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    command(app, "stats", examples=["tenantry stats", "tenantry stats --index articles --json"], panel=PANEL)(stats)
    command(
        app,
        "verify-routing",
        examples=["tenantry verify-routing", "tenantry verify-routing --no-heal --json"],
        panel=PANEL,
    )(verify_routing)


async def stats(session: Session) -> None:
    """Show tenants, vectors and bytes of an index, shard by shard."""
    from tenantry.cli.output import fields, size

    found = await session.api.get(*session.path("stats"))
    head = {name: found[name] for name in ("index", "dimension", "metric", "shards", "tenants", "vectors")}
    session.out.show(found, fields({**head, "size": size(found["bytes"])}), "", shard_table(found["shard_stats"]))
    warn_of_errors(session, found["shard_stats"])


async def verify_routing(
    session: Session,
    heal: Annotated[bool, typer.Option("--heal/--no-heal", help="Mend what can be mended, or only report.")] = True,
) -> None:
    """Compare catalog, caches and shards; mend and report.

    The exit code is 4 when something stays wrong.
    """
    from tenantry.cli.output import many, table

    found = await session.api.post(*session.path("verify-routing"), body={"heal": heal})
    problems = found["problems"]
    seen = f"{many(found['tenants'], 'tenant')} on {many(found['shards'], 'shard')} checked"
    if problems:
        columns = ["=kind", "name", "=shard", "healed", "detail"]
        rows = ([one["kind"], one["name"], one["shard"], one["healed"], one["detail"]] for one in problems)
        left = sum(not one["healed"] for one in problems)
        session.out.show(
            found, table(columns, rows, empty=""), f"{seen}; {many(len(problems), 'problem')}, {left} not healed"
        )
    else:
        session.out.show(found, f"{seen}; all routes are consistent")
    if not found["consistent"]:
        raise typer.Exit(ExitCode.FOUND_PROBLEMS)
