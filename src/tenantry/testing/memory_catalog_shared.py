"""Keys, settings, leases and barriers of a `MemoryCatalog`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tenantry.catalogs.audited import replaced
from tenantry.errors import AlreadyExists, Conflict, NotFound
from tenantry.model.keys import ApiKey
from tenantry.model.leases import Lease
from tenantry.testing.memory_catalog_tables import Enter, Tables, storable


class MemoryKeys:
    """`tenantry.ports.KeyCatalog` in memory."""

    def __init__(self, tables: Tables, enter: Enter) -> None:
        self._all, self._enter = tables, enter

    async def add(self, key: ApiKey) -> None:
        """Raises AlreadyExists."""
        await self._enter("keys.add")
        storable(id=key.id, digest=key.digest, index=key.index, tenant=key.tenant, label=key.label)
        if key.id in self._all.keys:
            raise AlreadyExists("key", key.id)
        self._all.keys[key.id] = key

    async def get(self, id: str) -> ApiKey:
        """Raises NotFound."""
        await self._enter("keys.get")
        found = self._all.keys.get(id)
        if found is None:
            raise NotFound("key", id)
        return found

    async def list(self, index: str | None = None, tenant: str | None = None) -> list[ApiKey]:
        """Newest first, then by id."""
        await self._enter("keys.list")
        found = [key for key in self._all.keys.values() if index in (None, key.index) and tenant in (None, key.tenant)]
        return sorted(found, key=lambda key: (-key.created_at, key.id))

    async def revoke(self, id: str, at: float) -> None:
        """Raises NotFound."""
        await self._enter("keys.revoke")
        found = self._all.keys.get(id)
        if found is None:
            raise NotFound("key", id)
        if found.revoked_at is None:
            self._all.keys[id] = msgspec.structs.replace(found, revoked_at=at)

    async def replace(self, id: str, new: ApiKey, until: float) -> ApiKey:
        """Raises NotFound, AlreadyExists, Refused."""
        await self._enter("keys.replace")
        storable(id=new.id, digest=new.digest)
        found = self._all.keys.get(id)
        if found is None:
            raise NotFound("key", id)
        old = replaced(found, new, until)
        if new.id in self._all.keys:
            raise AlreadyExists("key", new.id)
        self._all.keys |= {id: old, new.id: new}
        return old


class MemorySettings:
    """`tenantry.ports.SettingCatalog` in memory."""

    def __init__(self, tables: Tables, enter: Enter) -> None:
        self._all, self._enter = tables, enter

    async def get(self, name: str) -> Any:
        """None when it was never set."""
        await self._enter("settings.get")
        value = self._all.settings.get(name)
        return None if value is None else msgspec.json.decode(value)

    async def put(self, name: str, value: Any) -> None:
        """Set or replace."""
        await self._enter("settings.put")
        storable(name=name)
        self._all.settings[name] = msgspec.json.encode(value)

    async def put_if_absent(self, name: str, value: Any) -> Any:
        """What is there afterwards."""
        await self._enter("settings.put_if_absent")
        storable(name=name)
        return msgspec.json.decode(self._all.settings.setdefault(name, msgspec.json.encode(value)))

    async def all(self) -> Mapping[str, Any]:
        """By name."""
        await self._enter("settings.all")
        return {name: msgspec.json.decode(value) for name, value in sorted(self._all.settings.items())}


class MemoryLeases:
    """`tenantry.ports.LeaseCatalog` in memory."""

    def __init__(self, tables: Tables, enter: Enter) -> None:
        self._all, self._enter = tables, enter

    async def claim(self, name: str, owner: str, seen: Lease | None) -> Lease:
        """Raises Conflict."""
        await self._enter("leases.claim")
        storable(name=name, owner=owner)
        now = self._all.leases.get(name)
        free = seen is None and (now is None or now.owner is None)
        if not free and (now is None or now != seen):
            raise Conflict(f"lease {name!r} is not as it was seen: somebody holds or renewed it")
        lease = Lease(name, owner, 1, 0) if now is None else Lease(name, owner, now.fence + 1, now.beat + 1)
        self._all.leases[name] = lease
        return lease

    async def beat(self, owner: str) -> dict[str, int]:
        """Name to fence."""
        await self._enter("leases.beat")
        mine = sorted(name for name, lease in self._all.leases.items() if lease.owner == owner)
        for name in mine:
            lease = self._all.leases[name]
            self._all.leases[name] = msgspec.structs.replace(lease, beat=lease.beat + 1)
        return {name: self._all.leases[name].fence for name in mine}

    async def release(self, name: str, owner: str) -> None:
        """Not holding it is success."""
        await self._enter("leases.release")
        lease = self._all.leases.get(name)
        if lease is not None and lease.owner == owner:
            self._all.leases[name] = msgspec.structs.replace(lease, owner=None)

    async def expel(self, seen: Lease) -> bool:
        """False when it is not as seen, or has no owner."""
        await self._enter("leases.expel")
        if seen.owner is None or self._all.leases.get(seen.name) != seen:
            return False
        self._all.leases[seen.name] = msgspec.structs.replace(seen, owner=None)
        return True

    async def list(self, prefix: str) -> list[Lease]:
        """By name."""
        await self._enter("leases.list")
        found = [
            lease for lease in self._all.leases.values() if lease.owner is not None and lease.name.startswith(prefix)
        ]
        return sorted(found, key=lambda lease: lease.name)

    async def get(self, name: str) -> Lease | None:
        """None when there never was one."""
        await self._enter("leases.get")
        return self._all.leases.get(name)


class MemoryBarriers:
    """`tenantry.ports.BarrierCatalog` in memory."""

    def __init__(self, tables: Tables, enter: Enter) -> None:
        self._all, self._enter = tables, enter

    async def acknowledge(self, router: str, index: str, tenant: str, epoch: int) -> None:
        """A lower epoch changes nothing."""
        await self._enter("barriers.acknowledge")
        storable(router=router, index=index, tenant=tenant)
        routers = self._all.acknowledged.setdefault((index, tenant), {})
        routers[router] = max(epoch, routers.get(router, epoch))

    async def acknowledged(self, index: str, tenant: str) -> dict[str, int]:
        """By name."""
        await self._enter("barriers.acknowledged")
        return dict(sorted(self._all.acknowledged.get((index, tenant), {}).items()))

    async def forget(self, index: str, tenant: str, through: int) -> None:
        """Not there is success."""
        await self._enter("barriers.forget")
        routers = self._all.acknowledged.get((index, tenant), {})
        for router in [router for router, epoch in routers.items() if epoch <= through]:
            del routers[router]


class MemoryMeasures:
    """`tenantry.ports.MeasureCatalog` in memory."""

    def __init__(self, tables: Tables, enter: Enter) -> None:
        self._all, self._enter = tables, enter

    async def put(self, owner: str, slices: Mapping[int, bytes], oldest: int) -> None:
        """In place of what is there."""
        await self._enter("measures.put")
        storable(owner=owner)
        kept = {**self._all.measures.get(owner, {}), **slices}
        self._all.measures[owner] = {number: kept[number] for number in sorted(kept) if number >= oldest}

    async def read(self, after: Mapping[str, int]) -> dict[str, dict[int, bytes]]:
        """By name and number."""
        await self._enter("measures.read")
        found = {
            owner: {number: body for number, body in slices.items() if number > after.get(owner, number - 1)}
            for owner, slices in sorted(self._all.measures.items())
        }
        return {owner: slices for owner, slices in found.items() if slices}

    async def forget(self, owner: str) -> None:
        """Nothing there is success."""
        await self._enter("measures.forget")
        self._all.measures.pop(owner, None)
