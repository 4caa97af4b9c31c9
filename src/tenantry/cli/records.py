"""Vectors of one tenant: ``upsert``, ``query``, ``fetch``, ``update``, ``delete``, ``ids``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenantry.cli import given
from tenantry.cli.command import Session, Yes, command
from tenantry.cli.failures import Failure, usage

if TYPE_CHECKING:
    from rich.console import RenderableType

PANEL = "Work with vectors"
Tenant = Annotated[str, typer.Argument(metavar="TENANT", help="Name of the tenant.")]
#: Records and bytes of a batch: Pinecone's limits, with room for the request's own words.
BATCH_MOST = 1_000
BATCH_BYTES = 2_000_000
FETCH_MOST = 1_000
PAGE = 1_000


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for name, function, examples in (
        ("upsert", upsert, ["tenantry upsert acme vectors.jsonl", "zcat vectors.jsonl.gz | tenantry upsert acme -"]),
        (
            "query",
            query,
            [
                "tenantry query acme --vector '[0.1, 0.2, 0.3]' --top-k 5",
                """tenantry query acme --like doc-1 --filter '{"lang": "en"}'""",
            ],
        ),
        ("fetch", fetch, ["tenantry fetch acme doc-1 doc-2", "tenantry fetch acme doc-1 --json"]),
        (
            "update",
            update,
            [
                """tenantry update acme doc-1 --set '{"lang": "en"}'""",
                "tenantry update acme doc-1 --vector '[0.1, 0.2, 0.3]'",
            ],
        ),
        (
            "delete",
            delete,
            [
                "tenantry delete acme doc-1 doc-2",
                """tenantry delete acme --filter '{"year": {"$lt": 2020}}'""",
                "tenantry delete acme --all --yes",
            ],
        ),
        ("ids", ids, ["tenantry ids acme --prefix 2024-", "tenantry ids acme | wc -l"]),
    ):
        command(app, name, examples=examples, panel=PANEL)(function)


async def upsert(
    session: Session,
    tenant: Tenant,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="JSON lines of id, values, metadata; - is stdin.")],
    batch: Annotated[
        int, typer.Option("--batch", metavar="N", min=1, max=BATCH_MOST, help="Records in one request.")
    ] = BATCH_MOST,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Pass over lines that cannot be read; the exit code is 1 then.")
    ] = False,
) -> None:
    """Write vectors from JSON lines, batch by batch.

    Each line is an object with id, values and optionally metadata. A batch is written whole or not at all; when
    one fails, those before it are written, and the command may be repeated. Of two lines with one id, the later
    one stays.
    """
    from tenantry.cli.bulk import Sender
    from tenantry.cli.jsonl import STDIN, RecordLine, length, lines, opened
    from tenantry.cli.output import many

    sender = Sender(session, session.tenant(tenant, "upsert"), name="records", noun="records", keep_going=keep_going)
    shown = "stdin" if file == STDIN else file
    with opened(file) as stream, session.out.progress(f"upsert {tenant}", length(stream), as_bytes=True) as bar:
        await sender.send(lines(stream, shown, RecordLine, bar.advance), bar, batch, BATCH_BYTES)
    session.out.show(
        {"upserted": sender.sent, "tenant": tenant}, f"upserted {many(sender.sent, 'record')} into {tenant}"
    )


async def query(
    session: Session,
    tenant: Tenant,
    *,
    vector: Annotated[str | None, typer.Option("--vector", metavar="JSON", help="The vector: '[0.1, 0.2]'.")] = None,
    vector_file: Annotated[
        Path | None, typer.Option("--vector-file", metavar="FILE", help="A file with the vector; - is stdin.")
    ] = None,
    like: Annotated[str | None, typer.Option("--like", metavar="ID", help="The vector of this record.")] = None,
    top_k: given.TopK = 10,
    filter: given.Filter = None,
    values: Annotated[bool, typer.Option("--values", help="Show the stored vectors too.")] = False,
    metadata: Annotated[bool, typer.Option("--metadata/--no-metadata", help="Show metadata.")] = True,
) -> None:
    """Find the vectors of a tenant that are nearest to a vector."""
    from tenantry.cli.output import many

    wanted = given.vector(vector, vector_file)
    if (wanted is None) == (like is None):
        raise usage("say what to look for: one of --vector, --vector-file and --like")
    body: dict[str, Any] = {"top_k": top_k, "include_values": values, "include_metadata": metadata}
    body |= {"vector": wanted} if like is None else {"id": like}
    condition = given.json_object(filter, "--filter")
    if condition is not None:
        body["filter"] = condition
    found = await session.api.post(*session.tenant(tenant, "query"), body=body)
    hits = found["hits"]
    session.out.show(found, hit_table(hits))
    if hits and not session.out.as_json:
        session.out.say(f"{many(len(hits), 'hit')} in {found['took_ms']:.1f} ms")


async def fetch(
    session: Session,
    tenant: Tenant,
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="Ids of records.")],
) -> None:
    """Show records by id, with their vectors."""
    records: list[dict[str, Any]] = []
    for start in range(0, len(ids), FETCH_MOST):
        body = {"ids": ids[start : start + FETCH_MOST]}
        records += (await session.api.post(*session.tenant(tenant, "fetch"), body=body))["records"]
    session.out.show(records, _record_table(records))
    missing = len(set(ids)) - len(records)
    if missing:
        known = {record["id"] for record in records}
        session.out.warn(f"no such record: {', '.join(one for one in dict.fromkeys(ids) if one not in known)}")
    if not records:
        raise typer.Exit(1)


async def update(
    session: Session,
    tenant: Tenant,
    id: Annotated[str, typer.Argument(metavar="ID", help="Id of the record.")],
    *,
    set_metadata: Annotated[
        str | None, typer.Option("--set", metavar="JSON", help="Metadata fields to set; others stay.")
    ] = None,
    vector: Annotated[str | None, typer.Option("--vector", metavar="JSON", help="The new vector.")] = None,
    vector_file: Annotated[
        Path | None, typer.Option("--vector-file", metavar="FILE", help="A file with the new vector; - is stdin.")
    ] = None,
) -> None:
    """Change a record: metadata fields, its vector, or both."""
    fields = given.json_object(set_metadata, "--set")
    values = given.vector(vector, vector_file)
    if fields is None and values is None:
        raise usage("say what to change: --set, --vector or --vector-file")
    body: dict[str, Any] = {"id": id}
    if values is not None:
        body["values"] = values
    if fields is not None:
        body["set_metadata"] = fields
    done = await session.api.post(*session.tenant(tenant, "update"), body=body)
    if not done["found"]:
        raise Failure(f"tenant {tenant!r} has no record {id!r}", f"`tenantry ids {tenant}` lists them")
    session.out.show({"tenant": tenant, "id": id, **done}, f"changed {id} of {tenant}")


async def delete(
    session: Session,
    tenant: Tenant,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids of records.")] = None,
    filter: given.Filter = None,
    all: Annotated[bool, typer.Option("--all", help="Every record; the tenant stays.")] = False,
    yes: Yes = False,
) -> None:
    """Delete records of a tenant by id, by filter, or all of them."""
    from tenantry.cli.output import many

    condition = given.json_object(filter, "--filter")
    if bool(ids) + (condition is not None) + all != 1:
        raise usage("say what to delete: ids, --filter or --all, one of them")
    path = session.tenant(tenant, "delete")
    done: dict[str, Any] = {"tenant": tenant}
    if all:
        if not yes:
            held = many((await session.api.get(*session.tenant(tenant)))["vectors"], "record")
            session.out.confirm(f"delete all {held} of tenant {tenant} ({session.api.place})?", yes)
        await session.api.post(*path, body={"all": True})
        session.out.show({**done, "all": True}, f"deleted all records of {tenant}")
    elif condition is not None:
        await session.api.post(*path, body={"filter": condition})
        session.out.show({**done, "filter": condition}, f"deleted what matched in {tenant}")
    else:
        named = list(dict.fromkeys(ids or []))
        for start in range(0, len(named), FETCH_MOST):
            await session.api.post(*path, body={"ids": named[start : start + FETCH_MOST]})
        session.out.show({**done, "ids": named}, f"deleted {many(len(named), 'id')} from {tenant}, where they existed")


async def ids(
    session: Session,
    tenant: Tenant,
    prefix: Annotated[str, typer.Option("--prefix", metavar="TEXT", help="Only ids that begin so.")] = "",
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="At most so many.")] = None,
) -> None:
    """List the ids of a tenant's records, one a line, in order."""
    collected: list[str] = []
    cursor: str | None = None
    left = limit
    while True:
        page = await session.api.get(
            *session.tenant(tenant, "ids"),
            prefix=prefix or None,
            cursor=cursor,
            limit=PAGE if left is None else min(PAGE, left),
        )
        if session.out.as_json:
            collected += page["ids"]
        else:
            for one in page["ids"]:
                session.out.line(one)
        cursor = page["cursor"]
        left = None if left is None else left - len(page["ids"])
        if cursor is None or left == 0:
            break
    if session.out.as_json:
        session.out.show(collected)


def hit_table(hits: list[dict[str, Any]]) -> RenderableType:
    """Hits, one a row, best first."""
    from tenantry.cli.output import short, table

    rows = (
        [
            f"{one['score']:.4f}",
            one.get("tenant"),
            one["id"],
            short(_metadata(one.get("metadata"))),
            _numbers(one.get("values")),
        ]
        for one in hits
    )
    return table([">score", "tenant", "id", "~metadata", "~values"], rows, empty="nothing found")


def _record_table(records: list[dict[str, Any]]) -> RenderableType:
    from tenantry.cli.output import short, table

    rows = ([one["id"], short(_metadata(one.get("metadata"))), _numbers(one["values"])] for one in records)
    return table(["id", "~metadata", "~values"], rows, empty="nothing found")


def _metadata(metadata: Mapping[str, Any] | None) -> str:
    from tenantry.cli.output import cell

    return cell(dict(metadata or {}))


def _numbers(values: list[float] | None) -> str:
    if not values:
        return ""
    shown = ", ".join(f"{value:.4g}" for value in values[:4])
    return f"[{shown}]" if len(values) <= 4 else f"[{shown}, … {len(values):,} in all]"
