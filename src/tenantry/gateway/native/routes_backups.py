"""The native API's operations on backups, restores, jobs and deleted tenants."""

from __future__ import annotations

from typing import Any

from tenantry.gateway.native import backups, wire, wire_backups
from tenantry.gateway.table import Endpoint

_BACKUP = "/v1/backups/{id}"
_JOB = "/v1/jobs/{id}"
_INDEX = "/v1/indexes/{index}"


def routes(admin: Any) -> list[Endpoint]:
    """The table; ``admin`` makes an endpoint for admin keys."""
    return [*_backups(admin), *_schedule(admin), *_restores(admin), *_jobs(admin)]


def _backups(admin: Any) -> list[Endpoint]:
    return [
        admin(
            method="POST",
            path="/v1/backups",
            handle=backups.create,
            action="backup.create",
            request=wire_backups.CreateBackup,
            response=wire_backups.Job,
            status=202,
            summary="Begin a backup",
        ),
        admin(
            method="GET",
            path="/v1/backups",
            handle=backups.list_backups,
            query=wire_backups.InArchive,
            response=wire_backups.Backups,
            patient=True,
            summary="List backups",
        ),
        admin(
            method="POST",
            path="/v1/backups/prune",
            handle=backups.prune,
            action="backup.prune",
            request=wire_backups.PruneBackups,
            response=wire_backups.Job,
            status=202,
            summary="Begin to remove old backups",
        ),
        admin(
            method="GET",
            path=_BACKUP,
            handle=backups.get,
            query=wire_backups.InArchive,
            response=wire_backups.Backup,
            summary="Describe a backup",
        ),
        admin(
            method="DELETE",
            path=_BACKUP,
            handle=backups.remove,
            action="backup.delete",
            query=wire_backups.InArchive,
            status=204,
            summary="Remove a backup",
        ),
        admin(
            method="POST",
            path=_BACKUP + "/verify",
            handle=backups.verify,
            action="backup.verify",
            request=wire_backups.VerifyBackup,
            response=wire_backups.Job,
            status=202,
            summary="Begin to test a backup",
        ),
    ]


def _schedule(admin: Any) -> list[Endpoint]:
    return [
        admin(
            method="GET",
            path="/v1/backups/schedule",
            handle=backups.get_schedule,
            response=wire_backups.Schedule,
            summary="Tell when backups are made",
        ),
        admin(
            method="PUT",
            path="/v1/backups/schedule",
            handle=backups.set_schedule,
            action="backup.schedule",
            request=wire_backups.SetSchedule,
            response=wire_backups.Schedule,
            summary="Set when backups are made",
        ),
    ]


def _restores(admin: Any) -> list[Endpoint]:
    return [
        admin(
            method="POST",
            path=_INDEX + "/tenants/{tenant}/restore",
            handle=backups.restore_tenant,
            action="tenant.restore",
            request=wire_backups.RestoreTenant,
            response=wire_backups.Job,
            status=202,
            summary="Begin to restore a tenant",
        ),
        admin(
            method="POST",
            path=_INDEX + "/shards/{shard}/restore",
            handle=backups.restore_shard,
            action="shard.restore",
            request=wire_backups.RestoreShard,
            response=wire_backups.Job,
            status=202,
            summary="Begin to restore a shard's tenants",
        ),
        admin(
            method="GET",
            path=_INDEX + "/deleted",
            handle=backups.list_deleted,
            response=wire_backups.DeletedTenants,
            summary="List deleted tenants whose data are kept",
        ),
        admin(
            method="POST",
            path=_INDEX + "/tenants/{tenant}/undelete",
            handle=backups.undelete_tenant,
            action="tenant.undelete",
            response=wire.Tenant,
            summary="Bring a deleted tenant back",
        ),
    ]


def _jobs(admin: Any) -> list[Endpoint]:
    return [
        admin(
            method="GET",
            path="/v1/jobs",
            handle=backups.list_jobs,
            response=wire_backups.Jobs,
            summary="List the jobs of this gateway",
        ),
        admin(method="GET", path=_JOB, handle=backups.get_job, response=wire_backups.Job, summary="Describe a job"),
        admin(
            method="GET",
            path=_JOB + "/events",
            handle=backups.watch_job,
            response=wire_backups.Job,
            streams=True,
            summary="Watch a job (server-sent events)",
        ),
        admin(
            method="POST",
            path=_JOB + "/cancel",
            handle=backups.cancel_job,
            action="job.cancel",
            response=wire_backups.Job,
            patient=True,
            summary="Stop a job",
        ),
    ]
