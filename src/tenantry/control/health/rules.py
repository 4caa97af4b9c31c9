"""The rules: each a small function of the view and the thresholds. Pure: the same view gives the same findings.

Thresholds and their sources are in the documentation (``docs/reference/health.md``). A rule about a shard compares it
with its peers: shards that are in use and belong to nobody alone. A shard's fair part follows its weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tenantry.control.health.subjects import (
    behind_by,
    big,
    command,
    counted,
    heaviest,
    largest_tenth,
    named,
    peers,
    relieve,
    share_of,
    sharing,
)
from tenantry.control.health.values import Finding, HealthView, Severity, ShardHealth, Thresholds

#: Shards of which one cannot be uneven: nothing to compare with.
ALONE = 1
LOST = frozenset({"missing-namespace", "missing-shard"})

Rule = Callable[[HealthView, Thresholds], Iterator[Finding]]


def unreachable_shard(view: HealthView, limits: Thresholds) -> Iterator[Finding]:
    """A shard that cannot be asked: its tenants get errors."""
    for shard in view.shards:
        if shard.error is not None:
            yield Finding(
                kind="unreachable-shard",
                severity=Severity.CRITICAL,
                subject=shard.name,
                message=f"shard {shard.name} does not answer: {shard.error}",
                value=float(shard.tenants),
                threshold=0.0,
                unit="tenants without their data",
                tenants=heaviest(view, shard.name),
                command=command(view, "shard show", shard.name),
                page=True,
            )


def failing_shard(view: HealthView, limits: Thresholds) -> Iterator[Finding]:
    """Many of its operations fail."""
    for shard in view.shards:
        if limits.errors and shard.operations >= limits.least_operations and shard.error_rate > limits.errors:
            yield Finding(
                kind="failing-shard",
                severity=Severity.CRITICAL,
                subject=shard.name,
                message=f"{shard.error_rate:.0%} of {shard.operations:,} operations on shard {shard.name} failed",
                value=shard.error_rate,
                threshold=limits.errors,
                unit="share",
                tenants=behind_by(view, shard.name, lambda one: one.error_rate * one.operations),
                command=command(view, "shard show", shard.name),
                page=True,
            )


def slow_shard(view: HealthView, limits: Thresholds) -> Iterator[Finding]:
    """P95 of its queries is over what wakes somebody, or over what is critical."""
    for shard in view.shards:
        if shard.queries < limits.least_operations:
            continue
        high = limits.p95_high_ms > 0 and shard.p95_ms > limits.p95_high_ms
        if high or (limits.p95_page_ms > 0 and shard.p95_ms > limits.p95_page_ms):
            yield Finding(
                kind="slow-shard",
                severity=Severity.CRITICAL if high else Severity.WARNING,
                subject=shard.name,
                message=f"shard {shard.name} has P95 {shard.p95_ms:,.3g} ms over {shard.queries:,} queries",
                value=shard.p95_ms,
                threshold=limits.p95_high_ms if high else limits.p95_page_ms,
                unit="ms",
                tenants=heaviest(view, shard.name),
                command=relieve(view, shard),
                page=True,
            )


def uneven_latency(view: HealthView, limits: Thresholds) -> Iterator[Finding]:
    """P95 of its queries is far over the average of the shards."""
    measured = [shard for shard in view.shards if shard.queries >= limits.least_operations]
    if not limits.uneven or len(measured) <= ALONE:
        return
    average = sum(shard.p95_ms for shard in measured) / len(measured)
    for shard in measured:
        if shard.p95_ms >= limits.p95_least_ms and shard.p95_ms > average * limits.uneven:
            yield Finding(
                kind="uneven-latency",
                severity=Severity.WARNING,
                subject=shard.name,
                message=f"shard {shard.name} has P95 {shard.p95_ms:,.3g} ms, the average is {average:,.3g} ms",
                value=shard.p95_ms,
                threshold=average * limits.uneven,
                unit="ms",
                tenants=heaviest(view, shard.name),
                command=relieve(view, shard),
            )


def uneven_tenants(view: HealthView, limits: Thresholds) -> Iterator[Finding]:
    """It has far more tenants than the average of the shards."""
    for shard, fair in _over(view, limits, lambda one: one.tenants, limits.least_tenants):
        yield Finding(
            kind="uneven-tenants",
            severity=Severity.WARNING,
            subject=shard.name,
            message=f"shard {shard.name} has {counted(shard.tenants, 'tenant')}, its fair part is {fair:,.3g}",
            value=float(shard.tenants),
            threshold=fair * limits.uneven,
            unit="tenants",
            tenants=heaviest(view, shard.name),
            command=command(view, "rebalance"),
        )


def uneven_vectors(view: HealthView, limits: Thresholds) -> Iterator[Finding]:
    """It has far more vectors than the average of the shards."""
    for shard, fair in _over(view, limits, lambda one: one.vectors, limits.least_vectors):
        yield Finding(
            kind="uneven-vectors",
            severity=Severity.WARNING,
            subject=shard.name,
            message=f"shard {shard.name} has {counted(shard.vectors, 'vector')}, its fair part is {fair:,.0f}",
            value=float(shard.vectors),
            threshold=fair * limits.uneven,
            unit="vectors",
            tenants=big(view, shard.name),
            command=relieve(view, shard),
        )


def near_capacity(view: HealthView, limits: Thresholds) -> Iterator[Finding]:
    """Most of its namespaces are taken."""
    for shard in view.shards:
        most = shard.max_tenants
        if not limits.near_capacity or not most or shard.dedicated_to is not None:
            continue
        if shard.tenants >= limits.near_capacity * most:
            yield Finding(
                kind="near-capacity",
                severity=Severity.WARNING,
                subject=shard.name,
                message=f"shard {shard.name} holds {shard.tenants:,} of at most {most:,} tenants "
                f"({shard.tenants / most:.0%})",
                value=shard.tenants / most,
                threshold=limits.near_capacity,
                unit="share",
                tenants=heaviest(view, shard.name),
                command=command(view, "shard add", _next_name(view)),
            )


def many_tenants(view: HealthView, limits: Thresholds) -> Iterator[Finding]:
    """It has so many tenants that the next shard should be planned."""
    for shard in view.shards:
        if limits.many_tenants and shard.tenants >= limits.many_tenants:
            yield Finding(
                kind="many-tenants",
                severity=Severity.WARNING,
                subject=shard.name,
                message=f"shard {shard.name} has {counted(shard.tenants, 'tenant')}",
                value=float(shard.tenants),
                threshold=float(limits.many_tenants),
                unit="tenants",
                tenants=heaviest(view, shard.name),
                command=command(view, "shard add", _next_name(view)),
            )


def full_shard(view: HealthView, limits: Thresholds) -> Iterator[Finding]:
    """It is nearly full, of tenants or of vectors."""
    for shard in view.shards:
        if limits.full and shard.utilisation > limits.full and shard.dedicated_to is None:
            yield Finding(
                kind="full-shard",
                severity=Severity.CRITICAL,
                subject=shard.name,
                message=f"shard {shard.name} is {shard.utilisation:.0%} full "
                f"({counted(shard.tenants, 'tenant')}, {counted(shard.vectors, 'vector')})",
                value=shard.utilisation,
                threshold=limits.full,
                unit="share",
                tenants=big(view, shard.name),
                command=command(view, "shard add", _next_name(view)),
            )


def many_vectors(view: HealthView, limits: Thresholds) -> Iterator[Finding]:
    """It has so many vectors that engines get slow."""
    for shard in view.shards:
        if limits.many_vectors and shard.vectors > limits.many_vectors:
            yield Finding(
                kind="many-vectors",
                severity=Severity.WARNING,
                subject=shard.name,
                message=f"shard {shard.name} has {counted(shard.vectors, 'vector')}",
                value=float(shard.vectors),
                threshold=float(limits.many_vectors),
                unit="vectors",
                tenants=big(view, shard.name),
                command=command(view, "shard add", _next_name(view)),
            )


def wasteful_shard(view: HealthView, limits: Thresholds) -> Iterator[Finding]:
    """It is hardly used, and the others would hold what it holds. A new shard is still to be filled: it counts neither
    as a waste nor as room for the others' tenants."""
    shared = [shard for shard in peers(view.shards) if view.at - shard.created_at >= limits.wasteful_grace_s]
    if len(shared) <= ALONE:
        return
    used = sum(shard.utilisation for shard in shared)
    if used > limits.full * (len(shared) - 1):
        return  # one fewer would be too few
    for shard in shared:
        if shard.utilisation < limits.wasteful:
            yield Finding(
                kind="wasteful-shard",
                severity=Severity.WARNING,
                subject=shard.name,
                message=f"shard {shard.name} is used to {shard.utilisation:.0%} "
                f"({counted(shard.tenants, 'tenant')}, {counted(shard.vectors, 'vector')})",
                value=shard.utilisation,
                threshold=limits.wasteful,
                unit="share",
                tenants=big(view, shard.name),
                command=command(view, "shard consolidate"),
            )


