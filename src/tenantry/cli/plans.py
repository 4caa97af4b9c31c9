"""``tenantry plan`` and ``tenantry rebalance``, and the plans that drain, isolate and consolidate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenantry.cli import given
from tenantry.cli.command import Session, Yes, command
from tenantry.cli.failures import ExitCode, Failure
from tenantry.cli.moves import PANEL, Rate, Retention, Soak, options

if TYPE_CHECKING:
    from rich.console import RenderableType

Execute = Annotated[bool, typer.Option("--execute", help="Carry the plan out; without it nothing is changed.")]
MaxMoves = Annotated[int | None, typer.Option("--max-moves", metavar="N", min=1, help="At most so many moves.")]
MaxBytes = Annotated[int | None, typer.Option("--max-bytes", metavar="N", min=0, help="At most so many bytes to copy.")]
Tolerance = Annotated[
    float | None, typer.Option("--tolerance", metavar="SHARE", help="Imbalance to leave alone; default 0.1, 10%.")
]
CoolDown = Annotated[
    str | None, typer.Option("--cool-down", metavar="TIME", help="Tenants moved less than that ago stay; default 1h.")
]
BAR_CHARS = 12


def register(program: typer.Typer) -> None:
    """Add ``plan`` and ``rebalance`` to the program."""
    command(program, "plan", examples=["tenantry plan", "tenantry plan --max-moves 5 --json"], panel=PANEL)(plan)
    command(
        program,
        "rebalance",
        examples=["tenantry rebalance", "tenantry rebalance --execute --soak 1h"],
        panel=PANEL,
    )(rebalance)


async def plan(
    session: Session,
    max_moves: MaxMoves = None,
    max_bytes: MaxBytes = None,
    tolerance: Tolerance = None,
    cool_down: CoolDown = None,
) -> None:
    """Show which tenants to move so that the shards are even, and why. Changes nothing."""
    asked = _limits(max_moves, max_bytes, tolerance, cool_down)
    made = await session.api.post(*session.path("plan"), body=asked)
    session.out.show(made, *plan_views(made))


async def rebalance(
    session: Session,
    *,
    execute: Execute = False,
    max_moves: MaxMoves = None,
    max_bytes: MaxBytes = None,
    tolerance: Tolerance = None,
    cool_down: CoolDown = None,
    soak: Soak = None,
    retention: Retention = None,
    rate: Rate = None,
    yes: Yes = False,
) -> None:
    """Even the shards out by moving tenants. Only shows the plan unless --execute is given.

    One move that fails neither stops nor touches the others; the exit code is 1 then.
    """
    asked = _limits(max_moves, max_bytes, tolerance, cool_down)
    await plan_and_do(session, asked, options(soak, retention, rate), execute=execute, yes=yes)


async def plan_and_do(
    session: Session, asked: dict[str, Any], how: dict[str, Any], *, execute: bool, yes: bool
) -> None:
    """Show a plan; with ``execute`` ask, carry it out and show what became of it."""
    made = await session.api.post(*session.path("plan"), body=asked)
    if not execute:
        hint = "nothing was changed; --execute carries it out" if made["moves"] else ""
        session.out.show(made, *plan_views(made), hint)
        return
    if not session.out.as_json:
        session.out.show(made, *plan_views(made))
    if not made["moves"]:
        session.out.show(made) if session.out.as_json else None
        return
    from tenantry.cli.output import many

    session.out.confirm(f"move {many(len(made['moves']), 'tenant')} ({session.api.place})?", yes)
    run = await session.api.post(*session.path("rebalance"), body=asked | how)
    with session.out.progress("moving tenants", len(run["moves"])) as bar:
        shown = 0
        path = session.path("rebalance", run["id"])
        async for run in session.api.follow((*path, "events"), path, lambda one: one["state"] != "running"):
            settled = run["moved"] + run["failed"]
            bar.advance(settled - shown, _busy(run))
            shown = settled
    session.out.show(run, "", run_table(run), _sum(run))
    if run["failed"]:
        raise Failure(
            f"{many(run['failed'], 'move')} of {len(run['moves'])} failed",
            "the others are as planned; repeat the command for what is left",
            ExitCode.FAILED,
        )


def plan_views(made: Mapping[str, Any]) -> list[RenderableType]:
    """A plan for people: moves, shards before and after, skew, figures, notes."""
    from tenantry.cli.output import many, size, table

    views: list[RenderableType] = []
    if made["moves"]:
        columns = ["tenant", "=from", "=to", ">vectors", ">size", "why"]
        rows = (
            [one["tenant"], one["source"], one["target"], f"{one['vectors']:,}", size(one["bytes"]), one["why"]]
            for one in made["moves"]
        )
        views += [table(columns, rows, empty=""), ""]
    views += [shard_figures(made["shards"]), ""]
    skews = ", ".join(f"{one['goal']} {one['before']:.2f} -> {one['after']:.2f}" for one in made["goals"])
    if skews:
        views.append(f"fullest shard over its fair share: {skews}")
    if made["moves"]:
        time = "" if made["minutes"] is None else f", about {_minutes(made['minutes'])}"
        cost = f", ${made['cost']:,.2f}" if made["cost"] else ""
        views.append(f"{many(len(made['moves']), 'move')}, {size(made['bytes']) or '0 B'} to copy{time}{cost}")
    views += [f"note: {one}" for one in made["notes"]]
    return views


def shard_figures(shards: list[Mapping[str, Any]]) -> RenderableType:
    """Shards before and after, with bars of their vectors."""
    from tenantry.cli.output import table

    most = max((max(one["vectors_before"], one["vectors_after"]) for one in shards), default=0) or 1
    rows = (
        [
            one["shard"],
            _change(one["tenants_before"], one["tenants_after"]),
            _change(one["vectors_before"], one["vectors_after"]),
            "#" * round(BAR_CHARS * one["vectors_before"] / most),
            "#" * round(BAR_CHARS * one["vectors_after"] / most),
        ]
        for one in shards
    )
    return table(["shard", ">tenants", ">vectors", "=before", "=after"], rows, empty="no shards")


def run_table(run: Mapping[str, Any]) -> RenderableType:
    """What became of each move."""
    from tenantry.cli.output import table

    columns = ["tenant", "=from", "=to", "=state", "=move", "error"]
    rows = (
        [one["tenant"], one["source"], one["target"], one["state"], one["move"], one["error"]] for one in run["moves"]
    )
    return table(columns, rows, empty="no moves")


def _limits(
    max_moves: int | None, max_bytes: int | None, tolerance: float | None, cool_down: str | None
) -> dict[str, Any]:
    asked = {
        "max_moves": max_moves,
        "max_bytes": max_bytes,
        "tolerance": tolerance,
        "cool_down_s": given.duration_s(cool_down, "--cool-down"),
    }
    return {name: value for name, value in asked.items() if value is not None}


def _busy(run: Mapping[str, Any]) -> str:
    moving = [f"{one['tenant']} {one['phase']}" for one in run["moves"] if one["state"] == "moving"]
    return ", ".join(moving[:2]) + (f" and {len(moving) - 2} more" if len(moving) > 2 else "")


def _sum(run: Mapping[str, Any]) -> str:
    done = f"{run['moved']} of {len(run['moves'])} moved"
    return f"{done}; they can be rolled back until their soak is over, see `tenantry moves list`"


def _change(before: float, after: float) -> str:
    return f"{before:,}" if before == after else f"{before:,} -> {after:,}"


def _minutes(minutes: float) -> str:
    return f"{minutes * 60:.0f} s" if minutes < 1 else f"{minutes:.0f} min"
