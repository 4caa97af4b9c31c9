"""Makes backups."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec

from tenantry.backup import lists
from tenantry.backup.dump import SHARE, Dumper
from tenantry.backup.jobs import Job
from tenantry.backup.manifest import (
    FORMAT,
    JOURNAL,
    Consistency,
    Entry,
    Gone,
    Journal,
    Manifest,
    Scope,
    Totals,
    backup_id,
    encoded,
)
from tenantry.backup.vault import Vault
from tenantry.control.mover.context import Context
from tenantry.errors import InvalidArgument, NotFound
from tenantry.model.image import CatalogImage
from tenantry.model.limits import check_count
from tenantry.model.topology import Tenant, TenantState
from tenantry.version import __version__

MOST_PARALLEL = 32
#: What is done is noted that often, seconds.
NOTE_S = 5.0
LEFT_OUT = (TenantState.RESTORING, TenantState.DELETING)


class CreateOptions(msgspec.Struct, frozen=True):
    """How a backup is made.

    Attributes:
        full: read every tenant, also those that cannot have changed, and compare what is stored already.
        parallel: tenants that are read at once, 1 to 32.
        rate: most records read a second, over all of them; None: as fast as the load on the shards allows.
    """

    full: bool = False
    parallel: int = 2
    rate: float | None = None


def check_options(options: CreateOptions) -> None:
    """Raises InvalidArgument."""
    check_count(options.parallel, "parallel", 1, MOST_PARALLEL)
    if options.rate is not None and not 0.1 <= options.rate <= 1e9:
        raise InvalidArgument("rate", options.rate, "0.1 to 1e9 records a second")


class Creator:
    """Makes one backup. A crash at any point leaves objects and a journal, which the next backup uses: it does not
    read again what cannot have changed, nor store again what is stored."""

    def __init__(self, context: Context, vault: Vault, cluster: str, scope: Scope, options: CreateOptions) -> None:
        self._context = context
        self._vault = vault
        self._cluster = cluster
        self._scope = scope
        self._options = options
        rate = None if options.rate is None else options.rate / options.parallel
        share = SHARE / options.parallel
        self._dumper = Dumper(context, vault, rate=rate, recheck=options.full, share=share)
        self._entries: list[Entry] = []
        self._gone: list[Gone] = []
        self._reused = 0
        self._noted = 0
        self._notes = 0
        self._noted_at = 0.0

    async def run(self, job: Job, token: str, check: Callable[[], None]) -> Manifest:
        """The backup, when it is there. ``check`` raises when another process may write to the archive.

        Raises:
            NotFound: the scope names nothing.
            Refused: the archive is another cluster's, or has another key.
            Corrupt: a shard's data are damaged. Unavailable, StorageFailed: a shard or the archive is in trouble.
        """
        vault, clock = self._vault, self._context.clock
        await vault.claim(self._cluster)
        await vault.look()
        base = {} if self._options.full else await lists.newest(vault)
        catalog_at = clock.now()
        image = await self._context.catalog.image()
        chosen = self._chosen(image)
        self._dumper.progressed = lambda: self._tell(job)
        job.note(tenants=len(chosen), what=str(self._scope))
        self._noted_at = clock.monotonic()
        await self._all(chosen, base, job, token)
        await self._context.faults.reach("backup.dumped")
        catalog, _ = await lists.store(vault, image)
        parts = await lists.store_parts(vault, self._entries)
        finished = clock.now()
        manifest = Manifest(
            format=FORMAT,
            id=backup_id(finished, token),
            cluster=self._cluster,
            scope=self._scope,
            catalog_at=catalog_at,
            finished_at=finished,
            version=__version__,
            key_id=vault.key_id,
            catalog=catalog,
            lists=parts,
            totals=self._totals(),
            gone=self._gone,
        )
        await self._context.faults.reach("backup.before-manifest")
        check()
        sealed = await vault.publish(manifest)
        await self._context.faults.reach("backup.published")
        await vault.drop_journals()
        return sealed

    def _chosen(self, image: CatalogImage) -> list[Tenant]:
        scope = self._scope
        if scope.index is not None and all(one.name != scope.index for one in image.indexes):
            raise NotFound("index", scope.index)
        if scope.shard is not None and all((one.index, one.name) != (scope.index, scope.shard) for one in image.shards):
            raise NotFound("shard", scope.shard, f"see `tenantry shard list --index {scope.index}`")
        chosen = [one for one in image.tenants if scope.covers(one.index, one.name, one.route.place.shard)]
        if scope.tenant is not None and not chosen:
            raise NotFound("tenant", scope.tenant)
        self._gone += [Gone(one.index, one.name, f"it was {one.state}") for one in chosen if one.state in LEFT_OUT]
        return [one for one in chosen if one.state not in LEFT_OUT]

    async def _all(self, chosen: list[Tenant], base: dict[tuple[str, str], Entry], job: Job, token: str) -> None:
        waiting = deque(chosen)

        async def work() -> None:
            while waiting:
                tenant = waiting.popleft()
                await self._one(tenant, base.get((tenant.index, tenant.name)))
                self._tell(job)
                if self._context.clock.monotonic() - self._noted_at >= NOTE_S:
                    await self._note(token)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._options.parallel, len(chosen))):
                group.create_task(work())

    async def _one(self, tenant: Tenant, base: Entry | None) -> None:
        if base is not None and base.generation <= tenant.generation and await self._dumper.unchanged(tenant, base):
            same = msgspec.structs.replace(
                base,
                state=TenantState.ACTIVE if tenant.state is TenantState.CREATING else tenant.state,
                spec=tenant.spec,
                created_at=tenant.created_at,
                generation=tenant.generation,
                instant=self._context.clock.now(),
                took_s=0.0,
            )
            self._entries.append(same)
            self._reused += 1
            return
        try:
            self._entries.append(await self._dumper.dump(tenant))
        except NotFound as error:
            if error.kind != "tenant":
                raise
            self._gone.append(Gone(tenant.index, tenant.name, "it was deleted while the backup was made"))
        await self._context.faults.reach("backup.tenant-done")

    async def _note(self, token: str) -> None:
        """Put on record what is done, for the case that this does not end well."""
        self._noted_at = self._context.clock.monotonic()
        some = self._entries[self._noted :]
        if not some:
            return
        self._noted += len(some)
        self._notes += 1
        ref, _ = await lists.store(self._vault, some)
        await self._vault.archive.flush()
        await self._vault.archive.put(f"{JOURNAL}{token}/{self._notes:06}.json", encoded(Journal(FORMAT, ref)))

    def _tell(self, job: Job) -> None:
        sums = self._dumper.sums
        job.note(
            tenants_done=len(self._entries) + len(self._gone),
            reused=self._reused,
            records=sums.read_records,
            bytes=sums.read_bytes,
            written_bytes=sums.written_bytes,
        )

    def _totals(self) -> Totals:
        entries = self._entries
        return Totals(
            tenants=len(entries),
            records=sum(one.records for one in entries),
            bytes=sum(one.bytes for one in entries),
            stored_bytes=sum(segment.ref.size for one in entries for segment in one.segments),
            written_bytes=self._dumper.sums.written_bytes,
            reused=self._reused,
            fuzzy=sum(one.consistency is Consistency.FUZZY for one in entries),
        )
