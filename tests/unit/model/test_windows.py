"""Maintenance windows: how they are written, when they are open, and what a change of the clocks does to them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tenantry.errors import InvalidArgument
from tenantry.model.windows import next_opening, open_until, parse_windows


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def opened(windows: list[str], when: float) -> str | None:
    until = open_until(parse_windows(windows), when)
    return None if until is None else datetime.fromtimestamp(until, UTC).isoformat()[:16]


@pytest.mark.parametrize(
    ("windows", "now", "until"),
    [
        (["Sat 02:00-05:00 UTC"], "2026-11-28T02:00", "2026-11-28T05:00"),
        (["Sat 02:00-05:00 UTC"], "2026-11-28T04:59", "2026-11-28T05:00"),
        (["Sat 02:00-05:00 UTC"], "2026-11-28T05:00", None),
        (["Sat 02:00-05:00 UTC"], "2026-11-28T01:59", None),
        (["Sat 02:00-05:00"], "2026-11-27T03:00", None),
        (["01:00-02:00"], "2026-11-27T01:30", "2026-11-27T02:00"),
        (["Fri 22:00-04:00"], "2026-11-28T03:00", "2026-11-28T04:00"),
        (["Fri 22:00-04:00"], "2026-11-27T03:00", None),
        (["Sat-Mon 00:00-24:00"], "2026-11-28T12:00", "2026-12-01T00:00"),
        (["Sat,Mon 00:00-24:00"], "2026-11-28T12:00", "2026-11-29T00:00"),
        (["Sat 01:00-02:00", "Sat 02:00-03:00"], "2026-11-28T01:30", "2026-11-28T03:00"),
        (["Sat 01:00-02:00", "Sat 02:01-03:00"], "2026-11-28T01:30", "2026-11-28T02:00"),
        (["Sat 02:00-05:00 Europe/Berlin"], "2026-11-28T01:30", "2026-11-28T04:00"),
    ],
)
def test_when_it_is_open(windows: list[str], now: str, until: str | None) -> None:
    assert opened(windows, at(now)) == until


def test_always_is_open_for_as_long_as_is_looked_ahead() -> None:
    now = at("2026-11-28T12:00")
    until = open_until(parse_windows(["always"]), now)
    assert until is not None
    assert until - now > 7 * 86_400


@pytest.mark.parametrize(
    ("day", "hours"),
    [("2026-03-29", 2), ("2026-10-25", 4), ("2026-11-08", 3)],  # put forward; put back; neither
)
def test_where_clocks_change_it_follows_the_clock_on_the_wall(day: str, hours: int) -> None:
    begin = at(f"{day}T01:00", "Europe/Berlin")
    until = open_until(parse_windows(["Sun 01:00-04:00 Europe/Berlin"]), begin)
    assert until == begin + hours * 3_600


def test_the_next_opening() -> None:
    windows = parse_windows(["Sat 02:00-05:00", "Wed 01:00-02:00"])
    assert next_opening(windows, at("2026-11-28T02:00")) == at("2026-12-02T01:00")
    assert next_opening(windows, at("2026-11-28T01:59")) == at("2026-11-28T02:00")
    assert next_opening([], 0.0) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Sat",
        "02:00",
        "Sat 2:00-5:00",
        "Sam 02:00-05:00",
        "02:00-25:00",
        "02:60-03:00",
        "24:00-01:00",
        "02:00-02:00",
        "Sat 02:00-05:00 Mars/Olympus",
        "Sat 02:00-05:00 ../../etc/passwd",
        "Sat-Foo 01:00-02:00",
        "always UTC",
    ],
)
def test_what_is_no_window_says_what_would_be(text: str) -> None:
    with pytest.raises(InvalidArgument) as wrong:
        parse_windows(["always", text])
    assert wrong.value.field == "windows"


def test_not_too_many() -> None:
    parse_windows(["always"] * 20)
    with pytest.raises(InvalidArgument, match="at most 20"):
        parse_windows(["always"] * 21)
