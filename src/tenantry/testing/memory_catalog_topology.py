"""Indexes, shards and tenants of a `MemoryCatalog`."""

from __future__ import annotations

from collections import Counter

import msgspec

from tenantry.catalogs.rules import (
    check_epoch,
    check_limits,
    has_part,
    has_retired,
    holds_rollup,
    named,
    newly_placed,
    placed_at,
    replanned,
    rerouted,
    undeleted,
)
from tenantry.errors import AlreadyExists, InvalidArgument, NotFound, Refused
from tenantry.model.leases import Copy
from tenantry.model.topology import (
    Claim,
    Dated,
    LogicalIndex,
    Route,
    Shard,
    ShardState,
    Tenant,
    TenantSpec,
    TenantState,
)
from tenantry.testing.memory_catalog_tables import Enter, Tables, at_least_one, storable


class MemoryIndexes:
    """`tenantry.ports.IndexCatalog` in memory."""

    def __init__(self, tables: Tables, enter: Enter) -> None:
        self._all, self._enter = tables, enter

    async def create(self, index: LogicalIndex) -> None:
        """Raises AlreadyExists."""
        await self._enter("indexes.create")
        storable(name=index.name, policy=index.policy, embedder=index.embedder)
        if index.name in self._all.indexes:
            raise AlreadyExists("index", index.name)
        self._all.indexes[index.name] = msgspec.structs.replace(index, tags=dict(index.tags))

    async def get(self, name: str) -> LogicalIndex:
        """Raises NotFound."""
        await self._enter("indexes.get")
        found = self._all.indexes.get(name)
        if found is None:
            raise NotFound("index", name)
        return found

    async def list(self) -> list[LogicalIndex]:
        """All, by name."""
        await self._enter("indexes.list")
        return [self._all.indexes[name] for name in sorted(self._all.indexes)]

    async def update(self, index: LogicalIndex) -> None:
        """Raises NotFound."""
        await self._enter("indexes.update")
        storable(policy=index.policy, embedder=index.embedder)
        old = self._all.indexes.get(index.name)
        if old is None:
            raise NotFound("index", index.name)
        self._all.indexes[index.name] = msgspec.structs.replace(
            index, dimension=old.dimension, metric=old.metric, created_at=old.created_at, tags=dict(index.tags)
        )

    async def delete(self, name: str) -> None:
        """Raises NotFound, Refused."""
        await self._enter("indexes.delete")
        index, tables = self._all.indexes.get(name), self._all
        if index is None:
            raise NotFound("index", name)
        if index.deletion_protection:
            raise Refused(f"index {name!r} is protected: turn its deletion_protection off first")
        if held := len(tables.living(name)):
            raise Refused(f"index {name!r} still has {held} tenants: delete them first")
        if (moving := tables.open_move(name)) is not None:
            raise Refused(
                f"index {name!r} has a move of tenant {moving.tenant!r} that has not ended: see `tenantry moves list`"
            )
        if retired := tables.retired_on(name):
            raise has_retired(f"index {name!r}", retired, "deleted")
        del tables.indexes[name]
        tables.shards = {key: shard for key, shard in tables.shards.items() if key[0] != name}
        tables.moves = {id: move for id, move in tables.moves.items() if move.index != name}
        for id in [id for id, one in tables.migrations.items() if one.index == name]:
            del tables.migrations[id], tables.migration_items[id]
        tables.log = {key: entries for key, entries in tables.log.items() if key[0] != name}
        tables.acknowledged = {key: routers for key, routers in tables.acknowledged.items() if key[0] != name}
        tables.forget_rollup(name)


