"""``tenantry rollup``: a copy of all records of an index, for searches over many tenants."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenantry.cli.command import Session, Yes, command, group
from tenantry.cli.failures import ExitCode, Failure

if TYPE_CHECKING:
    from rich.console import RenderableType

app = group("rollup", "A copy of all records of an index on one shard, for searches over many tenants.")

WAIT_S = 600.0
LOOK_S = 0.25


@command(app, "on", examples=["tenantry rollup on", "tenantry rollup on --shard big --no-wait"])
async def on(
    session: Session,
    shard: Annotated[
        str | None, typer.Option("--shard", metavar="NAME", help="An empty shard; default: rollup, which is made.")
    ] = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Fill it anew where it is on already.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until everything was copied.")] = True,
    wait_s: Annotated[float, typer.Option("--wait-s", metavar="SECONDS", min=0, help="That long at most.")] = WAIT_S,
) -> None:
    """Begin to copy every record; searches over many tenants use the copy once it is whole."""
    if rebuild:
        session.out.say("searches ask the shards until it is filled anew")
    found = await session.api.put(*session.path("rollup"), body={"shard": shard, "rebuild": rebuild})
    if wait:
        found = await _filled(session, found, wait_s)
    session.out.show(found, *views(found))


@command(
    app,
    "off",
    examples=["tenantry rollup off --yes", "tenantry rollup off --remove-shard --yes"],
)
async def off(
    session: Session,
    remove_shard: Annotated[
        bool, typer.Option("--remove-shard", help="Take its shard out of the registry too.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Drop the copy; searches over many tenants ask the shards again. No tenant's data are touched."""
    session.out.confirm(f"drop the roll-up of index {session.index} ({session.api.place})?", yes)
    found = await session.api.delete(*session.path("rollup"), remove_shard=remove_shard)
    session.out.show(found, *views(found))


@command(app, "status", examples=["tenantry rollup status", "tenantry rollup status --json"])
async def status(session: Session) -> None:
    """Show where the copy is, and how far behind."""
    found = await session.api.get(*session.path("rollup"))
    session.out.show(found, *views(found))
    if found["error"]:
        session.out.warn(f"something cannot be copied: {found['error']}", "searches ask the shards meanwhile")


@command(app, "verify", examples=["tenantry rollup verify", "tenantry rollup verify --heal --json"])
async def verify(
    session: Session,
    heal: Annotated[bool, typer.Option("--heal", help="Copy tenants again in which something is wrong.")] = False,
) -> None:
    """Compare every record with its copy. What is written meanwhile is compared again, once it was copied.

    The exit code is 4 when something is wrong, healed or not.
    """
    from tenantry.cli.output import many

    found = await session.api.post(*session.path("rollup", "verify"), body={"heal": heal})
    seen = f"{many(found['records'], 'record')} of {many(found['tenants'], 'tenant')} compared"
    if found["whole"]:
        session.out.show(found, f"{seen}; all copies are right")
        return
    kinds = ", ".join(f"{found[kind]:,} {kind}" for kind in ("missing", "extra", "different") if found[kind])
    wrong = found["tenants_wrong"]
    session.out.show(
        found,
        f"{seen}; {kinds}, in {many(len(wrong), 'tenant')}: {', '.join(wrong[:20])}{' ...' if len(wrong) > 20 else ''}",
        f"such as {', '.join(found['examples'][:5])}",
        "they are being copied again" if heal else "`tenantry rollup verify --heal` has them copied again",
    )
    raise typer.Exit(ExitCode.FOUND_PROBLEMS)


def views(found: dict[str, Any]) -> list[RenderableType]:
    """Its state, for people."""
    from tenantry.cli.output import fields, many, when

    if found["state"] == "off":
        return [f"index {found['index']} has no roll-up; searches over many tenants ask its shards"]
    behind = found["why"] if found["lag_s"] is None else f"{found['lag_s']:.1f} s at most"
    due = many(found["due"], "change")
    if found["due_tenants"]:
        due += f", of them {many(found['due_tenants'], 'whole tenant')}"
    return [
        fields(
            {
                "index": found["index"],
                "state": found["state"],
                "shard": found["shard"],
                "behind": behind,
                "copies": None if found["vectors"] is None else f"{found['vectors']:,}",
                "to be copied": due if found["due"] else None,
                "error": found["error"] or None,
                "since": when(found["since"]),
            }
        )
    ]


async def _filled(session: Session, found: dict[str, Any], wait_s: float) -> dict[str, Any]:
    """Wait until it is on, showing how far it has got."""
    import asyncio

    until = time.monotonic() + wait_s
    total = (await session.api.get(*session.path("stats")))["vectors"] if found["state"] != "on" else 0
    shown = 0
    with session.out.progress("copying", total) as bar:
        while found["state"] != "on":
            if found["state"] == "off":
                raise Failure("the roll-up was switched off meanwhile", "`tenantry rollup on` switches it on")
            if time.monotonic() > until:
                trouble = f": {found['error']}" if found["error"] else ""
                raise Failure(
                    f"it is not filled after {wait_s:g} s, and goes on{trouble}",
                    "`tenantry rollup status` tells how far it is",
                    ExitCode.UNAVAILABLE,
                )
            copied = min(found["vectors"] or 0, total)
            bar.advance(max(0, copied - shown))
            shown = max(shown, copied)
            await asyncio.sleep(LOOK_S)
            found = await session.api.get(*session.path("rollup"))
    return found
