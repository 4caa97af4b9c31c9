"""``tenantry keys``: API keys."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tenantry.cli import given
from tenantry.cli.command import Session, Yes, command, group
from tenantry.cli.failures import usage

app = group("keys", "API keys: for administrators, or for one tenant's data only.")


@command(
    app,
    "create",
    examples=[
        "tenantry keys create --tenant acme --label 'web shop' --expires 90d",
        "KEY=$(tenantry keys create --admin)",
    ],
)
async def create(
    session: Session,
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="NAME", help="A key for this tenant's data and nothing else.")
    ] = None,
    admin: Annotated[bool, typer.Option("--admin", help="A key for everything.")] = False,
    label: Annotated[str, typer.Option("--label", metavar="TEXT", help="To recognise it by.")] = "",
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="TIME", help="It ends after 12h, 30d, 8w; default: never.")
    ] = None,
) -> None:
    """Make an API key; its secret is shown this once."""
    if (tenant is None) == (not admin):
        raise usage("say what the key is for: --tenant NAME or --admin")
    body: dict[str, Any] = {"label": label}
    if tenant is not None:
        body |= {"tenant": tenant, "index": session.index}
    lasts_s = given.duration_s(expires, "--expires")
    if lasts_s is not None:
        body["expires_in_s"] = lasts_s
    made = await session.api.post("keys", body=body)
    whose = "everything" if tenant is None else f"tenant {tenant} of index {session.index}"
    session.out.show(made, made["secret"])
    if not session.out.as_json:
        session.out.say(f"key {made['key']['id']} for {whose}; keep it now, it cannot be shown again")


@command(app, "list", examples=["tenantry keys list", "tenantry keys list --tenant acme"], index=False)
async def list_keys(
    session: Session,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="Only keys of this tenant.")] = None,
    index: Annotated[
        str | None, typer.Option("--index", metavar="NAME", help="Only keys of tenants of this logical index.")
    ] = None,
) -> None:
    """List the keys, newest first; never their secrets."""
    from tenantry.cli.output import table, when

    found = (await session.api.get("keys", tenant=tenant, index=index))["keys"]
    columns = ["=id", "=scope", "=index", "tenant", "label", "=created", "=expires", "=revoked"]
    rows = (
        [
            one["id"],
            one["scope"],
            one["index"],
            one["tenant"],
            one["label"],
            when(one["created_at"], short=True)[:10],
            when(one["expires_at"], short=True)[:10],
            when(one["revoked_at"], short=True)[:10],
        ]
        for one in found
    )
    session.out.show(found, table(columns, rows, empty="no keys; make one with `tenantry keys create`"))


@command(
    app,
    "revoke",
    examples=["tenantry keys revoke 1f0c22ab93de", "tenantry keys revoke 1f0c22ab93de --yes"],
    index=False,
)
async def revoke(
    session: Session,
    id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key, from `tenantry keys list`.")],
    yes: Yes = False,
) -> None:
    """Make a key useless, for good."""
    if id.startswith("tnk_") and id.count("_") == 2:
        id = id.split("_")[1]
    if not yes:
        session.out.confirm(f"revoke key {id} ({session.api.place})?", yes)
    await session.api.delete("keys", id)
    session.out.show({"revoked": id}, f"revoked key {id}")
