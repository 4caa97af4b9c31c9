"""What a `MemoryCatalog` holds, and how counts on shards follow the routes of tenants."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TypeAlias

import msgspec

from tenantry.catalogs.rules import counted, named, owner_after, to_copy_again, why_no_room, why_not_named
from tenantry.errors import Conflict, InvalidArgument
from tenantry.model.audit import Chain, Entry
from tenantry.model.autopilot import PilotEntry
from tenantry.model.keys import ApiKey
from tenantry.model.leases import Copy, Lease
from tenantry.model.migration import Item, Migration
from tenantry.model.moves import Move
from tenantry.model.rollup import Due, Rollup
from tenantry.model.topology import LogicalIndex, Place, Shard, Tenant, TenantState, bucket_of
from tenantry.model.usage import Usage

#: Called with the name of a method before it acts.
Enter: TypeAlias = Callable[[str], Awaitable[None]]
#: Of a tenant or a shard: the index, then the name.
Key: TypeAlias = tuple[str, str]


async def go_on(_: str) -> None:
    """Wait for nothing."""


class Tables:
    """The rows, by key. Values are never changed, only replaced.

    Attributes:
        tenants: with tombstones.
        owners: shard to the tenant that has it for itself.
        heads: tenant to the last place given out in its log.
        log: tenant to its entries as bytes, by place, in order.
        acknowledged: tenant to router to epoch.
        settings: values as JSON.
        measures: process to its slices by number.
        migration_items: migration to its tenants by name.
        moment: of the last change of a route; changes: the same for each bucket of tenants.
        rollup_marks, rollup_stamps: index, tenant and process to the round, and to the stamp.
        rollup_due: index to what is due, by place.
    """

    def __init__(self) -> None:
        self.indexes: dict[str, LogicalIndex] = {}
        self.shards: dict[Key, Shard] = {}
        self.owners: dict[Key, str] = {}
        self.tenants: dict[Key, Tenant] = {}
        self.keys: dict[str, ApiKey] = {}
        self.settings: dict[str, bytes] = {}
        self.audit: dict[int, Entry] = {}
        self.chain = Chain()
        self.moves: dict[str, Move] = {}
        self.leases: dict[str, Lease] = {}
        self.acknowledged: dict[Key, dict[str, int]] = {}
        self.heads: dict[Key, int] = {}
        self.log: dict[Key, dict[int, bytes]] = {}
        self.measures: dict[str, dict[int, bytes]] = {}
        self.migrations: dict[str, Migration] = {}
        self.migration_items: dict[str, dict[str, Item]] = {}
        self.autopilot: dict[int, PilotEntry] = {}
        self.moment = 0
        self.changes: dict[int, int] = {}
        self.copies: dict[tuple[str, Place], Copy] = {}
        self.rollups: dict[str, Rollup] = {}
        self.rollup_marks: dict[tuple[str, str, str], int] = {}
        self.rollup_stamps: dict[tuple[str, str, str], int] = {}
        self.rollup_due: dict[str, dict[int, Due]] = {}
        self.usage: dict[tuple[int, str, str], Usage] = {}
        self.usage_sources: dict[str, tuple[int, float]] = {}

    def alive(self, index: str, name: str) -> Tenant | None:
        """The tenant, unless it was deleted."""
        tenant = self.tenants.get((index, name))
        return None if tenant is None or tenant.state is TenantState.DELETED else tenant

    def living(self, index: str) -> list[Tenant]:
        """Live tenants of an index, in no order."""
        return [
            tenant
            for (of, _), tenant in self.tenants.items()
            if of == index and tenant.state is not TenantState.DELETED
        ]

    def open_move(self, index: str, *, shard: str | None = None, tenant: str | None = None) -> Move | None:
        """A move that has not ended, of that shard or tenant if one is given."""
        for move in self.moves.values():
            if (
                move.index == index
                and (tenant is None or move.tenant == tenant)
                and (shard is None or shard in (move.source.shard, move.target.shard))
                and not move.ended
            ):
                return move
        return None

    def retired_on(self, index: str, shard: str | None = None) -> int:
        """How many retired copies an index, or one of its shards, holds."""
        return sum(of == index and shard in (None, place.shard) for of, place in self.copies)

    def put_tenant(self, old: Tenant | None, new: Tenant, room_on: str | None = None) -> None:
        """Save a tenant, with the counts that follow it; see `tenantry.catalogs.occupancy.Occupancy.follow`.
        Raises Conflict, and nothing has changed."""
        changed: dict[Key, tuple[Shard, str | None]] = {}
        for name in sorted(named(old) | named(new)):
            before, after = counted(old, name), counted(new, name)
            if before == after and name != room_on:
                continue
            key = (new.index, name)
            shard, owner = self.shards.get(key), self.owners.get(key)
            reason = None
            if name == room_on:
                reason = why_no_room(shard, name, owner, new, self._planned(shard, new))
            elif name in named(new) - named(old):
                reason = why_not_named(shard, name, owner, new)
            if reason is not None:
                raise Conflict(reason)
            if shard is not None:
                tenants, copies = shard.tenants + after[0] - before[0], shard.copies + after[1] - before[1]
                counted_anew = msgspec.structs.replace(shard, tenants=tenants, copies=copies)
                changed[key] = counted_anew, owner_after(owner, old, new, name)
        self._keep(changed)
        if old is not None and old.route != new.route:
            self.moment += 1
            self.changes[bucket_of(new.index, new.name)] = self.moment
        if to_copy_again(old, new):
            self.append_due(new.index, {new.name: None})
        self.tenants[new.index, new.name] = new

    def _keep(self, changed: Mapping[Key, tuple[Shard, str | None]]) -> None:
        for key, (shard, owner) in changed.items():
            self.shards[key] = shard
            if owner is None:
                self.owners.pop(key, None)
            else:
                self.owners[key] = owner

    def append_due(self, index: str, changed: Mapping[str, Collection[str] | None]) -> None:
        """Make records (None: all) of these tenants due in the roll-up, if there is one."""
        rollup = self.rollups.get(index)
        if rollup is None:
            return
        due = self.rollup_due.setdefault(index, {})
        for seq, (tenant, ids) in enumerate(changed.items(), start=rollup.head + 1):
            due[seq] = Due(seq, tenant, None if ids is None else tuple(ids))
        self.rollups[index] = msgspec.structs.replace(rollup, head=rollup.head + len(changed))

    def forget_rollup(self, index: str) -> None:
        """Drop it with its marks and dues."""
        self.rollups.pop(index, None)
        self.rollup_due.pop(index, None)
        self.rollup_marks = {key: round for key, round in self.rollup_marks.items() if key[0] != index}
        self.rollup_stamps = {key: stamp for key, stamp in self.rollup_stamps.items() if key[0] != index}

    def _planned(self, shard: Shard | None, new: Tenant) -> int:
        if shard is None or shard.max_vectors is None:
            return 0
        others = (tenant for tenant in self.living(new.index) if tenant.name != new.name)
        held = sum(tenant.spec.expected_vectors for tenant in others if shard.name in named(tenant))
        return held + new.spec.expected_vectors


def storable(**texts: str | None) -> None:
    """Raises InvalidArgument for text that no database holds."""
    for field, text in texts.items():
        if text is None or (text.isascii() and "\x00" not in text):
            continue
        if "\x00" in text:
            raise InvalidArgument(field, text, "text without NUL characters")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidArgument(field, text, "text that UTF-8 can carry (no lone surrogates)") from error


def at_least_one(limit: int) -> None:
    """Raises InvalidArgument for a page that holds nothing."""
    if limit < 1:
        raise InvalidArgument("limit", limit, "1 or more")
