"""``tenantry shard``: the shard registry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenantry.cli import given
from tenantry.cli.command import Session, Yes, command, group
from tenantry.cli.failures import usage
from tenantry.cli.moves import Rate, Retention, Soak, options
from tenantry.cli.plans import Execute, plan_and_do

if TYPE_CHECKING:
    from rich.console import RenderableType

app = group("shard", "Shards: where the tenants of a logical index live.")

#: Moves of a plan that is to leave nothing behind.
EVERY = 1_000_000
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the shard.")]
MaxTenants = Annotated[
    str | None, typer.Option("--max-tenants", metavar="N", help="Most tenants it may hold; none: no limit.")
]
MaxVectors = Annotated[
    str | None, typer.Option("--max-vectors", metavar="N", help="Most vectors it may hold; none: no limit.")
]
Weight = Annotated[
    float | None, typer.Option("--weight", metavar="W", help="Its share of new tenants, relative to the others.")
]
Region = Annotated[str | None, typer.Option("--region", metavar="NAME", help="Region that tenants may ask for.")]
Tier = Annotated[str | None, typer.Option("--tier", metavar="NAME", help="Tier that tenants may ask for.")]


@command(
    app,
    "add",
    examples=["tenantry shard add shard-4", "tenantry shard add big --max-vectors 2_000_000 --weight 2 --tier premium"],
)
async def add(
    session: Session,
    name: Name,
    *,
    backend: Annotated[
        str | None, typer.Option("--backend", metavar="KIND", help="Kind of backend; default: that of the settings.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="NAME=VALUE", help="What that backend needs; repeatable; never a secret."),
    ] = None,
    max_tenants: MaxTenants = None,
    max_vectors: MaxVectors = None,
    weight: Weight = None,
    region: Region = None,
    tier: Tier = None,
) -> None:
    """Add a shard for new tenants; no tenant moves by itself."""
    wanted = {"name": name, "backend": backend, "options": given.pairs(option, "--option"), "weight": weight}
    wanted |= {"region": region, "tier": tier, "max_tenants": given.limit(max_tenants, "--max-tenants")}
    wanted |= {"max_vectors": given.limit(max_vectors, "--max-vectors")}
    body = {key: value for key, value in wanted.items() if value is not None}
    made = await session.api.post(*session.path("shards"), body=body)
    session.out.show(made, f"added shard {name} to index {session.index}; new tenants may be placed on it")


@command(app, "list", examples=["tenantry shard list", "tenantry shard list --data DIR --json"])
async def list_shards(session: Session) -> None:
    """List the shards with what each holds now."""
    found = (await session.api.get(*session.path("shards")))["shards"]
    session.out.show(found, shard_table(found))
    warn_of_errors(session, found)


@command(app, "show", examples=["tenantry shard show shard-0"])
async def show(session: Session, name: Name) -> None:
    """Show one shard."""
    from tenantry.cli.output import fields, size

    found = await session.api.get(*session.path("shards", name))
    session.out.show(found, fields({**found, "bytes": size(found["bytes"])}))


@command(
    app,
    "set",
    examples=[
        "tenantry shard set shard-0 --state draining",
        "tenantry shard set shard-0 --max-tenants none --weight 2",
    ],
)
async def change(
    session: Session,
    name: Name,
    state: Annotated[
        str | None, typer.Option("--state", metavar="STATE", help="active, draining, read-only or retired.")
    ] = None,
    max_tenants: MaxTenants = None,
    max_vectors: MaxVectors = None,
    weight: Weight = None,
    region: Region = None,
    tier: Tier = None,
) -> None:
    """Change limits, weight, region, tier or state of a shard."""
    changes: dict[str, Any] = {}
    if max_tenants is not None:
        changes["max_tenants"] = given.limit(max_tenants, "--max-tenants")
    if max_vectors is not None:
        changes["max_vectors"] = given.limit(max_vectors, "--max-vectors")
    for field, value in (("region", region), ("tier", tier)):
        if value is not None:
            changes[field] = given.or_none(value)
    changes |= {field: value for field, value in (("weight", weight), ("state", state)) if value is not None}
    if not changes:
        raise usage("nothing to change", "name at least one option; see `tenantry shard set --help`")
    changed = await session.api.patch(*session.path("shards", name), body=changes)
    session.out.show(changed, f"changed shard {name}")


@command(app, "remove", examples=["tenantry shard remove shard-4", "tenantry shard remove shard-4 --yes"])
async def remove(session: Session, name: Name, yes: Yes = False) -> None:
    """Take an empty shard out of the registry."""
    if not yes:
        session.out.confirm(f"remove shard {name} of index {session.index} ({session.api.place})?", yes)
    await session.api.delete(*session.path("shards", name))
    session.out.show({"removed": name, "index": session.index}, f"removed shard {name}")


@command(app, "drain", examples=["tenantry shard drain shard-0", "tenantry shard drain shard-0 --execute --soak 1h"])
async def drain(
    session: Session,
    name: Name,
    execute: Execute = False,
    soak: Soak = None,
    retention: Retention = None,
    rate: Rate = None,
    yes: Yes = False,
) -> None:
    """Move all tenants off a shard. Only shows the plan unless --execute is given; then it takes no new tenants."""
    asked = {"aim": "drain", "subject": name, "max_moves": EVERY}
    await plan_and_do(session, asked, options(soak, retention, rate), execute=execute, yes=yes)


@command(app, "consolidate", examples=["tenantry shard consolidate", "tenantry shard consolidate --execute"])
async def consolidate(
    session: Session,
    execute: Execute = False,
    soak: Soak = None,
    retention: Retention = None,
    rate: Rate = None,
    yes: Yes = False,
) -> None:
    """Move tenants together onto as few shards as hold them. Only shows the plan unless --execute is given."""
    asked = {"aim": "consolidate", "max_moves": EVERY}
    await plan_and_do(session, asked, options(soak, retention, rate), execute=execute, yes=yes)


def shard_table(shards: Iterable[Mapping[str, Any]]) -> RenderableType:
    """Shards, one a row."""
    from tenantry.cli.output import size, table

    columns = ["name", "=state", "=backend", ">tenants", ">vectors", ">size", ">weight", "region", "tier", "error"]
    rows = (
        [
            one["name"],
            one["state"],
            one["backend"],
            _of(one["tenants"], one["max_tenants"]),
            _of(one["vectors"], one["max_vectors"]),
            size(one["bytes"]),
            one["weight"],
            one["region"],
            one["tier"],
            one.get("error"),
        ]
        for one in shards
    )
    return table(columns, rows, empty="no shards; add one with `tenantry shard add`")


def warn_of_errors(session: Session, shards: Iterable[Mapping[str, Any]]) -> None:
    """Say so when a shard could not be asked: its figures are not zero, they are unknown."""
    failed = [one["name"] for one in shards if one.get("error")]
    if failed:
        session.out.warn(f"could not be asked, so their figures are unknown: {', '.join(failed)}")


def _of(held: int, most: int | None) -> str:
    return f"{held:,}" if most is None else f"{held:,} / {most:,}"
