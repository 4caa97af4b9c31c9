"""``tenantry plans``: what tenants may use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenantry.cli import given
from tenantry.cli.command import Session, command, group
from tenantry.cli.failures import usage

if TYPE_CHECKING:
    from rich.console import RenderableType

app = group("plans", "Plans of tenants: requests, vectors and bytes that they may use, and shares of busy shards.")

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


@command(app, "list", examples=["tenantry plans list", "tenantry plans list --json"], index=False)
async def list_plans(session: Session) -> None:
    """List the plans, and which one tenants have that were given none."""
    from tenantry.cli.output import table

    found = await session.api.get("plans")
    columns = ["=name", ">requests/s", ">at once", ">vectors", ">size", ">weight", "=default"]
    rows = (
        [
            one["name"],
            _most(one["requests_per_s"]),
            _most(one["concurrent"]),
            _most(one["vectors"]),
            _size(one["bytes"]),
            one["weight"],
            "default" if one["name"] == found["default"] else "",
        ]
        for one in found["plans"]
    )
    session.out.show(found, table(columns, rows, empty="no plans"))
    if found["default"] is None and not session.out.as_json:
        session.out.say("tenants without a plan have no limits; `tenantry plans set NAME --default` gives them one")


@command(
    app,
    "set",
    examples=[
        "tenantry plans set free --requests-per-s 10 --vectors 50000 --size 500MiB",
        "tenantry plans set trial --requests-per-s 5 --concurrent 2 --default",
        "tenantry plans set pro --vectors none",
    ],
    index=False,
)
async def set_plan(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the plan; a new name makes one.")],
    requests_per_s: Annotated[
        str | None, typer.Option("--requests-per-s", metavar="N", help="Operations in any second; none: no limit.")
    ] = None,
    vectors: Annotated[
        str | None, typer.Option("--vectors", metavar="N", help="Vectors stored, such as 50000 or 5M; none: no limit.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="BYTES", help="Bytes stored, such as 500MiB or 20GiB; none: no limit."),
    ] = None,
    concurrent: Annotated[
        str | None, typer.Option("--concurrent", metavar="N", help="Operations at once in a gateway; none: no limit.")
    ] = None,
    weight: Annotated[
        int | None, typer.Option("--weight", metavar="N", min=1, max=100, help="Share of a busy shard, 1 to 100.")
    ] = None,
    default: Annotated[
        bool | None,
        typer.Option("--default/--no-default", help="Whether tenants have it that were given no plan."),
    ] = None,
) -> None:
    """Change a plan, or make one. What is not given stays; gateways follow within seconds."""
    texts = {"requests_per_s": requests_per_s, "vectors": vectors, "bytes": size, "concurrent": concurrent}
    options = {"bytes": "--size"}
    body: dict[str, Any] = {
        field: count(text, options.get(field, "--" + field.replace("_", "-")))
        for field, text in texts.items()
        if text is not None
    }
    if weight is not None:
        body["weight"] = weight
    if default:
        body["default"] = True
    made = await session.api.patch("plans", name, body=body)
    if default is False and (await session.api.get("plans"))["default"] == name:
        await session.api.patch("plans", body={"plan": None})
    session.out.show(made, f"plan {name}: {_sentence(made)}")


def count(text: str, option: str) -> int | None:
    """A whole number, with a unit such as ``5M`` or ``500MiB`` if one is given; None for ``none``."""
    clean = text.strip().lower().replace("_", "").replace(",", "")
    if clean in given.NONE:
        return None
    digits = clean.rstrip("kmgtib")
    unit = clean[len(digits) :]
    try:
        if unit not in _UNITS:
            raise ValueError(unit)
        amount = float(digits) * _UNITS[unit]
        if not amount.is_integer():
            raise ValueError(text)
    except ValueError:
        hint = "it looks like 50000, 5M, 500MiB or 20GiB; `none` takes the limit away"
        raise usage(f"{option} {text!r} is not a whole number", hint) from None
    return int(amount)


def limits_view(tenant: Mapping[str, Any]) -> RenderableType:
    """What a tenant uses of what it may."""
    from tenantry.cli.output import size, table

    plan = tenant["plan"]
    rows = [
        ["vectors", f"{tenant['vectors']:,}", _most(plan["vectors"]), _share(tenant["vectors"], plan["vectors"])],
        ["size", size(tenant["bytes"]) or "0 B", _size(plan["bytes"]), _share(tenant["bytes"], plan["bytes"])],
        ["at once", "", _most(plan["concurrent"]), ""],
        ["requests/s", "", _most(plan["requests_per_s"]), ""],
    ]
    own = "" if tenant["spec"].get("plan") else " (default)"
    name = "no plan" if plan["name"] == "none" else f"plan {plan['name']}{own}"
    return table([f"={name}", ">used", ">allowed", ">share"], rows, empty="")


def _most(limit: int | None) -> str:
    return "no limit" if limit is None else f"{limit:,}"


def _size(limit: int | None) -> str:
    from tenantry.cli.output import size

    return "no limit" if limit is None else size(limit)


def _share(used: int, limit: int | None) -> str:
    return "" if limit is None else f"{100 * used / limit:.0f}%"


def _sentence(plan: Mapping[str, Any]) -> str:
    parts = [
        f"{_most(plan['requests_per_s'])} requests a second" if plan["requests_per_s"] else "any number of requests",
        f"{plan['concurrent']:,} at once" if plan["concurrent"] else "any number at once",
        f"{plan['vectors']:,} vectors" if plan["vectors"] else "any number of vectors",
        _size(plan["bytes"]) if plan["bytes"] else "any size",
        f"weight {plan['weight']}",
    ]
    return ", ".join(parts)
