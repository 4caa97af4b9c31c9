"""The gate after a wave: whether what was measured, and what the moves have proven, lets the next wave begin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tenantry.control.measure.readings import Readings
from tenantry.control.measure.sketch import add_bins, quantiles_s
from tenantry.model.migration import Item, ItemState, Options, Sample, Verdict, in_words

#: Tenants that a reason names.
NAMED_MOST = 5


def sample_of(readings: Readings, tenants: Iterable[str]) -> Sample:
    """What some tenants did over the window. Those beyond the bound of a slice (`measure.window.MOST_TENANTS`) are not
    told apart, and so not seen."""
    operations = queries = errors = 0
    bins: dict[int, int] = {}
    for name in tenants:
        found = readings.tenants.get(name)
        if found is not None:
            operations += found.operations
            queries += found.queries
            errors += found.errors
            add_bins(bins, found.bins)
    return Sample(operations, queries, errors, bins)


def together(samples: Iterable[Sample]) -> Sample:
    """Several samples of different tenants as one."""
    operations = queries = errors = 0
    bins: dict[int, int] = {}
    for each in samples:
        operations += each.operations
        queries += each.queries
        errors += each.errors
        add_bins(bins, each.bins)
    return Sample(operations, queries, errors, bins)


def judge(options: Options, baseline: Sample, now: Sample, items: Sequence[Item], at: float) -> Verdict:
    """Compare the tenants that were moved so far with themselves before, and look at how their moves ended.

    Args:
        baseline, now: of those tenants, over the window.
        items: those tenants.
    """
    regressions: list[str] = []
    notes: list[str] = []
    p95, before = _p95_ms(now), _p95_ms(baseline)
    known = baseline.operations >= options.least_operations
    if now.operations < options.least_operations:
        notes.append(
            f"too little load to judge errors: {now.operations:,} operations, {options.least_operations:,} needed"
        )
    else:
        most = options.errors + (baseline.error_rate if known else 0.0)
        if now.error_rate > most:
            regressions.append(
                f"{now.error_rate:.1%} of {now.operations:,} operations failed, at most {most:.1%} may "
                f"({baseline.error_rate:.1%} before)"
            )
    compared = baseline.queries >= options.least_operations
    if now.queries < options.least_operations:
        notes.append(f"too little load to judge P95: {now.queries:,} queries, {options.least_operations:,} needed")
    else:
        limit = max(options.p95_least_ms, options.p95_factor * before) if compared else options.p95_most_ms
        held = f"{before:.1f} ms before" if compared else "no baseline"
        if not compared:
            notes.append(f"P95 has no baseline ({baseline.queries:,} queries before), so it is held to {limit:g} ms")
        if p95 > limit:
            regressions.append(f"P95 of queries is {p95:.1f} ms, at most {limit:.1f} ms may be ({held})")
    regressions += _verified(options, items)
    return Verdict(
        at=at,
        operations=now.operations,
        queries=now.queries,
        error_rate=now.error_rate,
        p95_ms=p95,
        baseline_error_rate=baseline.error_rate if known else None,
        baseline_p95_ms=before if compared else None,
        regressions=regressions,
        notes=notes,
    )


def _verified(options: Options, items: Sequence[Item]) -> list[str]:
    """What the moves say against going on."""
    found = []
    failed = [each for each in items if each.state is ItemState.FAILED]
    if failed:
        first = failed[0]
        why = f", the first because: {first.error}" if first.error else ""
        found.append(f"{in_words(len(failed), 'move')} failed ({_names(failed)}{why})")
    moved = [each for each in items if each.state is ItemState.MOVED]
    unproven = [each for each in moved if each.records is None and each.move is not None]
    if unproven:
        found.append(f"{in_words(len(unproven))} moved without a comparison of both sides ({_names(unproven)})")
    unlike = [each for each in moved if each.overlap is not None and each.overlap < options.overlap]
    if unlike:
        worst = min(each.overlap or 0.0 for each in unlike)
        found.append(
            f"both sides agree on {worst:.0%} of the hits only, at least {options.overlap:.0%} must ({_names(unlike)})"
        )
    return found


def _names(items: Sequence[Item]) -> str:
    names = ", ".join(each.tenant for each in items[:NAMED_MOST])
    return names + (f" and {len(items) - NAMED_MOST} more" if len(items) > NAMED_MOST else "")


def _p95_ms(sample: Sample) -> float:
    return quantiles_s(sample.bins, (0.95,))[0] * 1_000 if sample.bins else 0.0
