"""What the demo shows: sections and tables on a terminal, the same as plain text in a file or pipe."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from tenantry.cli.corpus import Corpus
    from tenantry.cli.demo_folder import Marker
    from tenantry.cli.demo_isolation import Check
    from tenantry.cli.demo_load import Loaded
    from tenantry.cli.demo_measure import Latency
    from tenantry.cluster.shards import ShardStatus
    from tenantry.cluster.tenants import TenantStatus
    from tenantry.documents.store import TextHit, TextScatterResult

PLAIN_WIDTH = 110
MOST_WIDTH = 120
PADDING = 2
LEAST_TEXT = 20
PLAIN_STEPS = 5
LEFT, RIGHT, LONG = "left", "right", "long"


class _Console(Console):
    """Rich's own way is to exit with 1 when the reader of a pipe goes away; the program has a code for that."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class Report:
    """Writes sections as they come. Texts of documents are shown as they are, never read as markup."""

    def __init__(self, stream: TextIO) -> None:
        terminal = stream.isatty()
        width = None if terminal else PLAIN_WIDTH
        self._console = _Console(file=stream, markup=False, highlight=False, emoji=False, width=width)
        self._console.width = min(self._console.width, MOST_WIDTH)
        self._started = time.perf_counter()

    def opening(self, corpus: Corpus, data: Path, found: Marker | None) -> None:
        """What is about to happen."""
        from tenantry.cli.corpus import LICENCE

        self._console.print(Text("Tenantry demo", "bold"), Text("many tenants, several shards, one index", "dim"))
        self._section("Input")
        self._facts(
            {
                "documents": f"{corpus.documents:,} descriptions of API operations, out of {corpus.source} "
                f"({LICENCE}, Copyright Amazon.com, Inc. or its affiliates)",
                "tenants": f"{len(corpus.services)}: one for each AWS service; {_sizes(corpus)}",
                "embedding": "WordLlama l2_supercat (MIT), 256 dimensions, in this process, offline",
                "folder": f"{data}{_folder_note(found)}",
            }
        )

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar on a terminal, else a line now and then; called with how much more is done."""
        if not self._console.is_terminal:
            yield self._plain_progress(what, total)
            return
        from rich import progress

        bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=30),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.percentage:>3.0f}%"),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        with bar:
            task = bar.add_task(what, total=total)
            yield lambda more: bar.advance(task, more)

    def loaded(self, corpus: Corpus, loaded: Loaded) -> None:
        """What loading did."""
        total = loaded.total
        self._section("Loaded")
        rate = (total.added + total.replaced) / loaded.seconds
        facts = {
            "documents": f"{total.added:,} added, {total.replaced:,} replaced, {total.unchanged:,} unchanged",
            "chunks": f"{total.chunks_written:,} embedded and written, {total.chunks_deleted:,} removed",
            "time": f"{loaded.seconds:.1f} s" + (f", {rate:,.0f} documents a second" if total.chunks_written else ""),
        }
        if total.unchanged == corpus.documents:
            facts["why so fast"] = "unchanged documents are recognised by content: nothing is embedded or written"
        self._facts(facts)

    def shards(self, corpus: Corpus, shards: Sequence[ShardStatus], placed: Mapping[str, str]) -> None:
        """Statistics of the shards."""
        self._section("Shards", "each tenant is placed once, by rendezvous hashing, and stays there")
        largest = {one.shard.name: "" for one in shards}
        for service in sorted(corpus.services, key=lambda one: len(one.documents)):
            largest[placed[service.name]] = f"{service.name} ({len(service.documents):,} documents)"
        vectors = sum(one.vectors for one in shards)
        rows = [
            (
                one.shard.name,
                str(one.shard.state),
                f"{one.shard.tenants:,}",
                f"{one.vectors:,}",
                f"{one.vectors / max(1, vectors):.0%}",
                f"{one.bytes / 2**20:,.1f}",
                largest[one.shard.name],
            )
            for one in shards
        ]
        tenants = sum(one.shard.tenants for one in shards)
        size = sum(one.bytes for one in shards)
        rows.append(("all", "", f"{tenants:,}", f"{vectors:,}", "100%", f"{size / 2**20:,.1f}", ""))
        columns = {"shard": LEFT, "state": LEFT, "tenants": RIGHT, "vectors": RIGHT, "share": RIGHT, "MiB": RIGHT}
        self._table({**columns, "largest tenant": LEFT}, rows)

    def routes(self, tenants: Sequence[TenantStatus]) -> None:
        """Where a few tenants are."""
        self._section("Routes", "epochs grow with every change of a route, so an old one is recognised")
        rows = [
            (
                one.tenant.name,
                one.tenant.route.place.shard,
                one.tenant.route.place.namespace,
                str(one.tenant.route.epoch),
                str(one.tenant.state),
                f"{one.vectors:,}",
            )
            for one in tenants
        ]
        columns = {"tenant": LEFT, "shard": LEFT, "namespace": LEFT, "epoch": RIGHT, "state": LEFT, "vectors": RIGHT}
        self._table(columns, rows)

    def tenant_search(self, tenant: str, question: str, hits: Sequence[TextHit]) -> None:
        """A search in one tenant."""
        self._section(f"Search in tenant {tenant}", f'"{question}"')
        rows = [(f"{hit.score:.3f}", hit.document, str(hit.chunk), _snippet(hit)) for hit in hits]
        self._table({"score": RIGHT, "document": LEFT, "chunk": RIGHT, "text": LONG}, rows)

    def cross_search(self, question: str, found: TextScatterResult) -> None:
        """A search over all tenants."""
        self._section("Search across all tenants", f'"{question}"')
        rows = [(f"{hit.score:.3f}", hit.tenant or "", hit.document, _snippet(hit)) for hit in found.hits]
        self._table({"score": RIGHT, "tenant": LEFT, "document": LEFT, "text": LONG}, rows)
        missing = ", ".join(found.missing_shards) or "none"
        self._console.print(
            f"{found.tenants_asked:,} tenants on {found.shards_asked} shards asked in {found.took_ms:,.0f} ms; "
            f"shards missing: {missing}",
            style="dim",
        )

    def isolation(self, checks: Sequence[Check]) -> None:
        """What was tried to get from one tenant to another."""
        self._section("Isolation", "requests to the gateway with the key of one tenant, and what came of them")
        rows = [
            (one.tried, one.expected, one.got, Text("holds", "green") if one.holds else Text("FAILED", "bold red"))
            for one in checks
        ]
        self._table({"tried": LEFT, "expected": RIGHT, "got": RIGHT, "": LEFT}, rows)

    def latencies(self, measured: Sequence[Latency]) -> None:
        """Percentiles."""
        self._section("Latency", "one request after another, in this process, over all tenants, each asked once before")
        rows = [(one.what, f"{one.requests:,}", *map(_time, (one.p50_us, one.p95_us, one.p99_us))) for one in measured]
        self._table({"request": LEFT, "count": RIGHT, "P50": RIGHT, "P95": RIGHT, "P99": RIGHT}, rows)

    def closing(self, data: Path, keep: bool, holds: bool) -> None:
        """What to try next."""
        took = time.perf_counter() - self._started
        self._console.print()
        self._console.print(f"Done in {took:.1f} s, at most {_peak_mib():,.0f} MiB of memory.", style="bold")
        if not holds:
            self._console.print("Something above did NOT hold: tenants are not isolated.", style="bold red")
        if not keep:
            self._console.print("The folder is removed again, as asked.")
            return
        self._section("Next")
        at = f"--data {data}"
        for command in (
            f"tenantry search s3 'limit who can read a bucket' {at}",
            f"tenantry search-all 'rotate a secret' {at}",
            f"tenantry shard list {at}",
            f"tenantry tenant show s3 --json {at}",
            f"tenantry serve {at}",
        ):
            self._console.print(f"  {command}", style="cyan", soft_wrap=True)
        self._console.print(
            "\nWhile it is served, from Python with the unmodified Pinecone SDK (a namespace is a tenant):"
        )
        for line in (
            "from pinecone import Pinecone",
            "url = 'http://127.0.0.1:8080'",
            "index = Pinecone(api_key='any', host=url).Index(host=url)",
            "print(index.describe_index_stats().namespaces['s3'])",
            "print(list(index.list(namespace='s3', prefix='CreateBucket#')))",
        ):
            self._console.print(f"  {line}", style="cyan", soft_wrap=True)

    def _section(self, title: str, note: str = "") -> None:
        self._console.print()
        self._console.print(Text.assemble((title, "bold"), ("  " + note if note else "", "dim")), soft_wrap=True)

    def _facts(self, facts: Mapping[str, str]) -> None:
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in facts.items():
            table.add_row(name, value)
        self._console.print(table)

    def _table(self, columns: Mapping[str, str], rows: Sequence[Sequence[Any]]) -> None:
        """Only the long texts give way on a narrow terminal: they are cut to what the other columns leave."""
        names = list(columns)
        widths = [max([len(names[i]), *(len(str(row[i])) for row in rows)]) for i in range(len(names))]
        taken = sum(width + PADDING for width, name in zip(widths, names, strict=True) if columns[name] != LONG)
        room = max(LEAST_TEXT, self._console.width - taken)
        table = Table(box=None, pad_edge=False, padding=(0, PADDING, 0, 0), header_style="dim")
        for name, kind in columns.items():
            justify: Any = "right" if kind == RIGHT else "left"
            table.add_column(name, justify=justify, no_wrap=True)
        for row in rows:
            table.add_row(*(_cut(row[i], room) if columns[names[i]] == LONG else row[i] for i in range(len(row))))
        self._console.print(table)

    def _plain_progress(self, what: str, total: int) -> Callable[[int], None]:
        step = max(1, total // PLAIN_STEPS)
        done = 0

        def advance(more: int) -> None:
            nonlocal done
            before, done = done, done + more
            if before // step != done // step:
                self._console.print(f"{what}: {done:,} of {total:,}", soft_wrap=True)

        return advance


def _folder_note(found: Marker | None) -> str:
    if found is None:
        return ", made now"
    if not found.complete:
        return ", which an earlier run left unfinished: it is completed"
    return f", of an earlier run ({found.source}): it is used again; --rebuild begins anew"


def _sizes(corpus: Corpus) -> str:
    sizes = sorted((len(service.documents) for service in corpus.services), reverse=True)
    tenth = sum(sizes[: max(1, len(sizes) // 10)]) / max(1, sum(sizes))
    return (
        f"largest {sizes[0]:,} documents, median {statistics.median(sizes):.0f}, smallest {sizes[-1]:,}; "
        f"the largest tenth has {tenth:.0%} of all"
    )


def _snippet(hit: TextHit) -> str:
    """The text without its first line, which is the document's name again, on one line."""
    _, _, text = hit.text.partition("\n")
    return " ".join((text or hit.text).split())


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _time(microseconds: float) -> str:
    if microseconds < 1_000:
        return f"{microseconds:,.2f} us" if microseconds < 10 else f"{microseconds:,.0f} us"
    return f"{microseconds / 1_000:,.2f} ms" if microseconds < 100_000 else f"{microseconds / 1_000:,.0f} ms"


def _peak_mib() -> float:
    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