class MemoryShards:
    """`tenantry.ports.ShardCatalog` in memory."""

    def __init__(self, tables: Tables, enter: Enter) -> None:
        self._all, self._enter = tables, enter

    async def add(self, shard: Shard) -> None:
        """Raises InvalidArgument, NotFound (index), AlreadyExists."""
        await self._enter("shards.add")
        check_limits(shard)
        storable(name=shard.name, backend=shard.backend, region=shard.region, tier=shard.tier)
        if shard.index not in self._all.indexes:
            raise NotFound("index", shard.index)
        if (shard.index, shard.name) in self._all.shards:
            raise AlreadyExists("shard", shard.name)
        self._all.shards[shard.index, shard.name] = msgspec.structs.replace(
            shard, tenants=0, copies=0, options=dict(shard.options)
        )

    async def list(self, index: str) -> list[Shard]:
        """By name."""
        await self._enter("shards.list")
        return [shard for (of, _), shard in sorted(self._all.shards.items(), key=lambda one: one[0]) if of == index]

    async def update(self, shard: Shard) -> None:
        """Raises InvalidArgument, NotFound, Refused."""
        await self._enter("shards.update")
        check_limits(shard)
        storable(region=shard.region, tier=shard.tier)
        self._may_become(shard.index, shard.name, shard.state)
        old = self._found(shard.index, shard.name)
        self._all.shards[shard.index, shard.name] = msgspec.structs.replace(
            shard,
            backend=old.backend,
            options=old.options,
            tenants=old.tenants,
            copies=old.copies,
            created_at=old.created_at,
        )

    async def set_state(self, index: str, name: str, state: ShardState) -> None:
        """Raises NotFound, Refused."""
        await self._enter("shards.set_state")
        self._may_become(index, name, state)
        self._all.shards[index, name] = msgspec.structs.replace(self._found(index, name), state=state)

    async def remove(self, index: str, name: str) -> None:
        """Raises NotFound, Refused."""
        await self._enter("shards.remove")
        self._must_be_empty(index, name, "removed")
        del self._all.shards[index, name]

    def _found(self, index: str, name: str) -> Shard:
        shard = self._all.shards.get((index, name))
        if shard is None:
            raise NotFound("shard", name)
        return shard

    def _may_become(self, index: str, name: str, state: ShardState) -> None:
        if state is ShardState.RETIRED:
            self._must_be_empty(index, name, "retired")
        elif state is not ShardState.ROLLUP and self._holds_rollup(index, name):
            raise holds_rollup(name, state.value)

    def _holds_rollup(self, index: str, name: str) -> bool:
        rollup = self._all.rollups.get(index)
        return rollup is not None and rollup.shard == name

    def _must_be_empty(self, index: str, name: str, verb: str) -> None:
        shard = self._found(index, name)
        if self._holds_rollup(index, name):
            raise holds_rollup(name, verb)
        if shard.tenants:
            raise Refused(f"shard {name!r} holds {shard.tenants} tenants: move or delete them before it is {verb}")
        if (moving := self._all.open_move(index, shard=name)) is not None:
            raise has_part(name, moving.tenant, verb)
        if shard.copies:
            raise has_part(name, next(each.name for each in self._all.living(index) if name in named(each)), verb)
        if retired := self._all.retired_on(index, name):
            raise has_retired(f"shard {name!r}", retired, verb)


