"""``tenantry autopilot``: let gateways move tenants by themselves when warnings stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenantry.cli import given
from tenantry.cli.command import Session, Yes, command, group
from tenantry.cli.service_plans import count

if TYPE_CHECKING:
    from rich.console import RenderableType

app = group("autopilot", "Let gateways act on warnings by themselves, within windows and budgets. Off by default.")

PANEL = "Look after it"
PAGE = 1_000
STANCES = {
    "off": "is off",
    "observe": "observes: it writes down what it would do, and does nothing",
    "on": "is on: gateways move tenants by themselves",
}

Windows = Annotated[
    list[str] | None,
    typer.Option(
        "--window",
        metavar="WHEN",
        help="When moves may begin, such as 'Sat 02:00-05:00 UTC' or 'always'; repeatable; replaces earlier ones.",
    ),
]
Moves = Annotated[int | None, typer.Option("--moves-per-hour", metavar="N", help="Most moves within an hour.")]
Bytes = Annotated[
    str | None, typer.Option("--bytes-per-hour", metavar="SIZE", help="Most to copy, such as 10GiB, or none.")
]
Dollars = Annotated[
    float | None, typer.Option("--dollars-per-day", metavar="N", help="What the moves of 24 hours may cost.")
]
TenantRest = Annotated[
    str | None, typer.Option("--tenant-cool-down", metavar="TIME", help="Tenants moved less than that ago stay.")
]
ShardRest = Annotated[
    str | None, typer.Option("--shard-cool-down", metavar="TIME", help="Shards rest for that long after a move.")
]
Periods = Annotated[
    int | None, typer.Option("--after", metavar="CHECKS", help="A warning must have stood for so many checks.")
]
ErrorsMore = Annotated[
    float | None, typer.Option("--errors-more", metavar="SHARE", help="Stop when so many more operations fail, 0 to 1.")
]
P95Times = Annotated[
    float | None, typer.Option("--p95-times", metavar="N", help="Stop when the worst P95 is so many times as long.")
]


@command(app, "status", examples=["tenantry autopilot status", "tenantry autopilot status --json"], index=False)
async def status(session: Session) -> None:
    """Show what the auto-pilot may do, what it has used of its budgets, and whether it has stopped."""
    found = await session.api.get("autopilot")
    session.out.show(found, *views(found))


@command(
    app,
    "history",
    examples=["tenantry autopilot history", "tenantry autopilot history --limit 500 --json"],
    index=False,
)
async def history(
    session: Session,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=PAGE, help="Most entries.")] = 50,
    index: Annotated[str | None, typer.Option("--index", metavar="NAME", help="Only this logical index.")] = None,
) -> None:
    """List what the auto-pilot did or would do, and why, the latest first."""
    from tenantry.cli.output import size, table, when

    found = await session.api.get("autopilot", "history", limit=limit, index=index)
    columns = ["=at", "=index", "=what", "=tenant", "=from", "=to", ">size", ">cost", "=move", "~why"]
    rows = (
        [
            when(one["at"], short=True),
            one["index"],
            one["outcome"] or one["kind"],
            one["tenant"],
            one["source"],
            one["target"],
            size(one["bytes"]),
            f"{one['cost']:,.2f}" if one["cost"] else "",
            one["move"],
            one["why"],
        ]
        for one in found["entries"]
    )
    session.out.show(found, table(columns, rows, empty="nothing yet: it was never on, or no warning stood"))


@command(
    app,
    "observe",
    examples=["tenantry autopilot observe", "tenantry autopilot observe --window 'Sat 02:00-05:00 UTC'"],
    index=False,
)
async def observe(
    session: Session,
    *,
    window: Windows = None,
    moves_per_hour: Moves = None,
    bytes_per_hour: Bytes = None,
    dollars_per_day: Dollars = None,
    tenant_cool_down: TenantRest = None,
    shard_cool_down: ShardRest = None,
    after: Periods = None,
    errors_more: ErrorsMore = None,
    p95_times: P95Times = None,
) -> None:
    """Have gateways write down which moves they would make, without making any. Begin with this.

    What is not said stays as it was said last.
    """
    asked = _asked(window, moves_per_hour, bytes_per_hour, dollars_per_day, after, errors_more, p95_times)
    asked |= _rests(tenant_cool_down, shard_cool_down)
    await _set(session, "observe", asked)


@command(
    app,
    "on",
    examples=[
        "tenantry autopilot on --window 'Sat 02:00-05:00 UTC'",
        "tenantry autopilot on --window 'Mon-Fri 01:00-05:00 Europe/Berlin' --moves-per-hour 4 --yes",
    ],
    index=False,
)
async def turn_on(
    session: Session,
    *,
    window: Windows = None,
    moves_per_hour: Moves = None,
    bytes_per_hour: Bytes = None,
    dollars_per_day: Dollars = None,
    tenant_cool_down: TenantRest = None,
    shard_cool_down: ShardRest = None,
    after: Periods = None,
    errors_more: ErrorsMore = None,
    p95_times: P95Times = None,
    yes: Yes = False,
) -> None:
    """Have gateways move tenants when warnings stand, within the windows and budgets. Also ends a stop.

    What is not said stays as it was said last. It needs at least one window.
    """
    asked = _asked(window, moves_per_hour, bytes_per_hour, dollars_per_day, after, errors_more, p95_times)
    asked |= _rests(tenant_cool_down, shard_cool_down)
    session.out.confirm(f"let gateways move tenants by themselves ({session.api.place})?", yes)
    await _set(session, "on", asked)


@command(app, "off", examples=["tenantry autopilot off"], index=False)
async def turn_off(session: Session) -> None:
    """Have gateways do nothing by themselves. Moves that have begun go on; `tenantry moves cancel` ends them."""
    await _set(session, "off", {})


def register(program: typer.Typer) -> None:
    """Add the group to the program."""
    program.add_typer(app, rich_help_panel=PANEL)


async def _set(session: Session, stance: str, asked: Mapping[str, Any]) -> None:
    found = await session.api.put("autopilot", body={"stance": stance, **asked})
    session.out.show(found, *views(found))


def views(found: Mapping[str, Any]) -> list[RenderableType]:
    """How it stands, for people."""
    from tenantry.cli.output import fields, lasting, many, size, when

    policy, halt = found["policy"], found["halt"]
    told: list[RenderableType] = [f"the auto-pilot {'has stopped' if halt else STANCES[policy['stance']]}"]
    if halt:
        told.append(f"{when(halt['at'])}: {halt['why']}")
        told.append("see to the cause, then `tenantry autopilot on` sets it going again")
    most = "no limit" if policy["bytes_per_hour"] is None else size(policy["bytes_per_hour"]) or "0 B"
    money = f"{found['cost_last_day']:,.2f} of {policy['dollars_per_day']:,.2f} {found['currency']} in 24 hours"
    shown = {
        "windows": "; ".join(policy["windows"]) or "none: at any time",
        "now": _now(found),
        "moves": f"{found['moves_last_hour']} of {policy['moves_per_hour']} in the last hour",
        "copied": f"{size(found['bytes_last_hour']) or '0 B'} of {most} in the last hour",
        "cost": money,
        "under way": many(found["open_moves"], "move"),
        "tenants rest": lasting(policy["tenant_cool_down_s"]),
        "shards rest": lasting(policy["shard_cool_down_s"]),
        "acts on": f"warnings that stood for {many(policy['periods'], 'check')}",
        "stops at": f"{policy['errors_more']:.0%} more failures, or {policy['p95_times']:g} times the P95",
        "since": when(found["since"]),
    }
    return [*told, fields(shown)]


def _now(found: Mapping[str, Any]) -> str:
    from tenantry.cli.output import when

    if not found["policy"]["windows"]:
        return ""
    if found["open_until"]:
        return f"a window is open until {when(found['open_until'])}"
    return f"closed; the next window opens {when(found['next_opening'])}"


def _asked(
    window: list[str] | None,
    moves_per_hour: int | None,
    bytes_per_hour: str | None,
    dollars_per_day: float | None,
    after: int | None,
    errors_more: float | None,
    p95_times: float | None,
) -> dict[str, Any]:
    asked = {
        "windows": window or None,
        "moves_per_hour": moves_per_hour,
        "dollars_per_day": dollars_per_day,
        "periods": after,
        "errors_more": errors_more,
        "p95_times": p95_times,
    }
    made: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    if bytes_per_hour is not None:
        made["bytes_per_hour"] = count(bytes_per_hour, "--bytes-per-hour")
    return made


def _rests(tenant: str | None, shard: str | None) -> dict[str, float]:
    asked = {
        "tenant_cool_down_s": given.duration_s(tenant, "--tenant-cool-down"),
        "shard_cool_down_s": given.duration_s(shard, "--shard-cool-down"),
    }
    return {name: value for name, value in asked.items() if value is not None}
