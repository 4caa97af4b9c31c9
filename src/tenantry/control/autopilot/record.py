"""What the catalog keeps for the auto-pilot: its policy, why it stopped, and its record."""

from __future__ import annotations

import msgspec

from tenantry.errors import Conflict
from tenantry.model.autopilot import (
    DAY_S,
    KEPT_ENTRIES,
    KEPT_S,
    Halt,
    Kind,
    PilotEntry,
    Policy,
)
from tenantry.ports import Catalog, Clock

POLICY, HALT = "autopilot.policy", "autopilot.halt"
#: Longest reason, characters.
MOST_CHARS = 500


class Orders(msgspec.Struct, frozen=True):
    """The policy and since when it is in force, seconds since the Unix epoch."""

    policy: Policy = Policy()
    since: float = 0.0


class PilotRecord:
    """Reads and writes all of it. One object for each round of work: it knows where the record ends."""

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock
        self._last: int | None = None

    async def orders(self) -> Orders:
        """What is in force; ``off`` before anything was said. Raises Unavailable."""
        stored = await self._catalog.settings.get(POLICY)
        try:
            return Orders() if stored is None else msgspec.convert(stored, Orders)
        except msgspec.ValidationError:
            return Orders()  # of another version: nothing is done until it is said anew

    async def give(self, policy: Policy) -> Orders:
        """Put a policy in force from now on; what had stopped it is forgotten."""
        made = Orders(policy, self._clock.now())
        await self._catalog.settings.put(POLICY, msgspec.to_builtins(made))
        await self._catalog.settings.put(HALT, None)
        return made

    async def halt(self) -> Halt | None:
        """Why it stopped, if it did."""
        stored = await self._catalog.settings.get(HALT)
        return None if stored is None else msgspec.convert(stored, Halt)

    async def stop(self, index: str, why: str) -> Halt:
        """Note that it stopped."""
        halt = Halt(self._clock.now(), index, why[:MOST_CHARS])
        await self._catalog.settings.put(HALT, msgspec.to_builtins(halt))
        return halt

    async def recent(self) -> list[PilotEntry]:
        """The entries of the last 24 hours, from which budgets are counted, the newest first."""
        entries = await self._catalog.autopilot.list(limit=KEPT_ENTRIES, since=self._clock.now() - DAY_S)
        newest = entries or await self._catalog.autopilot.list(limit=1)
        self._last = newest[0].seq if newest else 0
        return entries

    async def add(self, index: str, kind: Kind, why: str, **more: object) -> PilotEntry:
        """Add an entry after those that `recent` returned and were added since. Raises Conflict: another process has
        added one meanwhile, so what is known of budgets is old."""
        if self._last is None:
            await self.recent()
        seq = (self._last or 0) + 1
        made = msgspec.convert(
            {"seq": seq, "at": self._clock.now(), "index": index, "kind": kind, "why": why[:MOST_CHARS], **more},
            PilotEntry,
        )
        try:
            await self._catalog.autopilot.append(made)
        except Conflict:
            self._last = None
            raise
        self._last = seq
        return made

    async def note(self, index: str, kind: Kind, why: str, warning: str | None) -> None:
        """As `add`, unless the last entry about the index says the same."""
        last = await self._catalog.autopilot.list(limit=1, index=index)
        if not last or (last[0].kind, last[0].why, last[0].warning) != (kind, why[:MOST_CHARS], warning):
            await self.add(index, kind, why, warning=warning)

    async def settle(self, entry: PilotEntry, **changes: object) -> PilotEntry:
        """What an entry has become."""
        made = msgspec.structs.replace(entry, **changes)
        if made != entry:
            await self._catalog.autopilot.settle(made)
        return made

    async def prune(self) -> None:
        """Drop entries beyond what is kept."""
        await self._catalog.autopilot.prune(KEPT_ENTRIES, self._clock.now() - KEPT_S)
