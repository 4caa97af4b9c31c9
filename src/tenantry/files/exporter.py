"""Writes tenants into files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import msgspec

from tenantry.errors import NotFound, Refused
from tenantry.files.writing import Target
from tenantry.model.records import Record


class Origin(Protocol):
    """Where records come from."""

    def tenants(self) -> AsyncIterator[str]:
        """The names of those that are to be written, ascending."""

    def pages(self, tenant: str) -> AsyncIterator[list[Record]]:
        """A tenant's records, ascending by id. Raises NotFound, Refused before the first page: it has none to give."""


class ExportReport(msgspec.Struct, frozen=True):
    """What was written.

    Attributes:
        tenants: records, by tenant; left_out: why, by tenant.
        files: how many.
    """

    records: int
    tenants: dict[str, int]
    left_out: dict[str, str]
    files: int
    to: str


async def export(origin: Origin, target: Target, to: str, advance: Callable[[int], None], *, all: bool) -> ExportReport:
    """Write all tenants of an origin. A tenant that is written to meanwhile is not as it was at one moment: each record
    is as it was at some instant. ``advance`` hears of records. ``all``: they were not asked for by name, so those
    that have nothing to give, such as suspended ones, are left out and reported.

    Raises:
        NotFound, Refused: of a tenant that was named. AlreadyExists: a file is there.
        InvalidArgument: the format cannot hold a record or a tenant's name.
        OSError: the disk. What was not finished is removed.
    """
    counts: dict[str, int] = {}
    left_out: dict[str, str] = {}
    files: set[str] = set()
    with target.whole():
        async for tenant in origin.tenants():
            path = target.files(tenant)
            pages = origin.pages(tenant)
            try:
                page = await anext(pages, None)
            except (NotFound, Refused) as error:
                if not all:
                    raise
                left_out[tenant] = str(error)
                continue
            count = 0
            with target.tenant(tenant) as write:
                while page is not None:
                    await asyncio.to_thread(write, page)
                    count += len(page)
                    advance(len(page))
                    page = await anext(pages, None)
            counts[tenant] = count
            files.add(str(path))
    return ExportReport(sum(counts.values()), counts, left_out, len(files), to)
