"""``tenantry restore``: tenants, shards and whole clusters from backups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenantry.cli import given
from tenantry.cli.backups import PANEL, Archive, follow, present
from tenantry.cli.command import Data, Json, Session, Yes, command, group, local_command
from tenantry.cli.failures import ExitCode, Failure, usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tenantry.cli.output import Output
    from tenantry.settings import Settings

app = group("restore", "Restore tenants, shards and whole clusters from backups.")

Backup = Annotated[
    str | None, typer.Option("--backup", metavar="ID", help="This backup; default: the newest that has it.")
]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", metavar="TIME", help="The newest backup by then: 2026-01-31T12:00 (UTC), or 2h (ago)."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]
Replace = Annotated[bool, typer.Option("--replace", help="Replace what is there; its old data are kept for 7 days.")]
ROWS = 100


def register(program: typer.Typer) -> None:
    """Add the group, with the command ``restore cluster``, which needs no cluster."""
    local_command(
        app,
        "cluster",
        examples=[
            "tenantry restore cluster --archive backups/ --data NEW",
            "tenantry restore cluster --archive backups/ --data NEW --shards 8",
        ],
    )(cluster)
    program.add_typer(app, rich_help_panel=PANEL)


@command(
    app,
    "tenant",
    examples=[
        "tenantry restore tenant acme --archive backups/ --dry-run",
        "tenantry restore tenant acme --as acme-yesterday --as-of 24h",
    ],
)
async def tenant(
    session: Session,
    *,
    name: Annotated[str, typer.Argument(metavar="TENANT", help="Name of the tenant in the backup.")],
    archive: Archive = None,
    backup: Backup = None,
    as_of: AsOf = None,
    new_name: Annotated[str | None, typer.Option("--as", metavar="NAME", help="Under another name.")] = None,
    into: Annotated[str | None, typer.Option("--into", metavar="INDEX", help="Into another logical index.")] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="SHARD", help="To this shard, of any backend.")] = None,
    replace: Replace = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Restore a tenant. It is in use only when all of it is there and was compared with the backup.

    One that is there is never overwritten, unless --replace is given.
    """
    if replace and not dry_run:
        session.out.confirm(f"replace tenant {new_name or name} by its backup ({session.api.place})?", yes)
    asked = {"archive": archive, "backup": backup, "as_of": _moment(as_of), "name": new_name, "into": into, "shard": to}
    body = present(asked) | {"replace": replace, "dry_run": dry_run}
    job = await session.api.post(*session.tenant(name, "restore"), body=body)
    _show(session.out, (await follow(session, job, "restoring"))["result"])


