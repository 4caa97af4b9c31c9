"""``tenantry backup``: make, list, test and prune backups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenantry.cli import given
from tenantry.cli.command import Json, Session, Yes, command, group, local_command
from tenantry.cli.failures import ExitCode, Failure, usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

PANEL = "Backup and restore"
app = group("backup", "Backups: make, list, test and prune them.")

Archive = Annotated[
    str | None,
    typer.Option("--archive", metavar="PLACE", help="A folder, or s3://bucket/prefix; TENANTRY_BACKUP_URL."),
]
Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the backup; `tenantry backup list` shows it.")]
Hourly = Annotated[
    int | None, typer.Option("--hourly", metavar="N", min=0, help="Keep the newest of N hours; default 24.")
]
Daily = Annotated[int | None, typer.Option("--daily", metavar="N", min=0, help="Keep the newest of N days; default 7.")]
Weekly = Annotated[
    int | None, typer.Option("--weekly", metavar="N", min=0, help="Keep the newest of N weeks; default 4.")
]
ENDED = ("done", "failed", "cancelled")


@command(
    app,
    "create",
    examples=[
        "tenantry backup create --archive backups/ --data DIR",
        "tenantry backup create --tenant acme --archive s3://bucket/tenantry",
    ],
)
async def create(
    session: Session,
    archive: Archive = None,
    shard: Annotated[str | None, typer.Option("--shard", metavar="NAME", help="Only tenants on this shard.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="Only this tenant.")] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Read everything anew, and check what is stored already.")
    ] = False,
    parallel: Annotated[
        int | None, typer.Option("--parallel", metavar="N", min=1, max=32, help="Tenants read at once; default 2.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", metavar="N", help="Most records a second; default: as load allows.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Only begin it; the gateway carries it on.")] = False,
) -> None:
    """Back up the cluster, a shard or a tenant, while it is used.

    What has not changed since the last backup is neither read nor stored again. A backup that is cut off leaves
    nothing but work that the next one need not do again.
    """
    if detach and session.api.in_process:
        raise usage("--detach needs a running gateway", "leave --detach out, or `tenantry serve` and use --url")
    index = session.index if shard is not None or tenant is not None else None
    asked = {"archive": archive, "index": index, "shard": shard, "tenant": tenant, "full": full or None}
    job = await session.api.post("backups", body=present(asked | {"parallel": parallel, "rate": rate}))
    if detach:
        session.out.show(job, f"job {job['id']} has begun; `tenantry backup job {job['id']}` shows how far it is")
        return
    made = (await follow(session, job, "backing up"))["result"]
    session.out.show(made, made_in_words(made))
    if made["totals"]["fuzzy"] and not session.out.as_json:
        session.out.warn(
            f"{made['totals']['fuzzy']} tenants never stood still and are fuzzy: each of their records is as it was at "
            "some instant of the backup",
            "their engine has no snapshots; back them up when they are written to less",
        )


@command(app, "list", examples=["tenantry backup list --archive backups/", "tenantry backup list --json"], index=False)
async def list_backups(session: Session, archive: Archive = None) -> None:
    """List backups, newest first."""
    from tenantry.cli.output import table, when

    found = (await session.api.get("backups", archive=archive))["backups"]
    rows = (
        [
            one["id"],
            one["scope"],
            when(one["catalog_at"]),
            *_figures(one["totals"]),
            "yes" if one["encrypted"] else "",
            one["error"],
        ]
        for one in found
    )
    columns = ["=id", "=scope", "=as of", ">tenants", ">vectors", ">size", ">written", "=encrypted", "error"]
    session.out.show(found, table(columns, rows, empty="no backups; `tenantry backup create` makes one"))


@command(app, "show", examples=["tenantry backup show 20260131T120000000Z-1f2e3d"], index=False)
async def show(session: Session, id: Id, archive: Archive = None) -> None:
    """Show one backup: what it covers, as of when, how large."""
    from tenantry.cli.output import fields, size, table, when

    found = await session.api.get("backups", id, archive=archive)
    totals = found["totals"]
    view = {
        "id": found["id"],
        "covers": found["scope"],
        "catalog as of": when(found["catalog_at"]),
        "finished": when(found["finished_at"]),
        "tenants": f"{totals['tenants']:,}",
        "vectors": f"{totals['records']:,}",
        "size": f"{size(totals['stored_bytes'])} stored, of {size(totals['bytes'])}",
        "written anew": size(totals["written_bytes"]) or "nothing",
        "fuzzy tenants": totals["fuzzy"] or None,
        "encrypted": "yes" if found["encrypted"] else "no",
        "made by": f"Tenantry {found['version']}",
    }
    gone = ([one["index"], one["name"], one["why"]] for one in found["gone"])
    left_out = table(["=index", "tenant", "left out since"], gone, empty="")
    session.out.show(found, fields(view), *([left_out] if found["gone"] else []))


@command(
    app,
    "verify",
    examples=["tenantry backup verify --archive backups/", "tenantry backup verify 20260131T120000000Z-1f2e3d"],
    index=False,
)
async def verify(
    session: Session,
    id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Id of the backup; default: the newest.")] = None,
    archive: Archive = None,
) -> None:
    """Test a backup without restoring it: read all of it, and compare it with its checksums and digests.

    The exit code is 4 when something is wrong.
    """
    from tenantry.cli.output import many, table

    if id is None:
        found = (await session.api.get("backups", archive=archive))["backups"]
        if not found:
            raise Failure("there is no backup to test", "`tenantry backup create` makes one")
        id = str(found[0]["id"])
    job = await session.api.post("backups", id, "verify", body=present({"archive": archive}))
    report = (await follow(session, job, "testing"))["result"]
    faults = report["faults"]
    if not faults:
        text = f"backup {id} is whole: {many(report['tenants'], 'tenant')}, {many(report['records'], 'vector')}"
        session.out.show(report, text)
        return
    rows = ([one["index"], one["tenant"], one["error"]] for one in faults)
    session.out.show(report, table(["=index", "tenant", "what is wrong"], rows, empty=""))
    raise Failure(
        f"backup {id} is damaged: {many(len(faults), 'fault')}",
        "`tenantry backup create --full` stores damaged objects anew, as long as the cluster has the data",
        ExitCode.FOUND_PROBLEMS,
    )


@command(
    app,
    "prune",
    examples=["tenantry backup prune --dry-run", "tenantry backup prune --hourly 24 --daily 7 --weekly 4 --yes"],
    index=False,
)
async def prune(
    session: Session,
    archive: Archive = None,
    hourly: Hourly = None,
    daily: Daily = None,
    weekly: Weekly = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
    yes: Yes = False,
) -> None:
    """Remove old backups, and what no other needs; the newest is always kept."""
    asked = present({"archive": archive, "hourly": hourly, "daily": daily, "weekly": weekly})
    job = await session.api.post("backups", "prune", body=asked | {"dry_run": True})
    report = (await follow(session, job, "looking"))["result"]
    if not dry_run:
        if report["removed"] or report["objects"]:
            session.out.confirm(f"{_pruned(report, 'remove')} ({session.api.place})?", yes)
        job = await session.api.post("backups", "prune", body=asked)
        report = (await follow(session, job, "removing"))["result"]
    session.out.show(report, _pruned(report, "would remove" if dry_run else "removed"))
    if report["damaged"] and not session.out.as_json:
        session.out.warn(
            f"{', '.join(report['damaged'])} cannot be read, so no object was removed",
            "look with `tenantry backup verify`; remove a backup with `tenantry backup delete`",
        )


@command(app, "delete", examples=["tenantry backup delete 20260131T120000000Z-1f2e3d --yes"], index=False)
async def delete(session: Session, id: Id, archive: Archive = None, yes: Yes = False) -> None:
    """Remove one backup; the space is freed by the next prune."""
    session.out.confirm(f"remove backup {id} ({session.api.place})?", yes)
    path = ("backups", id)
    await session.api.delete(*path, archive=archive)
    session.out.show({"deleted": id}, f"removed backup {id}; `tenantry backup prune` frees the space")


@command(
    app,
    "schedule",
    examples=["tenantry backup schedule --every 1h", "tenantry backup schedule", "tenantry backup schedule --off"],
    index=False,
)
async def schedule(
    session: Session,
    every: Annotated[
        str | None, typer.Option("--every", metavar="TIME", help="Pause between backups: 15m, 1h, 1d.")
    ] = None,
    archive: Archive = None,
    hourly: Hourly = None,
    daily: Daily = None,
    weekly: Weekly = None,
    off: Annotated[bool, typer.Option("--off", help="No backups by themselves.")] = False,
) -> None:
    """Have gateways make backups by themselves, and prune after each; without options show what is set."""
    if off and every is not None:
        raise usage("--off and --every cannot be given together")
    if every is None and not off:
        if any(one is not None for one in (archive, hourly, daily, weekly)):
            raise usage("--every is missing", "such as `tenantry backup schedule --every 1h`")
        found = await session.api.get("backups", "schedule")
    else:
        asked = {"archive": archive, "hourly": hourly, "daily": daily, "weekly": weekly}
        body = present(asked) | {"every_s": None if every is None else given.duration_s(every, "--every")}
        found = await session.api.put("backups", "schedule", body=body)
    session.out.show(found, _scheduled(found))


@command(app, "job", examples=["tenantry backup job 9f2c51aa07de"], index=False)
async def job(
    session: Session,
    id: Annotated[str, typer.Argument(metavar="ID", help="Id of the job.")],
    stop: Annotated[bool, typer.Option("--stop", help="Stop it.")] = False,
) -> None:
    """Watch a job of a gateway (a backup, a test, a restore) until it has ended, or stop it."""
    if stop:
        found = await session.api.post("jobs", id, "cancel")
        session.out.show(found, f"job {id} is {found['state']}")
        return
    found = await follow(session, await session.api.get("jobs", id), "working")
    session.out.show(found, f"job {id} ({found['kind']}) is done")


def register(program: typer.Typer) -> None:
    """Add the command ``backup key``, which talks to no cluster."""
    local_command(app, "key", examples=["tenantry backup key"])(key)
    program.add_typer(app, rich_help_panel=PANEL)


def key(as_json: Json = False) -> None:
    """Make a key for TENANTRY_BACKUP_KEY. Without it nobody can read what it encrypts: keep it elsewhere too."""
    from tenantry.cli.output import Output
    from tenantry.wiring import new_backup_key

    made = new_backup_key()
    Output(as_json).show({"key": made}, made)


async def follow(session: Session, begun: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Show progress until a job has ended. Returns it. Raises Failure when it has failed."""
    last = dict(begun)
    path = ("jobs", str(begun["id"]))
    with session.out.progress(what, None) as bar:
        done = 0
        async for last in session.api.follow((*path, "events"), path, lambda one: one["state"] in ENDED):
            progress = last["progress"]
            bar.of(progress["tenants"])
            bar.advance(progress["tenants_done"] - done, f"{progress['records']:,} vectors")
            done = progress["tenants_done"]
    return ended(last)


