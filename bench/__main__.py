"""``python -m bench [NAME ...] [--quick] [--json FILE]``: list and run the benches."""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import shutil
import signal
import sys
import tempfile
import time
import traceback
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import machine
from bench.measure import Context, Report, show

RESULTS = Path(__file__).parent / "results"
#: Name to module and what it says; in the order in which they run.
BENCHES = {
    "route_lookup": ("bench.route_lookup", "route from the in-process cache, and memory of a million routes"),
    "library_overhead": ("bench.library_overhead", "a query through the library against the engine called directly"),
    "tracing": ("bench.tracing", "a query through the library with tracing and without"),
    "ingest": ("bench.ingest", "durable bulk upsert against bare SQLite with the same pragmas"),
    "many_tenants": ("bench.many_tenants", "P95 of one tenant among 2,000 against among 20"),
    "gateway": ("bench.gateway", "a query over HTTP against an empty handler on the same server"),
    "moves": (
        "bench.moves",
        "a tenant that moves under load: copy rate, latencies, the wait at the switch; a naive mover",
    ),
    "backup": ("bench.backup", "backup and restore against a bare scan and a bare ingest; queries during a backup"),
    "limits": ("bench.limits", "a tenant at ten times its share: its neighbours' P95, with fair shares and without"),
    "adapters": ("bench.adapters", "a query through the library against the own client of the engine behind a shard"),
    "layouts": ("bench.layouts", "2,000 tenants behind Tenantry against one index of the same engine with a filter"),
    "route_layers": (
        "bench.route_layers",
        "a route from this process, from Redis, from the catalog; hit rates by Zipf's law",
    ),
    "search": ("bench.search", "a search over 200 tenants on 5 shards; one shard slow, then dead"),
    "fleet": ("bench.fleet", "from the commit of a new route to its use in three other gateways"),
    "gateways": ("bench.gateways", "throughput of one, two and three gateways, and where the limit lies"),
    "planner": ("bench.planner", "plans for 10,000 tenants and for a million; the objective against exact optima"),
    "dashboard": (
        "bench.dashboard",
        "the dashboard of 10,000 tenants: its requests, and what a browser takes to show it",
    ),
    "health": ("bench.health", "what measuring costs a request; the health of 10,000 tenants on 100 shards"),
    "auth": ("bench.auth", "recognising a key and holding it to its scope, per request"),
    "peers": ("bench.peers.run", "one workload on Tenantry, Chroma, LanceDB, Milvus Lite and pgvector"),
}
#: Left out of ``--quick`` without names: it needs an environment of its own.
NOT_QUICK = ("peers",)


def arguments() -> argparse.Namespace:
    listed = "\n".join(f"  {name:17} {what}" for name, (_, what) in BENCHES.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure Tenantry against peers and limits, in alternating rounds of one run.",
        epilog=f"benches:\n{listed}\n\nWithout names, all run; with --quick, all but {', '.join(NOT_QUICK)}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="benches to run")
    parser.add_argument("--list", action="store_true", help="list the benches and stop")
    parser.add_argument("--quick", action="store_true", help="small sizes: minutes in all, figures less steady")
    parser.add_argument("--rounds", type=int, default=0, help="rounds (default 7; 5 with --quick)")
    parser.add_argument("--json", type=Path, metavar="FILE", help=f"write the results there too (always: {RESULTS})")
    parser.add_argument("--folder", type=Path, help="where to put data while running (default: the temporary folder)")
    parser.add_argument("--profile", action="store_true", help="run under cProfile and print where the time goes")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a bench's own option")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a stated aim is missed")
    return parser.parse_args()


def run_one(name: str, given: argparse.Namespace, console: Console) -> Report:
    folder = Path(tempfile.mkdtemp(prefix=f"tenantry-bench-{name}-", dir=given.folder))
    context = Context(
        quick=given.quick,
        rounds=given.rounds or (5 if given.quick else 7),
        folder=folder,
        options=dict(one.partition("=")[::2] for one in given.set),
        say=lambda text: console.print(f"[dim]{name}: {text}[/]", highlight=False),
    )
    profile = cProfile.Profile() if given.profile else None
    started = time.perf_counter()
    try:
        module = import_module(BENCHES[name][0])
        report: Report = profile.runcall(module.run, context) if profile else module.run(context)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report.extra["seconds"] = round(time.perf_counter() - started, 1)
    report.extra["load_average"] = round(machine.load_average(), 2)
    if profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)
    return report


def save(found: dict[str, Any], also: Path | None) -> Path:
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(found, indent=1)
    path = RESULTS / f"{found['when'].replace(':', '').replace('+0000', 'Z')}.json"
    path.write_text(text)
    if also is not None:
        also.write_text(text)
    return path


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers and folders are cleared away
    given = arguments()
    console = Console(width=None if sys.stdout.isatty() else 140)
    unknown = [name for name in given.names if name not in BENCHES]
    if given.list or unknown:
        for name in unknown:
            console.print(f"There is no bench called {name!r}.")
        for name, (_, what) in BENCHES.items():
            console.print(f"{name:17} {what}", highlight=False)
        return 2 if unknown else 0
    names = given.names or [name for name in BENCHES if not (given.quick and name in NOT_QUICK)]
    about = machine.described()
    console.print(f"[bold]{machine.in_words(about)}[/]", highlight=False)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    reports, failed = [], []
    for name in names:
        try:
            report = run_one(name, given, console)
        except Exception:
            console.print(traceback.format_exc(), highlight=False, markup=False)
            failed.append(name)
            continue
        show(report, console)
        reports.append(report)
    found = {"when": when, "quick": given.quick, "machine": about, "reports": [one.as_json() for one in reports]}
    console.print(f"Results: {save(found, given.json)}", highlight=False)
    missed = [f"{report.bench}: {row.what}" for report in reports for row in report.missed]
    console.print(f"Aims missed: {'; '.join(missed)}" if missed else "No aim missed.", highlight=False)
    if failed:
        console.print(f"Did not finish: {', '.join(failed)}")
    return 1 if failed or (given.strict and missed) else 0


if __name__ == "__main__":
    raise SystemExit(main())
