"""``tenantry init`` and ``tenantry serve``: the two commands that work on a data folder itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenantry.cli.command import DEFAULT_INDEX, PANEL, Data, Json, local_command
from tenantry.cli.failures import ExitCode, Failure

if TYPE_CHECKING:
    from tenantry.cli.output import Output
    from tenantry.settings import Settings

GROUP = "Set up"


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    local_command(
        app,
        "init",
        examples=[
            "tenantry init",
            "tenantry init --data DIR --shards 4 --dimension 768 --metric cosine",
        ],
        panel=GROUP,
    )(init)
    local_command(
        app,
        "serve",
        examples=[
            "tenantry serve --data DIR",
            "TENANTRY_ADMIN_KEY=secret tenantry serve --host 0.0.0.0 --port 8080",
        ],
        panel=GROUP,
    )(serve)


def init(
    shards: Annotated[
        int | None, typer.Option("--shards", metavar="N", help="Shards to begin with [default: 1]")
    ] = None,
    dimension: Annotated[
        int | None, typer.Option("--dimension", metavar="D", help="Numbers in each vector [default: the embedder's]")
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", metavar="METRIC", help="cosine, dotproduct, euclidean [default: cosine]")
    ] = None,
    embedder: Annotated[
        str | None, typer.Option("--embedder", metavar="NAME", help="Turns text into vectors: local, openai:MODEL.")
    ] = None,
    policy: Annotated[
        str | None, typer.Option("--policy", metavar="POLICY", help="Placement: rendezvous, ring or least-loaded.")
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make a cluster with its default index in a data folder.

    Without --dimension the index takes text: its vectors are those of the local embedding model. On a folder that
    has such a cluster already nothing changes; on one that differs from what is asked, that is an error.
    """
    import asyncio

    from tenantry.cli.output import Output
    from tenantry.cli.target import load_settings

    asked = {"shards": shards, "dimension": dimension, "metric": metric, "embedder": embedder, "policy": policy}
    asyncio.run(_init(load_settings(data=data), asked, Output(as_json)))


async def _init(settings: Settings, asked: dict[str, Any], out: Output) -> None:
    from tenantry.cli.output import many
    from tenantry.errors import AlreadyExists
    from tenantry.wiring import init_cluster, open_cluster

    given = {name: value for name, value in asked.items() if value is not None}
    created = True
    try:
        cluster = await init_cluster(settings, **given)
    except AlreadyExists:
        created = False
        cluster = await open_cluster(settings)
    async with cluster:
        index = await cluster.indexes.get(DEFAULT_INDEX)
        names = [status.shard.name for status in await cluster.shards.list()]
    present = {
        "shards": len(names),
        "dimension": index.dimension,
        "metric": str(index.metric),
        "embedder": index.embedder,
        "policy": index.policy,
    }
    if not created:
        _refuse_difference(settings.data, present, given)
    document = {"data": str(settings.data), "created": created, "index": index.name, **present, "shard_names": names}
    what = f"{index.dimension} dimensions, {index.metric}, {many(len(names), 'shard')}"
    if index.embedder:
        what += f", texts embedded by {index.embedder}"
    if not created:
        out.show(document, f"{settings.data} is a cluster already ({what}); nothing changed")
        return
    out.show(document, f"made a cluster in {settings.data}: {what}")
    if not out.as_json:
        first = "tenant create acme" if names else "shard add NAME"
        out.say(f"next: `tenantry {first}{_at(settings)}`, or `tenantry serve{_at(settings)}`")


def _refuse_difference(data: Path, present: dict[str, Any], given: dict[str, Any]) -> None:
    differ = [
        f"{name} {present[name] if present[name] is not None else 'none'}, not {value}"
        for name, value in given.items()
        if present[name] != value
    ]
    if not differ:
        return
    hints = []
    if "shards" in given and present["shards"] != given["shards"]:
        hints.append("`tenantry shard add` adds shards")
    if any(name in given and present[name] != given[name] for name in ("policy", "embedder")):
        hints.append("`tenantry index set` changes policy and embedder")
    if any(name in given and present[name] != given[name] for name in ("dimension", "metric")):
        hints.append("dimension and metric are for life: `tenantry index create` makes another index")
    raise Failure(
        f"{data} is a cluster already, and differs: it has {'; '.join(differ)}",
        "; ".join(hints),
        code="ALREADY_EXISTS",
    )


def serve(
    data: Data = None,
    host: Annotated[
        str | None, typer.Option("--host", metavar="H", help="Address to bind; TENANTRY_HOST, or 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="P", help="Port, 0 for a free one; TENANTRY_PORT, or 8080.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One line of JSON on stdout once it serves.", rich_help_panel=PANEL)
    ] = False,
) -> None:
    """Serve a cluster over HTTP until it is told to stop (Ctrl-C, SIGTERM).

    The native API is under /v1, Pinecone's at the root. Without TENANTRY_ADMIN_KEY only this machine is served.
    """
    import asyncio

    from tenantry.cli.logs import log_to_stderr
    from tenantry.cli.target import load_settings
    from tenantry.gateway.serve import loop_factory

    settings = load_settings(data=data, host=host, port=port)
    log_to_stderr(settings.log_level)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(settings, as_json))


async def _serve(settings: Settings, as_json: bool) -> None:
    from tenantry.errors import Locked
    from tenantry.gateway.serve import serve as serve_http
    from tenantry.telemetry.prometheus import PrometheusTelemetry
    from tenantry.wiring import open_cluster

    cluster = await open_cluster(settings, telemetry=PrometheusTelemetry())
    async with cluster:
        try:
            cluster.announce()
        except Locked as error:
            said, _, _ = str(error).partition("; ")
            hint = "one process serves a folder: stop that one first, or serve another folder with --data"
            raise Failure(said, hint, ExitCode.UNAVAILABLE, code=error.code) from error
        await serve_http(
            cluster,
            settings,
            on_ready=lambda url: _ready(settings, url, as_json),
            announce=cluster.announce,
        )


def _ready(settings: Settings, url: str, as_json: bool) -> None:
    import json
    import os

    from tenantry.cli.output import console_for

    if as_json:
        sys.stdout.write(json.dumps({"url": url, "data": str(settings.data), "pid": os.getpid()}) + "\n")
        sys.stdout.flush()
        return
    console = console_for(sys.stderr)
    key = "" if settings.admin_key is None else ", with the admin key"
    console.print(f"serving {settings.data} at {url}{key}", style="bold", soft_wrap=True)
    console.print(f"  command line   tenantry tenant list --url {url}", soft_wrap=True)
    console.print(f"  Pinecone SDK   Pinecone(api_key=..., host='{url}')", soft_wrap=True)
    console.print(f"  API            {url}/v1/openapi.json", soft_wrap=True)
    console.print("  stop           Ctrl-C", soft_wrap=True)


def _at(settings: Settings) -> str:
    return "" if str(settings.data) == "tenantry-data" else f" --data {settings.data}"
