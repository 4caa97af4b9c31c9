"""Maintenance windows: ``Sat 02:00-05:00 UTC``, ``Mon-Fri 22:00-04:00 Europe/Berlin``, ``Sat,Sun 00:00-24:00``.

``always`` is one too. Days and zone may be left out: every day, UTC. A window whose end is not after its begin goes on
into the next day, and belongs to the day on which it begins. Times are those of a clock on the wall in that zone, so
where clocks are put forward a window is an hour shorter, and where they are put back an hour longer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import msgspec

from tenantry.errors import InvalidArgument

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ALWAYS = "always"
MOST_WINDOWS = 20
MINUTES = 24 * 60
ALLOWED = "such as 'Sat 02:00-05:00 UTC', 'Mon-Fri 22:00-04:00 Europe/Berlin', '01:00-05:00', or 'always'"
_FORM = re.compile(
    r"(?:(?P<days>[A-Za-z]{3}(?:[-,][A-Za-z]{3})*) )?(?P<begin>\d\d:\d\d)-(?P<end>\d\d:\d\d)(?: (?P<zone>\S+))?"
)
#: How far the next opening is looked for: a window comes at least once a week.
_LOOK_DAYS = 9


class Window(msgspec.Struct, frozen=True):
    """One window.

    Attributes:
        days: on which it begins, 0 for Monday.
        begin, end: minutes since midnight; an end up to ``begin`` is on the next day.
        zone: name of a time zone.
    """

    days: frozenset[int]
    begin: int
    end: int
    zone: str = "UTC"

    def spans(self, at: float) -> list[tuple[float, float]]:
        """Begin and end of those that are around a moment or begin within a week of it, in order, as seconds since the
        Unix epoch."""
        zone = _zone(self.zone)
        today = datetime.fromtimestamp(at, zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        found = []
        for offset in range(-2, _LOOK_DAYS):
            day = today + timedelta(days=offset)
            if day.weekday() in self.days:
                last = self.end if self.end > self.begin else self.end + MINUTES
                found.append((_moment(day, self.begin, zone), _moment(day, last, zone)))
        return found


def parse_windows(texts: Sequence[str]) -> list[Window]:
    """Raises InvalidArgument for the first that is none, or when there are over 20."""
    if len(texts) > MOST_WINDOWS:
        raise InvalidArgument("windows", f"{len(texts)} of them", f"at most {MOST_WINDOWS}")
    return [parse_window(text) for text in texts]


def parse_window(text: str) -> Window:
    """Raises InvalidArgument."""
    if text.strip().lower() == ALWAYS:
        return Window(frozenset(range(len(DAYS))), 0, MINUTES)
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise InvalidArgument("windows", text, ALLOWED)
    begin, end = _minutes(match["begin"], text, MINUTES - 1), _minutes(match["end"], text, MINUTES)
    if begin == end:
        raise InvalidArgument("windows", text, "an end that differs from its begin; '00:00-24:00' is a whole day")
    zone = match["zone"] or "UTC"
    try:
        _zone(zone)
    except (KeyError, ValueError, OSError) as unknown:
        raise InvalidArgument("windows", text, f"a time zone that this machine knows, not {zone!r}") from unknown
    days = frozenset(range(len(DAYS))) if match["days"] is None else _days(match["days"], text)
    return Window(days, begin, end, zone)


def open_until(windows: Sequence[Window], at: float) -> float | None:
    """Until when it is open, seconds since the Unix epoch; None: it is closed. Windows that follow each other without
    a gap count as one, looked at for a week."""
    spans = sorted(span for window in windows for span in window.spans(at))
    until: float | None = None
    for begin, end in spans:
        if begin <= at < end or (until is not None and begin <= until):
            until = end if until is None else max(until, end)
    return until


def next_opening(windows: Sequence[Window], at: float) -> float | None:
    """When the next one begins after a moment, likewise; None: there are no windows."""
    begins = [begin for window in windows for begin, _ in window.spans(at) if begin > at]
    return min(begins, default=None)


def _minutes(text: str, whole: str, most: int) -> int:
    hours, minutes = (int(part) for part in text.split(":"))
    if minutes > 59 or hours * 60 + minutes > most:
        raise InvalidArgument("windows", whole, "times from 00:00 to 23:59, or 24:00 as the end")
    return hours * 60 + minutes


def _days(text: str, whole: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last and last not in DAYS):
            raise InvalidArgument("windows", whole, "days among " + ", ".join(day.capitalize() for day in DAYS))
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found |= {day % 7 for day in range(begin, (end if end >= begin else end + 7) + 1)}
    return frozenset(found)


def _zone(name: str) -> tzinfo:
    return UTC if name in ("UTC", "Z") else ZoneInfo(name)


def _moment(day: datetime, minutes: int, zone: tzinfo) -> float:
    return (day + timedelta(minutes=minutes)).replace(tzinfo=zone).timestamp()
