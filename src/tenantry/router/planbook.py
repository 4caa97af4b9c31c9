"""The plans of the cluster, close at hand, and no older than some seconds."""

from __future__ import annotations

import asyncio
import logging

import msgspec

from tenantry.errors import Corrupt, TenantryError
from tenantry.model.service import UNLIMITED, Plans, ServicePlan
from tenantry.ports import Clock, SettingCatalog

log = logging.getLogger(__name__)

SETTING = "plans"


class PlanBook:
    """Reads the plans from the catalog when first asked, and again, beside the requests, when they are ``fresh_s`` old.
    While the catalog is away the last known ones hold; before any was read, the built-in ones.

    Args:
        fresh_s: seconds; 0: plans are not kept to, everybody is unlimited.
    """

    def __init__(self, settings: SettingCatalog, clock: Clock, fresh_s: float) -> None:
        self._settings = settings
        self._clock = clock
        self._fresh_s = fresh_s
        self._plans = Plans()
        self._known: dict[str | None, ServicePlan] = {}
        self._until = -1.0
        self._reading: asyncio.Task[None] | None = None
        self._read_once = fresh_s <= 0

    @property
    def kept(self) -> bool:
        """Whether plans are kept to."""
        return self._fresh_s > 0

    async def all(self) -> Plans:
        """From the catalog. Raises Corrupt, Unavailable."""
        self.use(await self._load())
        return self._plans

    def use(self, plans: Plans) -> None:
        """Keep to these from now on."""
        self._plans = plans
        self._known.clear()
        self._until = self._clock.monotonic() + self._fresh_s
        self._read_once = True

    async def ready(self) -> None:
        """Have the plans read once."""
        if not self._read_once:
            await asyncio.shield(self._refresh())

    def of(self, name: str | None) -> ServicePlan:
        """The plan of a tenant, by the name on its route; never waits."""
        if self._fresh_s <= 0:
            return UNLIMITED
        if self._clock.monotonic() > self._until:
            self._refresh()
        plan = self._known.get(name)
        if plan is None:
            plan = self._plans.of(name)
            if len(self._known) < 1_000:
                self._known[name] = plan
        return plan

    @property
    def read(self) -> bool:
        """Whether they were read, or tried to be read, once."""
        return self._read_once

    async def aclose(self) -> None:
        """Stop reading; safe to call twice."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def _refresh(self) -> asyncio.Task[None]:
        if self._reading is None:
            self._reading = asyncio.get_running_loop().create_task(self._read())
            self._reading.add_done_callback(self._done)
        return self._reading

    def _done(self, _: object) -> None:
        self._reading = None

    async def _read(self) -> None:
        try:
            self.use(await self._load())
        except TenantryError as error:
            log.warning("the plans could not be read; those known so far hold: %s", error)
            self._until = self._clock.monotonic() + max(1.0, self._fresh_s)
            self._read_once = True

    async def _load(self) -> Plans:
        return read_plans(await self._settings.get(SETTING))


def read_plans(stored: object) -> Plans:
    """Plans from their setting; those that are built in when there is none. Raises Corrupt."""
    if stored is None:
        return Plans()
    try:
        return msgspec.convert(stored, Plans)
    except msgspec.ValidationError as wrong:
        raise Corrupt(f"the setting {SETTING!r} of the catalog cannot be read ({wrong}); set the plans anew") from wrong
