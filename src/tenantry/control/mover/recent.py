"""What was written to a backend lately and may not show there yet."""

from __future__ import annotations

from tenantry.model.changes import Effect
from tenantry.model.records import Record
from tenantry.ports import Clock


class Recent:
    """States of ids that were applied less than ``visible_s`` ago. On a backend that shows writes at once it stays
    empty."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._states: dict[str, tuple[float, Record | None]] = {}
        self._cleared_at = -1e18
        self.visible_s = 0.0

    def note(self, effect: Effect) -> None:
        """These were applied just now."""
        if self.visible_s <= 0:
            return
        now = self._clock.monotonic()
        if effect.clear:
            self._states.clear()
            self._cleared_at = now
        for key, record in effect.latest.items():
            self._states.pop(key, None)
            self._states[key] = (now, record)

    def states(self) -> dict[str, Record | None]:
        """Ids with their states, None where deleted."""
        oldest = self._clock.monotonic() - self.visible_s
        for key in list(self._states):
            if self._states[key][0] >= oldest:
                break
            del self._states[key]
        return {key: record for key, (_, record) in self._states.items()}

    @property
    def cleared(self) -> bool:
        """Whether everything else was deleted lately."""
        return self._clock.monotonic() - self._cleared_at <= self.visible_s and self.visible_s > 0
