"""Checks the health now and then, remembers which warnings stand, and tells of those that come and go."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import msgspec

from tenantry.control.costs import CostWatch
from tenantry.control.elected import Elected
from tenantry.control.health.hysteresis import Standing, shown, since, step
from tenantry.control.health.rules import findings
from tenantry.control.health.values import Thresholds
from tenantry.control.health_report import HealthReport, Pending, Record, report_of, warned
from tenantry.control.health_view import HealthViews
from tenantry.control.regularly import Regularly
from tenantry.errors import TenantryError
from tenantry.ports import Catalog, Clock, Notifier
from tenantry.router.member import Member

log = logging.getLogger(__name__)

LEASE = "health-check"
#: Changes that wait to be told, of one index; older ones are dropped.
MOST_PENDING = 100
_encode = msgspec.json.Encoder().encode


class HealthChecks:
    """Of a process that serves. One of a fleet, which holds the lease `LEASE`, measures every index and writes the
    outcome into the catalog; the others read it there, so that all of them show the same.

    A change is told at least once: it waits in the catalog until the notifier took it, also through a restart.

    Args:
        every_s: pause between checks, seconds; 0: none.
        most_tenants: tenants that a report lists.
        costs: makes up the bill at each regular check.
    """

    def __init__(
        self,
        catalog: Catalog,
        views: HealthViews,
        member: Member,
        clock: Clock,
        limits: Thresholds,
        notifier: Notifier | None,
        *,
        every_s: float,
        most_tenants: int,
        costs: CostWatch | None = None,
    ) -> None:
        self._catalog = catalog
        self._views = views
        self._limits = limits
        self._notifier = notifier
        self._most_tenants = most_tenants
        self._costs = costs
        self._elected = Elected(catalog, member, clock, LEASE)
        self._latest: dict[str, HealthReport] = {}
        self._rounds = Regularly(
            clock, every_s, self.check, lambda error: log.warning("the health was not checked: %s", error), at_once=True
        )

    @property
    def latest(self) -> Iterable[HealthReport]:
        """The outcome of the last check, an index each; empty before the first."""
        return self._latest.values()

    def start(self) -> None:
        """Check from now on, first at once. Needs a running event loop; safe to call twice."""
        self._rounds.start()

    async def aclose(self) -> None:
        """Stop; safe to call twice."""
        await self._rounds.aclose()
        if self._notifier is not None:
            await self._notifier.aclose()

    async def report(self, index: str) -> HealthReport:
        """Measure an index now. Changes no state: what stands is as the regular checks left it.
        Raises NotFound, Unavailable."""
        view = await self._views.view(index)
        record = await health_record(self._catalog, index)
        found = findings(view, self._limits)
        told = shown(record.state, found, findings(view, self._limits.relaxed()))
        standing = since(record.state, (one.key for one in told))
        return report_of(view, told, standing, await self._views.moves(index), self._most_tenants)

    async def check(self) -> None:
        """Check every index once: measure and decide, or read what another process has decided."""
        mine = await self._elected.here()
        names = [index.name for index in await self._catalog.indexes.list()]
        for name in names:
            if mine:
                await self._decide(name)
            else:
                report = (await health_record(self._catalog, name)).report
                if report is not None:
                    self._latest[name] = report
        for gone in self._latest.keys() - set(names):
            del self._latest[gone]

    async def _decide(self, index: str) -> None:
        record = await health_record(self._catalog, index)
        view = await self._views.view(index)
        found = findings(view, self._limits)
        lingering = findings(view, self._limits.relaxed())
        done = step(record.state, found, lingering, self._limits, view.at)
        told = shown(done.state, found, lingering)
        standing = since(done.state, (one.key for one in told))
        costs = None if self._costs is None else await self._costs.of(view)
        report = report_of(view, told, standing, await self._views.moves(index), self._most_tenants, costs)
        changes = [*_changes("raised", done.raised, view.at), *_changes("cleared", done.cleared, view.at)]
        for change in changes:
            log.warning("health: %s %s: %s", change.change, change.warning.kind, change.warning.message)
        pending = [*record.pending, *changes][-MOST_PENDING:] if self._notifier is not None else []
        record = Record(done.state, report, pending)
        await self._write(index, record)
        self._latest[index] = report
        if pending and await self._tell(report, pending):
            await self._write(index, msgspec.structs.replace(record, pending=[]))

    async def _tell(self, report: HealthReport, pending: Sequence[Pending]) -> bool:
        if self._notifier is None:
            return False
        body = {"index": report.index, "health": report.health, "at": report.at, "changes": pending}
        try:
            await self._notifier.notify(_encode(body))
        except TenantryError as error:
            log.warning("%d changes of health were not told, and will be: %s", len(pending), error)
            return False
        return True

    async def _write(self, index: str, record: Record) -> None:
        await self._catalog.settings.put(_name(index), msgspec.to_builtins(record))


async def health_record(catalog: Catalog, index: str) -> Record:
    """What the regular checks of an index have come to; empty before the first. Raises Unavailable."""
    stored = await catalog.settings.get(_name(index))
    try:
        return Record() if stored is None else msgspec.convert(stored, Record)
    except msgspec.ValidationError:
        return Record()  # that of another version: warnings come to stand anew


def _name(index: str) -> str:
    return f"health/{index}"


def _changes(what: str, standing: Sequence[Standing], at: float) -> list[Pending]:
    return [
        Pending(what, at, one)
        for each in standing
        for one in warned([each.finding], {each.finding.key: each.since or at})
    ]
