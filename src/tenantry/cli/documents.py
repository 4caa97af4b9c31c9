"""Documents and text search: ``docs add``, ``docs delete``, ``search``, ``search-all``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenantry.cli import given
from tenantry.cli.command import Session, command, group
from tenantry.cli.failures import usage
from tenantry.cli.records import hit_table

if TYPE_CHECKING:
    from rich.console import RenderableType

app = group("docs", "Documents of a tenant: text in, answers out.")

PANEL = "Work with documents"
Tenant = Annotated[str, typer.Argument(metavar="TENANT", help="Name of the tenant.")]
#: Documents and bytes of one request: small enough that the bar moves and a repeat loses little.
BATCH_MOST = 64
BATCH_BYTES = 500_000
DELETE_MOST = 1_000
COUNTS = ("added", "replaced", "unchanged", "chunks_written", "chunks_deleted")


def register(root: typer.Typer) -> None:
    """Add the commands that stand at the top level."""
    command(
        root,
        "search",
        examples=[
            "tenantry search acme 'how do I reset my password?'",
            "tenantry search acme refunds --top-k 3 --json",
        ],
        panel=PANEL,
    )(search)
    command(
        root,
        "search-all",
        examples=[
            "tenantry search-all 'data retention policy'",
            "tenantry search-all refunds --tenant acme --tenant globex --deadline 1.5",
            "tenantry search-all refunds --per-tenant 3 --top-k 30",
        ],
        panel=PANEL,
    )(search_all)


@command(
    app,
    "add",
    examples=[
        "tenantry docs add acme handbook/",
        "tenantry docs add acme notes.md faq.txt articles.jsonl",
        "cat articles.jsonl | tenantry docs add acme -",
    ],
)
async def add(
    session: Session,
    tenant: Tenant,
    files: Annotated[
        list[str], typer.Argument(metavar="FILE|DIR|-", help="Text, Markdown, JSON lines, folders; - is stdin.")
    ],
    root: Annotated[
        Path | None, typer.Option("--root", metavar="DIR", help="Ids are paths relative to this folder.")
    ] = None,
    batch: Annotated[
        int, typer.Option("--batch", metavar="N", min=1, max=1_000, help="Documents in one request.")
    ] = BATCH_MOST,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Pass over what cannot be read; the exit code is 1 then.")
    ] = False,
) -> None:
    """Add documents: chunk, embed and store them.

    The id of a text or Markdown file is its path, relative to the folder that was named; JSON lines carry id, text
    and optionally metadata. Unchanged documents are passed over and changed ones replaced, so the command may be
    repeated, also after it was interrupted.
    """
    from tenantry.cli.bulk import Sender
    from tenantry.cli.output import many
    from tenantry.cli.texts import find_sources, read

    sources = find_sources(files, root)
    if not sources:
        raise usage(f"no text, Markdown or JSON lines files in {', '.join(files)}")
    done: Counter[str] = Counter()
    sender = Sender(
        session,
        session.tenant(tenant, "documents"),
        name="documents",
        noun="documents",
        keep_going=keep_going,
        answered=done.update,
    )
    total = None if any(source.file == "-" for source in sources) else sum(source.bytes for source in sources)
    with session.out.progress(f"add to {tenant}", total, as_bytes=True) as bar:
        await sender.send(read(sources, bar.advance), bar, batch, BATCH_BYTES)
    report = {name: done[name] for name in COUNTS}
    session.out.show(
        {"tenant": tenant, **report},
        f"{tenant}: {many(report['added'], 'document')} added, {report['replaced']:,} replaced, "
        f"{report['unchanged']:,} unchanged; {many(report['chunks_written'], 'chunk')} written, "
        f"{report['chunks_deleted']:,} deleted",
    )


@command(app, "delete", examples=["tenantry docs delete acme handbook/old.md"])
async def delete(
    session: Session,
    tenant: Tenant,
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="Ids of documents.")],
) -> None:
    """Delete documents with all their chunks."""
    from tenantry.cli.output import many

    named = list(dict.fromkeys(ids))
    for start in range(0, len(named), DELETE_MOST):
        body = {"ids": named[start : start + DELETE_MOST]}
        await session.api.post(*session.tenant(tenant, "documents", "delete"), body=body)
    session.out.show(
        {"tenant": tenant, "ids": named}, f"deleted {many(len(named), 'document')} from {tenant}, where they existed"
    )


async def search(
    session: Session,
    tenant: Tenant,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to look for, in words.")],
    top_k: given.TopK = 10,
    filter: given.Filter = None,
) -> None:
    """Search a tenant's documents by meaning."""
    body: dict[str, Any] = {"text": text, "top_k": top_k}
    condition = given.json_object(filter, "--filter")
    if condition is not None:
        body["filter"] = condition
    found = await session.api.post(*session.tenant(tenant, "search"), body=body)
    session.out.show(found, text_hits(found["hits"]))
    _say_time(session, found)


