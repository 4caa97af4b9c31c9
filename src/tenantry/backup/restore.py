"""Puts tenants back from a backup: into a namespace that never was, compared whole, and only then in use."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from enum import StrEnum
from typing import cast

import msgspec

from tenantry.backup.compare import Comparison, blocks
from tenantry.backup.manifest import Entry
from tenantry.backup.vault import Vault
from tenantry.control.mover.barrier import Barrier
from tenantry.control.mover.context import Context
from tenantry.control.mover.watch import LeaseWatch
from tenantry.errors import (
    AlreadyExists,
    CapacityExceeded,
    Conflict,
    Corrupt,
    InvalidArgument,
    NotFound,
    Refused,
    TenantryError,
)
from tenantry.model.blocks import Block
from tenantry.model.image import CatalogImage
from tenantry.model.leases import Copy
from tenantry.model.limits import batches
from tenantry.model.topology import Place, Route, Shard, ShardState, Tenant, TenantState, namespace_of
from tenantry.placement import policy
from tenantry.ports import Features, Index, Loading

#: Lost races for room before a restore gives up.
TRIES = 8
#: Records that are written in one transaction, where they are written in columns.
LOADED = 2_048
#: Why the old data of a tenant are kept that a backup has replaced.
REPLACED = "restore"


class Action(StrEnum):
    """What a restore does with a tenant."""

    CREATE = "create"
    """No such tenant is there: it is made."""
    REPLACE = "replace"
    """One is there, and is replaced, as was asked for; its old data are kept for a while."""
    RECOVER = "recover"
    """One is there whose data are lost: it gets those of the backup."""
    KEEP = "keep"
    """One is there, with data, and stays as it is."""
    ATTACH = "attach"
    """Its data are on the shard still: only its entry in the catalog is made."""


class Planned(msgspec.Struct, frozen=True):
    """A tenant to restore: as what, where to, and what is done with it."""

    index: str
    tenant: str
    source: str
    action: Action
    shard: str
    records: int
    bytes: int


class Wanted(msgspec.Struct, frozen=True):
    """How tenants are to be restored.

    Attributes:
        replace: one that is there is replaced.
        skip: one that is there stays, instead of being an error.
        shard: where to; None: the shard that it was on, if it takes it, else where the index's policy places it.
        retention_s: how long replaced data are kept, seconds.
    """

    replace: bool = False
    skip: bool = False
    shard: str | None = None
    retention_s: float = 7 * 86_400.0


class Restorer:
    """Restores tenants into indexes that are there."""

    def __init__(self, context: Context, vault: Vault) -> None:
        self._context = context
        self._vault = vault
        self._barrier = Barrier(context, LeaseWatch(context.clock))

    # ---------------------------------------------------------------------------------------- plans

    async def check_index(self, image: CatalogImage, source: str, index: str) -> None:
        """Hold an index to what it was in the backup. Raises NotFound, Corrupt; InvalidArgument (dimension, metric)."""
        logical = await self._context.catalog.indexes.get(index)
        was = next((one for one in image.indexes if one.name == source), None)
        if was is None:
            raise Corrupt(f"the backup's catalog has no index {source!r}")
        if was.dimension != logical.dimension:
            raise InvalidArgument(
                "index", f"{index} of dimension {logical.dimension}", f"one of dimension {was.dimension}, as the backup"
            )
        if was.metric is not logical.metric:
            raise InvalidArgument("index", f"{index}, {logical.metric}", f"one of metric {was.metric}, as the backup")

    async def plan(self, entry: Entry, index: str, name: str, wanted: Wanted) -> Planned:
        """What restoring a tenant would do.

        Raises:
            AlreadyExists: it is there, and is not to be replaced.
            NotFound: no such shard. Refused: the shard takes no tenants, or the tenant is on the move.
            CapacityExceeded: no room.
        """
        action, live = await self._action(index, name, wanted)
        if action is Action.KEEP and live is not None:
            return Planned(index, name, entry.name, action, live.route.place.shard, entry.records, entry.bytes)
        shard = await self._shard(entry, index, name, wanted, live)
        return Planned(index, name, entry.name, action, shard, entry.records, entry.bytes)

    async def _action(self, index: str, name: str, wanted: Wanted) -> tuple[Action, Tenant | None]:
        try:
            live = await self._context.catalog.tenants.get(index, name)
        except NotFound:
            return Action.CREATE, None
        if live.state is TenantState.RESTORING:
            return Action.CREATE, live  # an earlier restore was cut off
        if live.state is TenantState.DELETING:
            raise Refused(f"tenant {name!r} is being deleted; finish with `tenantry tenant delete`, then restore it")
        open_moves = await self._context.catalog.moves.list(index, open_only=True, tenant=name, limit=1)
        if live.route.other is not None or open_moves:
            raise Refused(f"tenant {name!r} is on the move; see `tenantry moves list --open`")
        if not await self._has_namespace(live):
            return Action.RECOVER, live
        if wanted.replace:
            return Action.REPLACE, live
        if wanted.skip:
            return Action.KEEP, live
        raise AlreadyExists("tenant", name, "replace it with --replace, or restore under another name with --as")

    async def _has_namespace(self, tenant: Tenant) -> bool:
        place = tenant.route.place
        backend = await self._context.pool.backend(tenant.index, place.shard)
        try:
            await backend.index(place.namespace).list_ids(None, 1)
        except NotFound as error:
            if error.kind != "namespace":
                raise
            return tenant.state is TenantState.CREATING
        return True

    async def _shard(self, entry: Entry, index: str, name: str, wanted: Wanted, live: Tenant | None) -> str:
        shards = {one.name: one for one in await self._context.catalog.shards.list(index)}
        if wanted.shard is not None:
            if wanted.shard not in shards:
                raise NotFound("shard", wanted.shard, f"see `tenantry shard list --index {index}`")
            if (reason := _against(shards[wanted.shard])) is not None:
                raise Refused(f"shard {wanted.shard!r} {reason}")
            return wanted.shard
        for place in (None if live is None else live.route.place, entry.place):
            if place is not None and place.shard in shards and _against(shards[place.shard]) is None:
                return place.shard
        return await self.chosen(entry, index, name)

    async def chosen(self, entry: Entry, index: str | None = None, name: str | None = None) -> str:
        """The shard that the index's policy chooses. Raises CapacityExceeded."""
        index = index or entry.index
        logical = await self._context.pool.index(index)
        view = await self._context.resolver.view(index)
        pinned = {one.shard.name for one in view.shards}
        spec = entry.spec if entry.spec.shard in pinned else msgspec.structs.replace(entry.spec, shard=None)
        return policy(logical.policy).choose(name or entry.name, spec, view)

    # -------------------------------------------------------------------------------------- restore

    async def restore(self, entry: Entry, planned: Planned, wanted: Wanted, *, generation: int = 1) -> Tenant:
        """Carry out what was planned. On any error, and when cancelled, the tenant is as it was before.

        Raises:
            Corrupt: an object of the backup is damaged. Diverged: what the shard gives back is not what was written.
            StorageFailed, Unavailable: the shard or the archive is in trouble.
            CapacityExceeded, Conflict, Refused: the cluster has changed since it was planned.
        """
        if planned.action in (Action.REPLACE, Action.RECOVER):
            return await self._over(entry, planned, wanted)
        if planned.action is Action.ATTACH:
            return await self._attached(entry, planned, generation)
        tenant = await self._placed(entry, planned, generation)
        try:
            await self.fill(entry, tenant.index, tenant.route.place)
            return await self._context.resolver.set_state(tenant, entry.state)
        except BaseException:
            await self._undo(tenant)
            raise

    async def _attached(self, entry: Entry, planned: Planned, generation: int) -> Tenant:
        """The tenant with the data that its shard holds. They are whole, so a crash leaves a tenant that the next
        request opens; nothing here ever drops them."""
        tenant = await self._context.catalog.tenants.place(
            planned.index, planned.tenant, entry.spec, planned.shard, entry.created_at, generation=generation
        )
        if tenant.route.place != entry.place:
            raise Conflict(f"tenant {planned.tenant!r} was deleted here: its data on {planned.shard!r} are of before")
        opened = await self._context.resolver.set_state(tenant, TenantState.ACTIVE)
        return (
            opened if entry.state is TenantState.ACTIVE else await self._context.resolver.set_state(opened, entry.state)
        )

    async def _placed(self, entry: Entry, planned: Planned, generation: int) -> Tenant:
        """The tenant in state RESTORING, with room on its shard. What a crash left of an earlier try goes first."""
        catalog = self._context.catalog
        with suppress(NotFound):
            left = await catalog.tenants.get(planned.index, planned.tenant)
            if left.state is TenantState.RESTORING:
                await self._undo(left)
        spec = entry.spec
        if spec.shard is not None and spec.shard != planned.shard:
            spec = msgspec.structs.replace(spec, shard=None)
        try:
            return await catalog.tenants.place(
                planned.index,
                planned.tenant,
                spec,
                planned.shard,
                entry.created_at,
                state=TenantState.RESTORING,
                generation=generation,
            )
        except Conflict as error:
            raise CapacityExceeded(f"tenant {planned.tenant!r} cannot be restored: {error}") from error

    async def _undo(self, tenant: Tenant) -> None:
        """Take back a restore that did not end: the data, then the entry."""

        async def undo() -> None:
            with suppress(NotFound):
                now = await self._context.catalog.tenants.get(tenant.index, tenant.name)
                if now.state is TenantState.RESTORING:
                    now = await self._context.resolver.set_state(now, TenantState.DELETING)
                if now.state is TenantState.DELETING:
                    await self._context.resolver.finish_delete(now)

        with suppress(TenantryError):  # then it stays as `restoring`, and the next try begins with this
            await asyncio.shield(asyncio.ensure_future(undo()))

    async def _over(self, entry: Entry, planned: Planned, wanted: Wanted) -> Tenant:
        """Fill a new namespace beside the one in use, then switch."""
        catalog, resolver = self._context.catalog, self._context.resolver
        before = await catalog.tenants.get(planned.index, planned.tenant)
        target = Place(planned.shard, namespace_of(before.name, before.generation + 1))
        reserved = msgspec.structs.replace(before.route, epoch=before.route.epoch + 1, other=target)
        held = await catalog.tenants.set_route(before.index, before.name, reserved, before.route.epoch)
        term = await self._context.member.join()
        resolver.changed(held, term)
        try:
            await self.fill(entry, before.index, target)
            # From here on nothing is written to the old place: not by this process, nor by any other.
            stopped = await resolver.set_state(held, TenantState.SUSPENDED)
            await self._barrier.passed(stopped)
            kept = Copy(before.index, before.name, before.route.place, REPLACED, 0.0)
            if planned.action is Action.REPLACE:
                kept = msgspec.structs.replace(kept, purge_at=self._context.clock.now() + wanted.retention_s)
                await catalog.copies.keep(kept)
            route = Route(stopped.route.epoch + 1, target, state=entry.state)
            done = await catalog.tenants.set_route(before.index, before.name, route, stopped.route.epoch)
        except BaseException:
            await asyncio.shield(asyncio.ensure_future(self._stay(before, target)))
            raise
        resolver.changed(done, await self._context.member.join())
        return done

    async def _stay(self, before: Tenant, target: Place) -> None:
        """The tenant as it was, and away with what was filled."""
        with suppress(TenantryError):
            for _ in range(TRIES):
                now = await self._context.catalog.tenants.get(before.index, before.name)
                if now.route.other != target:
                    return  # it was switched after all, or somebody else has changed it
                route = Route(now.route.epoch + 1, before.route.place, state=before.state)
                try:
                    back = await self._context.catalog.tenants.set_route(
                        before.index, before.name, route, now.route.epoch
                    )
                except Conflict:
                    continue
                self._context.resolver.changed(back, await self._context.member.join())
                backend = await self._context.pool.backend(before.index, target.shard)
                await backend.drop(target.namespace)
                return

    # ----------------------------------------------------------------------------------------- data

    async def fill(self, entry: Entry, index: str, place: Place) -> None:
        """Make the namespace, write every record of a backup to it, and compare what it gives back."""
        backend = await self._context.pool.backend(index, place.shard)
        dimension = (await self._context.pool.index(index)).dimension
        await backend.drop(place.namespace)
        await backend.create(place.namespace)
        handle = backend.index(place.namespace)
        written = 0
        async for block in blocks(self._vault, entry, dimension):
            await self._write(handle, backend.features, block)
            written += len(block)
            await self._context.faults.reach("restore.segment-written")
        if written != entry.records:
            raise Corrupt(f"the backup of tenant {entry.name!r} holds {written:,} records, not {entry.records:,}")
        await Comparison(self._context, self._vault, entry, dimension).with_namespace(backend, handle)

    async def _write(self, handle: Index, features: Features, block: Block) -> None:
        if features.loads:
            for start in range(0, len(block), LOADED):
                await cast(Loading, handle).load(block.part(start, start + LOADED))
            return
        for batch in batches(block.records(), self._context.limits):
            await handle.upsert(batch)


def _against(shard: Shard) -> str | None:
    """Why a shard takes no tenants."""
    if shard.state is not ShardState.ACTIVE:
        return f"is {shard.state} and takes no tenants; `tenantry shard set` changes that"
    if shard.max_tenants is not None and shard.tenants + shard.copies >= shard.max_tenants:
        return f"is full: {shard.tenants + shard.copies} of {shard.max_tenants} tenants"
    return None
