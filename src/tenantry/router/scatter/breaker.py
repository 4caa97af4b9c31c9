"""A circuit breaker: whether a shard that keeps failing is asked at all. Pure: values in, values out.

========== ====================================== ================= =============================================
state      event                                  next              what it means for a search
========== ====================================== ================= =============================================
closed     ask                                    closed            asked
closed     success                                closed            noted among the last outcomes
closed     failure, too few or too rare           closed            noted among the last outcomes
closed     failure, the last ``WINDOW`` bad enough open             nobody asks for ``open_s``
open       ask before ``until``                   open              left out, and named with the reason
open       ask from ``until`` on                  half-open         asked: this is the probe
half-open  ask while the probe is out             half-open         left out
half-open  ask when none is out                   half-open         asked: the next probe
half-open  success, fewer than ``PROBES``         half-open         one more is wanted
half-open  success, ``PROBES`` in a row           closed            all is forgotten
half-open  failure                                open              twice as long as before, at most ``most_s``
half-open  abandoned (nobody waited for it)       half-open         the next search is the probe
open       success or failure of a late answer    open              nothing
closed     abandoned                              closed            nothing
========== ====================================== ================= =============================================

"Bad enough": at least `LEAST_FAILURES` of the last `WINDOW` outcomes failed, and at least half of them.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

WINDOW = 20
LEAST_FAILURES = 5
PROBES = 2


class State(StrEnum):
    """Of a breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker(msgspec.Struct, frozen=True):
    """One shard's breaker.

    Attributes:
        open_s, most_s: how long it opens first, and at most, seconds.
        outcomes: the last ones while closed, oldest first; True: success.
        until: when an open one lets a probe through, on the caller's clock.
        wait_s: how long it is or was open this time.
        probing: a probe is out.
        passed: probes in a row that succeeded.
    """

    open_s: float = 5.0
    most_s: float = 60.0
    state: State = State.CLOSED
    outcomes: tuple[bool, ...] = ()
    until: float = 0.0
    wait_s: float = 0.0
    probing: bool = False
    passed: int = 0

    def ask(self, now: float) -> tuple[Breaker, bool]:
        """Whether a search may ask now. Whoever may reports `success`, `failure` or `abandoned` afterwards."""
        if self.state is State.CLOSED:
            return self, True
        if self.state is State.OPEN and now < self.until:
            return self, False
        if self.state is State.HALF_OPEN and self.probing:
            return self, False
        return self._with(state=State.HALF_OPEN, probing=True), True

    def success(self) -> Breaker:
        """What was asked came back."""
        if self.state is State.CLOSED:
            return self._with(outcomes=(*self.outcomes, True)[-WINDOW:])
        if self.state is State.OPEN:
            return self
        if self.passed + 1 >= PROBES:
            return Breaker(self.open_s, self.most_s)
        return self._with(probing=False, passed=self.passed + 1)

    def failure(self, now: float) -> Breaker:
        """It failed, or did not come back in time."""
        if self.state is State.OPEN:
            return self
        if self.state is State.HALF_OPEN:
            return self._opened(now, min(2 * self.wait_s, self.most_s))
        outcomes = (*self.outcomes, False)[-WINDOW:]
        failed = outcomes.count(False)
        if failed >= LEAST_FAILURES and 2 * failed >= len(outcomes):
            return self._opened(now, self.open_s)
        return self._with(outcomes=outcomes)

    def abandoned(self) -> Breaker:
        """Nobody waited for the answer, so nothing is known."""
        return self._with(probing=False) if self.state is State.HALF_OPEN else self

    def _opened(self, now: float, wait_s: float) -> Breaker:
        return Breaker(self.open_s, self.most_s, State.OPEN, (), now + wait_s, wait_s)

    def _with(self, **changes: object) -> Breaker:
        return msgspec.structs.replace(self, **changes)
