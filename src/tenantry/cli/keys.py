"""``tenantry keys``: API keys."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tenantry.cli import given
from tenantry.cli.command import Session, Yes, command, group
from tenantry.cli.failures import usage

app = group("keys", "API keys: for administrators, operators, readers, or for one tenant's data only.")

Overlap = Annotated[str, typer.Option("--overlap", metavar="TIME", help="The old key works that long: 1h, 7d.")]
Expires = Annotated[
    str | None, typer.Option("--expires", metavar="TIME", help="It ends after 12h, 30d, 8w; default: never.")
]


@command(
    app,
    "create",
    examples=[
        "tenantry keys create --tenant acme --label 'web shop' --expires 90d",
        "tenantry keys create --tenant acme --read-only",
        "tenantry keys create --operator --label 'on call'",
        "KEY=$(tenantry keys create --admin)",
    ],
)
async def create(
    session: Session,
    *,
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="NAME", help="A key for this tenant's data and nothing else.")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="With --tenant: it reads and writes nothing.")] = False,
    reader: Annotated[
        bool, typer.Option("--reader", help="A key that reads every tenant and searches across them.")
    ] = False,
    only: Annotated[
        str | None, typer.Option("--only", metavar="INDEX", help="With --reader: in this logical index only.")
    ] = None,
    operator: Annotated[
        bool, typer.Option("--operator", help="A key that steers the cluster and sees no tenant's data.")
    ] = False,
    admin: Annotated[bool, typer.Option("--admin", help="A key for everything.")] = False,
    label: Annotated[str, typer.Option("--label", metavar="TEXT", help="To recognise it by.")] = "",
    expires: Expires = None,
) -> None:
    """Make an API key; its secret is shown this once."""
    if (tenant is not None) + reader + operator + admin != 1:
        raise usage("say what the key is for: one of --tenant NAME, --reader, --operator and --admin")
    if read_only and tenant is None:
        raise usage("--read-only goes with --tenant NAME")
    if only is not None and not reader:
        raise usage("--only goes with --reader")
    body: dict[str, Any] = {"label": label}
    if tenant is not None:
        body |= {"tenant": tenant, "index": session.index}
        if read_only:
            body["scope"] = "tenant-read"
    elif reader:
        body |= {"scope": "reader"} | ({"index": only} if only else {})
    elif operator:
        body["scope"] = "operator"
    lasts_s = given.duration_s(expires, "--expires")
    if lasts_s is not None:
        body["expires_in_s"] = lasts_s
    made = await session.api.post("keys", body=body)
    session.out.show(made, made["secret"])
    if not session.out.as_json:
        session.out.say(f"key {made['key']['id']} for {_reach(made['key'])}; keep it now, it cannot be shown again")


@command(
    app,
    "rotate",
    examples=["tenantry keys rotate 1f0c22ab93de --overlap 1h", "NEW=$(tenantry keys rotate tnk_1f0c22ab93de)"],
    index=False,
)
async def rotate(
    session: Session,
    id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key, from `tenantry keys list`.")],
    overlap: Overlap = "0s",
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires", metavar="TIME", help="The new one ends after 90d; default: after as long as the old."
        ),
    ] = None,
    yes: Yes = False,
) -> None:
    """Put a new key in place of one; the old one works on for the overlap.

    Without --overlap the old key ends at once.
    """
    id = _id(id)
    overlap_s = given.duration_s(overlap, "--overlap") or 0.0
    if overlap_s == 0:
        session.out.confirm(f"end key {id} at once ({session.api.place})? --overlap 1h would leave time", yes)
    body = {"overlap_s": overlap_s}
    lasts_s = given.duration_s(expires, "--expires")
    if lasts_s is not None:
        body["expires_in_s"] = lasts_s
    made = await session.api.post("keys", id, "rotate", body=body)
    session.out.show(made, made["secret"])
    if not session.out.as_json:
        ends = f"works for {overlap} more" if overlap_s else "has ended"
        session.out.say(
            f"key {made['key']['id']} for {_reach(made['key'])}; keep it now, it cannot be shown again; key {id} {ends}"
        )


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
    columns = ["=key", "=scope", "=index", "tenant", "label", "=created", "=expires", "=revoked", "=replaced by"]
    rows = (
        [
            one["prefix"],
            one["scope"],
            one["index"],
            one["tenant"],
            one["label"],
            when(one["created_at"], short=True)[:10],
            when(one["expires_at"], short=True),
            when(one["revoked_at"], short=True),
            one["replaced_by"],
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
    id = _id(id)
    if not yes:
        session.out.confirm(f"revoke key {id} ({session.api.place})?", yes)
    await session.api.delete("keys", id)
    session.out.show({"revoked": id}, f"revoked key {id}")


def _id(text: str) -> str:
    """The id in what was given: an id, how a key begins (``tnk_ID``), or a whole key."""
    parts = text.split("_")
    return parts[1] if parts[0] == "tnk" and len(parts) in (2, 3) else text


def _reach(key: dict[str, Any]) -> str:
    """What a key is good for, in words."""
    index = f"index {key['index']}" if key["index"] else "every index"
    return {
        "admin": "everything",
        "operator": "steering the cluster",
        "reader": f"reading every tenant of {index}",
        "tenant-read": f"reading tenant {key['tenant']} of {index}",
    }.get(key["scope"], f"tenant {key['tenant']} of {index}")
