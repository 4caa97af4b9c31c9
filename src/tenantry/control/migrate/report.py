"""What became of a migration, as values and as Markdown. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from tenantry.model.migration import Bill, Item, ItemState, Migration, Wave
from tenantry.model.migration_plan import MigrationReport, WaveReport


def report_of(migration: Migration, items: Sequence[Item], after: Bill | None) -> MigrationReport:
    """Everything that is known of a migration. ``after``: the bill once its sources are gone."""
    p50, p99, most = _pauses(items)
    return MigrationReport(
        migration=migration,
        waves=[_wave(wave, [each for each in items if each.wave == wave.number]) for wave in migration.waves],
        items=list(items),
        moved=_count(items, ItemState.MOVED),
        failed=_count(items, ItemState.FAILED),
        records=sum(each.records or 0 for each in items),
        healed=sum(each.healed for each in items),
        pause_p50_ms=p50,
        pause_p99_ms=p99,
        pause_max_ms=most,
        before=migration.before,
        after=migration.after or after,
    )


def _wave(wave: Wave, items: Sequence[Item]) -> WaveReport:
    p50, p99, most = _pauses(items)
    return WaveReport(
        wave=wave,
        moved=_count(items, ItemState.MOVED),
        waiting=_count(items, ItemState.WAITING, ItemState.MOVING, ItemState.RETURNING, ItemState.RETURNED),
        failed=_count(items, ItemState.FAILED),
        vectors=sum(each.vectors for each in items),
        records=sum(each.records or 0 for each in items),
        healed=sum(each.healed for each in items),
        pause_p50_ms=p50,
        pause_p99_ms=p99,
        pause_max_ms=most,
    )


def _count(items: Iterable[Item], *states: ItemState) -> int:
    return sum(each.state in states for each in items)


def _pauses(items: Iterable[Item]) -> tuple[float | None, float | None, float | None]:
    """P50, P99 (nearest rank) and the longest of the write pauses, milliseconds."""
    found = sorted(each.pause_ms for each in items if each.pause_ms is not None)
    if not found:
        return None, None, None

    def rank(share: float) -> float:
        return found[max(0, math.ceil(share * len(found)) - 1)]

    return rank(0.5), rank(0.99), found[-1]


def markdown(report: MigrationReport) -> str:
    """The report for people: a page of Markdown."""
    migration = report.migration
    lines = [
        f"# Migration {migration.id} of index {migration.index}",
        "",
        f"- State: **{migration.state}**" + (f": {_text(migration.reason)}" if migration.reason else ""),
        f"- From: {', '.join(migration.sources) or 'tenants that were named'}; to: {', '.join(migration.targets)}",
        f"- Tenants: {len(report.items)}, moved {report.moved}, failed {report.failed}",
        f"- Records compared on both sides: {report.records:,}, mended first: {report.healed:,}",
        f"- Writes waited (P50 / P99 / longest): {_ms(report.pause_p50_ms)} / {_ms(report.pause_p99_ms)} / "
        f"{_ms(report.pause_max_ms)}",
        f"- Cost a month: {_bill(report.before)} before, {_bill(report.after)} after",
        "",
        "## Waves",
        "",
        "| wave | tenants | moved | failed | vectors | compared | mended | pause P99 | began | gate opened |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for each in report.waves:
        wave = each.wave
        lines.append(
            f"| {wave.number}{' (canaries)' if wave.canary else ''} | {wave.tenants} | {each.moved} | {each.failed} | "
            f"{each.vectors:,} | {each.records:,} | {each.healed:,} | {_ms(each.pause_p99_ms)} | "
            f"{_when(wave.began_at)} | {_when(wave.passed_at)} |"
        )
    lines += ["", "## Gates", ""]
    for each in report.waves:
        lines += _gate(each.wave)
    lines += [
        "",
        "## Tenants",
        "",
        "| tenant | wave | from | to | state | risk | vectors | compared | mended | pause | note |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for item in report.items:
        compared = "" if item.records is None else f"{item.records:,}"
        lines.append(
            f"| {_text(item.tenant)} | {item.wave} | {item.source} | {item.target} | {item.state} | {item.risk:.2f} | "
            f"{item.vectors:,} | {compared} | {item.healed:,} | {_ms(item.pause_ms)} | {_text(item.error)} |"
        )
    lines += ["", "## What happened", ""]
    lines += [f"- {_when(each.at)} {_text(each.what)}" for each in migration.events]
    return "\n".join(lines) + "\n"


def _gate(wave: Wave) -> list[str]:
    verdict = wave.verdict
    if verdict is None:
        return [f"- Wave {wave.number}: not judged yet"]
    state = "held: " + "; ".join(verdict.regressions) if verdict.regressions else "nothing against it"
    baseline = "none" if verdict.baseline_p95_ms is None else f"{verdict.baseline_p95_ms:.1f} ms"
    figures = (
        f"{verdict.operations:,} operations, {verdict.error_rate:.2%} failed, P95 {verdict.p95_ms:.1f} ms "
        f"(baseline {baseline})"
    )
    notes = f"; {'; '.join(verdict.notes)}" if verdict.notes else ""
    return [f"- Wave {wave.number}: {_text(state)}; {figures}{_text(notes)}"]


def _bill(bill: Bill | None) -> str:
    if bill is None:
        return "unknown"
    if bill.monthly is None:
        return f"unknown ({_text(bill.why_not)})"
    each = "" if bill.per_tenant is None else f" (${bill.per_tenant:,.2f} a tenant)"
    return f"${bill.monthly:,.2f}{each}"


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} ms"


def _when(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%MZ")


def _text(text: str | None) -> str:
    """A name or reason in a line or cell of Markdown."""
    if text is None:
        return ""
    kept = "".join(one if one.isprintable() else " " for one in text)
    for mark in ("\\", "|", "`", "*", "_", "<", "["):
        kept = kept.replace(mark, "\\" + mark)
    return kept
