"""Which backups to keep. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from tenantry.backup.manifest import Manifest

MOST = 10_000


class Retention(msgspec.Struct, frozen=True):
    """How many hours, days and weeks back a backup is kept: the newest of each, in UTC; weeks begin on Mondays.

    Attributes:
        hourly, daily, weekly: 0 to 10,000; the newest backup is kept in any case.
    """

    hourly: int = 24
    daily: int = 7
    weekly: int = 4


def kept(backups: Sequence[Manifest], retention: Retention) -> set[str]:
    """Ids of the backups to keep. Each scope is counted by itself: a backup of one tenant does not stand for one of
    everything. An hour without a backup does not count."""
    keep: set[str] = set()
    scopes: dict[str, list[Manifest]] = {}
    for one in sorted(backups, key=lambda one: (one.finished_at, one.id), reverse=True):
        scopes.setdefault(str(one.scope), []).append(one)
    for newest_first in scopes.values():
        keep.add(newest_first[0].id)
        for form, most in (("%Y%m%d%H", retention.hourly), ("%Y%m%d", retention.daily), ("%G%V", retention.weekly)):
            seen: set[str] = set()
            for one in newest_first:
                period = datetime.fromtimestamp(one.finished_at, UTC).strftime(form)
                if period not in seen and len(seen) < most:
                    seen.add(period)
                    keep.add(one.id)
    return keep
