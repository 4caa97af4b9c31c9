"""The roll-up index: one namespace with a copy of every record of a logical index, each tagged with its tenant.

What is kept about it, so that no copy is ever lost (see docs/explanation/search.md):

- a `Mark` says: this process may be writing to this tenant. It is durable before the first such write.
- a `Due` says: these records of a tenant (or all) may differ in the roll-up. A process turns what it has written into
  these, and only then takes its mark away; the one that copies takes a `Due` away when the copy is durable.

So whenever a record differs in the roll-up, there is a mark or a due for it. `Rollup.round` tells how old that can be:
a mark whose round is ``r`` hides nothing that was acknowledged before round ``r`` began.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from tenantry.errors import Refused
from tenantry.model.records import Record

#: Between the tenant's name and the record's id. It is before every character that a tenant's name may have, so roll-up
#: ids are in the order of tenant, then id.
SEPARATOR = "\x01"
#: Just after it: ends the stretch of a tenant's ids.
AFTER = "\x02"
#: Field of each copy's metadata with the tenant's name, by which searches over chosen tenants are filtered.
TAG = "_tenantry_tenant"
#: In place of a tenant's name where routers say that they know of the roll-up (`BarrierCatalog`); no tenant has it.
BARRIER = ""


class RollupState(StrEnum):
    """``starting -> filling -> on``; switching off removes it."""

    STARTING = "starting"
    """Not every router marks yet what it writes."""
    FILLING = "filling"
    """Every router does, and every tenant is due to be copied."""
    ON = "on"
    """Everything was copied once; searches use it as far as it is fresh."""


class Rollup(msgspec.Struct, frozen=True):
    """The roll-up of a logical index.

    Attributes:
        shard, namespace: where it is.
        generation: another each time it is switched on or rebuilt; grows.
        round, complete: the last round that began, and the last one of which everything was copied that had been
            acknowledged before it began.
        head: the last place given out among its dues.
        created_at: seconds since the Unix epoch.
        error: what the last try to copy failed with; empty: nothing.
    """

    index: str
    shard: str
    namespace: str
    generation: int
    created_at: float
    state: RollupState = RollupState.STARTING
    round: int = 0
    complete: int = 0
    head: int = 0
    error: str = ""

    @property
    def lease(self) -> str:
        """Name of the lease under which one process copies."""
        return f"rollup/{self.index}"


class Mark(msgspec.Struct, frozen=True):
    """A process (``owner``) that may be writing to a tenant."""

    tenant: str
    owner: str
    round: int


class Due(msgspec.Struct, frozen=True):
    """Records of a tenant to be looked at again; ``ids`` None: all."""

    seq: int
    tenant: str
    ids: tuple[str, ...] | None = None


class Look(msgspec.Struct, frozen=True):
    """A roll-up as of one moment.

    Attributes:
        oldest: the lowest round of all marks; None: there are no marks.
        idle: nothing is due either, so it holds everything that was acknowledged before that moment.
    """

    rollup: Rollup
    oldest: int | None
    idle: bool


def rollup_id(tenant: str, id: str, most: int) -> str:
    """A record's id in the roll-up. Raises Refused when it would be over ``most`` characters."""
    whole = f"{tenant}{SEPARATOR}{id}"
    if len(whole) > most:
        raise Refused(
            f"a record of tenant {tenant!r} cannot be in the roll-up: its id and the tenant's name have "
            f"{len(whole) - 1} characters together, at most {most - 1}; rename the record, or switch the roll-up off"
        )
    return whole


def of_rollup(id: str) -> tuple[str, str]:
    """Tenant and id of a record in the roll-up; no tenant (empty) for an id that is none of its."""
    tenant, separator, own = id.partition(SEPARATOR)
    return (tenant, own) if separator else ("", id)


def prefix_of(tenant: str) -> str:
    """How the roll-up ids of a tenant begin."""
    return tenant + SEPARATOR


def tagged(tenant: str, record: Record, most: int) -> Record:
    """A record as the roll-up holds it. Raises Refused."""
    metadata = record.metadata or {}
    if TAG in metadata:
        raise Refused(
            f"record {record.id!r} of tenant {tenant!r} cannot be in the roll-up: its metadata have a field {TAG!r}; "
            "rename the field, or switch the roll-up off"
        )
    return Record(rollup_id(tenant, record.id, most), record.values, {**metadata, TAG: tenant})


def shown(metadata: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The metadata of a record of which this is the copy's."""
    return None if metadata is None else {name: value for name, value in metadata.items() if name != TAG} or None
