"""The auto-pilot: what it may do, and its record of what it did or would do, and why."""

from __future__ import annotations

from enum import StrEnum
from math import isfinite

import msgspec

from tenantry.errors import InvalidArgument
from tenantry.model.windows import parse_windows

DAY_S, HOUR_S = 86_400.0, 3_600.0
#: Bound of a policy, so that all moves of a day are surely still on the record that budgets are counted from.
MOST_MOVES_PER_HOUR = 100
MOST_PERIODS = 1_000
#: Entries that are kept: the newest, and none older than that.
KEPT_ENTRIES, KEPT_S = 10_000, 90 * DAY_S


class Stance(StrEnum):
    """What the auto-pilot is allowed."""

    OFF = "off"
    OBSERVE = "observe"
    """It writes down what it would do, and does nothing."""
    ON = "on"


class Policy(msgspec.Struct, frozen=True):
    """What it may do; the same for all indexes and gateways.

    Attributes:
        windows: when it may start moves (`tenantry.model.windows`); ``on`` needs one. Without any: at any time.
        moves_per_hour: moves that it starts within any hour, of all indexes together, 1 to 100.
        bytes_per_hour: bytes that these copy; None: no limit.
        dollars_per_day: what the moves that it starts within any 24 hours may cost by the price book, in its currency.
        tenant_cool_down_s: a tenant that was moved less than that ago, by whomever, stays.
        shard_cool_down_s: a shard that took part in one of its moves less than that ago takes part in no other.
        periods: a warning must have stood for so many checks of the health.
        errors_more: it stops when the share of failed operations has grown by that since before its last moves, 0 to 1.
        p95_times: it stops when the worst P95 is that many times what it was before its last moves, over 1.
    """

    stance: Stance = Stance.OFF
    windows: tuple[str, ...] = ()
    moves_per_hour: int = 10
    bytes_per_hour: int | None = 10 * 2**30
    dollars_per_day: float = 10.0
    tenant_cool_down_s: float = DAY_S
    shard_cool_down_s: float = 900.0
    periods: int = 3
    errors_more: float = 0.02
    p95_times: float = 1.5


class Halt(msgspec.Struct, frozen=True):
    """Why it does nothing any more until somebody sets it going again; times are seconds since the Unix epoch."""

    at: float
    index: str
    why: str


class Kind(StrEnum):
    """What an entry of the record tells."""

    MOVE = "move"
    """A move that it began, or was about to."""
    WOULD = "would"
    """A move that it would have begun, were it on."""
    WAIT = "wait"
    """Something is to be done, but not now."""
    HALT = "halt"


class Outcome(StrEnum):
    """What became of a move of the record."""

    BEGUN = "begun"
    """Counted against the budgets; whether the move was begun is seen at the next look."""
    MOVING = "moving"
    MOVED = "moved"
    FAILED = "failed"
    DROPPED = "dropped"
    """It was not begun after all."""


class PilotEntry(msgspec.Struct, frozen=True):
    """One entry of the record.

    Attributes:
        seq: grows by one from entry to entry.
        why: in words.
        warning: the warning that it is about (``uneven-vectors/shard-2``).
        tenant, source, target, vectors, bytes: of a move. cost: by the price book, in its currency.
        move: its id, once it was begun.
        outcome: of an entry of kind ``move``.
        error_rate, p95_ms: the state of the index before, against which it is held afterwards; None: not known.
    """

    seq: int
    at: float
    index: str
    kind: Kind
    why: str
    warning: str | None = None
    tenant: str | None = None
    source: str | None = None
    target: str | None = None
    vectors: int = 0
    bytes: int = 0
    cost: float = 0.0
    move: str | None = None
    outcome: Outcome | None = None
    error_rate: float | None = None
    p95_ms: float | None = None

    @property
    def open(self) -> bool:
        """Whether its move may still be going on."""
        return self.outcome in (Outcome.BEGUN, Outcome.MOVING)

    @property
    def counts(self) -> bool:
        """Whether it is counted against the budgets."""
        return self.kind is Kind.MOVE and self.outcome is not Outcome.DROPPED


def check_policy(policy: Policy) -> None:
    """Raises InvalidArgument for the first field that is out of range."""
    parse_windows(policy.windows)
    if policy.stance is Stance.ON and not policy.windows:
        raise InvalidArgument("windows", "none", "at least one, such as 'Sat 02:00-05:00 UTC', or 'always'")
    most = policy.bytes_per_hour
    for field, given, good, allowed in (
        (
            "moves_per_hour",
            policy.moves_per_hour,
            1 <= policy.moves_per_hour <= MOST_MOVES_PER_HOUR,
            f"1 to {MOST_MOVES_PER_HOUR}",
        ),
        ("bytes_per_hour", most, most is None or most >= 0, "0 or more, or nothing for no limit"),
        ("dollars_per_day", policy.dollars_per_day, _from_zero(policy.dollars_per_day), "0 or more"),
        ("tenant_cool_down_s", policy.tenant_cool_down_s, _from_zero(policy.tenant_cool_down_s), "seconds, 0 or more"),
        ("shard_cool_down_s", policy.shard_cool_down_s, 0 <= policy.shard_cool_down_s <= DAY_S, "0 to 86400 seconds"),
        ("periods", policy.periods, 1 <= policy.periods <= MOST_PERIODS, f"1 to {MOST_PERIODS}"),
        ("errors_more", policy.errors_more, 0 <= policy.errors_more <= 1, "0 to 1"),
        ("p95_times", policy.p95_times, isfinite(policy.p95_times) and policy.p95_times > 1, "a number over 1"),
    ):
        if not good:
            raise InvalidArgument(field, given, allowed)


def _from_zero(given: float) -> bool:
    return isfinite(given) and given >= 0
