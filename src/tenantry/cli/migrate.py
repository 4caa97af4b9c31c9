"""``tenantry migrate``: many tenants to other shards, in waves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from tenantry.cli import given
from tenantry.cli.command import DEFAULT_INDEX, Session, Yes, command, group
from tenantry.cli.failures import ExitCode, Failure, usage
from tenantry.cli.migrate_shown import fields_of, items_table, list_table, next_step, plan_views, wave_table
from tenantry.cli.moves import Rate, Retention

app = group("migrate", "Migrations: many tenants to other shards, in waves, with gates between them and a way back.")

Id = Annotated[
    str | None,
    typer.Argument(metavar="ID", help="Id of the migration; default: the one of the index that has not ended."),
]
From = Annotated[
    list[str] | None, typer.Option("--from", metavar="SHARD", help="Shard to empty; repeatable. Or --tenant.")
]
Tenants = Annotated[
    list[str] | None, typer.Option("--tenant", metavar="NAME", help="Only this tenant; repeatable. Needs --to.")
]
To = Annotated[
    list[str] | None,
    typer.Option("--to", metavar="SHARD", help="Shard to spread over; repeatable. Default: all other active ones."),
]
Share = Annotated[
    float | None, typer.Option("--wave-share", metavar="SHARE", help="Most tenants in a wave; default 0.25, 25%.")
]
Canaries = Annotated[
    int | None, typer.Option("--canaries", metavar="N", min=0, help="Tenants in the first wave; default 2%, 1 to 10.")
]
Every = Annotated[
    str | None, typer.Option("--wave-every", metavar="TIME", help="From one wave's start to the next; default 24h.")
]
Soak = Annotated[
    str | None, typer.Option("--soak", metavar="TIME", help="How long a gate watches after a wave; default 10m.")
]
AtOnce = Annotated[
    int | None, typer.Option("--at-once", metavar="N", min=1, max=64, help="Moves at the same time; default 4.")
]
Gates = Annotated[
    list[str] | None,
    typer.Option(
        "--gate",
        metavar="NAME=VALUE",
        help="A limit of the gates: errors, p95-factor, p95-least-ms, p95-most-ms, least-operations, overlap, stall-s.",
    ),
]
Now = Annotated[bool, typer.Option("--now", help="Each wave begins as soon as the gate before it opens.")]
Wait = Annotated[bool, typer.Option("--wait", help="Watch until nothing is left to do, or somebody must act.")]
GATES = {
    "errors": float,
    "p95-factor": float,
    "p95-least-ms": float,
    "p95-most-ms": float,
    "least-operations": int,
    "overlap": float,
    "stall-s": float,
}
ENDED = ("finished", "rolled-back")


@command(
    app,
    "plan",
    examples=["tenantry migrate plan --from adopted", "tenantry migrate plan --from adopted --to shard-0 --to shard-1"],
)
async def plan(
    session: Session,
    *,
    source: From = None,
    tenant: Tenants = None,
    to: To = None,
    share: Share = None,
    canaries: Canaries = None,
    every: Every = None,
    soak: Soak = None,
    retention: Retention = None,
    rate: Rate = None,
    at_once: AtOnce = None,
    gate: Gates = None,
    now: Now = False,
) -> None:
    """Show what a migration would do: its waves, whether there is room, what would stop it. Changes nothing."""
    how = _how(
        share=share,
        canaries=canaries,
        every=every,
        soak=soak,
        retention=retention,
        rate=rate,
        at_once=at_once,
        gate=gate,
        now=now,
    )
    made = await session.api.post("migrations", "plan", body=_what(session, source, tenant, to) | how)
    session.out.show(made, *plan_views(made))
    if made["blockers"]:
        raise Failure("it cannot begin: " + "; ".join(made["blockers"]), exit_code=ExitCode.FAILED)


@command(
    app,
    "start",
    examples=[
        "tenantry migrate start --from adopted --wave-every 24h",
        "tenantry migrate start --from adopted --to shard-0 --to shard-1 --now --yes",
    ],
)
async def start(
    session: Session,
    *,
    source: From = None,
    tenant: Tenants = None,
    to: To = None,
    share: Share = None,
    canaries: Canaries = None,
    every: Every = None,
    soak: Soak = None,
    retention: Retention = None,
    rate: Rate = None,
    at_once: AtOnce = None,
    gate: Gates = None,
    now: Now = False,
    wait: Wait = False,
    yes: Yes = False,
) -> None:
    """Begin a migration in waves: canaries first, then the smallest risk first.

    A gateway carries it on. Without one, this command does what is due now, and `tenantry migrate resume` what is due
    later. Repeating it is harmless.
    """
    how = _how(
        share=share,
        canaries=canaries,
        every=every,
        soak=soak,
        retention=retention,
        rate=rate,
        at_once=at_once,
        gate=gate,
        now=now,
    )
    body = _what(session, source, tenant, to) | how
    if not yes:
        made = await session.api.post("migrations", "plan", body=body)
        for view in plan_views(made):
            session.out.say(view) if isinstance(view, str) else None
        if not made["blockers"]:
            session.out.confirm(
                f"move {len(made['items'])} tenants in {len(made['waves'])} waves ({session.api.place})?", yes
            )
    await _finish_showing(session, await session.api.post("migrations", body=body), wait)


@command(
    app,
    "status",
    examples=["tenantry migrate status", "tenantry migrate status --report", "tenantry migrate status --tenants"],
)
async def status(
    session: Session,
    id: Id = None,
    report: Annotated[bool, typer.Option("--report", help="All of it as Markdown; with --json: as JSON.")] = False,
    tenants: Annotated[bool, typer.Option("--tenants", help="Each of its tenants.")] = False,
    every_one: Annotated[bool, typer.Option("--all", help="List all migrations of the index.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Watch until somebody must act.")] = False,
) -> None:
    """Show how far a migration is, what its gates say, and what comes next."""
    if every_one:
        found = (await session.api.get("migrations", index=session.index))["migrations"]
        session.out.show(found, list_table(found))
        return
    chosen = await _chosen(session, id)
    if report and session.out.as_json:
        session.out.show(await session.api.get("migrations", chosen, "report"))
        return
    if report:
        page = await session.api.get("migrations", chosen, "report", "markdown")
        for line in page["markdown"].splitlines():
            session.out.line(line)
        return
    if tenants:
        items = (await session.api.get("migrations", chosen, "tenants"))["tenants"]
        session.out.show(items, items_table(items))
        return
    found = await session.api.get("migrations", chosen)
    if watch:
        found = await _follow(session, found)
    _show(session, found)


@command(app, "pause", examples=["tenantry migrate pause"])
async def pause(session: Session, id: Id = None) -> None:
    """Begin no more moves; those that run come to their end."""
    found = await session.api.post("migrations", await _chosen(session, id), "pause")
    if session.api.in_process:
        found = await _follow(session, found)
    session.out.show(found, f"migration {found['id']} is paused; `tenantry migrate resume` goes on with it")


@command(app, "resume", examples=["tenantry migrate resume", "tenantry migrate resume --now --wait"])
async def resume(
    session: Session,
    id: Id = None,
    now: Annotated[bool, typer.Option("--now", help="The next wave does not wait for its time.")] = False,
    wait: Wait = False,
) -> None:
    """Go on with a migration; tenants whose moves failed are tried again.

    After a pause by a gate nothing is judged until what was measured before is out of the window.
    """
    found = await session.api.post("migrations", await _chosen(session, id), "resume", body={"now": now})
    await _finish_showing(session, found, wait)


@command(app, "rollback", examples=["tenantry migrate rollback --wave 2 --yes", "tenantry migrate rollback --yes"])
async def rollback(
    session: Session,
    id: Id = None,
    wave: Annotated[
        int | None, typer.Option("--wave", metavar="N", min=1, help="Only this wave; default: all of it.")
    ] = None,
    wait: Wait = False,
    yes: Yes = False,
) -> None:
    """Take tenants back to where they were, with everything written since. Possible until it is finished."""
    chosen = await _chosen(session, id)
    what = f"wave {wave} of migration {chosen}" if wave is not None else f"all of migration {chosen}"
    session.out.confirm(f"move the tenants of {what} back?", yes)
    found = await session.api.post("migrations", chosen, "rollback", body={"wave": wave})
    await _finish_showing(session, found, wait)


@command(app, "finish", examples=["tenantry migrate finish --yes", "tenantry migrate finish --partial --yes"])
async def finish(
    session: Session,
    id: Id = None,
    partial: Annotated[bool, typer.Option("--partial", help="Also when tenants remain; they stay.")] = False,
    yes: Yes = False,
) -> None:
    """End a migration for good: no way back any more, and shards that it emptied are retired."""
    chosen = await _chosen(session, id)
    session.out.confirm(f"finish migration {chosen}? It cannot be rolled back then", yes)
    found = await session.api.post("migrations", chosen, "finish", body={"partial": partial})
    session.out.show(found, *(each["what"] for each in found["events"][-1 - len(found["sources"]) :]))


async def _chosen(session: Session, id: str | None) -> str:
    """The migration that is meant: the one named, else the open one, else the last."""
    if id is not None:
        return id
    found = (await session.api.get("migrations", index=session.index, limit=1))["migrations"]
    if not found:
        raise Failure(f"index {session.index} has no migration", "`tenantry migrate plan` shows what one would do")
    return str(found[0]["id"])


async def _finish_showing(session: Session, found: Mapping[str, Any], wait: bool) -> None:
    if wait or session.api.in_process:  # without a gateway nobody else carries it on
        found = await _follow(session, found)
    _show(session, found)
    if found["state"] == "paused" and found["held"]:
        raise Failure(f"migration {found['id']} is paused: {found['reason']}", exit_code=ExitCode.FAILED)


async def _follow(session: Session, begun: Mapping[str, Any]) -> Mapping[str, Any]:
    """Show progress until nothing is left to do, or somebody must act, or it waits for a time."""
    path = ("migrations", begun["id"])
    last = begun
    still = not session.api.in_process and begun["state"] == "running"  # then it goes on after a pause

    def settled(one: Mapping[str, Any]) -> bool:
        return one["idle"] and not (still and one["state"] == "running")

    with session.out.progress("migrating", begun["tenants"]) as bar:
        shown = 0
        async for last in session.api.follow((*path, "events"), path, settled):
            bar.advance(last["moved"] - shown, ", ".join(last["moving"][:2]))
            shown = last["moved"]
            if settled(last):
                break
    return last


def _show(session: Session, found: Mapping[str, Any]) -> None:
    session.out.show(found, fields_of(found), "", wave_table(found), "", next_step(found))


def _what(
    session: Session, sources: list[str] | None, tenants: list[str] | None, targets: list[str] | None
) -> dict[str, Any]:
    if not sources and not tenants:
        raise usage("nothing to migrate was named", "--from SHARD empties a shard; --tenant NAME moves one tenant")
    index = session.index or DEFAULT_INDEX
    return {"index": index, "sources": sources or [], "tenants": tenants or [], "targets": targets or []}


def _how(
    *,
    share: float | None,
    canaries: int | None,
    every: str | None,
    soak: str | None,
    retention: str | None,
    rate: float | None,
    at_once: int | None,
    gate: list[str] | None,
    now: bool,
) -> dict[str, Any]:
    if now and every is not None:
        raise usage("--now and --wave-every cannot be given together")
    found: dict[str, Any] = {
        "share": share,
        "canaries": canaries,
        "every_s": 0.0 if now else given.duration_s(every, "--wave-every"),
        "soak_s": given.duration_s(soak, "--soak"),
        "retention_s": given.duration_s(retention, "--retention"),
        "rate": rate,
        "at_once": at_once,
    }
    for name, text in (given.pairs(gate, "--gate") or {}).items():
        kind = GATES.get(name)
        if kind is None:
            raise usage(f"--gate {name!r} is not known", "one of " + ", ".join(GATES))
        try:
            found[name.replace("-", "_")] = kind(text)
        except ValueError:
            raise usage(f"--gate {name} takes a number, not {text!r}") from None
    return {name: value for name, value in found.items() if value is not None}
