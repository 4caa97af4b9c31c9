"""The native API's backups, restores and deleted tenants."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from tenantry.backup import jobs
from tenantry.backup.manifest import Manifest
from tenantry.backup.schedule import Schedule
from tenantry.backup.service import Listed
from tenantry.cluster.backups import as_retention
from tenantry.gateway.native import wire, wire_backups
from tenantry.gateway.native.shown import shown_tenant
from tenantry.gateway.streams import event
from tenantry.gateway.table import Call, Stream


async def create(call: Call, asked: wire_backups.CreateBackup) -> wire_backups.Job:
    """Begin a backup."""
    given = msgspec.structs.asdict(asked)
    return shown_job(call.cluster.backups.start_create(given.pop("archive"), **given))


async def list_backups(call: Call, asked: wire_backups.InArchive) -> wire_backups.Backups:
    """What an archive holds."""
    found = await call.cluster.backups.list(asked.archive)
    return wire_backups.Backups(asked.archive or "", [_listed(one) for one in found])


async def get(call: Call, asked: wire_backups.InArchive) -> wire_backups.Backup:
    """One backup."""
    return shown_backup(await call.cluster.backups.get(call.path["id"], asked.archive))


async def remove(call: Call, asked: wire_backups.InArchive) -> None:
    """Remove one backup."""
    await call.cluster.backups.remove(call.path["id"], asked.archive)


async def verify(call: Call, asked: wire_backups.VerifyBackup) -> wire_backups.Job:
    """Begin to test a backup."""
    return shown_job(call.cluster.backups.start_verify(asked.archive, call.path["id"]))


async def prune(call: Call, asked: wire_backups.PruneBackups) -> wire_backups.Job:
    """Begin to remove old backups."""
    retention = as_retention(hourly=asked.hourly, daily=asked.daily, weekly=asked.weekly)
    return shown_job(call.cluster.backups.start_prune(asked.archive, retention, asked.dry_run))


async def get_schedule(call: Call, _: None) -> wire_backups.Schedule:
    """When backups are made."""
    found = await call.cluster.backups.schedule()
    if found is None:
        return wire_backups.Schedule(None)
    keep = found.retention
    return wire_backups.Schedule(found.every_s, found.archive, keep.hourly, keep.daily, keep.weekly)


async def set_schedule(call: Call, asked: wire_backups.SetSchedule) -> wire_backups.Schedule:
    """Change that."""
    retention = as_retention(hourly=asked.hourly, daily=asked.daily, weekly=asked.weekly)
    wanted = None if asked.every_s is None else Schedule(asked.every_s, asked.archive, retention)
    await call.cluster.backups.set_schedule(wanted)
    return await get_schedule(call, None)


async def restore_tenant(call: Call, asked: wire_backups.RestoreTenant) -> wire_backups.Job:
    """Begin to restore a tenant."""
    given = msgspec.structs.asdict(asked)
    started = call.cluster.backups.start_restore_tenant(
        call.path["tenant"], given.pop("archive"), index=call.index, **given
    )
    return shown_job(started)


async def restore_shard(call: Call, asked: wire_backups.RestoreShard) -> wire_backups.Job:
    """Begin to restore a shard's tenants."""
    given = msgspec.structs.asdict(asked)
    started = call.cluster.backups.start_restore_shard(
        call.path["shard"], given.pop("archive"), index=call.index, **given
    )
    return shown_job(started)


async def list_jobs(call: Call, _: None) -> wire_backups.Jobs:
    """Jobs of this gateway."""
    return wire_backups.Jobs([shown_job(one) for one in call.cluster.backups.jobs()])


async def get_job(call: Call, _: None) -> wire_backups.Job:
    """One job."""
    return shown_job(call.cluster.backups.job(call.path["id"]))


async def cancel_job(call: Call, _: None) -> wire_backups.Job:
    """Stop a job."""
    return shown_job(await call.cluster.backups.cancel(call.path["id"]))


async def watch_job(call: Call, _: None) -> Stream:
    """A job, live."""
    job = call.cluster.backups.job(call.path["id"])

    async def events() -> AsyncIterator[bytes]:
        number = 0
        async for state in call.cluster.backups.watch(job.id):
            number += 1
            yield event("job", number, shown_job(state))
        yield event("end", number + 1, {})

    return Stream(events())


async def delete_tenant(call: Call, asked: wire_backups.DeleteTenant) -> None:
    """Delete a tenant; its data are kept for a while, unless they are to go now."""
    await call.cluster.tenants.delete(call.path["tenant"], call.index, now=asked.now)


async def list_deleted(call: Call, _: None) -> wire_backups.DeletedTenants:
    """Deleted tenants whose data are kept."""
    found = await call.cluster.tenants.deleted(call.index)
    return wire_backups.DeletedTenants(
        [wire_backups.DeletedTenant(one.tenant, one.place.shard, one.place.namespace, one.purge_at) for one in found]
    )


async def undelete_tenant(call: Call, _: None) -> wire.Tenant:
    """Bring a deleted tenant back."""
    await call.cluster.tenants.undelete(call.path["tenant"], call.index)
    return shown_tenant(await call.cluster.tenants.get(call.path["tenant"], call.index))


def shown_backup(one: Manifest) -> wire_backups.Backup:
    """A backup as the API shows it."""
    return wire_backups.Backup(
        id=one.id,
        scope=str(one.scope),
        catalog_at=one.catalog_at,
        finished_at=one.finished_at,
        version=one.version,
        encrypted=one.key_id is not None,
        totals=one.totals,
        gone=one.gone,
    )


def _listed(one: Listed) -> wire_backups.Backup:
    if one.manifest is None:
        return wire_backups.Backup(one.id, error=one.error)
    return shown_backup(one.manifest)


def shown_job(job: jobs.Job) -> wire_backups.Job:
    """A job as the API shows it."""
    return wire_backups.Job(
        id=job.id,
        kind=job.kind,
        state=str(job.state),
        started_at=job.started_at,
        ended_at=job.ended_at,
        progress=job.progress,
        result=_result(job.result),
        error=job.error,
        code=job.code,
    )


def _result(result: Any) -> dict[str, Any] | None:
    if result is None:
        return None
    found: dict[str, Any] = msgspec.to_builtins(shown_backup(result) if isinstance(result, Manifest) else result)
    return found