def inconsistent_routing(view: HealthView, limits: Thresholds) -> Iterator[Finding]:
    """Catalog, caches and shards disagree about where tenants are."""
    if view.routing:
        kinds = sorted({problem.kind for problem in view.routing})
        lost = [problem for problem in view.routing if problem.kind in LOST]
        yield Finding(
            kind="inconsistent-routing",
            severity=Severity.CRITICAL if lost else Severity.WARNING,
            subject=view.index,
            message=f"{counted(len(view.routing), 'disagreement')} about where tenants are: {', '.join(kinds)}",
            value=float(len(view.routing)),
            threshold=0.0,
            unit="disagreements",
            tenants=named(problem.name for problem in [*lost, *view.routing]),
            command=command(view, "verify-routing"),
            page=bool(lost),
        )


def uneven_sizes(view: HealthView, limits: Thresholds) -> Iterator[Finding]:
    """A few tenants hold nearly everything: spreading by count will not even the shards out. One that has a shard to
    itself is out of it."""
    together = sharing(view)
    if not limits.uneven_sizes or len(together) < limits.least_tenants:
        return
    total = sum(tenant.vectors for tenant in together)
    largest = largest_tenth(together)
    share = share_of(largest, total)
    if total >= limits.least_vectors and share >= limits.uneven_sizes:
        yield Finding(
            kind="uneven-sizes",
            severity=Severity.WARNING,
            subject=view.index,
            message=f"the largest {len(largest):,} of {len(together):,} tenants hold {share:.0%} of all vectors",
            value=share,
            threshold=limits.uneven_sizes,
            unit="share",
            tenants=named(tenant.name for tenant in largest),
            command=command(view, "tenant isolate", largest[0].name),
        )


