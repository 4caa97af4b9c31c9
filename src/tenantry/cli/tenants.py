"""``tenantry tenant``: the life of tenants."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tenantry.cli.command import Session, Yes, command, group
from tenantry.cli.moves import Rate, Retention, Soak, options
from tenantry.cli.plans import Execute, plan_and_do

app = group("tenant", "Tenants: namespaces of a logical index, each on one shard.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the tenant.")]
PAGE = 1_000
#: Rows that a table shows unless more are asked for; JSON always has all.
TABLE_ROWS = 100


@command(
    app,
    "create",
    examples=[
        "tenantry tenant create acme",
        "tenantry tenant create bigcorp --dedicated --region eu --expected-vectors 500000",
    ],
)
async def create(
    session: Session,
    name: Name,
    *,
    shard: Annotated[str | None, typer.Option("--shard", metavar="NAME", help="Pin it to this shard.")] = None,
    dedicated: Annotated[bool, typer.Option("--dedicated", help="A shard of its own, shared with nobody.")] = False,
    region: Annotated[str | None, typer.Option("--region", metavar="NAME", help="Only shards of this region.")] = None,
    tier: Annotated[str | None, typer.Option("--tier", metavar="NAME", help="Only shards of this tier.")] = None,
    expected_vectors: Annotated[
        int | None, typer.Option("--expected-vectors", metavar="N", help="Planned size; room is kept for it.")
    ] = None,
    embedder: Annotated[
        str | None, typer.Option("--embedder", metavar="NAME", help="Embedder, if not that of the index.")
    ] = None,
    plan: Annotated[
        str | None, typer.Option("--plan", metavar="NAME", help="What it may use; default: the cluster's default plan.")
    ] = None,
) -> None:
    """Make a tenant and place it on a shard."""
    wanted: dict[str, Any] = {"name": name, "shard": shard, "region": region, "tier": tier, "embedder": embedder}
    wanted |= {"plan": plan}
    wanted |= {"expected_vectors": expected_vectors, "dedicated": dedicated or None}
    body = {key: value for key, value in wanted.items() if value is not None}
    made = await session.api.post(*session.path("tenants"), body=body)
    session.out.show(made, f"created tenant {name} on {made['shard']}")


@command(
    app,
    "list",
    examples=["tenantry tenant list --shard shard-0", "tenantry tenant list --prefix eu- --json"],
)
async def list_tenants(
    session: Session,
    prefix: Annotated[str, typer.Option("--prefix", metavar="TEXT", help="Only names that begin so.")] = "",
    shard: Annotated[str | None, typer.Option("--shard", metavar="NAME", help="Only those on this shard.")] = None,
    after: Annotated[str | None, typer.Option("--after", metavar="NAME", help="Only names after this one.")] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help=f"At most so many; default: {TABLE_ROWS}, with --json all."),
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="All of them, however many.")] = False,
) -> None:
    """List tenants by name."""
    from tenantry.cli.output import size, table, when

    most = limit if limit is not None else None if all or session.out.as_json else TABLE_ROWS
    found: list[dict[str, Any]] = []
    while True:
        page = PAGE if most is None else min(PAGE, most - len(found))
        answer = await session.api.get(
            *session.path("tenants"), after=after, limit=page, prefix=prefix or None, shard=shard
        )
        found += answer["tenants"]
        after = answer["next"]
        if after is None or (most is not None and len(found) >= most):
            break
    columns = ["name", "=state", "=shard", ">vectors", ">size", ">epoch", "=created", "error"]
    rows = (
        [
            one["name"],
            one["state"],
            one["shard"],
            one["vectors"],
            size(one["bytes"]),
            str(one["epoch"]),
            when(one["created_at"], short=True),
            one.get("error"),
        ]
        for one in found
    )
    none = "no such tenants" if prefix or shard or after else "no tenants yet; make one with `tenantry tenant create`"
    session.out.show(found, table(columns, rows, empty=none))
    if after is not None and not session.out.as_json:
        session.out.say(f"there are more; go on with --after {after!r}, or list --all")


@command(app, "show", examples=["tenantry tenant show acme", "tenantry tenant show acme --json"])
async def show(session: Session, name: Name) -> None:
    """Show one tenant: its shard, route, size and state, and what it uses of what its plan allows."""
    from tenantry.cli.output import fields, size, when
    from tenantry.cli.service_plans import limits_view

    found = await session.api.get(*session.tenant(name))
    plan = found.get("plan")
    spec = {key: value for key, value in found["spec"].items() if value and key != "plan"}
    view = {**found, "plan": None, "bytes": size(found["bytes"]), "spec": spec, "created_at": when(found["created_at"])}
    session.out.show(found, fields(view), *(["", limits_view(found)] if plan else []))


@command(app, "set-plan", examples=["tenantry tenant set-plan acme pro", "tenantry tenant set-plan acme none"])
async def set_plan(
    session: Session,
    name: Name,
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="From `tenantry plans list`; none: the default plan.")],
) -> None:
    """Give a tenant a plan: what it may use, and its share of a busy shard."""
    from tenantry.cli.given import or_none

    wanted = or_none(plan)
    changed = await session.api.post(*session.tenant(name, "plan"), body={"plan": wanted})
    held = f"plan {wanted}" if wanted else "the cluster's default plan"
    session.out.show(changed, f"tenant {name} has {held} now")


@command(app, "suspend", examples=["tenantry tenant suspend acme"])
async def suspend(session: Session, name: Name) -> None:
    """Refuse all reads and writes of a tenant; its data stay."""
    changed = await session.api.post(*session.tenant(name, "suspend"))
    session.out.show(changed, f"suspended tenant {name}; `tenantry tenant resume` opens it again")


@command(app, "resume", examples=["tenantry tenant resume acme"])
async def resume(session: Session, name: Name) -> None:
    """Open a suspended tenant again."""
    changed = await session.api.post(*session.tenant(name, "resume"))
    session.out.show(changed, f"resumed tenant {name}")


@command(app, "rename", examples=["tenantry tenant rename acme acme-inc"])
async def rename(
    session: Session, name: Name, new_name: Annotated[str, typer.Argument(metavar="NEW", help="The name wanted.")]
) -> None:
    """Refused, with the reason and the way round it."""
    changed = await session.api.patch(*session.tenant(name), body={"name": new_name})
    session.out.show(changed, f"renamed tenant {name} to {new_name}")


@command(app, "delete", examples=["tenantry tenant delete acme", "tenantry tenant delete acme --yes"])
async def delete(
    session: Session,
    name: Name,
    now: Annotated[bool, typer.Option("--now", help="The data go at once; there is no way back.")] = False,
    yes: Yes = False,
) -> None:
    """Delete a tenant. Its data are kept for a while (7 days by default), in which it can be brought back."""
    if not yes:
        from tenantry.cli.output import many

        found = await session.api.get(*session.tenant(name))
        held = many(found["vectors"], "vector")
        session.out.confirm(f"delete tenant {name} with {held} ({session.api.place})?", yes)
    await session.api.delete(*session.tenant(name), now="true" if now else None)
    session.out.show({"deleted": name, "index": session.index}, f"deleted tenant {name}")
    if not now and not session.out.as_json:
        session.out.say("its data are kept for a while: `tenantry tenant deleted`, `tenantry tenant undelete`")


@command(app, "deleted", examples=["tenantry tenant deleted", "tenantry tenant deleted --json"])
async def deleted(session: Session) -> None:
    """List deleted tenants that can be brought back, and until when."""
    from tenantry.cli.output import table, when

    found = (await session.api.get(*session.path("deleted")))["deleted"]
    rows = ([one["tenant"], one["shard"], when(one["purge_at"])] for one in found)
    session.out.show(found, table(["tenant", "=shard", "=until"], rows, empty="no deleted tenants are kept"))


@command(app, "undelete", examples=["tenantry tenant undelete acme"])
async def undelete(session: Session, name: Name) -> None:
    """Bring a deleted tenant back with its data; its keys stay revoked."""
    found = await session.api.post(*session.tenant(name, "undelete"))
    session.out.show(found, f"tenant {name} is back on {found['shard']}; make keys for it with `tenantry keys create`")


@command(app, "isolate", examples=["tenantry tenant isolate bigcorp", "tenantry tenant isolate bigcorp --execute"])
async def isolate(
    session: Session,
    name: Name,
    execute: Execute = False,
    soak: Soak = None,
    retention: Retention = None,
    rate: Rate = None,
    yes: Yes = False,
) -> None:
    """Move a tenant to an empty shard. Only shows the plan unless --execute is given."""
    asked = {"aim": "isolate", "subject": name}
    await plan_and_do(session, asked, options(soak, retention, rate), execute=execute, yes=yes)
