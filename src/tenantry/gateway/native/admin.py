"""The native API's administration: indexes, shards, tenants, keys."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from tenantry.gateway.native import wire
from tenantry.gateway.native.shown import shown_index, shown_key, shown_shard, shown_tenant
from tenantry.gateway.table import Call
from tenantry.model.limits import check_count
from tenantry.model.topology import ShardState, TenantSpec
from tenantry.version import __version__

PAGE_MOST = 1_000


async def version(call: Call, _: None) -> wire.Version:
    """What serves."""
    return wire.Version(__version__)


async def list_indexes(call: Call, _: None) -> wire.Indexes:
    """All indexes, by name."""
    return wire.Indexes([shown_index(one) for one in await call.cluster.indexes.list()])


async def create_index(call: Call, asked: wire.CreateIndex) -> wire.Index:
    """Make an index with its shards."""
    given = msgspec.structs.asdict(asked)
    return shown_index(await call.cluster.indexes.create(given.pop("name"), given.pop("dimension"), **given))


async def get_index(call: Call, _: None) -> wire.Index:
    """One index."""
    return shown_index(await call.cluster.indexes.get(call.index))


async def change_index(call: Call, asked: wire.ChangeIndex) -> wire.Index:
    """Change what may change."""
    return shown_index(await call.cluster.indexes.update(call.index, **_given(asked)))


async def delete_index(call: Call, _: None) -> None:
    """Delete an index with everything in it."""
    await call.cluster.indexes.delete(call.index)


async def stats(call: Call, _: None) -> wire.Stats:
    """An index in figures, measured on its shards."""
    index = await call.cluster.indexes.get(call.index)
    shards = [shown_shard(one) for one in await call.cluster.shards.list(call.index)]
    own = [shard for shard in shards if shard.state != ShardState.ROLLUP]
    return wire.Stats(
        index=index.name,
        dimension=index.dimension,
        metric=str(index.metric),
        shards=len(shards),
        tenants=sum(shard.tenants for shard in shards),
        vectors=sum(shard.vectors for shard in own),
        bytes=sum(shard.bytes for shard in own),
        shard_stats=shards,
    )


async def list_shards(call: Call, _: None) -> wire.Shards:
    """All shards of an index, measured."""
    return wire.Shards([shown_shard(one) for one in await call.cluster.shards.list(call.index)])


async def create_shard(call: Call, asked: wire.CreateShard) -> wire.Shard:
    """Register a shard."""
    given = msgspec.structs.asdict(asked)
    made = await call.cluster.shards.add(given.pop("name"), index=call.index, **given)
    return shown_shard(await call.cluster.shards.get(made.name, call.index))


async def get_shard(call: Call, _: None) -> wire.Shard:
    """One shard, measured."""
    return shown_shard(await call.cluster.shards.get(call.path["shard"], call.index))


async def change_shard(call: Call, asked: wire.ChangeShard) -> wire.Shard:
    """Change limits, weight, region, tier or state."""
    await call.cluster.shards.update(call.path["shard"], call.index, **_given(asked))
    return shown_shard(await call.cluster.shards.get(call.path["shard"], call.index))


async def delete_shard(call: Call, _: None) -> None:
    """Take an empty shard out of the registry."""
    await call.cluster.shards.remove(call.path["shard"], call.index)


async def list_tenants(call: Call, asked: wire.ListTenants) -> wire.Tenants:
    """One page of tenants by name."""
    check_count(asked.limit, "limit", 1, PAGE_MOST)
    tenants = call.cluster.tenants
    chosen: dict[str, Any] = {"prefix": asked.prefix, "shard": asked.shard}
    page = await tenants.list(call.index, after=asked.after, limit=asked.limit, **chosen)
    following = None
    if len(page) == asked.limit:
        last = page[-1].tenant.name
        following = last if await tenants.list(call.index, after=last, limit=1, **chosen) else None
    return wire.Tenants([shown_tenant(one) for one in page], following)


async def create_tenant(call: Call, asked: wire.CreateTenant) -> wire.Tenant:
    """Place a new tenant."""
    given = msgspec.structs.asdict(asked)
    name = given.pop("name")
    await call.cluster.tenants.create(name, call.index, TenantSpec(**given))
    return await _tenant(call, name)


async def get_tenant(call: Call, _: None) -> wire.Tenant:
    """One tenant, measured. What is wrong with its shard is nobody's affair who is bound to a tenant."""
    shown = await _tenant(call, call.path["tenant"])
    if call.who.bound and shown.error is not None:
        shown.error = "its shard cannot be measured at present"
    return shown


async def rename_tenant(call: Call, asked: wire.RenameTenant) -> None:
    """Always refused, with the reason."""
    await call.cluster.tenants.rename(call.path["tenant"], asked.name, call.index)


async def suspend_tenant(call: Call, _: None) -> wire.Tenant:
    """Refuse all reads and writes of a tenant from now on."""
    await call.cluster.tenants.suspend(call.path["tenant"], call.index)
    return await _tenant(call, call.path["tenant"])


async def resume_tenant(call: Call, _: None) -> wire.Tenant:
    """Open a suspended tenant again."""
    await call.cluster.tenants.resume(call.path["tenant"], call.index)
    return await _tenant(call, call.path["tenant"])


async def verify_routing(call: Call, asked: wire.VerifyRouting) -> wire.RoutingReport:
    """Compare cache, catalog and backends."""
    report = await call.cluster.verify_routing(call.index, heal=asked.heal)
    return wire.RoutingReport(report.index, report.tenants, report.shards, report.consistent, report.problems)


async def list_keys(call: Call, asked: wire.ListKeys) -> wire.Keys:
    """Keys, newest first, without their secrets."""
    return wire.Keys([shown_key(one) for one in await call.cluster.keys.list(asked.index, asked.tenant)])


async def create_key(call: Call, asked: wire.CreateKey) -> wire.CreatedKey:
    """A new key; its secret is shown this once."""
    key, secret = await call.cluster.keys.create(
        asked.tenant, asked.index, scope=asked.scope, label=asked.label, expires_in_s=asked.expires_in_s
    )
    return wire.CreatedKey(shown_key(key), secret)


async def rotate_key(call: Call, asked: wire.RotateKey) -> wire.CreatedKey:
    """A new key in place of one, which goes on for a while; the secret is shown this once."""
    key, secret = await call.cluster.keys.rotate(
        call.path["id"], overlap_s=asked.overlap_s, expires_in_s=asked.expires_in_s
    )
    return wire.CreatedKey(shown_key(key), secret)


async def revoke_key(call: Call, _: None) -> None:
    """Make a key useless at once."""
    await call.cluster.keys.revoke(call.path["id"])


async def _tenant(call: Call, name: str) -> wire.Tenant:
    return shown_tenant(await call.cluster.tenants.get(name, call.index))


def _given(asked: msgspec.Struct) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(asked).items() if value is not UNSET}
