"""What the peers' processes said, side by side, and how Tenantry stands to the best of the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench.measure import Grid, Report, Spread, number, quantile
from bench.peers.workload import ANY, FIRST

if TYPE_CHECKING:
    from bench.peers.run import Peer
    from bench.peers.workload import Plan

SHARES = {"P50": 0.5, "P95": 0.95}
NOTE = (
    "Synthetic unit vectors in clusters (256 topics, 12 a tenant, 48 inner directions), fixed seeds; 5% of the rows of "
    "the measured classes deleted and 5% overwritten before the queries. Every hit comes with id, score, text and "
    "fields; the filter (a string and a number) matches a tenth of the rows. What an engine's own Python client costs "
    "is in its times (TCP for pgvector and Milvus Lite). 'First query': of each tenant since it was written, then the "
    "first with a filter; the other classes are asked afterwards, warm. An acknowledged write is synced to disk by "
    "Tenantry and pgvector only."
)


def tabulate(report: Report, peers: list[Peer], plan: Plan, min_recall: float, own: str) -> None:
    names = [key + suffix for suffix in ("", " filtered") for key in plan.asks if key + suffix in peers[0].rounds]
    head = ["", *(peer.name for peer in peers)]
    report.grids.append(Grid("query latency, ms: median (min..max of rounds)", head, _latencies(peers, names)))
    report.grids.append(Grid("recall@10", head, [_cells(_title(name), peers, _recall_of(name)) for name in names]))
    report.grids.append(Grid("writes and space", head, _others(peers, plan)))
    ours = next((peer for peer in peers if peer.name == own), None)
    if ours is not None and len(peers) > 1:
        _judge(report, [peer for peer in peers if peer is not ours], ours, names, min_recall)
    report.notes += [f"{peer.name} {peer.found['version']}: {peer.found['settings']}" for peer in peers]
    report.notes.append(NOTE)
    report.extra["peers"] = [{"name": peer.name, **peer.found, "seconds": peer.rounds} for peer in peers]


def _latencies(peers: list[Peer], names: list[str]) -> list[list[str]]:
    return [
        [f"{share_name}, {_title(name)}", *(Spread.of(_quantiles(peer, name, share)).together() for peer in peers)]
        for name in names
        for share_name, share in SHARES.items()
    ]


def _others(peers: list[Peer], plan: Plan) -> list[list[str]]:
    def edited(peer: Peer) -> float:
        return float(peer.found["edit"]["rows"] / peer.found["edit"]["overwrite_seconds"])

    def with_indexes(peer: Peer) -> float:
        return float(plan.rows / (peer.found["ingest_seconds"] + peer.found["settle"]))

    figures: dict[str, Callable[[Peer], str]] = {
        "ingest acknowledged, rows/s": lambda peer: Spread.of(peer.found["ingest_rates"]).together(),
        "ingest with indexes, rows/s": lambda peer: number(with_indexes(peer)),
        "overwrite in batches, rows/s": lambda peer: number(edited(peer)),
        "overwrite of one row, ms": lambda peer: Spread.of(peer.found["single_ms"]).together(),
        "making 200 tenants, s": lambda peer: number(peer.found["create"]),
        "memory with server, MiB": lambda peer: number(peer.found["memory"] / 2**20),
        "disk, MiB": lambda peer: number(peer.found["disk"] / 2**20),
    }
    return [_cells(title, peers, figure) for title, figure in figures.items()]


def _judge(report: Report, others: list[Peer], ours: Peer, names: list[str], min_recall: float) -> None:
    """Against the quickest of those that reach the recall: the aim is that none is ahead."""
    for name in names:
        report.at_least(f"recall@10, {_title(name)}: {ours.name}", [ours.found["recall"][name]], "", min_recall)
    for name in names:
        good = [peer for peer in others if peer.found["recall"][name] >= min_recall]
        for share_name, share in SHARES.items():
            if not good:
                continue
            best = min(good, key=lambda peer: Spread.of(_quantiles(peer, name, share)).median)
            pairs = zip(_quantiles(best, name, share), _quantiles(ours, name, share), strict=True)
            what = f"{share_name}, {_title(name)}: {best.name}, the quickest other / {ours.name}"
            report.at_least(what, [theirs / own for theirs, own in pairs], "x", 1.0)


def _quantiles(peer: Peer, name: str, share: float) -> list[float]:
    """Milliseconds, one figure a round."""
    return [quantile(one, share) * 1e3 for one in peer.rounds[name]]


def _recall_of(name: str) -> Callable[[Any], str]:
    return lambda peer: f"{peer.found['recall'][name]:.3f}"


def _cells(title: str, peers: list[Peer], figure: Callable[[Peer], str]) -> list[str]:
    return [title, *(figure(peer) for peer in peers)]


def _title(name: str) -> str:
    size, _, filtered = name.partition(" ")
    words = {ANY: "any tenant", FIRST: "first query"}.get(size) or f"{int(size):,} vectors"
    return f"{words}, {filtered}" if filtered else words
