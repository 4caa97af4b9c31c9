"""What the auto-pilot decides, and why. Pure: the same situation gives the same decision.

First `trigger` finds a warning that a plan can help with, then `affordable` chooses, of the moves of that plan, those
that the policy allows now. Budgets are counted from the record (`Spent`), so they outlast the process.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec

from tenantry.control.health.values import Thresholds
from tenantry.control.health_report import HealthReport, Warned
from tenantry.model.autopilot import DAY_S, HOUR_S, Kind, PilotEntry, Policy
from tenantry.model.plan import PlannedMove

#: Warnings that moving tenants from full or busy shards to others helps with.
HELPED = frozenset(
    (
        *("slow-shard", "full-shard", "many-vectors", "many-tenants", "near-capacity"),
        *("uneven-vectors", "uneven-tenants", "uneven-latency"),
    )
)
#: While one of these stands nothing is moved.
BLOCKING = frozenset(("unreachable-shard", "failing-shard", "inconsistent-routing"))
#: A report that is older than so many checks is no ground to act on.
STALE_CHECKS = 3


class Wait(msgspec.Struct, frozen=True):
    """Something is to be done, but not now. The words stay the same as long as the reason does."""

    why: str
    warning: str | None = None


class Condition(msgspec.Struct, frozen=True):
    """How an index is doing. None: there is too little traffic to tell."""

    error_rate: float | None = None
    p95_ms: float | None = None


class Spent(msgspec.Struct, frozen=True):
    """What counts against the budgets: moves and bytes of the last hour, money of the last 24 hours."""

    moves: int = 0
    bytes: int = 0
    cost: float = 0.0


class Priced(msgspec.Struct, frozen=True):
    """A move that is to be made, and what it costs."""

    planned: PlannedMove
    cost: float


class Chosen(msgspec.Struct, frozen=True):
    """Of a plan what may be done now, and why not the rest."""

    moves: list[Priced]
    left: list[str]


def key_of(warning: Warned) -> str:
    """By which a warning is known in the record."""
    return f"{warning.kind}/{warning.subject}"


def trigger(report: HealthReport, policy: Policy, every_s: float, now: float) -> Warned | Wait | None:
    """The warning to act on, the most urgent first; None when none stands that moves help with.

    Args:
        every_s: pause between the checks that made the report, seconds.
    """
    if every_s <= 0 or now - report.at > STALE_CHECKS * every_s:
        return Wait("the health was not checked of late")
    standing = [one for one in report.warnings if one.since is not None]
    wanted = [one for one in standing if one.kind in HELPED]
    if not wanted:
        return None
    blocked = [key_of(one) for one in standing if one.kind in BLOCKING]
    if blocked:
        return Wait(f"nothing is moved while this stands: {', '.join(sorted(blocked))}", key_of(wanted[0]))
    ripe = [one for one in wanted if one.since is not None and now - one.since >= policy.periods * every_s]
    if not ripe:
        return Wait(f"no warning has stood for {policy.periods} checks yet", key_of(wanted[0]))
    return ripe[0]


def spent(entries: Iterable[PilotEntry], now: float) -> Spent:
    """From the entries of the last 24 hours at least."""
    counted = [one for one in entries if one.counts and one.at > now - DAY_S]
    hour = [one for one in counted if one.at > now - HOUR_S]
    return Spent(len(hour), sum(one.bytes for one in hour), sum((one.cost for one in counted), 0.0))


def resting(entries: Iterable[PilotEntry], policy: Policy, now: float) -> set[str]:
    """Shards that took part in one of its moves, begun or not, too recently to take part in another."""
    since = now - policy.shard_cool_down_s
    return {
        shard
        for one in entries
        if one.kind is Kind.MOVE and one.at > since
        for shard in (one.source, one.target)
        if shard is not None
    }


def affordable(
    moves: Sequence[PlannedMove],
    policy: Policy,
    used: Spent,
    rests: Collection[str],
    price: Callable[[PlannedMove], float | None],
    *,
    speed: float | None,
    left_s: float,
) -> Chosen:
    """Those moves of a plan, in its order, that the budgets have room for.

    Args:
        used: what is spent already.
        rests: shards that take no part.
        price: of a move; None: it has none.
        speed: vectors a second of earlier copies; None: not known, then one move at a time shows it.
        left_s: until the window closes, seconds; moves are reckoned one after another.
    """
    chosen: list[Priced] = []
    left: list[str] = []
    count, size, cost, took_s = used.moves, used.bytes, used.cost, 0.0
    for move in moves:
        paid = price(move)
        needs_s = 0.0 if speed is None or speed <= 0 else move.vectors / speed
        why = _why_not(move, policy, rests, (count, size, cost), paid)
        if why is None and took_s + needs_s > left_s:
            why = "it would not be done before the window closes"
        if why is None and chosen and speed is None:
            why = "the first move is to show how long one takes"
        if why is not None or paid is None:
            left.append(f"{move.tenant}: {why}")
            continue
        chosen.append(Priced(move, paid))
        count, size, cost, took_s = count + 1, size + move.bytes, cost + paid, took_s + needs_s
    return Chosen(chosen, left)


def _why_not(
    move: PlannedMove, policy: Policy, rests: Collection[str], used: tuple[int, int, float], paid: float | None
) -> str | None:
    count, size, cost = used
    for shard in (move.source, move.target):
        if shard in rests:
            return f"shard {shard} rests after a move"
    if count + 1 > policy.moves_per_hour:
        return "the budget of moves per hour is used"
    if policy.bytes_per_hour is not None and size + move.bytes > policy.bytes_per_hour:
        return "it has no room in the budget of bytes per hour"
    if paid is None:
        return "it has no published price; put yours into a price file"
    if cost + paid > policy.dollars_per_day:
        return "it has no room in the budget of dollars per day"
    return None


def condition_of(report: HealthReport, limits: Thresholds) -> Condition:
    """The worst P95 of the shards, and the share of operations that failed; of few requests nothing is concluded."""
    slow = [shard.p95_ms for shard in report.shards if shard.queries >= limits.least_operations]
    operations = sum(shard.operations for shard in report.shards)
    failed = sum(shard.error_rate * shard.operations for shard in report.shards)
    return Condition(
        error_rate=failed / operations if operations >= limits.least_operations else None,
        p95_ms=max(slow, default=None),
    )


def worse(before: Condition, now: Condition, policy: Policy, limits: Thresholds) -> str | None:
    """In which way an index is doing worse than before, if it is. Without a P95 from before, one that would page
    somebody is worse; a P95 that nobody calls uneven (`Thresholds.p95_least_ms`) is not."""
    if now.error_rate is not None and now.error_rate > (before.error_rate or 0.0) + policy.errors_more:
        return f"the share of failed operations went from {before.error_rate or 0.0:.1%} to {now.error_rate:.1%}"
    if now.p95_ms is None:
        return None
    if before.p95_ms is None:
        if limits.p95_page_ms and now.p95_ms > limits.p95_page_ms:
            return f"the worst P95 of queries is {now.p95_ms:,.0f} ms"
        return None
    if now.p95_ms > max(before.p95_ms * policy.p95_times, limits.p95_least_ms):
        return f"the worst P95 of queries went from {before.p95_ms:,.0f} to {now.p95_ms:,.0f} ms"
    return None
