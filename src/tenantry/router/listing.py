"""All tenants of an index, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tenantry.model.topology import Tenant
from tenantry.ports import TenantCatalog

#: Tenants that are read from the catalog at once.
PAGE = 1_000


async def every_tenant(tenants: TenantCatalog, index: str) -> AsyncIterator[Tenant]:
    """Live tenants by name. Each page is of its own moment: one that is made or deleted meanwhile may come or not.
    Raises what the catalog raises."""
    after: str | None = None
    while True:
        page = await tenants.list(index, after, PAGE)
        for tenant in page:
            yield tenant
        if len(page) < PAGE:
            return
        after = page[-1].name
