"""What a cluster costs, whose cost it is, and what to do about it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import msgspec

from tenantry.cluster.usage import DAY, UsageAdmin
from tenantry.control.advisor import attribute, what_if
from tenantry.control.consult import consult, imagine, offer_and_capacity
from tenantry.control.cost_history import NOTES, cost_by_day
from tenantry.control.measure.readings import Readings
from tenantry.control.monitor import Monitor
from tenantry.control.prices import prices
from tenantry.control.usage import usage_of
from tenantry.errors import InvalidArgument
from tenantry.model.advice import Card, Imagined, Question
from tenantry.model.cost import CostHistory, CostReport, PriceBook, Usage
from tenantry.model.limits import check_count
from tenantry.model.topology import DEFAULT_INDEX
from tenantry.model.usage import DAY_S
from tenantry.ports import Catalog
from tenantry.router.listing import every_tenant

#: Days that a history goes back; tenants that it tells of.
DAYS_MOST = 92
TOP_MOST = 1_000


class AdviceAdmin:
    """Everything here only reads.

    Args:
        readings: gives what was counted of an index of late.
        tables: prices that are laid over those of the package.
        overhead: what this cluster has besides shards, by names in the price book.
        counted: what tenants used, by the day.
    """

    def __init__(
        self,
        monitor: Monitor,
        readings: Callable[[str], Awaitable[Readings]],
        catalog: Catalog,
        tables: Mapping[str, Any] | None,
        overhead: tuple[str, ...],
        counted: UsageAdmin,
    ) -> None:
        self._monitor = monitor
        self._readings = readings
        self._catalog = catalog
        self._tables = tables
        self._overhead = overhead
        self._counted = counted

    def prices(self, over: Mapping[str, Any] | None = None) -> PriceBook:
        """The price book, with tables laid over it. Raises InvalidArgument."""
        return prices(self._tables, over)

    async def usage(self, index: str = DEFAULT_INDEX) -> Usage:
        """An index as the advisor sees it, measured now. Raises NotFound."""
        logical = await self._catalog.indexes.get(index)
        view = await self._monitor.view(index)
        found = await self._readings(index)
        created = [tenant.created_at async for tenant in every_tenant(self._catalog.tenants, index)]
        return usage_of(logical, view, found, created)

    async def advise(
        self, index: str = DEFAULT_INDEX, *, prices: Mapping[str, Any] | None = None, **question: Any
    ) -> Card:
        """Measure an index and advise: shard or not, how, how many shards, at what cost, and why.

        Args:
            prices: tables laid over the price book.
            question: fields of `Question`; None is the default.

        Raises:
            NotFound: no such index. InvalidArgument: of a field.
        """
        asked, book = _question(question), self.prices(prices)
        return await asyncio.to_thread(consult, await self.usage(index), asked, book, self._overhead)

    async def imagine(self, imagined: Imagined, *, prices: Mapping[str, Any] | None = None, **question: Any) -> Card:
        """As `advise`, of a cluster that does not exist. Raises InvalidArgument."""
        return await asyncio.to_thread(imagine, imagined, _question(question), self.prices(prices))

    async def cost(
        self,
        index: str = DEFAULT_INDEX,
        *,
        offer: str | None = None,
        overhead: list[str] | None = None,
        budget: float | None = None,
        shards: list[int] | None = None,
        prices: Mapping[str, Any] | None = None,
    ) -> CostReport:
        """A month's bill of an index and each tenant's part of it; docs/explanation/cost.md says how it is split.

        Args:
            offer: what all shards are rented as; None: each by its backend.
            overhead: what there is besides shards; None: what this cluster has.
            shards: other numbers of shards to try out.

        Raises:
            NotFound: no such index. InvalidArgument: of a field. Refused: something has no published price.
        """
        book = self.prices(prices)
        usage = await self.usage(index)
        besides = self._overhead if overhead is None else tuple(overhead)
        report = await asyncio.to_thread(attribute, usage, book, offer=offer, overhead=besides, budget=budget)
        if not shards:
            return report
        name, _ = offer_and_capacity(usage, book, offer)
        tried = await asyncio.to_thread(what_if, usage.tenants, usage.dimension, shards, book, name, overhead=besides)
        return msgspec.structs.replace(report, what_if=tried)

    async def cost_history(
        self,
        index: str = DEFAULT_INDEX,
        *,
        days: int = 30,
        top: int = 10,
        tenant: str | None = None,
        prices: Mapping[str, Any] | None = None,
    ) -> CostHistory:
        """The bill and the tenants' parts of it for each of the last days, by what was counted
        (`tenantry.control.cost_history`). Days before anything was counted are left out.

        Args:
            days: 1 to `DAYS_MOST`, today among them.
            top: so many tenants of each day, the dearest; ``tenant``: that one instead.

        Raises:
            NotFound: no such index or tenant. InvalidArgument: of a field. Refused: something has no published price.
        """
        check_count(days, "days", 1, DAYS_MOST)
        check_count(top, "top", 0, TOP_MOST)
        if tenant is not None:
            await self._catalog.tenants.get(index, tenant)
        book, now = self.prices(prices), await self.usage(index)
        created = {one.name: one.created_at async for one in every_tenant(self._catalog.tenants, index)}
        today = int(now.at) // DAY_S * DAY_S
        since = today - (days - 1) * DAY_S
        rows = [row async for row in self._counted.export(since, today + DAY_S, by=DAY, index=index)]
        found = await asyncio.to_thread(
            cost_by_day, now, created, rows, book, overhead=self._overhead, top=top, tenant=tenant
        )
        return CostHistory(index, book.currency, found, list(NOTES))

    async def cost_moved(
        self, index: str, homes: Mapping[str, str], without: Collection[str]
    ) -> tuple[CostReport, CostReport]:
        """A month's bill of an index now, and with some tenants on other shards, and some shards gone that are empty
        then.

        Args:
            homes: tenant to the shard where it would be.
            without: shards that would be gone.

        Raises:
            NotFound: no such index. Refused: something has no published price.
        """
        book, usage = self.prices(), await self.usage(index)
        tenants = [
            msgspec.structs.replace(each, shard=homes.get(each.name, each.shard)) for each in usage.tenants
        ]  # fmt: skip
        used = {each.shard for each in tenants}
        shards = tuple(each for each in usage.shards if each.name not in without or each.name in used)
        after = msgspec.structs.replace(usage, tenants=tuple(tenants), shards=shards)
        now, then = await asyncio.gather(
            *(asyncio.to_thread(attribute, each, book, overhead=self._overhead) for each in (usage, after))
        )
        return now, then


def _question(given: Mapping[str, Any]) -> Question:
    for name in given:
        if name not in Question.__struct_fields__:
            raise InvalidArgument(name, given[name], "one of " + ", ".join(Question.__struct_fields__))
    return Question(**{name: value for name, value in given.items() if value is not None})
