"""Who has used more than its share of late. Pure."""

from __future__ import annotations

#: Older use counts half for each of these, seconds.
HALF_S = 0.5
#: A line is over its share when it used so many times as much.
OVER = 1.5
#: Of less use than this nothing is concluded, seconds.
LEAST_S = 1e-4


class Shares:
    """Seconds of use by line (a tenant, or all searches across tenants), counted with a half-life of `HALF_S`.

    The share of a line is what it would have used by its weight, had all lines that used anything in the last half
    second or so used alike. So it is measured in time, not in numbers of requests, and a line that is alone is never
    over it.

    Times are of one clock that never goes back. Each call takes a constant number of steps, but one in each
    `HALF_S`, which looks at all lines; those that used nothing between two of these are forgotten.
    """

    __slots__ = ("_lines", "_total", "_until", "_weights")

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}
        self._until = 0.0
        self._total = 0.0
        self._weights = 0

    def use(self, line: str, weight: int, seconds: float, now: float) -> None:
        """Count what a line has used."""
        if now >= self._until:
            self._advance(now)
        found = self._lines.get(line)
        if found is None:
            found = self._lines[line] = _Line()
        self._weights += weight - found.weight
        self._total += seconds
        found.weight = weight
        found.seconds += seconds
        found.fresh = True

    def over(self, line: str, now: float) -> bool:
        """Whether a line has used more than its share."""
        if now >= self._until:
            self._advance(now)
        found = self._lines.get(line)
        if found is None or found.seconds <= LEAST_S:
            return False
        return found.seconds * self._weights > OVER * self._total * found.weight

    def _advance(self, now: float) -> None:
        turns = int((now - self._until) / HALF_S) + 1
        self._until = now + HALF_S
        kept = {name: line for name, line in self._lines.items() if line.fresh} if turns == 1 else {}
        for line in kept.values():
            line.seconds *= 0.5
            line.fresh = False
        self._lines = kept
        self._total = sum(line.seconds for line in kept.values())
        self._weights = sum(line.weight for line in kept.values())


class _Line:
    """One line's use; ``fresh``: used anything since the last halving."""

    __slots__ = ("fresh", "seconds", "weight")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.weight = 0
        self.fresh = False
