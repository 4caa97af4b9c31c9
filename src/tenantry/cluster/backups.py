"""Backups of a cluster: made, listed, tested, pruned, restored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from tenantry.backup.create import CreateOptions
from tenantry.backup.jobs import Job, Jobs
from tenantry.backup.manifest import Manifest, Scope
from tenantry.backup.rebuild import Layout, RestoreReport
from tenantry.backup.restore import Wanted
from tenantry.backup.retention import Retention
from tenantry.backup.schedule import Schedule, Scheduler
from tenantry.backup.service import BackupService, Listed
from tenantry.backup.verify import PruneReport, VerifyReport
from tenantry.cluster.recording import recorded
from tenantry.model.topology import DEFAULT_INDEX


class BackupAdmin:
    """Operations on backups. ``archive`` is a folder or ``s3://bucket/prefix``; default: ``TENANTRY_BACKUP_URL``.

    Each long operation has two forms: `start_...` returns a job at once, and the plain one waits for its result. A
    caller who is cancelled while he waits stops the job.
    """

    def __init__(self, service: BackupService, jobs: Jobs, scheduler: Scheduler) -> None:
        self._service = service
        self._jobs = jobs
        self._scheduler = scheduler

    def start_create(
        self,
        archive: str | None = None,
        *,
        index: str | None = None,
        shard: str | None = None,
        tenant: str | None = None,
        full: bool = False,
        parallel: int | None = None,
        rate: float | None = None,
    ) -> Job:
        """Begin to back up everything, an index, a shard or a tenant of it.

        Args:
            full: read every tenant anew, also those that have not changed, and compare what is stored.
            parallel: tenants that are read at once, 1 to 32; default 2.
            rate: most records read a second; default: as fast as the load on the shards allows.
        """
        scope = Scope(index if index is not None or (shard, tenant) == (None, None) else DEFAULT_INDEX, shard, tenant)
        options = CreateOptions(full, CreateOptions().parallel if parallel is None else parallel, rate)
        return self._jobs.start("backup", lambda job: self._service.create(archive, scope, options, job))

    @recorded("backup.create")
    async def create(self, archive: str | None = None, **options: Any) -> Manifest:
        """As `start_create`; the backup, once it is there.

        Raises:
            InvalidArgument: an option, the archive. NotFound: the scope names nothing.
            Refused: the archive is another cluster's, or has another key; or a backup is being made.
            StorageFailed, Unavailable: the archive or a shard is in trouble; no backup was made then.
        """
        made: Manifest = await self._jobs.wait(self.start_create(archive, **options).id)
        return made

    def start_verify(self, archive: str | None = None, id: str | None = None) -> Job:
        """Begin to read all of a backup (default: the newest) and to compare it with its checksums and digests."""
        return self._jobs.start("verify", lambda job: self._service.verify(archive, id, job))

    async def verify(self, archive: str | None = None, id: str | None = None) -> VerifyReport:
        """As `start_verify`; what was found. Raises NotFound; Corrupt: not even the manifest can be read; Refused."""
        report: VerifyReport = await self._jobs.wait(self.start_verify(archive, id).id)
        return report

    def start_prune(self, archive: str | None = None, retention: Retention | None = None, dry_run: bool = False) -> Job:
        """Begin to remove old backups, and what no other needs."""
        chosen = retention or Retention()
        return self._jobs.start("prune", lambda job: self._service.prune(archive, chosen, dry_run=dry_run))

    @recorded("backup.prune")
    async def prune(
        self, archive: str | None = None, retention: Retention | None = None, *, dry_run: bool = False
    ) -> PruneReport:
        """As `start_prune`; what was removed. Raises InvalidArgument, Refused."""
        report: PruneReport = await self._jobs.wait(self.start_prune(archive, retention, dry_run).id)
        return report

    @recorded("backup.delete", subject="id")
    async def remove(self, id: str, archive: str | None = None) -> None:
        """Remove one backup; its objects go with the next `prune`. Raises InvalidArgument, NotFound, Refused."""
        await self._service.remove(archive, id)

    async def list(self, archive: str | None = None) -> list[Listed]:
        """Every backup, newest first; one that cannot be read is listed with the reason."""
        return await self._service.list(archive)

    async def get(self, id: str, archive: str | None = None) -> Manifest:
        """One backup. Raises InvalidArgument, NotFound, Corrupt, Refused."""
        return await self._service.get(archive, id)

    def start_restore_tenant(
        self,
        tenant: str,
        archive: str | None = None,
        *,
        index: str = DEFAULT_INDEX,
        backup: str | None = None,
        as_of: float | None = None,
        name: str | None = None,
        into: str | None = None,
        shard: str | None = None,
        replace: bool = False,
        dry_run: bool = False,
    ) -> Job:
        """Begin to restore a tenant.

        Args:
            backup: its id; default: the newest that has the tenant, finished at or before ``as_of`` (Unix seconds).
            name: under another name; into: into another index of the same dimension and metric.
            shard: to this shard, of whatever backend; default: where it was, or where the policy places it.
            replace: replace one that is there; its old data are kept for 7 days (`MoveAdmin.copies`).
            dry_run: only say what would be done.
        """
        source, target = (index, tenant), (into or index, name or tenant)
        wanted = Wanted(replace=replace, shard=shard)
        return self._jobs.start(
            "restore",
            lambda job: self._service.restore_tenant(
                archive, source, target, wanted, job, id=backup, as_of=as_of, dry_run=dry_run
            ),
        )

    @recorded("tenant.restore", tenant="tenant")
    async def restore_tenant(self, tenant: str, archive: str | None = None, **options: Any) -> RestoreReport:
        """As `start_restore_tenant`; what was restored. On any error the cluster is as it was before.

        Raises:
            NotFound: no backup has it; no such shard or index. AlreadyExists: it is there, and is not to be replaced.
            InvalidArgument: another dimension or metric. CapacityExceeded, Refused: the shard does not take it.
            Corrupt: the backup is damaged; names the object. StorageFailed, Unavailable: something is in trouble.
        """
        report: RestoreReport = await self._jobs.wait(self.start_restore_tenant(tenant, archive, **options).id)
        return report

    def start_restore_shard(
        self,
        shard: str,
        archive: str | None = None,
        *,
        index: str = DEFAULT_INDEX,
        backup: str | None = None,
        as_of: float | None = None,
        to: str | None = None,
        replace: bool = False,
        dry_run: bool = False,
    ) -> Job:
        """Begin to restore every tenant that was on a shard. Those whose data are lost get the backup's; those that
        have data stay as they are, or are replaced with ``replace``. Other options as `start_restore_tenant`."""
        wanted = Wanted(replace=replace, shard=to)
        return self._jobs.start(
            "restore",
            lambda job: self._service.restore_shard(
                archive, index, shard, wanted, job, id=backup, as_of=as_of, dry_run=dry_run
            ),
        )

    @recorded("shard.restore", shard="shard")
    async def restore_shard(self, shard: str, archive: str | None = None, **options: Any) -> RestoreReport:
        """As `start_restore_shard`; tenants whose backup is damaged are named in the report. Raises as
        `restore_tenant`."""
        report: RestoreReport = await self._jobs.wait(self.start_restore_shard(shard, archive, **options).id)
        return report

    def start_restore_cluster(
        self,
        archive: str | None = None,
        layout: Layout | None = None,
        *,
        id: str | None = None,
        as_of: float | None = None,
        dry_run: bool = False,
    ) -> Job:
        """Begin to restore everything; for a cluster that `tenantry.wiring.restoring_cluster` has opened."""
        chosen = layout or Layout()
        return self._jobs.start(
            "restore",
            lambda job: self._service.restore_cluster(archive, chosen, job, id=id, as_of=as_of, dry_run=dry_run),
        )

    @recorded("cluster.restore")
    async def restore_cluster(
        self, archive: str | None = None, layout: Layout | None = None, **options: Any
    ) -> RestoreReport:
        """As `start_restore_cluster`; what was restored. Raises Refused: there is a cluster already, or the shards hold
        data; else as `restore_tenant`."""
        report: RestoreReport = await self._jobs.wait(self.start_restore_cluster(archive, layout, **options).id)
        return report

    async def schedule(self) -> Schedule | None:
        """When backups are made by themselves; None for never."""
        return await self._service.schedule()

    @recorded("backup.schedule")
    async def set_schedule(self, schedule: Schedule | None) -> None:
        """Have the gateways make backups of everything by themselves, and prune after each. Raises InvalidArgument."""
        await self._service.set_schedule(schedule)

    def run_schedule(self) -> None:
        """Make backups when they are due, from now on, until the cluster is closed."""
        self._scheduler.start()

    def job(self, id: str) -> Job:
        """One job of this process. Raises NotFound."""
        return self._jobs.get(id)

    def jobs(self) -> Sequence[Job]:
        """The jobs of this process, newest first."""
        return self._jobs.list()

    @recorded("job.cancel", subject="id")
    async def cancel(self, id: str) -> Job:
        """Stop a job. A restore that is stopped leaves the cluster as it was. Raises NotFound."""
        return await self._jobs.cancel(id)

    async def watch(self, id: str) -> AsyncIterator[Job]:
        """A job as it stands, then after each change, until it has ended. Raises NotFound."""
        async for job in self._jobs.watch(id):
            yield job

    async def wait(self, id: str) -> Any:
        """A job's result. Raises what it failed with."""
        return await self._jobs.wait(id)

    async def aclose(self) -> None:
        """Stop all jobs; safe to call twice."""
        await self._scheduler.aclose()
        await self._jobs.aclose()


def scheduled(service: BackupService, jobs: Jobs) -> Any:
    """What the scheduler calls: a backup and a prune, as jobs that can be looked at."""

    async def run(schedule: Schedule) -> None:
        options = CreateOptions()
        made = jobs.start("backup", lambda job: service.create(schedule.archive, Scope(), options, job))
        await jobs.wait(made.id)
        pruned = jobs.start("prune", lambda job: service.prune(schedule.archive, schedule.retention, dry_run=False))
        await jobs.wait(pruned.id)

    return lambda: service.make_due(run)


def as_retention(**given: int | None) -> Retention:
    """The default retention with what was given (not None) in place of it."""
    return msgspec.structs.replace(Retention(), **{name: value for name, value in given.items() if value is not None})
