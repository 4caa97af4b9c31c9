"""``tenantry usage``: what tenants used."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from tenantry.cli.command import Session, command, group
from tenantry.cli.failures import usage as wrong_usage

app = group("usage", "Usage: queries, writes, vectors and bytes of each tenant, for bills.")

PAGE = 10_000


@command(
    app,
    "export",
    examples=[
        "tenantry usage export --format csv --from 2026-11-01 --to 2026-12-01 > november.csv",
        "tenantry usage export --by day --tenant acme",
        "tenantry usage export --format json --out usage.json",
    ],
    index=False,
)
async def export(
    session: Session,
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="From this hour on, such as 2026-11-01 or 2026-11-01T08."),
    ] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Before this hour; times are UTC.")] = None,
    by: Annotated[str, typer.Option("--by", metavar="PERIOD", help="hour or day.")] = "day",
    format: Annotated[
        str | None, typer.Option("--format", metavar="KIND", help="csv or json; default: a table on a terminal.")
    ] = None,
    index: Annotated[
        str | None, typer.Option("--index", metavar="NAME", help="Only tenants of this logical index.")
    ] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="Only this tenant.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Into this file, not to stdout.")] = None,
) -> None:
    """Export what tenants used, by hour or day.

    The present hour goes on growing. vectors_stored and bytes_stored are the most that was measured in the time.
    """
    if format not in (None, "csv", "json"):
        raise wrong_usage(f"--format {format!r} is neither csv nor json")
    if format == "csv" and session.out.as_json:
        raise wrong_usage("--format csv and --json cannot be given together")
    if by not in ("hour", "day"):
        raise wrong_usage(f"--by {by!r} is neither hour nor day")
    begin, end = moment(since, "--from"), moment(until, "--to")
    if end is not None and end <= (begin or 0):
        raise wrong_usage("--to is not after --from")
    rows = await _rows(session, begin, end, by, index, tenant)
    if out is not None:
        text = _csv(rows) if format == "csv" else _json(rows)
        out.write_text(text, encoding="utf-8", newline="")
        session.out.show({"rows": len(rows), "file": str(out)}, f"wrote {len(rows):,} rows to {out}")
    elif format == "csv":
        sys.stdout.write(_csv(rows))
    elif format == "json" or session.out.as_json:
        sys.stdout.write(_json(rows))
    else:
        _show(session, rows)


def moment(text: str | None, option: str) -> float | None:
    """Unix seconds of an ISO 8601 date, or date and time, in UTC unless it says otherwise."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        hint = "it looks like 2026-11-01, 2026-11-01T08:00 or 2026-11-01T08:00+01:00"
        raise wrong_usage(f"{option} {text!r} is not a time", hint) from None
    seconds = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    if seconds < 0:
        raise wrong_usage(f"{option} {text!r} is before 1970")
    return seconds


async def _rows(
    session: Session, since: float | None, until: float | None, by: str, index: str | None, tenant: str | None
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    asked: dict[str, Any] = {"from": since, "to": until, "by": by, "index": index, "tenant": tenant, "limit": PAGE}
    after = None
    while True:
        page = await session.api.get("usage", **asked, after=after)
        rows += page["usage"]
        after = page["next"]
        if after is None:
            return rows


def _csv(rows: list[dict[str, Any]]) -> str:
    from tenantry.cluster.usage import as_csv
    from tenantry.model.usage import Usage

    return as_csv(
        Usage(
            one["index"],
            one["tenant"],
            one["start"],
            one["queries"],
            one["reads"],
            one["writes"],
            one["vectors_upserted"],
            one["bytes_upserted"],
            one["vectors_stored"],
            one["bytes_stored"],
        )
        for one in rows
    )


def _json(rows: list[dict[str, Any]]) -> str:
    import json

    return json.dumps(rows, indent=2, ensure_ascii=True) + "\n"


def _show(session: Session, rows: list[dict[str, Any]]) -> None:
    from tenantry.cli.output import size, table, when

    columns = ["=from", "=index", "tenant", ">queries", ">reads", ">writes", ">vectors", ">written", ">stored", ">size"]
    shown = (
        [
            when(one["start"], short=True),
            one["index"],
            one["tenant"],
            one["queries"],
            one["reads"],
            one["writes"],
            one["vectors_upserted"],
            size(one["bytes_upserted"]),
            one["vectors_stored"],
            size(one["bytes_stored"]),
        ]
        for one in rows
    )
    session.out.show(rows, table(columns, shown, empty="nothing was used in that time"))
