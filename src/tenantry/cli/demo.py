"""``tenantry demo``: the main job on real documents, in a folder that ``tenantry serve`` then serves."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tenantry.cli.failures import ExitCode

if TYPE_CHECKING:
    from tenantry.cli.corpus import Corpus
    from tenantry.cli.demo_report import Report
    from tenantry.cluster import Cluster
    from tenantry.settings import Settings

FOLDER = Path("demo-data")
SHARDS = 5


def demo(
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", file_okay=False, help="Folder to make, or to use again.")
    ] = FOLDER,
    small: Annotated[bool, typer.Option("--small", help="A quarter of the tenants: seconds, not a minute.")] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Remove what the demo left in DIR, and begin anew.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep/--no-keep", help="Leave the folder for `tenantry serve`.")] = True,
) -> None:
    """Route and search thousands of real documents of many tenants, on this machine, offline.

    The documents are those of botocore (Apache-2.0): a tenant for each AWS service. Run again, it uses the folder
    that it finds; a folder that is not a demo's is never touched.
    """
    code = run_demo(data, small, keep=keep, rebuild=rebuild)
    if code:
        raise typer.Exit(code)


def run_demo(data: Path, small: bool, keep: bool = True, rebuild: bool = False) -> int:
    """Run the demo and print its report; 0, or 1 when something that it proves did not hold.

    Raises Failure or TenantryError for what keeps it from running: no botocore, a folder that is not a demo's or
    that another process serves.
    """
    import asyncio

    from tenantry.cli.demo_report import Report
    from tenantry.gateway.serve import loop_factory

    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    report = Report(sys.stdout)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_run(data, small, keep, rebuild, report))


async def _run(data: Path, small: bool, keep: bool, rebuild: bool, report: Report) -> int:
    import asyncio

    from tenantry.cli import demo_folder, demo_isolation, demo_load, demo_measure
    from tenantry.cli.corpus import load_corpus

    settings = _settings(data)
    found = await demo_folder.prepare(settings, rebuild)
    corpus = await asyncio.to_thread(load_corpus, small)
    report.opening(corpus, data, found)
    async with await demo_folder.open_demo(settings, SHARDS) as cluster:
        loaded = await demo_load.load(cluster, corpus, report.progress)
        demo_folder.mark(data, corpus.source, complete=True)
        report.loaded(corpus, loaded)
        await _show(cluster, corpus, report)
        checks = await demo_isolation.prove(cluster, corpus)
        report.isolation(checks)
        report.latencies(await demo_measure.measure(cluster, corpus))
    holds = all(check.holds for check in checks)
    if not keep:
        demo_folder.remove(data)
    report.closing(data, keep, holds)
    return ExitCode.OK if holds else ExitCode.FAILED


async def _show(cluster: Cluster, corpus: Corpus, report: Report) -> None:
    """Where things are, and what is found in them."""
    from tenantry.cli.corpus import SHOWCASE
    from tenantry.model.topology import DEFAULT_INDEX

    resolver = cluster.router.resolver
    placed = {one.name: (await resolver.route(DEFAULT_INDEX, one.name)).place.shard for one in corpus.services}
    report.shards(corpus, await cluster.shards.list(), placed)
    report.routes([await cluster.tenants.get(name) for name in SHOWCASE])
    for tenant, question in (
        ("s3", "how do I remove many objects at once?"),
        ("lambda", "run a function without waiting for its result"),
    ):
        report.tenant_search(tenant, question, await cluster.documents.search(DEFAULT_INDEX, tenant, question, 3))
    question = "restore a database from a backup to a point in time"
    report.cross_search(question, await cluster.documents.search_all(DEFAULT_INDEX, question, 6))


def _settings(data: Path) -> Settings:
    """Settings of the demo's own: whatever the environment says, it must not write to another cluster's catalog."""
    from tenantry.settings import Settings

    return Settings(data=data, catalog_url=None, default_backend="embedded", admin_key=None)
