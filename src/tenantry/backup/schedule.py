"""When backups are made by themselves."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import msgspec

from tenantry.backup.retention import MOST, Retention
from tenantry.control.regularly import Regularly
from tenantry.errors import InvalidArgument
from tenantry.model.limits import check_count
from tenantry.ports import Clock

log = logging.getLogger(__name__)

SETTING = "backup.schedule"
#: How often it is looked at whether one is due, seconds.
LOOK_S = 30.0
LEAST_EVERY_S, MOST_EVERY_S = 60.0, 366 * 86_400.0


class Schedule(msgspec.Struct, frozen=True):
    """Backups of everything by themselves, made by a gateway, and pruned after each.

    Attributes:
        every_s: from the end of one to the start of the next, seconds, 60 to a year.
        archive: where to; None: where ``TENANTRY_BACKUP_URL`` says.
    """

    every_s: float
    archive: str | None = None
    retention: Retention = Retention()


def check_schedule(schedule: Schedule) -> None:
    """Raises InvalidArgument."""
    if not LEAST_EVERY_S <= schedule.every_s <= MOST_EVERY_S:
        raise InvalidArgument("every_s", schedule.every_s, f"{LEAST_EVERY_S:g} to {MOST_EVERY_S:g} seconds")
    check_retention(schedule.retention)


def check_retention(retention: Retention) -> None:
    """Raises InvalidArgument."""
    for field in ("hourly", "daily", "weekly"):
        check_count(getattr(retention, field), field, 0, MOST)


class Scheduler:
    """Of a process that serves.

    Args:
        due: makes a backup if one is due; called again and again.
    """

    def __init__(self, clock: Clock, due: Callable[[], Awaitable[object]]) -> None:
        self._rounds = Regularly(
            clock, LOOK_S, due, lambda error: log.error("the backup that was due was not made: %s", error)
        )

    def start(self) -> None:
        """Look from now on. Needs a running event loop; safe to call twice."""
        self._rounds.start()

    async def aclose(self) -> None:
        """Stop; safe to call twice."""
        await self._rounds.aclose()
