"""``tenantry move`` and ``tenantry moves``: tenants between shards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenantry.cli import given
from tenantry.cli.command import Session, Yes, command, group
from tenantry.cli.failures import ExitCode, Failure, usage
from tenantry.cli.moves_shown import Bar, move_fields, move_table, phase_table, proof_in_words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PANEL = "Move tenants"
app = group("moves", "Moves of tenants between shards: watch them, steer them, look at their proof.")

Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the move; `tenantry moves list` shows it.")]
Soak = Annotated[
    str | None,
    typer.Option("--soak", metavar="TIME", help="How long it can be rolled back: 90s, 10m (default), 2h, 1d."),
]
Retention = Annotated[
    str | None, typer.Option("--retention", metavar="TIME", help="How long the old copy is kept; default 7d.")
]
Rate = Annotated[
    float | None, typer.Option("--rate", metavar="N", help="Most records copied a second; default: as load allows.")
]
#: Phases in which the move is committed and will stay so.
COMMITTED = ("settle", "soak")
ENDED = ("done", "cancelled", "rolled-back", "failed")


def register(program: typer.Typer) -> None:
    """Add the command ``move`` to the program."""
    command(
        program,
        "move",
        examples=["tenantry move acme --to shard-2", "tenantry move acme --to shard-2 --finalise --data DIR"],
        panel=PANEL,
    )(move)


async def move(
    session: Session,
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Name of the tenant.")],
    to: Annotated[str, typer.Option("--to", metavar="SHARD", help="The shard to move it to.")],
    soak: Soak = None,
    retention: Retention = None,
    rate: Rate = None,
    finalise: Annotated[
        bool, typer.Option("--finalise", help="No soak: done when copied, compared and switched. No way back.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Only begin it; the gateway carries it on.")] = False,
) -> None:
    """Move a tenant to another shard while it is read and written.

    Waits until the tenant is served from the new shard. It can be rolled back until the soak is over. Ctrl-C stops
    the watching, not the move.
    """
    if detach and session.api.in_process:
        raise usage("--detach needs a running gateway", "leave --detach out, or `tenantry serve` and use --url")
    if finalise and soak is not None:
        raise usage("--finalise and --soak cannot be given together")
    body = {"target": to} | options(soak, retention, rate)
    if finalise:
        body["soak_s"] = 0.0
    begun = await session.api.post(*session.tenant(tenant, "move"), body=body)
    if detach:
        session.out.show(
            begun, f"move {begun['id']} of {tenant} to {to} has begun; `tenantry moves watch {begun['id']}`"
        )
        return
    last = await follow(session, begun, until=("done",) if body.get("soak_s") == 0 else COMMITTED)
    session.out.show(last, _outcome(last))
    _end_by(last)


def options(soak: str | None, retention: str | None, rate: float | None) -> dict[str, Any]:
    """How a move is done, as the API takes it; what was not given is left out."""
    found = {
        "soak_s": given.duration_s(soak, "--soak"),
        "retention_s": given.duration_s(retention, "--retention"),
        "rate": rate,
    }
    return {name: value for name, value in found.items() if value is not None}


async def follow(session: Session, begun: Mapping[str, Any], until: tuple[str, ...]) -> dict[str, Any]:
    """Show progress until the move is in one of the phases, or has ended. Returns it as it is then."""
    last = dict(begun)
    with Bar(session.out.as_json, begun) as bar:
        async for last in states(session, begun["id"]):
            bar.show(last)
            if last["phase"] in until or last["phase"] in ENDED:
                break
    return last


async def states(session: Session, id: str) -> AsyncIterator[dict[str, Any]]:
    """The move as it stands, then after each change."""
    path = session.path("moves", id)
    async for state in session.api.follow((*path, "events"), path, lambda one: one["phase"] in ENDED):
        yield state


@command(app, "list", examples=["tenantry moves list", "tenantry moves list --open --json"])
async def list_moves(
    session: Session,
    only_open: Annotated[bool, typer.Option("--open", help="Only those that have not ended.")] = False,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="Only those of a tenant.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1_000, help="At most so many.")] = 100,
) -> None:
    """List moves, newest first."""
    asked = {"open": "true" if only_open else None, "tenant": tenant, "limit": limit}
    found = (await session.api.get(*session.path("moves"), **asked))["moves"]
    session.out.show(found, move_table(found))


@command(app, "show", examples=["tenantry moves show 9f2c51aa07de", "tenantry moves show 9f2c51aa07de --json"])
async def show(session: Session, id: Id) -> None:
    """Show a move: how far it is, its phases with their times, and the proof that both sides are the same."""
    found = await session.api.get(*session.path("moves", id))
    session.out.show(found, move_fields(found), "", phase_table(found), "", proof_in_words(found), _next(found))


@command(app, "watch", examples=["tenantry moves watch 9f2c51aa07de"])
async def watch(session: Session, id: Id) -> None:
    """Watch a move until it has ended."""
    begun = await session.api.get(*session.path("moves", id))
    last = await follow(session, begun, until=ENDED)
    session.out.show(last, _outcome(last))
    _end_by(last)


@command(app, "pause", examples=["tenantry moves pause 9f2c51aa07de"])
async def pause(session: Session, id: Id) -> None:
    """Pause a move: nothing is copied, or the soak goes on, until it is resumed."""
    await _steer(session, id, "pause", "is paused; `tenantry moves resume {id}` goes on with it")


@command(app, "resume", examples=["tenantry moves resume 9f2c51aa07de"])
async def resume(session: Session, id: Id) -> None:
    """Go on with a paused move."""
    await _steer(session, id, "resume", "goes on")


@command(app, "cancel", examples=["tenantry moves cancel 9f2c51aa07de"])
async def cancel(session: Session, id: Id) -> None:
    """Give a move up before its switch; the tenant stays where it was."""
    await _steer(session, id, "cancel", "is being cancelled; the tenant stays on {source}")


@command(app, "rollback", examples=["tenantry moves rollback 9f2c51aa07de --yes"])
async def rollback(session: Session, id: Id, yes: Yes = False) -> None:
    """Take a move back after its switch; what was written since is kept."""
    found = await session.api.get(*session.path("moves", id))
    session.out.confirm(f"move tenant {found['tenant']} back from {found['target']} to {found['source']}?", yes)
    await _steer(session, id, "rollback", "is being rolled back to {source}")


@command(app, "finalise", examples=["tenantry moves finalise 9f2c51aa07de --yes"])
async def finalise_move(session: Session, id: Id, yes: Yes = False) -> None:
    """End a move's soak now; it cannot be rolled back after that."""
    found = await session.api.get(*session.path("moves", id))
    session.out.confirm(f"finalise the move of {found['tenant']}? It cannot be rolled back then", yes)
    await _steer(session, id, "finalise", "is being finalised")


