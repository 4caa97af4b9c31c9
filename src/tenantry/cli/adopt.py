"""``tenantry adopt``: an existing index becomes a shard, its namespaces tenants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenantry.cli import given
from tenantry.cli.command import DEFAULT_INDEX, Session, command

if TYPE_CHECKING:
    from rich.console import RenderableType

PANEL = "Move tenants"
LEFT_SHOWN = 20


def register(program: typer.Typer) -> None:
    """Add the command to the program."""
    examples = [
        "tenantry adopt --backend pinecone --index one-for-all --tenant-field customer_id --dry-run",
        "tenantry adopt --backend pinecone --index my-index --dry-run",
        "tenantry adopt --backend pinecone --index my-index",
        "tenantry adopt --backend pgvector --option url_env=APP_PG --option collection=items --tenant-field tenant_id",
    ]
    command(program, "adopt", examples=examples, panel=PANEL, index=False)(adopt)


async def adopt(
    session: Session,
    *,
    backend: Annotated[
        str,
        typer.Option(
            "--backend", metavar="KIND", help="Kind of the existing index: pinecone, qdrant, chroma, milvus, pgvector."
        ),
    ],
    index: Annotated[
        str | None, typer.Option("--index", metavar="NAME", help="Name of the existing index; as --option index=NAME.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="NAME=VALUE", help="What that backend needs; repeatable; never a secret."),
    ] = None,
    tenant_field: Annotated[
        str | None,
        typer.Option(
            "--tenant-field",
            metavar="FIELD",
            help="Field of metadata that tells tenants apart in one collection; as --option tenant_field=FIELD.",
        ),
    ] = None,
    shard: Annotated[
        str, typer.Option("--shard", metavar="NAME", help="Name of the shard that it becomes.")
    ] = "adopted",
    into: Annotated[
        str, typer.Option("--into", metavar="NAME", help="Logical index, of the same dimension and metric.")
    ] = DEFAULT_INDEX,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only look; nothing is registered.")] = False,
) -> None:
    """Make an existing index a shard: each of its namespaces, or each value of a field, becomes a tenant there.

    Nothing is copied or changed on it. Repeating it is harmless, and adopts namespaces that are new.
    """
    named = {"index": index, "tenant_field": tenant_field}
    options = (given.pairs(option, "--option") or {}) | {
        key: value for key, value in named.items() if value is not None
    }
    body = {"backend": backend, "shard": shard, "options": options, "dry_run": dry_run}
    found = await session.api.post("indexes", into, "adopt", body=body)
    session.out.show(found, *views(found))


def views(found: Mapping[str, Any]) -> list[RenderableType]:
    """The report for people."""
    from tenantry.cli.output import fields, many, table

    would = "would become" if found["dry_run"] else "became"
    done = f"{many(len(found['adopted']), 'namespace')} {would} tenants of index {found['index']} on {found['shard']}"
    shown: list[RenderableType] = [done]
    share = found["top_share"]
    facts = {
        "found": f"{many(found['found'], 'namespace')}, {many(found['vectors'], 'vector')}",
        "dimension": f"{found['dimension']}, {found['metric']}",
        "known before": found["known"] or None,
        "largest tenth holds": None if share is None else f"{share:.0%} of the vectors",
        "left alone": len(found["left_alone"]) or None,
    }
    shown.append(fields(facts))
    if found["left_alone"]:
        rows = ([one["namespace"], one["reason"]] for one in found["left_alone"][:LEFT_SHOWN])
        shown += ["", table(["namespace", "left alone because"], rows, empty="")]
    if found["advice"]:
        shown += ["", f"advice: {found['advice']['headline']}"]
        shown += [f"  - {why}" for why in found["advice"]["why"]]
    plan = found["plan"]
    if plan:
        words = f"{many(len(plan['moves']), 'move')}" if plan["moves"] else "; ".join(plan["notes"])
        shown.append(
            f"a balancing plan now: {words}; `tenantry plan` shows it, `tenantry migrate plan` a way off this shard"
        )
    return shown