async def search_all(
    session: Session,
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="What to look for, in words.")] = None,
    *,
    tenant: Annotated[
        list[str] | None, typer.Option("--tenant", metavar="NAME", help="Only in this tenant; repeatable.")
    ] = None,
    vector: Annotated[
        str | None, typer.Option("--vector", metavar="JSON", help="A vector, in place of TEXT: '[0.1, 0.2]'.")
    ] = None,
    vector_file: Annotated[
        Path | None, typer.Option("--vector-file", metavar="FILE", help="A file with the vector; - is stdin.")
    ] = None,
    top_k: given.TopK = 10,
    filter: given.Filter = None,
    deadline: Annotated[
        float | None, typer.Option("--deadline", metavar="SECONDS", help="Go without shards that take longer.")
    ] = None,
    per_tenant: Annotated[
        int | None, typer.Option("--per-tenant", metavar="N", help="At most N hits of each tenant.")
    ] = None,
    exactness: Annotated[
        float | None,
        typer.Option(
            "--exactness", metavar="P", help="Be content with the nearest at this probability, such as 0.999."
        ),
    ] = None,
    cursor: Annotated[
        str | None, typer.Option("--cursor", metavar="CURSOR", help="Go on where the page before ended.")
    ] = None,
    by_model: Annotated[
        bool, typer.Option("--by-model", help="Tenants of different embedding models too, each model for itself.")
    ] = False,
    max_lag: Annotated[
        float | None,
        typer.Option(
            "--max-lag", metavar="SECONDS", min=0, help="Use the roll-up if it is not further behind; 0: the shards."
        ),
    ] = None,
) -> None:
    """Search over many tenants at once, all of them unless some are named."""
    wanted = given.vector(vector, vector_file)
    if (wanted is None) == (text is None):
        raise usage("say what to look for: TEXT, or one of --vector and --vector-file")
    from tenantry.cli.output import many

    body: dict[str, Any] = {"top_k": top_k, "tenants": tenant, "deadline_s": deadline, "text": text, "vector": wanted}
    body |= {"per_tenant": per_tenant, "exactness": exactness, "cursor": cursor, "by_model": by_model or None}
    body["max_lag_s"] = max_lag
    body["filter"] = given.json_object(filter, "--filter")
    body = {name: value for name, value in body.items() if value is not None}
    found = await session.api.post(*session.path("search"), body=body)
    session.out.show(found, _found(found, text_hits if wanted is None else hit_table))
    if not session.out.as_json and found.get("cursor"):
        session.out.say(f"more with --cursor {found['cursor']}")
    if found["partial"]:
        missing = "; ".join(f"{shard}: {reason}" for shard, reason in found["missing_shards"].items())
        session.out.warn(f"incomplete, some shards gave no answer: {missing}")
    if found["source"] == "roll-up":
        asked = f"in the roll-up, {found['lag_s']:.1f} s behind at most"
    else:
        asked = f"on {many(found['shards_asked'], 'shard')} asked"
    _say_time(session, found, f", {many(found['tenants_asked'], 'tenant')} {asked}")
    if found["why_shards"]:
        session.out.say(f"not in the roll-up: {found['why_shards']}")


def text_hits(hits: list[dict[str, Any]]) -> RenderableType:
    """Hits with their texts, best first: one line that says where it is from, then the text."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    from tenantry.cli.output import plain, short

    if not hits:
        return "nothing found"
    shown: list[RenderableType] = []
    for hit in hits:
        head = Text(f"{hit['score']:.4f}  ", style="bold")
        if hit.get("tenant"):
            head.append(f"{plain(hit['tenant'])}  ", style="cyan")
        head.append(f"{plain(hit['document'])} #{hit['chunk']}", style="green")
        shown += [head, Padding(Text(short(hit["text"], 300)), (0, 0, 0, 8), expand=False)]
    return Group(*shown)


def _found(found: dict[str, Any], shown: Callable[[list[dict[str, Any]]], RenderableType]) -> RenderableType:
    """All hits, or those of each model under its name."""
    if not found.get("groups"):
        return shown(found["hits"])
    from rich.console import Group
    from rich.text import Text

    from tenantry.cli.output import plain

    parts: list[RenderableType] = []
    for one in found["groups"]:
        parts += [Text(plain(one["model"] or "no embedder"), style="bold"), shown(one["hits"])]
    return Group(*parts)


def _say_time(session: Session, found: dict[str, Any], more: str = "") -> None:
    from tenantry.cli.output import many

    if not session.out.as_json:
        hits = len(found["hits"]) + sum(len(one["hits"]) for one in found.get("groups", ()))
        session.out.say(f"{many(hits, 'hit')} in {found['took_ms']:.1f} ms{more}")
