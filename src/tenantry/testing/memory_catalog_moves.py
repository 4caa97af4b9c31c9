"""Moves, write logs and retired copies of a `MemoryCatalog`."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import msgspec

from tenantry.catalogs.rules import (
    begun,
    check_fence,
    check_wished,
    merged,
    not_appendable,
    places,
    retired,
    saved,
    stepped,
)
from tenantry.errors import AlreadyExists, Conflict, NotFound
from tenantry.model.changes import Change, LogEntry, Resolved, decode, encode
from tenantry.model.leases import Copy
from tenantry.model.moves import Move, Wish, check_wish
from tenantry.model.topology import Mode, Tenant, TenantState
from tenantry.testing.memory_catalog_tables import Enter, Tables, at_least_one, storable


class MemoryMoves:
    """`tenantry.ports.MoveCatalog` in memory."""

    def __init__(self, tables: Tables, enter: Enter) -> None:
        self._all, self._enter = tables, enter

    async def begin(self, move: Move, expected_epoch: int) -> Tenant:
        """Raises InvalidArgument, AlreadyExists, NotFound, Refused, Conflict."""
        await self._enter("moves.begin")
        storable(id=move.id, target=move.target.namespace)
        tenant = self._all.alive(move.index, move.tenant)
        if tenant is None:
            raise NotFound("tenant", move.tenant)
        if (running := self._all.open_move(move.index, tenant=move.tenant)) is not None:
            raise AlreadyExists("move of tenant", move.tenant, f"see `tenantry moves show {running.id}`")
        new = begun(tenant, move, expected_epoch)
        if move.id in self._all.moves:
            raise AlreadyExists("move", move.id)
        self._all.put_tenant(tenant, new, room_on=move.target.shard)
        self._put(move)
        return new

    async def get(self, id: str) -> Move:
        """Raises NotFound."""
        await self._enter("moves.get")
        return self._found(id)

    async def list(
        self,
        index: str | None = None,
        *,
        open_only: bool = False,
        tenant: str | None = None,
        limit: int = 100,
        before: Move | None = None,
    ) -> list[Move]:
        """Newest first. Raises InvalidArgument (limit)."""
        await self._enter("moves.list")
        at_least_one(limit)
        found = [
            move
            for move in self._all.moves.values()
            if (index is None or move.index == index)
            and (tenant is None or move.tenant == tenant)
            and not (open_only and move.ended)
            and (before is None or (move.created_at, move.id) < (before.created_at, before.id))
        ]
        return sorted(found, key=lambda move: (move.created_at, move.id), reverse=True)[:limit]

    async def set_wish(self, id: str, wish: Wish) -> Move:
        """Raises NotFound, Refused."""
        await self._enter("moves.set_wish")
        move = self._found(id)
        check_wish(move, wish)
        return self._put(msgspec.structs.replace(move, wish=wish))

    async def advance(self, move: Move, fence: int, *, head: int | None = None) -> tuple[Move, Tenant]:
        """Raises Conflict, NotFound."""
        await self._enter("moves.advance")
        check_fence(self._all.leases.get(move.lease), move.lease, fence)
        stored = self._found(move.id)
        tenant = self._all.tenants.get((move.index, move.tenant))
        if tenant is None:
            raise NotFound("tenant", move.tenant)
        move = merged(stored, move)
        check_wished(move)
        new = stepped(tenant, move)
        if new is None:
            return self._put(move), tenant
        ends = self._all.heads.get((move.index, move.tenant), 0)
        if head is not None and ends != head:
            raise Conflict(f"the log of tenant {move.tenant!r} went on: it ends at {ends}, not at {head}")
        copy = retired(stored, move)
        if new is not tenant:
            self._all.put_tenant(tenant, new)
        if copy is not None:
            self._all.copies.setdefault((copy.index, copy.place), copy)
        return self._put(move), new

    async def save(self, move: Move, fence: int) -> None:
        """Raises Conflict (fence), NotFound."""
        await self._enter("moves.save")
        check_fence(self._all.leases.get(move.lease), move.lease, fence)
        self._put(saved(self._found(move.id), move))

    def _found(self, id: str) -> Move:
        move = self._all.moves.get(id)
        if move is None:
            raise NotFound("move", id)
        return move

    def _put(self, move: Move) -> Move:
        self._all.moves[move.id] = msgspec.structs.replace(move, started=dict(move.started))
        return move


class MemoryLog:
    """`tenantry.ports.WriteLog` in memory. Changes are kept as bytes, so that none is shared with who wrote it."""

    def __init__(self, tables: Tables, enter: Enter) -> None:
        self._all, self._enter = tables, enter

    async def append(self, index: str, tenant: str, epoch: int, change: Change) -> int:
        """Raises Conflict, NotFound, Refused."""
        await self._enter("log.append")
        key = (index, tenant)
        found = self._all.tenants.get(key)
        if (
            found is None
            or found.route.epoch != epoch
            or found.route.mode is not Mode.LOGGED
            or found.state is not TenantState.ACTIVE
        ):
            raise not_appendable(found, tenant, epoch)
        body = encode(change)
        seq = self._all.heads.get(key, 0) + 1
        self._all.heads[key] = seq
        self._all.log.setdefault(key, {})[seq] = body
        return seq

    async def read(self, index: str, tenant: str, after: int, limit: int) -> list[LogEntry]:
        """Raises InvalidArgument (limit)."""
        await self._enter("log.read")
        at_least_one(limit)
        entries = self._all.log.get((index, tenant), {})  # in order, for places are given out and dropped in order
        found = ((seq, body) for seq, body in entries.items() if seq > after)
        return [LogEntry(seq, decode(body)) for seq, body in islice(found, limit)]

    async def head(self, index: str, tenant: str) -> int:
        """0 when there was none."""
        await self._enter("log.head")
        return self._all.heads.get((index, tenant), 0)

    async def resolve(self, move: Move, fence: int, seq: int, change: Resolved) -> None:
        """Raises Conflict (fence), NotFound (entry)."""
        await self._enter("log.resolve")
        check_fence(self._all.leases.get(move.lease), move.lease, fence)
        entries = self._all.log.get((move.index, move.tenant), {})
        if seq not in entries:
            raise NotFound("log entry", f"{move.tenant}/{seq}")
        entries[seq] = encode(change)

    async def trim(self, move: Move, fence: int, through: int) -> None:
        """Raises Conflict (fence)."""
        await self._enter("log.trim")
        check_fence(self._all.leases.get(move.lease), move.lease, fence)
        entries = self._all.log.get((move.index, move.tenant), {})
        for seq in [seq for seq in entries if seq <= through]:
            del entries[seq]

    async def bytes(self, index: str, tenant: str) -> int:
        """Of the changes as bytes."""
        await self._enter("log.bytes")
        return sum(map(len, self._all.log.get((index, tenant), {}).values()))


class MemoryCopies:
    """`tenantry.ports.CopyCatalog` in memory."""

    def __init__(self, tables: Tables, enter: Enter) -> None:
        self._all, self._enter = tables, enter

    async def due(self, now: float, limit: int) -> list[Copy]:
        """Raises InvalidArgument (limit)."""
        await self._enter("copies.due")
        at_least_one(limit)
        due = (copy for copy in self._all.copies.values() if copy.purge_at <= now and not self._named(copy))
        return _oldest_first(due)[:limit]

    async def list(self, index: str, *, shard: str | None = None, tenant: str | None = None) -> list[Copy]:
        """Oldest first."""
        await self._enter("copies.list")
        return _oldest_first(
            copy
            for copy in self._all.copies.values()
            if copy.index == index and shard in (None, copy.place.shard) and tenant in (None, copy.tenant)
        )

    async def keep(self, copy: Copy) -> None:
        """Add or replace."""
        await self._enter("copies.keep")
        self._all.copies[copy.index, copy.place] = copy

    async def forget(self, copy: Copy) -> None:
        """Not there is success."""
        await self._enter("copies.forget")
        self._all.copies.pop((copy.index, copy.place), None)

    def _named(self, copy: Copy) -> bool:
        tenant = self._all.alive(copy.index, copy.tenant)
        return tenant is not None and copy.place in places(tenant.route)


def _oldest_first(copies: Iterable[Copy]) -> list[Copy]:
    return sorted(copies, key=lambda copy: (copy.purge_at, copy.index, copy.place.shard, copy.place.namespace))
