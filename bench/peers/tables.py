"""What the peers' processes said, as the rows of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.measure import BEHIND, PASS, Report, Row, Spread, number, quantile

if TYPE_CHECKING:
    from bench.peers.run import Peer
    from bench.peers.workload import Plan

SHARES = {"P50": 0.5, "P95": 0.95}


def tabulate(report: Report, peers: list[Peer], plan: Plan, min_recall: float, own: str) -> None:
    """A row for each engine and figure. Of queries, the aim is that no peer with the recall asked for is ahead."""
    ours = next((peer for peer in peers if peer.name == own), None)
    for name in _names(plan):
        for share_name, share in SHARES.items():
            for peer in peers:
                values = [quantile(one, share) * 1e3 for one in peer.rounds[name]]
                row = Row(f"{share_name}, {_title(name)}: {peer.name}", Spread.of(values), "ms")
                if ours is not None and peer is ours:
                    row = _judged(row, peers, ours, name, share, min_recall)
                report.rows.append(row)
            if ours is not None:
                _ratios(report, peers, ours, name, share_name, share)
    for peer in peers:
        rates = peer.found["ingest_rates"]
        report.info(f"ingest, acknowledged: {peer.name}", rates, "rows/s")
    for peer in peers:
        seconds = peer.found["ingest_seconds"] + peer.found["settle"]
        report.info(f"ingest with indexes built: {peer.name}", [plan.rows / seconds], "rows/s")
    for peer in peers:
        edit = peer.found["edit"]
        report.info(f"overwrite in batches: {peer.name}", [edit["rows"] / edit["overwrite_seconds"]], "rows/s")
    for peer in peers:
        report.info(f"overwrite of one row: {peer.name}", peer.found["single_ms"], "ms")
    for peer in peers:
        report.info(f"memory (proportional, with server): {peer.name}", [peer.found["memory"] / 2**20], "MiB")
    for peer in peers:
        report.info(f"disk: {peer.name}", [peer.found["disk"] / 2**20], "MiB")
    _recall(report, peers, plan, min_recall, own)
    report.notes += [f"{peer.name} {peer.found['version']}: {peer.found['settings']}" for peer in peers]
    report.notes.append(
        "Synthetic unit vectors in clusters (256 topics, 12 a tenant, 48 inner directions), fixed seeds; 5% of the rows "
        "of the measured classes deleted and 5% overwritten before the queries. Every hit comes with id, score, text "
        "and fields. Ratios: above 1x, the peer is slower. An engine's own client is in its times (TCP for pgvector and "
        "Milvus Lite). An acknowledged write is synced to disk by Tenantry and pgvector only."
    )
    report.extra["peers"] = [{"name": peer.name, **peer.found, "rounds": peer.rounds} for peer in peers]


def _judged(row: Row, peers: list[Peer], ours: Peer, name: str, share: float, min_recall: float) -> Row:
    best = None
    for peer in peers:
        if peer is not ours and peer.found["recall"][name] >= min_recall:
            figure = Spread.of([quantile(one, share) * 1e3 for one in peer.rounds[name]]).median
            best = figure if best is None else min(best, figure)
    if best is None:
        return row
    verdict = PASS if row.figure.median <= best else BEHIND
    return Row(row.what, row.figure, row.unit, f"<= {number(best)} ms", verdict)


def _ratios(report: Report, peers: list[Peer], ours: Peer, name: str, share_name: str, share: float) -> None:
    for peer in peers:
        if peer is ours:
            continue
        pairs = zip(peer.rounds[name], ours.rounds[name], strict=True)
        values = [quantile(theirs, share) / quantile(own, share) for theirs, own in pairs]
        report.info(f"  {share_name}, {_title(name)}: {peer.name} / {ours.name}", values, "x")


def _recall(report: Report, peers: list[Peer], plan: Plan, min_recall: float, own: str) -> None:
    for name in _names(plan):
        for peer in peers:
            values: Any = [peer.found["recall"][name]]
            if peer.name == own:
                report.at_least(f"recall@10, {_title(name)}: {peer.name}", values, "", min_recall)
            else:
                report.info(f"recall@10, {_title(name)}: {peer.name}", values, "")


def _names(plan: Plan) -> list[str]:
    return [key + suffix for suffix in ("", " filtered") for key in plan.asks]


def _title(name: str) -> str:
    size, _, filtered = name.partition(" ")
    words = "any tenant" if size == "any" else f"{int(size):,} vectors"
    return f"{words}, {filtered}" if filtered else words
