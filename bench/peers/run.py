"""One multi-tenant workload on Tenantry, Chroma, LanceDB, Milvus Lite and pgvector, in alternating rounds."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.measure import Context, Report, quantile
from bench.peers.environment import ROOT, python
from bench.peers.tables import tabulate
from bench.peers.worker import ENGINES
from bench.peers.workload import FIRST, Plan, Truth, make

OWN = "tenantry"
TENANTS = 200
#: Rows in all, size classes with how many tenants of each, size from which engines build an approximate index.
FULL = (200_000, {30_000: 1, 3_000: 4, 500: 4}, 10_000)
QUICK = (20_000, {3_000: 1, 500: 3, 100: 4}, 2_000)
FILTERED = " filtered"
SINGLE_WRITES = 60
STOP_S = 60
MIN_RECALL = 0.98


class Peer:
    """An engine's process and what it said."""

    def __init__(self, name: str, interpreter: Path, workload: Path, folder: Path) -> None:
        self.name = name
        self.found: dict[str, Any] = {}
        self.rounds: dict[str, list[list[float]]] = {}
        self.answers: dict[str, list[tuple[int, list[list[str]]]]] = {}
        self._log = (folder / f"{name}.log").open("w")
        self._process = subprocess.Popen(
            [str(interpreter), "-m", "bench.peers.worker", name, str(workload), str(folder / name)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"},
        )
        self.found.update(self._answer("start"))

    def do(self, command: str, **given: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": command, **given}) + "\n")
        self._process.stdin.flush()
        return self._answer(command)

    def ask(self, key: str, first: int, count: int, filtered: bool, keep: bool = True) -> None:
        """A round of queries; ``keep`` its times and answers."""
        done = self.do("ask", key=key, first=first, count=count, filtered=filtered)
        if keep:
            name = key + FILTERED * filtered
            self.rounds.setdefault(name, []).append(done["seconds"])
            self.answers.setdefault(name, []).append((first, done["answers"]))

    def stop(self) -> None:
        """The end of its input ends it; it closes its engine first."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _answer(self, command: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            tail = Path(self._log.name).read_text()[-3000:]
            raise RuntimeError(f"{self.name} ended during {command!r}:\n{tail}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def run(context: Context) -> Report:
    total, classes, large = QUICK if context.quick else FULL
    total = int(context.options.get("rows", total))
    report = Report("peers", f"{TENANTS} tenants, about {total:,} vectors of 768 dimensions, cosine, top 10")
    names = [name for name in ENGINES if name in context.options.get("only", ",".join(ENGINES)).split(",")]
    interpreter = python(context.say)
    queries = context.pick(60, 30)
    context.say("writing the workload")
    workload = context.folder / "workload"
    plan = make(workload, TENANTS, total, classes, queries * (context.rounds + 1), large)
    peers: list[Peer] = []
    try:
        for name in names:
            own = Path(sys.executable) if name == OWN else interpreter
            peers.append(Peer(name, own, workload, context.folder))
        _load(context, peers, plan)
        _ask_first(context, peers, plan)
        _ask(context, peers, plan, queries)
        _recall(peers, plan, Truth(workload, plan))
        _writes(context, peers)
        for peer in peers:
            peer.found.update(peer.do("measure"))
    finally:
        for peer in peers:
            peer.stop()
    tabulate(report, peers, plan, MIN_RECALL, OWN)
    return report


def _load(context: Context, peers: list[Peer], plan: Plan) -> None:
    """Tenants in parts, one engine after the other for each part; then indexes; then edits."""
    numbers = list(range(len(plan.tenants)))
    parts = [numbers[start :: context.rounds] for start in range(context.rounds)]
    for peer in peers:
        peer.found["create"] = peer.do("create")["seconds"]
        peer.found["ingest_rates"] = []
        peer.found["ingest_seconds"] = 0.0
    for turn, part in enumerate(parts):
        for peer in _turned(peers, turn):
            done = peer.do("ingest", tenants=part)
            peer.found["ingest_rates"].append(done["rows"] / done["seconds"])
            peer.found["ingest_seconds"] += done["seconds"]
    for peer in peers:
        peer.found["settle"] = peer.do("settle")["seconds"]
        peer.found["edit"] = peer.do("edit")
        peer.found["settle_again"] = peer.do("settle")["seconds"]
        took = {key: f"{peer.found[key]:.1f}" for key in ("create", "ingest_seconds", "settle", "settle_again")}
        context.say(f"{peer.name}: " + ", ".join(f"{key.replace('_', ' ')} {value} s" for key, value in took.items()))


def _ask_first(context: Context, peers: list[Peer], plan: Plan) -> None:
    """Each tenant's first query since it was written, then its first with a filter; after that, all are warm."""
    context.say("first query of each tenant")
    many = -(-len(plan.asks[FIRST]) // context.rounds)
    for filtered in (False, True):
        for turn in range(context.rounds):
            for peer in _turned(peers, turn):
                peer.ask(FIRST, turn * many, many, filtered)


def _ask(context: Context, peers: list[Peer], plan: Plan, queries: int) -> None:
    context.say("queries")
    for turn in range(context.rounds + 1):
        for key in [key for key in plan.asks if key != FIRST]:
            for filtered in (False, True):
                count = queries // 2 if filtered else queries  # since one of them takes a third of a second
                for peer in _turned(peers, turn):
                    # The first round only warms up.
                    peer.ask(key, turn * queries, count, filtered, keep=turn > 0)


def _recall(peers: list[Peer], plan: Plan, truth: Truth) -> None:
    known: dict[tuple[int, bool], set[str]] = {}
    for peer in peers:
        found: dict[str, list[float]] = {}
        for name, rounds in peer.answers.items():
            filtered = name.endswith(FILTERED)
            asks = plan.asks[name.removesuffix(FILTERED)]
            for first, answers in rounds:
                for ask, answer in zip(asks[first:], answers, strict=False):
                    if (ask.vector, filtered) not in known:
                        known[ask.vector, filtered] = truth.answer(ask, filtered)
                    right = known[ask.vector, filtered]
                    found.setdefault(name, []).append(len(right & set(answer)) / len(right) if right else 1.0)
        peer.found["recall"] = {name: statistics.fmean(values) for name, values in found.items()}


def _writes(context: Context, peers: list[Peer]) -> None:
    for turn in range(context.rounds):
        for peer in _turned(peers, turn):
            seconds = peer.do("singles", count=SINGLE_WRITES // context.rounds)["seconds"]
            peer.found.setdefault("single_ms", []).append(quantile(seconds, 0.5) * 1e3)


def _turned(peers: list[Peer], turn: int) -> list[Peer]:
    first = turn % len(peers)
    return peers[first:] + peers[:first]
