"""All that a catalog says of what exists and where, as of one moment."""

from __future__ import annotations

from typing import Any

import msgspec

from tenantry.model.keys import ApiKey
from tenantry.model.topology import LogicalIndex, Shard, Tenant


class CatalogImage(msgspec.Struct, frozen=True):
    """What a backup keeps of the catalog. Moves, logs, leases and retired copies are of their moment and left out.

    Attributes:
        tenants: live ones, by index and name; about a kilobyte of memory each.
        settings: by name, those that hold for the cluster.
    """

    indexes: list[LogicalIndex]
    shards: list[Shard]
    tenants: list[Tenant]
    keys: list[ApiKey]
    settings: dict[str, Any]
