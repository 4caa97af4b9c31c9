"""``tenantry audit``: who did what to the cluster."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from tenantry.cli import given
from tenantry.cli.command import Session, Yes, command, group
from tenantry.cli.failures import ExitCode, Failure, usage

if TYPE_CHECKING:
    from collections.abc import Iterator

app = group("audit", "The audit log: who did what to the cluster, and proof that nothing was altered since.")

PAGE = 1_000
FORMATS = ("jsonl", "csv")
COLUMNS = (
    *("seq", "at", "actor", "scope", "action", "index", "tenant", "shard", "subject", "result", "request_id"),
    *("detail_text", "previous", "hash", "at_us"),
)
#: A spreadsheet takes a cell that begins so for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")

Tenant = Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="Only what was done to this tenant.")]
OfIndex = Annotated[str | None, typer.Option("--index", metavar="NAME", help="Only this logical index.")]
Actor = Annotated[
    str | None, typer.Option("--actor", metavar="WHO", help="Only by this one, such as key:1f0c22ab93de.")
]
Action = Annotated[str | None, typer.Option("--action", metavar="WHAT", help="Only this, such as tenant.delete.")]
Since = Annotated[str | None, typer.Option("--since", metavar="TIME", help="Only from the last 12h, 30d, 8w.")]


@command(
    app,
    "list",
    examples=["tenantry audit list", "tenantry audit list --tenant acme --since 7d", "tenantry audit list --json"],
    index=False,
)
async def list_entries(
    session: Session,
    tenant: Tenant = None,
    index: OfIndex = None,
    actor: Actor = None,
    action: Action = None,
    since: Since = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=PAGE, help="Most entries.")] = 50,
) -> None:
    """List what was done, the latest first.

    What changes the cluster has two entries, `begun` and its outcome, under one request id.
    """
    from tenantry.cli.output import table, when

    asked = _asked(tenant, index, actor, action, since)
    found = (await session.api.get("audit", limit=limit, **asked))["entries"]
    columns = [">entry", "=when", "=who", "=action", "on", "=result", "~detail"]
    rows = (
        [
            one["seq"],
            when(one["at"]),
            one["actor"],
            one["action"],
            _on(one),
            one["result"],
            one["detail"],
        ]
        for one in found
    )
    session.out.show(found, table(columns, rows, empty="nothing was recorded"))


@command(
    app,
    "verify",
    examples=["tenantry audit verify", "tenantry audit verify --noted 1841:3c0a...", "tenantry audit verify --json"],
    index=False,
)
async def verify(
    session: Session,
    noted: Annotated[
        str | None,
        typer.Option(
            "--noted", metavar="N:HASH", help="Last entry and hash of an earlier verification, kept elsewhere."
        ),
    ] = None,
) -> None:
    """Recompute every hash; tell whether anything was altered, removed or inserted.

    The exit code is 4 when something was.
    """
    from tenantry.cli.output import many, table

    body: dict[str, Any] = {}
    if noted is not None:
        number, _, hash = noted.partition(":")
        if not number.isdecimal() or not hash:
            raise usage(f"--noted {noted!r} is not of the form N:HASH", "an earlier `tenantry audit verify` printed it")
        body = {"seq": int(number), "hash": hash}
    found = await session.api.post("audit", "verify", body=body)
    seen = many(found["entries"], "entry", "entries") + " checked"
    if found["pruned"]:
        seen += f", {found['pruned']:,} older ones were pruned"
    if found["whole"]:
        head = f"\nkeep this elsewhere: --noted {found['last']}:{found['head']}" if found["entries"] else ""
        session.out.show(found, f"{seen}; nothing was altered{head}")
        return
    rows = ([one["seq"], one["what"]] for one in found["flaws"])
    session.out.show(found, table([">entry", "what is wrong"], rows, empty=""), f"{seen}; the log was altered")
    raise typer.Exit(ExitCode.FOUND_PROBLEMS)


@command(
    app,
    "export",
    examples=["tenantry audit export > audit.jsonl", "tenantry audit export --format csv --output audit.csv"],
    index=False,
)
async def export(
    session: Session,
    format: Annotated[str, typer.Option("--format", metavar="FORMAT", help="jsonl or csv.")] = "jsonl",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="A new file; default: stdout.")
    ] = None,
    tenant: Tenant = None,
    index: OfIndex = None,
    actor: Actor = None,
    action: Action = None,
    since: Since = None,
) -> None:
    """Write entries out in order, as JSON lines (exact) or CSV (for spreadsheets).

    In CSV a cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    from tenantry.cli.output import many

    if format not in FORMATS:
        raise usage(f"--format {format!r} is neither jsonl nor csv")
    count = 0
    with _opened(output) as file:
        sheet = csv.writer(file) if format == "csv" else None
        if sheet is not None:
            sheet.writerow(COLUMNS)
        async for entry in _entries(session, _asked(tenant, index, actor, action, since)):
            count += 1
            if sheet is None:
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            else:
                sheet.writerow([_cell(entry[name]) for name in COLUMNS])
    if output is not None:
        session.out.show(
            {"entries": count, "file": str(output)}, f"{many(count, 'entry', 'entries')} written to {output}"
        )


@command(app, "prune", examples=["tenantry audit prune --older-than 365d --yes"], index=False)
async def prune(
    session: Session,
    older_than: Annotated[str, typer.Option("--older-than", metavar="TIME", help="Their age: 90d, 52w.")],
    yes: Yes = False,
) -> None:
    """Remove old entries for good; export them first. What stays can be verified as before."""
    age_s = given.duration_s(older_than, "--older-than") or 0.0
    session.out.confirm(f"remove all entries older than {older_than} ({session.api.place})?", yes)
    found = await session.api.post("audit", "prune", body={"before": max(0.0, time.time() - age_s)})
    gone = found["entry"]["detail"]["entries"] if found["entry"] else 0
    session.out.show(found, f"removed {gone:,} entries" if gone else "there are no entries so old")


def _asked(
    tenant: str | None, index: str | None, actor: str | None, action: str | None, since: str | None
) -> dict[str, Any]:
    age_s = given.duration_s(since, "--since")
    begins = None if age_s is None else max(0.0, time.time() - age_s)
    return {"tenant": tenant, "index": index, "actor": actor, "action": action, "since": begins}


async def _entries(session: Session, asked: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    after: int | None = 0
    while after is not None:
        page = await session.api.get("audit", limit=PAGE, after=after, **asked)
        for entry in page["entries"]:
            yield entry
        after = page["next"]


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    try:
        file = output.open("x", encoding="utf-8", newline="")
    except FileExistsError:
        raise Failure(f"{output} exists", "name a new file; nothing was written") from None
    with file:
        yield file


def _on(entry: dict[str, Any]) -> str:
    """What it was done to, in few words."""
    parts = (f"{name} {entry[name]}" for name in ("index", "tenant", "shard") if entry[name])
    return ", ".join([*parts, *([entry["subject"]] if entry["subject"] else [])])


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return "'" + text if text.startswith(FORMULA) else text