@command(
    app,
    "shard",
    examples=["tenantry restore shard shard-0 --archive backups/", "tenantry restore shard shard-0 --to shard-3"],
)
async def shard(
    session: Session,
    *,
    name: Annotated[str, typer.Argument(metavar="SHARD", help="Name of the shard in the backup.")],
    archive: Archive = None,
    backup: Backup = None,
    as_of: AsOf = None,
    to: Annotated[str | None, typer.Option("--to", metavar="SHARD", help="To this shard instead.")] = None,
    replace: Replace = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Restore every tenant that was on a shard: those whose data are lost, and those that are gone.

    Tenants that have data stay as they are, unless --replace is given.
    """
    if replace and not dry_run:
        session.out.confirm(f"replace all tenants of shard {name} by their backup ({session.api.place})?", yes)
    asked = {"archive": archive, "backup": backup, "as_of": _moment(as_of), "to": to}
    body = present(asked) | {"replace": replace, "dry_run": dry_run}
    job = await session.api.post(*session.path("shards", name, "restore"), body=body)
    _show(session.out, (await follow(session, job, "restoring"))["result"])


def cluster(
    *,
    archive: Archive = None,
    backup: Backup = None,
    as_of: AsOf = None,
    shards: Annotated[
        int | None, typer.Option("--shards", metavar="N", min=1, help="On so many new shards; default: as they were.")
    ] = None,
    backend: Annotated[
        str | None, typer.Option("--backend", metavar="KIND", help="Backend of the new shards [default: embedded]")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", metavar="KEY=VALUE", help="Option of the new shards; repeatable.")
    ] = None,
    attach: Annotated[
        bool, typer.Option("--attach", help="Only the catalog was lost: keep the data that the shards hold.")
    ] = False,
    beside: Annotated[bool, typer.Option("--beside", help="Leave alone what the shards hold already.")] = False,
    skip_damaged: Annotated[
        bool, typer.Option("--skip-damaged", help="Leave out tenants whose data in the backup are damaged.")
    ] = False,
    dry_run: DryRun = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Restore a whole cluster, catalog included, into an empty folder (or the empty database of TENANTRY_CATALOG_URL).

    One that is cut off is finished by the same command.
    """
    import asyncio

    from tenantry.cli.output import Output
    from tenantry.cli.target import load_settings

    if (backend or option) and shards is None:
        raise usage("--backend and --option need --shards", "such as `--shards 4 --backend pgvector`")
    if attach and shards is not None:
        raise usage("--attach and --shards cannot be given together", "data that stay are where they are")
    asked = {
        "shards": shards,
        "backend": backend or "embedded",
        "options": _options(option or []),
        "attach": attach,
        "beside": beside,
        "skip_damaged": skip_damaged,
    }
    out = Output(as_json)
    report = asyncio.run(
        _restore(load_settings(data=data), archive, asked, out, id=backup, as_of=_moment(as_of), dry_run=dry_run)
    )
    _show(out, report)


async def _restore(
    settings: Settings, archive: str | None, asked: dict[str, Any], out: Output, **which: Any
) -> dict[str, Any]:
    import msgspec

    from tenantry.backup.rebuild import Layout
    from tenantry.gateway.native.backups import shown_job
    from tenantry.wiring import restoring_cluster

    async with restoring_cluster(settings) as cluster:
        begun = cluster.backups.start_restore_cluster(archive, Layout(**asked), **which)
        with out.progress("restoring", None) as bar:
            done = 0
            async for job in cluster.backups.watch(begun.id):
                bar.of(job.progress.tenants)
                bar.advance(job.progress.tenants_done - done, f"{job.progress.records:,} vectors")
                done = job.progress.tenants_done
        await cluster.backups.wait(begun.id)
        found: dict[str, Any] = msgspec.to_builtins(shown_job(begun))["result"]
        return found


def _show(out: Output, report: Mapping[str, Any]) -> None:
    """What was restored, or would be. Raises Failure when tenants were left out."""
    from tenantry.cli.output import many, size, table, when

    rows = [
        [one["tenant"], one["action"], one["shard"], f"{one['records']:,}", size(one["bytes"])]
        for one in report["tenants"]
    ]
    columns = ["tenant", "=what", "=shard", ">vectors", ">size"]
    moved = [one for one in report["tenants"] if one["action"] not in ("keep", "attach")]
    vectors = many(sum(one["records"] for one in moved), "vector")
    kept = len(report["tenants"]) - len(moved)
    stay = f"; {many(kept, 'tenant')} with data {'stays' if kept == 1 else 'stay'} as they are" if kept else ""
    verb = "would restore" if report["dry_run"] else "restored"
    done = len(moved) - len(report["failed"])
    text = (
        f"{verb} {many(done, 'tenant')}, {vectors}, as of {when(report['taken_at'])} (backup {report['backup']}){stay}"
    )
    more = [f"and {len(rows) - ROWS} more"] if len(rows) > ROWS else []
    out.show(report, table(columns, rows[:ROWS], empty="no tenants"), *more, text)
    if report["failed"]:
        first = report["failed"][0]
        raise Failure(
            f"{many(len(report['failed']), 'tenant')} could not be restored; {first['tenant']}: {first['error']}",
            "the others are restored; try these from another backup with --backup",
            ExitCode.FOUND_PROBLEMS,
        )


def _moment(text: str | None) -> float | None:
    """A time of the past: ISO 8601 (UTC unless it says otherwise), Unix seconds, or how long ago."""
    if text is None:
        return None
    import time
    from datetime import UTC, datetime

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        try:
            seconds = float(text)
        except ValueError:
            ago = given.duration_s(text, "--as-of")
            return time.time() - (ago or 0.0)
        return seconds
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _options(pairs: list[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise usage(f"--option {pair!r} is not KEY=VALUE")
        found[name] = value
    return found