def ended(last: dict[str, Any]) -> dict[str, Any]:
    """A job that has ended well. Raises Failure."""
    if last["state"] == "done":
        return last
    from tenantry.cli.api import HINTS, LATER

    code = str(last["code"] or "")
    raise Failure(
        str(last["error"]),
        HINTS.get(code, ""),
        ExitCode.UNAVAILABLE if code in LATER else ExitCode.FAILED,
        code=code,
    )


def present(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What was given."""
    return {name: value for name, value in asked.items() if value is not None}


def made_in_words(made: Mapping[str, Any]) -> str:
    """What a backup holds."""
    from tenantry.cli.output import many, size

    totals = made["totals"]
    text = (
        f"backup {made['id']}: {many(totals['tenants'], 'tenant')}, {many(totals['records'], 'vector')}, "
        f"{size(totals['stored_bytes']) or '0 B'} stored"
    )
    if totals["reused"]:
        text += f"; {totals['reused']:,} unchanged, {size(totals['written_bytes']) or '0 B'} written"
    return text + (f"; {many(len(made['gone']), 'tenant')} left out" if made["gone"] else "")


def _figures(totals: Mapping[str, Any] | None) -> list[str]:
    from tenantry.cli.output import size

    if totals is None:
        return ["", "", "", ""]
    return [
        f"{totals['tenants']:,}",
        f"{totals['records']:,}",
        size(totals["stored_bytes"]) or "0 B",
        size(totals["written_bytes"]) or "0 B",
    ]


def _pruned(report: Mapping[str, Any], verb: str) -> str:
    from tenantry.cli.output import many, size

    backups, objects = many(len(report["removed"]), "backup"), many(report["objects"], "object")
    return f"{verb} {backups} and {objects} ({size(report['bytes']) or '0 B'}); {len(report['kept'])} are kept"


def _scheduled(found: Mapping[str, Any]) -> RenderableType:
    from tenantry.cli.output import lasting

    if found["every_s"] is None:
        return "no backups by themselves; `tenantry backup schedule --every 1h` has gateways make them"
    keep = f"{found['hourly']} hourly, {found['daily']} daily, {found['weekly']} weekly"
    where = found["archive"] or "the archive of TENANTRY_BACKUP_URL"
    return f"every {lasting(found['every_s'])} to {where}; kept: {keep}"
