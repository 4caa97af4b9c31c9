"""How fresh a roll-up is, without comparing clocks.

Whoever reads the catalog at a time ``p`` of its own clock and finds round ``r`` knows that round ``r + 1`` began after
``p``. When it later finds that a round over ``r`` is complete, everything that was acknowledged before ``p`` has been
copied. And a roll-up of which nothing is marked and nothing due holds everything as of ``p`` itself.
"""

from __future__ import annotations

import msgspec

from tenantry.errors import TenantryError
from tenantry.model.rollup import Rollup, RollupState
from tenantry.ports import Clock, RollupCatalog

#: Rounds whose times are kept, for each index.
MOST_ROUNDS = 1_000
#: The catalog is not asked again so soon, seconds.
LOOK_S = 0.05


class Fresh(msgspec.Struct, frozen=True):
    """A roll-up, and how long ago everything that had been acknowledged was in it, seconds; ``why`` says what is the
    matter when nobody knows (then ``lag_s`` is None)."""

    rollup: Rollup | None
    lag_s: float | None
    why: str = ""


class _Known:
    """Attributes: ``seen``: rounds, ascending, to when each was last the present one; ``as_of``: see `Freshness`."""

    def __init__(self, rollup: Rollup) -> None:
        self.rollup = rollup
        self.seen: dict[int, float] = {}
        self.as_of: float | None = None
        self.looked = -1e18


class Freshness:
    """What this process knows of each roll-up: the last moment of its own clock of which it is sure that everything
    acknowledged before, by any process, has been copied."""

    def __init__(self, catalog: RollupCatalog, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock
        self._known: dict[str, _Known] = {}

    def heard(self, rollup: Rollup, asked: float, idle: bool | None = None) -> None:
        """The catalog had this when it was asked, not before ``asked`` (monotonic, seconds)."""
        known = self._known.get(rollup.index)
        if known is None or known.rollup.generation != rollup.generation:
            known = self._known[rollup.index] = _Known(rollup)
        if rollup.round < known.rollup.round or rollup.complete < known.rollup.complete:
            return  # an answer that was overtaken
        known.rollup = rollup
        known.seen[rollup.round] = max(asked, known.seen.get(rollup.round, asked))
        for round in [round for round in known.seen if round < rollup.complete]:
            self._sure(known, known.seen.pop(round))
        while len(known.seen) > MOST_ROUNDS:
            del known.seen[next(iter(known.seen))]
        if idle is not None:
            known.looked = max(known.looked, asked)
            if idle:
                self._sure(known, asked)

    def forget(self, index: str) -> None:
        """The index has no roll-up."""
        self._known.pop(index, None)

    async def of(self, index: str) -> Fresh:
        """The roll-up of an index, as fresh as can be said now. Asks the catalog, unless that was just done; when it
        does not answer, what is known counts, which gets older."""
        known = self._known.get(index)
        asked = self._clock.monotonic()
        if known is None or asked - known.looked >= LOOK_S:
            try:
                look = await self._catalog.look(index)
            except TenantryError as trouble:
                if known is None:
                    return Fresh(None, None, str(trouble))
            else:
                if look is None:
                    self.forget(index)
                    return Fresh(None, None, "there is no roll-up")
                self.heard(look.rollup, asked, look.idle)
                known = self._known[index]
        assert known is not None  # noqa: S101
        if known.rollup.state is not RollupState.ON:
            return Fresh(known.rollup, None, f"the roll-up is {known.rollup.state}")
        if known.as_of is None:
            return Fresh(known.rollup, None, "no round of copying has been seen to its end yet")
        return Fresh(known.rollup, max(0.0, self._clock.monotonic() - known.as_of))

    @staticmethod
    def _sure(known: _Known, moment: float) -> None:
        known.as_of = moment if known.as_of is None else max(known.as_of, moment)