def cross_tenant(view: HealthView, limits: Thresholds) -> Iterator[Finding]:
    """So many questions go across tenants that shards are in the way."""
    share = view.cross_tenant_share
    if limits.cross_tenant and view.questions >= limits.least_operations and share > limits.cross_tenant:
        yield Finding(
            kind="cross-tenant",
            severity=Severity.WARNING,
            subject=view.index,
            message=f"{share:.0%} of {view.questions:,} questions are searches across tenants, "
            f"each of which asks {counted(len(view.shards), 'shard')}",
            value=share,
            threshold=limits.cross_tenant,
            unit="share",
            tenants=named(tenant.name for tenant in sorted(view.tenants, key=lambda one: -one.per_second)),
            command=command(view, "shard consolidate"),
        )


def partial_searches(view: HealthView, limits: Thresholds) -> Iterator[Finding]:
    """Searches across tenants come back without some shards: these are late, or fail."""
    late = view.partial_searches / view.searches if view.searches else 0.0
    # A search is rarer than a query, so fewer of them tell as much.
    if limits.partial_searches and view.searches * 10 >= limits.least_operations and late > limits.partial_searches:
        slowest = sorted(view.shards, key=lambda shard: (shard.error is None, -shard.p95_ms, -shard.tenants))
        yield Finding(
            kind="partial-searches",
            severity=Severity.WARNING,
            subject=view.index,
            message=f"{view.partial_searches:,} of {view.searches:,} searches across tenants lacked a shard; "
            f"the slowest is {slowest[0].name if slowest else 'none'}",
            value=late,
            threshold=limits.partial_searches,
            unit="share",
            tenants=heaviest(view, slowest[0].name) if slowest else [],
            command=command(view, "stats"),
        )


#: In the order in which they are told; the worst first.
RULES: tuple[Rule, ...] = (
    unreachable_shard,
    failing_shard,
    inconsistent_routing,
    slow_shard,
    full_shard,
    many_vectors,
    many_tenants,
    near_capacity,
    partial_searches,
    uneven_vectors,
    uneven_tenants,
    uneven_latency,
    uneven_sizes,
    cross_tenant,
    wasteful_shard,
)


def findings(view: HealthView, limits: Thresholds) -> list[Finding]:
    """All that is wrong, critical things first."""
    found = [one for rule in RULES for one in rule(view, limits)]
    return sorted(found, key=lambda one: one.severity is not Severity.CRITICAL)


def _over(
    view: HealthView, limits: Thresholds, amount: Callable[[ShardHealth], int], least: int
) -> Iterator[tuple[ShardHealth, float]]:
    """Shards over `Thresholds.uneven` times their fair part, with that part."""
    shared = peers(view.shards)
    if not limits.uneven or len(shared) <= ALONE:
        return
    total = sum(amount(shard) for shard in shared)
    weights = sum(shard.weight for shard in shared)
    for shard in shared:
        fair = total * shard.weight / weights
        if amount(shard) >= least and amount(shard) > fair * limits.uneven:
            yield shard, fair


def _next_name(view: HealthView) -> str:
    """A name for a shard that is not taken."""
    taken = {shard.name for shard in view.shards}
    return next(f"shard-{n}" for n in range(len(taken), 2 * len(taken) + 2) if f"shard-{n}" not in taken)
