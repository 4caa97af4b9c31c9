"""Comparing a roll-up with what the tenants' shards hold, while both are written."""

from __future__ import annotations

import msgspec

from tenantry.control.rollup.target import PAGE, Target
from tenantry.errors import DeadlineExceeded, NotFound, Refused
from tenantry.model.rollup import of_rollup
from tenantry.model.topology import TenantState
from tenantry.ports import Catalog, Clock
from tenantry.router.listing import every_tenant
from tenantry.router.rollup import Freshness

#: What differed is looked at again so often, each time after the roll-up has caught up.
LOOKS = 5
#: What differed is remembered up to so many records; more are wrong without a second look.
MOST_IN_DOUBT = 10_000
#: Named in a report.
NAMED = 20
WAIT_S = 0.05


class Comparison(msgspec.Struct, frozen=True):
    """What a comparison found.

    Attributes:
        tenants, records: compared.
        missing: records that have no copy; extra: copies of no record; different: copies that are not as the record.
        tenants_wrong: in which tenants, by name; all of them. examples: some of these records, ``tenant/id``.
    """

    index: str
    tenants: int
    records: int
    missing: int = 0
    extra: int = 0
    different: int = 0
    tenants_wrong: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.tenants_wrong


class Comparing:
    """One comparison. Reads both sides whole, tenant by tenant; memory is bounded by `MOST_IN_DOUBT` ids."""

    def __init__(self, catalog: Catalog, target: Target, freshness: Freshness, clock: Clock, wait_s: float) -> None:
        self._catalog = catalog
        self._target = target
        self._freshness = freshness
        self._clock = clock
        self._wait_s = wait_s
        self._records = 0
        self._doubtful: dict[tuple[str, str], str] = {}

    async def run(self) -> Comparison:
        """Raises DeadlineExceeded, Unavailable."""
        index = self._target.rollup.index
        await self._target.refresh()
        await self._caught_up()
        tenants = 0
        async for tenant in every_tenant(self._catalog.tenants, index):
            if tenant.state is TenantState.ACTIVE:
                tenants += 1
                await self._compare(tenant.name)
        await self._strays()
        for _ in range(LOOKS):
            if not self._doubtful:
                break
            await self._caught_up()
            await self._look_again()
        kinds = list(self._doubtful.values())
        return Comparison(
            index=index,
            tenants=tenants,
            records=self._records,
            missing=kinds.count("missing"),
            extra=kinds.count("extra"),
            different=kinds.count("different"),
            tenants_wrong=tuple(sorted({tenant for tenant, _ in self._doubtful})),
            examples=tuple(f"{tenant}/{id}" for tenant, id in list(self._doubtful)[:NAMED]),
        )

    def _seen(self) -> None:
        self._records += 1

    async def _compare(self, tenant: str) -> None:
        try:
            async for one in self._target.differences(tenant, self._seen):
                kind = "extra" if one.record is None else "different" if one.copied else "missing"
                self._doubt(tenant, one.id, kind)
        except (NotFound, Refused):
            if await self._is_active(tenant):
                raise

    async def _strays(self) -> None:
        """Copies of tenants that are not there, or not active."""
        after: str | None = None
        known: dict[str, bool] = {}
        while page := await self._target.every_copy(after, PAGE):
            for whole in page:
                tenant, id = of_rollup(whole)
                if tenant not in known:
                    known = {tenant: await self._is_active(tenant)}  # ids are in the order of tenants
                if not known[tenant]:
                    self._doubt(tenant, id, "extra")
            after = page[-1]

    def _doubt(self, tenant: str, id: str, kind: str) -> None:
        if len(self._doubtful) < MOST_IN_DOUBT:
            self._doubtful[tenant, id] = kind

    async def _look_again(self) -> None:
        by_tenant: dict[str, list[str]] = {}
        for tenant, id in self._doubtful:
            by_tenant.setdefault(tenant, []).append(id)
        self._doubtful = {}
        for tenant, ids in by_tenant.items():
            for start in range(0, len(ids), PAGE):
                await self._some_again(tenant, ids[start : start + PAGE])

    async def _some_again(self, tenant: str, ids: list[str]) -> None:
        copies = await self._target.copies(tenant, ids)
        try:
            records = await self._target.fetch(tenant, ids) if await self._is_active(tenant) else {}
        except (NotFound, Refused):
            if await self._is_active(tenant):
                raise
            records = {}
        for id in ids:
            record, copy = records.get(id), copies.get(id)
            if not self._target.alike(tenant, record, copy):
                self._doubt(tenant, id, "extra" if record is None else "missing" if copy is None else "different")

    async def _is_active(self, tenant: str) -> bool:
        if not tenant:
            return False
        try:
            found = await self._catalog.tenants.get(self._target.rollup.index, tenant)
        except NotFound:
            return False
        return found.state is TenantState.ACTIVE

    async def _caught_up(self) -> None:
        """Wait until the roll-up holds everything that was acknowledged before now. Raises DeadlineExceeded."""
        index, now = self._target.rollup.index, self._clock.monotonic()
        while True:
            fresh = await self._freshness.of(index)
            known = self._clock.monotonic()
            if fresh.lag_s is not None and known - fresh.lag_s >= now:
                return
            if known - now > self._wait_s:
                trouble = fresh.rollup.error if fresh.rollup is not None else ""
                raise DeadlineExceeded(
                    f"the roll-up of index {index!r} did not catch up within {self._wait_s:g} s: "
                    f"{trouble or fresh.why or 'much is being written'}"
                )
            await self._clock.sleep(WAIT_S)