class MemoryTenants:
    """`tenantry.ports.TenantCatalog` in memory."""

    def __init__(self, tables: Tables, enter: Enter) -> None:
        self._all, self._enter = tables, enter

    async def place(
        self,
        index: str,
        name: str,
        spec: TenantSpec,
        shard: str,
        created_at: float,
        *,
        state: TenantState = TenantState.CREATING,
        generation: int = 1,
    ) -> Tenant:
        """Raises AlreadyExists, Conflict."""
        await self._enter("tenants.place")
        storable(name=name)
        old = self._all.tenants.get((index, name))
        if old is not None and old.state is not TenantState.DELETED:
            raise AlreadyExists("tenant", name, f"it is {old.state} on shard {old.route.place.shard!r}")
        route = placed_at(name, shard, generation, state)
        tenant = newly_placed(old, Tenant(index, name, route, spec, generation, created_at))
        self._all.put_tenant(old, tenant, room_on=shard)
        return tenant

    async def get(self, index: str, name: str) -> Tenant:
        """Raises NotFound."""
        await self._enter("tenants.get")
        tenant = self._all.alive(index, name)
        if tenant is None:
            raise NotFound("tenant", name)
        return tenant

    async def get_dated(self, index: str, name: str) -> Dated:
        """Raises NotFound."""
        return Dated(await self.get(index, name), self._all.moment + 1)

    async def moment(self) -> int | None:
        """Of the next change."""
        await self._enter("tenants.moment")
        return self._all.moment + 1

    async def changes(self) -> dict[int, int] | None:
        """Every one there was."""
        await self._enter("tenants.changes")
        return dict(self._all.changes)

    async def list(
        self, index: str, after: str | None = None, limit: int = 100, prefix: str = "", shard: str | None = None
    ) -> list[Tenant]:
        """By name. Raises InvalidArgument (limit)."""
        await self._enter("tenants.list")
        at_least_one(limit)
        found = [
            tenant
            for tenant in self._all.living(index)
            if tenant.name.startswith(prefix)
            and (after is None or tenant.name > after)
            and (shard is None or tenant.route.place.shard == shard)
        ]
        return sorted(found, key=lambda tenant: tenant.name)[:limit]

    async def set_state(self, index: str, name: str, state: TenantState, expected_epoch: int) -> Tenant:
        """Raises NotFound, Conflict, Refused."""
        await self._enter("tenants.set_state")
        old = self._expect(index, name, expected_epoch)
        return self._reroute(old, msgspec.structs.replace(old.route, epoch=expected_epoch + 1, state=state))

    async def set_plan(self, index: str, name: str, plan: str | None, expected_epoch: int) -> Tenant:
        """Raises NotFound, Conflict, Refused."""
        await self._enter("tenants.set_plan")
        storable(plan=plan)
        old = self._expect(index, name, expected_epoch)
        new = replanned(old, plan)
        self._all.put_tenant(old, new)
        return new

    async def set_route(self, index: str, name: str, route: Route, expected_epoch: int) -> Tenant:
        """Raises InvalidArgument, NotFound, Conflict, Refused."""
        await self._enter("tenants.set_route")
        if route.epoch != expected_epoch + 1:
            raise InvalidArgument("route.epoch", route.epoch, f"{expected_epoch + 1}, one over the expected epoch")
        return self._reroute(self._expect(index, name, expected_epoch), route)

    async def undelete(self, copy: Copy) -> Tenant:
        """Raises AlreadyExists, NotFound, Conflict."""
        await self._enter("tenants.undelete")
        old = self._all.tenants.get((copy.index, copy.tenant))
        new = undeleted(old, copy)
        if (copy.index, copy.place) not in self._all.copies:
            raise NotFound("copy", f"{copy.place.shard}/{copy.place.namespace}")
        self._all.put_tenant(old, new)
        del self._all.copies[copy.index, copy.place]
        return new

    async def claims(self, index: str) -> dict[str, Claim]:
        """By shard."""
        await self._enter("tenants.claims")
        expected: Counter[str] = Counter()
        for tenant in self._all.living(index):
            if tenant.spec.expected_vectors > 0:
                expected.update(dict.fromkeys(named(tenant), tenant.spec.expected_vectors))
        owners = {shard: owner for (of, shard), owner in self._all.owners.items() if of == index}
        return {
            shard: Claim(owners.get(shard), expected.get(shard, 0)) for shard in sorted(expected.keys() | owners.keys())
        }

    def _expect(self, index: str, name: str, epoch: int) -> Tenant:
        tenant = self._all.alive(index, name)
        if tenant is None:
            raise NotFound("tenant", name)
        check_epoch(tenant, epoch)
        return tenant

    def _reroute(self, old: Tenant, route: Route) -> Tenant:
        new = rerouted(old, route)
        self._all.put_tenant(old, new)
        return new
