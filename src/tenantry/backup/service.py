"""What can be asked of backups, in one place: which archive, which backup, one writer at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec

from tenantry.backup import lists
from tenantry.backup.create import CreateOptions, Creator, check_options
from tenantry.backup.jobs import Job
from tenantry.backup.manifest import Entry, Manifest, Scope, check_backup_id
from tenantry.backup.rebuild import Layout, Rebuilder, RestoreReport, carry_out
from tenantry.backup.restore import Planned, Restorer, Wanted
from tenantry.backup.retention import Retention
from tenantry.backup.schedule import SETTING, Schedule, check_retention, check_schedule
from tenantry.backup.vault import Cipher, Vault
from tenantry.backup.verify import PruneReport, VerifyReport, prune, remove, verify
from tenantry.control.mover.context import Context
from tenantry.control.mover.watch import LeaseWatch
from tenantry.errors import Conflict, Corrupt, InvalidArgument, NotFound, Refused, TenantryError
from tenantry.model.limits import check_tenant_name
from tenantry.ports import Archive

LEASE = "backup"
CLUSTER = "backup.cluster"
#: How often a lease that somebody else holds is looked at, and for how many lengths of a lease.
LOOKS, LEASES = 4, 2


class Listed(msgspec.Struct, frozen=True):
    """A backup in a list; ``error`` says why it cannot be read, then there is no manifest."""

    id: str
    manifest: Manifest | None
    error: str | None = None


class BackupService:
    """Of one process.

    Args:
        open_archive: makes the archive of a URL or folder; None is the one of the settings. Raises InvalidArgument.
        key: of archives; None for none.
        token: that many random bytes as hexadecimal.
    """

    def __init__(
        self,
        context: Context,
        open_archive: Callable[[str | None], Archive],
        key: Callable[[], bytes | None],
        token: Callable[[int], str],
        backends: Sequence[str],
    ) -> None:
        self._context = context
        self._open_archive = open_archive
        self._key = key
        self._token = token
        self._backends = backends
        self._watch = LeaseWatch(context.clock)
        self._writing = False

    # ---------------------------------------------------------------------------------------- make

    async def create(self, archive: str | None, scope: Scope, options: CreateOptions, job: Job) -> Manifest:
        """See `Creator.run`. Raises Refused, too, while another backup is made or pruned."""
        check_options(options)
        _check_scope(scope)
        async with self._open(archive) as vault, self._writer() as check:
            cluster: str = await self._context.catalog.settings.put_if_absent(CLUSTER, self._token(8))
            creator = Creator(self._context, vault, cluster, scope, options)
            return await creator.run(job, self._token(3), check)

    async def verify(self, archive: str | None, id: str | None, job: Job) -> VerifyReport:
        """Read all of a backup, by default the newest, and compare it with its digests."""
        async with self._open(archive) as vault:
            return await verify(vault, await self._id(vault, id), job)

    async def prune(self, archive: str | None, retention: Retention, *, dry_run: bool) -> PruneReport:
        """Remove old backups and what nothing needs."""
        check_retention(retention)
        async with self._open(archive) as vault, self._writer() as check:
            return await prune(vault, retention, check, dry_run=dry_run)

    async def remove(self, archive: str | None, id: str) -> None:
        """Remove one backup. Raises NotFound."""
        check_backup_id(id)
        async with self._open(archive) as vault, self._writer():
            await vault.about()
            await remove(vault, id)

    async def list(self, archive: str | None) -> list[Listed]:
        """Every backup that is there, newest first; one that cannot be read with the reason."""
        async with self._open(archive) as vault:
            await vault.about()
            found: list[Listed] = []
            for id in reversed(await vault.ids()):
                try:
                    found.append(Listed(id, await vault.manifest(id)))
                except (Corrupt, Refused, InvalidArgument) as error:
                    found.append(Listed(id, None, str(error)))
            return found

    async def get(self, archive: str | None, id: str) -> Manifest:
        """One. Raises NotFound, Corrupt."""
        async with self._open(archive) as vault:
            await vault.about()
            return await vault.manifest(id)

    # ------------------------------------------------------------------------------------- restore

    async def restore_tenant(
        self,
        archive: str | None,
        source: tuple[str, str],
        target: tuple[str, str],
        wanted: Wanted,
        job: Job,
        *,
        id: str | None = None,
        as_of: float | None = None,
        dry_run: bool = False,
    ) -> RestoreReport:
        """One tenant, as ``target`` (index, name), from a backup: by id, or the newest at or before a time.
        Raises NotFound: no backup has it; else as `Restorer.plan` and `Restorer.restore`."""
        check_tenant_name(target[1], self._context.limits)
        async with self._open(archive) as vault:
            await vault.about()
            manifest, entry = await self._holding(vault, source, id, as_of)
            restorer = Restorer(self._context, vault)
            image = await lists.image_of(vault, manifest)
            await restorer.check_index(image, source[0], target[0])
            planned = await restorer.plan(entry, *target, wanted)
            left = []
            if not dry_run:
                job.note(what=f"tenant {source[1]} of backup {manifest.id}")
                left = await carry_out(restorer, [(entry, planned, 1)], wanted, job, go_on=False)
            return RestoreReport(manifest.id, entry.instant, [planned], left, dry_run)

    async def restore_shard(
        self,
        archive: str | None,
        index: str,
        shard: str,
        wanted: Wanted,
        job: Job,
        *,
        id: str | None = None,
        as_of: float | None = None,
        dry_run: bool = False,
    ) -> RestoreReport:
        """Every tenant that was on a shard when the backup was made, to it, or to ``wanted.shard``; those that are
        there with data stay, unless they are to be replaced."""
        async with self._open(archive) as vault:
            await vault.about()
            restorer = Restorer(self._context, vault)
            manifest = await self._manifest(vault, id, as_of, Scope(index, shard))
            image = await lists.image_of(vault, manifest)
            await restorer.check_index(image, index, index)
            chosen = [one async for one in lists.entries_of(vault, manifest)]
            chosen = [one for one in chosen if one.index == index and one.place.shard == shard]
            if not chosen and all((one.index, one.name) != (index, shard) for one in image.shards):
                raise NotFound("shard", shard, f"in backup {manifest.id}")
            to = wanted if wanted.replace else msgspec.structs.replace(wanted, skip=True)
            work = [(one, await restorer.plan(one, one.index, one.name, to), 1) for one in chosen]
            planned: list[Planned] = [each for _, each, _ in work]
            if dry_run:
                return RestoreReport(manifest.id, manifest.catalog_at, planned, [], True)
            job.note(what=f"shard {shard} of backup {manifest.id}")
            left = await carry_out(restorer, work, to, job, go_on=True)
            return RestoreReport(manifest.id, manifest.catalog_at, planned, left, False)

    async def restore_cluster(
        self,
        archive: str | None,
        layout: Layout,
        job: Job,
        *,
        id: str | None = None,
        as_of: float | None = None,
        dry_run: bool = False,
    ) -> RestoreReport:
        """Everything, onto an empty catalog."""
        async with self._open(archive) as vault:
            if await vault.about() is None:
                raise NotFound("archive", vault.archive.where, "there is no backup in it")
            manifest = await self._manifest(vault, id, as_of, Scope())
            image = await lists.image_of(vault, manifest)
            entries: list[Entry] = [one async for one in lists.entries_of(vault, manifest)]
            rebuilder = Rebuilder(self._context, Restorer(self._context, vault), self._backends)
            job.note(what=f"backup {manifest.id}")
            if dry_run:
                return await rebuilder.plan(manifest, image, entries, layout)
            return await rebuilder.run(manifest, image, entries, layout, job)

    async def _manifest(self, vault: Vault, id: str | None, as_of: float | None, scope: Scope) -> Manifest:
        """A backup that covers a scope. Raises NotFound, Corrupt."""
        if id is not None:
            manifest = await vault.manifest(id)
            if not _covers(manifest.scope, scope):
                raise Refused(f"backup {id} holds {manifest.scope}, not {scope}")
            return manifest
        async for manifest in self._candidates(vault, as_of):
            if _covers(manifest.scope, scope):
                return manifest
        raise NotFound("backup", str(scope), _hint(vault, as_of))

    async def _holding(
        self, vault: Vault, source: tuple[str, str], id: str | None, as_of: float | None
    ) -> tuple[Manifest, Entry]:
        """A backup that has a tenant. Raises NotFound, Corrupt."""
        if id is not None:
            manifest = await vault.manifest(id)
            entry = await lists.find(vault, manifest, *source)
            if entry is None:
                raise NotFound("tenant", source[1], f"in index {source[0]!r} of backup {id}")
            return manifest, entry
        async for manifest in self._candidates(vault, as_of):
            entry = await lists.find(vault, manifest, *source)
            if entry is not None:
                return manifest, entry
        raise NotFound("tenant", source[1], f"in index {source[0]!r} of any backup; {_hint(vault, as_of)}")

    async def _candidates(self, vault: Vault, as_of: float | None) -> AsyncIterator[Manifest]:
        """Newest first. One that cannot be read is an error, not a reason to take an older one in silence."""
        for id in reversed(await vault.ids()):
            manifest = await vault.manifest(id)
            if as_of is None or manifest.finished_at <= as_of:
                yield manifest

    async def _id(self, vault: Vault, id: str | None) -> str:
        if id is not None:
            return check_backup_id(id)
        ids = await vault.ids()
        if not ids:
            raise NotFound("backup", "the newest", f"{vault.archive.where} holds none")
        return ids[-1]

    # ------------------------------------------------------------------------------------ schedule

    async def schedule(self) -> Schedule | None:
        """What is set; None for nothing."""
        raw = await self._context.catalog.settings.get(SETTING)
        return None if raw is None else msgspec.convert(raw, Schedule)

    async def set_schedule(self, schedule: Schedule | None) -> None:
        """For all gateways of the cluster. Raises InvalidArgument."""
        if schedule is not None:
            check_schedule(schedule)
            await self._open_archive(schedule.archive).aclose()
        await self._context.catalog.settings.put(SETTING, None if schedule is None else msgspec.to_builtins(schedule))

    async def make_due(self, run: Callable[[Schedule], Any]) -> bool:
        """Have ``run`` make a scheduled backup, if one is due and nobody else makes one; whether it was. Raises what
        it raises."""
        schedule = await self.schedule()
        if schedule is None or self._writing:
            return False
        async with self._open(schedule.archive) as vault:
            about = await vault.about()
            for id in reversed(await vault.ids() if about is not None else []):
                manifest = await vault.manifest(id)
                if manifest.scope == Scope():
                    if self._context.clock.now() < manifest.finished_at + schedule.every_s:
                        return False
                    break
        try:
            await run(schedule)
        except Refused as refused:
            if "is being written" in str(refused):
                return False
            raise
        return True

    # --------------------------------------------------------------------------------------- parts

    @asynccontextmanager
    async def _open(self, archive: str | None) -> AsyncIterator[Vault]:
        key = self._key()
        vault = Vault(self._open_archive(archive), None if key is None else Cipher(key))
        try:
            yield vault
        finally:
            await vault.aclose()

    @asynccontextmanager
    async def _writer(self) -> AsyncIterator[Callable[[], None]]:
        """One writer of backups in a cluster at a time; gives what raises Conflict when it is not this one any more.
        Raises Refused."""
        if self._writing:
            raise Refused("an archive is being written by this process: wait until that is done")
        self._writing = True
        try:
            fence = await self._claim()

            def check() -> None:
                if not self._context.member.owns(LEASE, fence):
                    raise Conflict("the lease of the writer was lost, so another process may write; repeat the command")

            yield check
        finally:
            self._writing = False
            if not self._context.member.sole:
                with suppress(TenantryError):  # it will lapse
                    await self._context.catalog.leases.release(LEASE, self._context.member.owner)

    async def _claim(self) -> int:
        """The lease of the writer, after its last owner's, if that one is gone. Raises Refused."""
        context, member = self._context, self._context.member
        if member.sole:
            return 0
        await member.join()
        for _ in range(LOOKS * LEASES):
            lease = await context.catalog.leases.get(LEASE)
            held = lease is not None and lease.owner not in (None, member.owner)
            if not held or (lease is not None and self._watch.unchanged_s(lease) > member.lease_s):
                try:
                    mine = await context.catalog.leases.claim(LEASE, member.owner, lease)
                except Conflict:
                    break  # somebody was quicker
                member.claimed(LEASE, mine.fence)
                return mine.fence
            await asyncio.shield(context.clock.sleep(member.lease_s / LOOKS))
        raise Refused("an archive is being written by another process of this cluster: wait until that is done")


def _check_scope(scope: Scope) -> None:
    if scope.index is None and (scope.shard is not None or scope.tenant is not None):
        raise InvalidArgument("index", None, "the index of that shard or tenant")
    if scope.shard is not None and scope.tenant is not None:
        raise InvalidArgument("tenant", scope.tenant, "a shard or a tenant, not both")


def _covers(has: Scope, wanted: Scope) -> bool:
    return (
        has.index in (None, wanted.index)
        and has.shard in (None, wanted.shard)
        and has.tenant in (None, wanted.tenant)
        and (wanted.index is not None or has == Scope())
    )


def _hint(vault: Vault, as_of: float | None) -> str:
    before = "" if as_of is None else " that was finished by then"
    return f"{vault.archive.where} has no backup{before} that holds it; see `tenantry backup list`"
