"""``tenantry index``: logical indexes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tenantry.cli import given
from tenantry.cli.command import Session, Yes, command, group
from tenantry.cli.failures import usage

app = group("index", "Logical indexes: a dimension, a metric, and tenants spread over shards.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the logical index.")]
Policy = Annotated[
    str | None,
    typer.Option("--policy", metavar="POLICY", help="Placement of new tenants: rendezvous, ring or least-loaded."),
]
AutoCreate = Annotated[
    bool | None, typer.Option("--auto-create/--no-auto-create", help="Whether a first write makes the tenant.")
]
Protect = Annotated[bool | None, typer.Option("--protect/--no-protect", help="Whether deleting it is refused.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="NAME=VALUE", help="Label; repeatable.")]


@command(
    app,
    "create",
    examples=[
        "tenantry index create articles --dimension 1536 --shards 4",
        "tenantry index create notes --dimension 256 --embedder local",
    ],
    index=False,
)
async def create(
    session: Session,
    name: Name,
    *,
    dimension: Annotated[int, typer.Option("--dimension", metavar="D", help="Numbers in each vector; for life.")],
    metric: Annotated[
        str, typer.Option("--metric", metavar="METRIC", help="cosine, dotproduct or euclidean; for life.")
    ] = "cosine",
    shards: Annotated[int, typer.Option("--shards", metavar="N", help="Shards to begin with.")] = 1,
    policy: Policy = None,
    embedder: Annotated[
        str | None, typer.Option("--embedder", metavar="NAME", help="Turns text into vectors: local, openai:MODEL.")
    ] = None,
    auto_create: AutoCreate = None,
    protect: Protect = None,
    tag: Tags = None,
) -> None:
    """Make a logical index with shards of its own."""
    wanted = {"name": name, "dimension": dimension, "metric": metric, "shards": shards, "embedder": embedder}
    wanted |= _options(policy, auto_create, protect, tag)
    from tenantry.cli.output import many

    made = await session.api.post("indexes", body={key: value for key, value in wanted.items() if value is not None})
    session.out.show(
        made, f"created index {name}: {made['dimension']} dimensions, {made['metric']}, {many(shards, 'shard')}"
    )


@command(app, "list", examples=["tenantry index list", "tenantry index list --json"], index=False)
async def list_indexes(session: Session) -> None:
    """List the logical indexes."""
    from tenantry.cli.output import table, when

    found = (await session.api.get("indexes"))["indexes"]
    columns = ["name", ">dimension", "metric", "policy", "auto-create", "embedder", "protected", "=created"]
    session.out.show(
        found,
        table(
            columns,
            (
                [
                    one["name"],
                    str(one["dimension"]),
                    one["metric"],
                    one["policy"],
                    one["auto_create"],
                    one["embedder"],
                    one["deletion_protection"],
                    when(one["created_at"], short=True),
                ]
                for one in found
            ),
            empty="no indexes; make one with `tenantry index create`",
        ),
    )


@command(app, "show", examples=["tenantry index show default"], index=False)
async def show(session: Session, name: Name) -> None:
    """Show one logical index."""
    from tenantry.cli.output import fields, when

    found = await session.api.get("indexes", name)
    session.out.show(found, fields({**found, "created_at": when(found["created_at"])}))


@command(
    app,
    "set",
    examples=[
        "tenantry index set default --policy least-loaded",
        "tenantry index set default --no-auto-create --protect",
    ],
    index=False,
)
async def change(
    session: Session,
    name: Name,
    policy: Policy = None,
    embedder: Annotated[
        str | None, typer.Option("--embedder", metavar="NAME", help="local, openai:MODEL, or none.")
    ] = None,
    auto_create: AutoCreate = None,
    protect: Protect = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="NAME=VALUE", help="Labels, in place of the present ones.")
    ] = None,
) -> None:
    """Change what may change of a logical index."""
    changes = _options(policy, auto_create, protect, tag)
    if embedder is not None:
        changes["embedder"] = given.or_none(embedder)
    if not changes:
        raise usage("nothing to change", "name at least one option; see `tenantry index set --help`")
    changed = await session.api.patch("indexes", name, body=changes)
    session.out.show(changed, f"changed index {name}")


@command(
    app, "delete", examples=["tenantry index delete articles", "tenantry index delete articles --yes"], index=False
)
async def delete(session: Session, name: Name, yes: Yes = False) -> None:
    """Delete a logical index with its shards, tenants and data."""
    from tenantry.cli.output import many

    if not yes:
        stats = await session.api.get("indexes", name, "stats")
        held = f"{many(stats['tenants'], 'tenant')} and {many(stats['vectors'], 'vector')}"
        session.out.confirm(f"delete index {name} with {held} ({session.api.place})?", yes)
    await session.api.delete("indexes", name)
    session.out.show({"deleted": name}, f"deleted index {name}")


def _options(
    policy: str | None, auto_create: bool | None, protect: bool | None, tag: list[str] | None
) -> dict[str, Any]:
    options = {
        "policy": policy,
        "auto_create": auto_create,
        "deletion_protection": protect,
        "tags": given.pairs(tag, "--tag"),
    }
    return {name: value for name, value in options.items() if value is not None}
