"""``tenantry health``: what is wrong, why, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenantry.cli.command import Session, command
from tenantry.cli.failures import ExitCode

if TYPE_CHECKING:
    from rich.console import RenderableType

PANEL = "Look after it"
#: As monitoring programs expect them.
EXIT = {"ok": 0, "warning": 1, "critical": 2}
UNKNOWN = ExitCode.UNAVAILABLE
SHOWN = "{:,.3g}"

Watch = Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")]
Every = Annotated[float, typer.Option("--every", metavar="SECONDS", min=1.0, help="Pause between looks with --watch.")]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(
        app,
        "health",
        examples=["tenantry health", "tenantry health --watch", "tenantry health --json --url http://127.0.0.1:8080"],
        panel=PANEL,
        failing=UNKNOWN,
    )(health)


async def health(session: Session, watch: Watch = False, every: Every = 10.0) -> None:
    """Tell what is wrong with an index, why, and what to do about it.

    The exit code is 0 when nothing is, 1 with warnings, 2 when one is critical, and 3 when it could not be found out.
    Latencies and rates are those of running gateways, so with --data they are missing.
    """
    import asyncio

    while True:
        found = await session.api.get(*session.path("health"))
        session.out.show(found, *views(found))
        if not watch:
            break
        await asyncio.sleep(every)
    if code := EXIT[found["health"]]:
        raise typer.Exit(code)


def views(found: Mapping[str, Any]) -> list[RenderableType]:
    """A report for people: warnings with what to do, then shards, then the sums."""
    from tenantry.cli.output import many, when

    told: list[RenderableType] = []
    for one in found["warnings"]:
        told.append(f"{one['severity'].upper()} {one['kind']}: {one['message']}")
        limit = _value(one["threshold"], one["unit"])
        told.append(f"  measured {_value(one['value'], one['unit'])}, threshold {limit}")
        if one["tenants"]:
            told.append(f"  tenants: {', '.join(one['tenants'])}")
        told.append(f"  do: {one['command']}")
        since = f"; stands since {when(one['since'])}" if one["since"] else ""
        told.append(f"  read: {one['runbook']}{since}")
    if found["warnings"]:
        told.append("")
    told += [shard_loads(found["shards"]), "", _sum(found)]
    count = len(found["warnings"])
    told.append(f"{found['index']}: {found['health']}" + (f", {many(count, 'warning')}" if count else ""))
    return told


def shard_loads(shards: list[Mapping[str, Any]]) -> RenderableType:
    """Shards with what they hold and how they are doing."""
    from tenantry.cli.output import table

    columns = ["shard", "=state", ">tenants", ">vectors", ">used", ">ops/s", ">P50 ms", ">P95 ms", ">errors", "error"]
    rows = (
        [
            one["name"],
            one["state"],
            _of(one["tenants"], one["max_tenants"]),
            _of(one["vectors"], one["max_vectors"]),
            f"{one['utilisation']:.0%}",
            f"{one['per_second']:,.1f}" if one["operations"] else "",
            SHOWN.format(one["p50_ms"]) if one["queries"] else "",
            SHOWN.format(one["p95_ms"]) if one["queries"] else "",
            f"{one['error_rate']:.1%}" if one["error_rate"] else "",
            one["error"],
        ]
        for one in shards
    )
    return table(columns, rows, empty="no shards")


def _sum(found: Mapping[str, Any]) -> str:
    from tenantry.cli.output import many

    processes = many(found["gateways"], "process", "processes")
    parts = [
        f"{many(found['tenants'], 'tenant')}, {many(found['vectors'], 'vector')}",
        f"{found['per_second']:,.1f} operations/s over {found['window_s']:,.0f} s in {processes}",
    ]
    if found["searches"]:
        parts.append(f"{found['cross_tenant_share']:.0%} of questions across tenants")
    if found["cache_hit_rate"] is not None:
        parts.append(f"{found['cache_hit_rate']:.1%} of routes from the cache")
    parts.append("routing checked" if found["routing_checked"] else "routing not checked: it took too long")
    return "; ".join(parts)


def _value(value: float, unit: str) -> str:
    if unit == "share":
        return f"{value:.0%}"
    return f"{value:,.0f} {unit}" if value >= 1_000 or value == int(value) else f"{value:,.3g} {unit}"


def _of(used: int, most: int | None) -> str:
    return f"{used:,}" if most is None else f"{used:,} / {most:,}"