@command(app, "copies", examples=["tenantry moves copies", "tenantry moves copies --shard shard-0 --json"])
async def copies(
    session: Session,
    shard: Annotated[str | None, typer.Option("--shard", metavar="NAME", help="Only those on a shard.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="Only those of a tenant.")] = None,
) -> None:
    """List old copies that finished moves have left, and until when they are kept."""
    from tenantry.cli.output import table, when

    found = (await session.api.get(*session.path("copies"), shard=shard, tenant=tenant))["copies"]
    rows = ([one["tenant"], one["shard"], one["namespace"], one["move"], when(one["purge_at"])] for one in found)
    columns = ["tenant", "=shard", "namespace", "=move", "=kept until"]
    session.out.show(found, table(columns, rows, empty="no old copies"))


@command(app, "purge", examples=["tenantry moves purge --shard shard-0", "tenantry moves purge --tenant acme --yes"])
async def purge(
    session: Session,
    shard: Annotated[str | None, typer.Option("--shard", metavar="NAME", help="Only those on a shard.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="Only those of a tenant.")] = None,
    yes: Yes = False,
) -> None:
    """Drop old copies now, before their time."""
    from tenantry.cli.output import many

    asked = {"shard": shard, "tenant": tenant}
    found = (await session.api.get(*session.path("copies"), **asked))["copies"]
    if found:
        session.out.confirm(f"drop {many(len(found), 'old copy', 'old copies')} ({session.api.place})?", yes)
    gone = (await session.api.post(*session.path("copies", "purge"), body=asked))["purged"]
    session.out.show(gone, f"dropped {many(len(gone), 'old copy', 'old copies')}")


async def _steer(session: Session, id: str, verb: str, message: str) -> None:
    changed = await session.api.post(*session.path("moves", id, verb))
    if session.api.in_process and verb in ("cancel", "rollback", "finalise"):
        changed = await follow(session, changed, until=ENDED)  # nobody else would carry it out
        session.out.show(changed, _outcome(changed))
        return
    session.out.show(changed, f"move {id} of {changed['tenant']} {message.format(**changed)}")


def _outcome(found: Mapping[str, Any]) -> str:
    """What has become of a move, and what can be done about it."""
    from tenantry.cli.output import when

    tenant, phase = found["tenant"], found["phase"]
    if phase == "done":
        return f"{tenant} is on {found['target']}; the old copy on {found['source']} is kept for a while"
    if phase == "rolled-back":
        return f"{tenant} is back on {found['source']}"
    if phase in ENDED:
        reason = f": {found['error']}" if found["error"] else ""
        return f"the move of {tenant} was {phase}{reason}; it is on {found['source']}"
    until = found["soak_until"]
    limit = f" until {when(until, short=True)}" if until else ""
    return (
        f"{tenant} is served from {found['target']}; writes waited {found['flip_ms'] or 0:.0f} ms for the switch\n"
        f"back with `tenantry moves rollback {found['id']}`{limit}; "
        f"done at once with `tenantry moves finalise {found['id']}`"
    )


def _next(found: Mapping[str, Any]) -> str:
    """The command that comes next."""
    phase, id = found["phase"], found["id"]
    if phase in ENDED:
        return ""
    if found["wish"] == "pause":
        return f"paused; go on with `tenantry moves resume {id}`"
    if phase == "soak":
        return f"back with `tenantry moves rollback {id}`, done at once with `tenantry moves finalise {id}`"
    return f"watch it with `tenantry moves watch {id}`"


def _end_by(found: Mapping[str, Any]) -> None:
    if found["phase"] in ("cancelled", "failed", "rolled-back"):
        raise Failure(f"the move of {found['tenant']} was {found['phase']}", found["error"] or "", ExitCode.FAILED)
