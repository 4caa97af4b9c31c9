"""Restores many tenants: a shard's, or those of a whole cluster onto an empty catalog."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Sequence

import msgspec

from tenantry.backup.jobs import Job
from tenantry.backup.manifest import Entry, Manifest
from tenantry.backup.restore import Action, Planned, Restorer, Wanted
from tenantry.control.autopilot.record import HALT, POLICY
from tenantry.control.mover.context import Context
from tenantry.errors import Corrupt, NotFound, Refused
from tenantry.model.image import CatalogImage
from tenantry.model.topology import HISTORY, Shard, ShardState, TenantState, namespace_of

#: Setting that says which backup a cluster is being restored from; such a cluster cannot be opened.
RESTORING = "backup.restoring"
PARALLEL = 2
_GENERATION = re.compile(r"^(.*)~(\d+)$", re.DOTALL)
PAGE = 1_000


class Left(msgspec.Struct, frozen=True):
    """A tenant that was not restored, and why."""

    index: str
    tenant: str
    error: str


class RestoreReport(msgspec.Struct, frozen=True):
    """What was restored, or would be in a dry run."""

    backup: str
    taken_at: float
    tenants: list[Planned]
    failed: list[Left]
    dry_run: bool

    @property
    def records(self) -> int:
        """Of the tenants that are written."""
        return sum(one.records for one in self.tenants if one.action not in (Action.KEEP, Action.ATTACH))


class Layout(msgspec.Struct, frozen=True):
    """Other shards than those of the backup, the same for each index; without ``shards``, as the backup has them.

    Attributes:
        shards: how many, named ``shard-0``, ``shard-1``...
        backend: registered kind; options: as the shards' own.
        attach: tenants whose data are on their shard still stay as they are there.
        beside: what the shards hold already is left alone; without these two it is an error that they hold anything.
        skip_damaged: tenants whose data in the backup are damaged are left out.
    """

    shards: int | None = None
    backend: str = "embedded"
    options: dict[str, str] = {}
    attach: bool = False
    beside: bool = False
    skip_damaged: bool = False


async def carry_out(
    restorer: Restorer, work: Sequence[tuple[Entry, Planned, int]], wanted: Wanted, job: Job, *, go_on: bool
) -> list[Left]:
    """Restore tenants, a few at a time; with ``go_on`` those that fail for a damaged backup are left out."""
    waiting, left = deque(work), list[Left]()
    job.note(tenants=len(work))
    done = 0

    async def carry() -> None:
        nonlocal done
        while waiting:
            entry, planned, generation = waiting.popleft()
            if planned.action is not Action.KEEP:
                try:
                    await restorer.restore(entry, planned, wanted, generation=generation)
                except Corrupt as error:
                    if not go_on:
                        raise
                    left.append(Left(planned.index, planned.tenant, str(error)))
            done += 1
            job.note(
                tenants_done=done, records=job.progress.records + entry.records, bytes=job.progress.bytes + entry.bytes
            )

    async with asyncio.TaskGroup() as group:
        for _ in range(min(PARALLEL, len(work))):
            group.create_task(carry())
    return left


class Rebuilder:
    """Makes a cluster anew from a backup. A crash leaves a cluster that cannot be opened; the same call goes on with
    it: tenants that are there were compared whole before they were put to use."""

    def __init__(self, context: Context, restorer: Restorer, backends: Sequence[str]) -> None:
        self._context = context
        self._restorer = restorer
        self._backends = backends

    async def plan(
        self, manifest: Manifest, image: CatalogImage, entries: Sequence[Entry], layout: Layout
    ) -> RestoreReport:
        """What `run` would do, where the shards are not looked at. Raises Refused: the catalog is not empty."""
        await self._check_empty(manifest)
        names = {index.name: [one.name for one in _shards(image, index.name, layout)] for index in image.indexes}
        planned = [
            Planned(
                one.index,
                one.name,
                one.name,
                Action.CREATE,
                one.place.shard if layout.shards is None else "by policy",
                one.records,
                one.bytes,
            )
            for one in entries
            if one.index in names
        ]
        return RestoreReport(manifest.id, manifest.catalog_at, planned, [], True)

    async def run(
        self, manifest: Manifest, image: CatalogImage, entries: Sequence[Entry], layout: Layout, job: Job
    ) -> RestoreReport:
        """Restore everything. Raises Refused: the catalog or the shards are not empty; else as `Restorer.restore`."""
        catalog = self._context.catalog
        resumed = await self._check_empty(manifest)
        await catalog.settings.put(RESTORING, manifest.id)
        for name, value in image.settings.items():
            if name not in (RESTORING, HISTORY, POLICY, HALT):  # a restored cluster moves nothing by itself
                await catalog.settings.put(name, value)
        await self._make_shards(image, layout)
        found = await self._namespaces(image, layout)
        if found.newest and not (layout.attach or layout.beside or resumed):
            await self._give_up(image)
            shard = next(shard for shard, names in found.names.items() if names)
            raise Refused(
                f"shard {shard[1]!r} of index {shard[0]!r} holds {len(found.names[shard])} namespaces already: "
                "--attach keeps those that are as the backup's catalog says, --beside leaves all of them alone"
            )
        work = [await self._planned(entry, found, layout) for entry in entries]
        wanted = Wanted(skip=True)
        left = await carry_out(self._restorer, work, wanted, job, go_on=layout.skip_damaged)
        await self._finish(image, layout)
        await catalog.settings.put(RESTORING, None)
        return RestoreReport(manifest.id, manifest.catalog_at, [planned for _, planned, _ in work], left, False)

    async def _check_empty(self, manifest: Manifest) -> bool:
        """Whether an earlier restore of the same backup was cut off here. Raises Refused."""
        going = await self._context.catalog.settings.get(RESTORING)
        if going == manifest.id:
            return True
        if going is not None:
            raise Refused(f"a restore of backup {going} was cut off here; finish it: --backup {going}")
        if await self._context.catalog.indexes.list():
            raise Refused(
                "there is a cluster already: restore into an empty folder or database, "
                "or restore a tenant or shard of this one"
            )
        return False

    async def _make_shards(self, image: CatalogImage, layout: Layout) -> None:
        """Indexes, shards without limits and in use, keys."""
        catalog = self._context.catalog
        if layout.shards is not None and layout.backend not in self._backends:
            raise Refused(f"there is no backend {layout.backend!r}; there are {', '.join(self._backends)}")
        known = {index.name for index in await catalog.indexes.list()}
        for index in image.indexes:
            if index.name not in known:
                await catalog.indexes.create(index)
            there = {shard.name for shard in await catalog.shards.list(index.name)}
            for shard in _shards(image, index.name, layout):
                open_one = msgspec.structs.replace(
                    shard, state=ShardState.ACTIVE, max_tenants=None, max_vectors=None, tenants=0, copies=0
                )
                if shard.name not in there:
                    await catalog.shards.add(open_one)
            await self._context.pool.refresh(index.name)
        keys = {key.id for key in await catalog.keys.list()}
        for key in image.keys:
            if key.id not in keys:
                await catalog.keys.add(key)

    async def _give_up(self, image: CatalogImage) -> None:
        """An empty catalog again."""
        catalog = self._context.catalog
        for index in image.indexes:
            await self._context.pool.close_index(index.name)
            await catalog.indexes.update(msgspec.structs.replace(index, deletion_protection=False))
            await catalog.indexes.delete(index.name)
        await catalog.settings.put(RESTORING, None)

    async def _namespaces(self, image: CatalogImage, layout: Layout) -> _Found:
        """What each shard holds; each is reached before anything is written."""
        found = _Found()
        for index in image.indexes:
            for shard in _shards(image, index.name, layout):
                backend = await self._context.pool.backend(index.name, shard.name)
                await backend.probe()
                names: set[str] = set()
                after: str | None = None
                while page := await backend.namespaces(after, PAGE):
                    names.update(page)
                    after = page[-1]
                found.add(index.name, shard.name, names)
        return found

    async def _planned(self, entry: Entry, found: _Found, layout: Layout) -> tuple[Entry, Planned, int]:
        """A tenant that is there already stays; one whose namespace is there, and is the newest of its name, can be
        attached; any other gets a namespace newer than all that are there."""
        try:
            there = await self._context.catalog.tenants.get(entry.index, entry.name)
        except NotFound:
            there = None
        if there is not None and there.state is not TenantState.RESTORING:
            shard = there.route.place.shard
            kept = Planned(entry.index, entry.name, entry.name, Action.KEEP, shard, entry.records, entry.bytes)
            return entry, kept, there.generation
        newest = found.newest.get((entry.index, entry.name), 0)
        at_home = entry.place.namespace in found.names.get((entry.index, entry.place.shard), ())
        same = namespace_of(entry.name, max(newest, 1)) == entry.place.namespace
        action, generation = Action.CREATE, max(entry.generation, newest + 1)
        if layout.attach and layout.shards is None and at_home and same:
            action, generation = Action.ATTACH, newest
        shard = entry.place.shard
        if layout.shards is not None:
            shard = await self._restorer.chosen(entry)
        return (
            entry,
            Planned(entry.index, entry.name, entry.name, action, shard, entry.records, entry.bytes),
            generation,
        )

    async def _finish(self, image: CatalogImage, layout: Layout) -> None:
        """Limits and states of shards as they were."""
        for index in image.indexes:
            for shard in _shards(image, index.name, layout):
                try:
                    await self._context.catalog.shards.update(shard)
                except Refused:  # it was retired, and is not empty: a tenant was moved off it while it was backed up
                    still = msgspec.structs.replace(shard, state=ShardState.DRAINING)
                    await self._context.catalog.shards.update(still)
            await self._context.pool.refresh(index.name)


def _shards(image: CatalogImage, index: str, layout: Layout) -> list[Shard]:
    """The shards that an index is to have."""
    if layout.shards is None:
        return [shard for shard in image.shards if shard.index == index]
    return [
        Shard(index=index, name=f"shard-{number}", backend=layout.backend, options=dict(layout.options))
        for number in range(layout.shards)
    ]


class _Found:
    """Namespaces by index and shard, and the newest generation of each tenant on any shard."""

    def __init__(self) -> None:
        self.names: dict[tuple[str, str], set[str]] = {}
        self.newest: dict[tuple[str, str], int] = {}

    def add(self, index: str, shard: str, names: set[str]) -> None:
        """Note what a shard holds."""
        self.names[index, shard] = names
        for name in names:
            parts = _GENERATION.match(name)
            tenant, generation = (name, 1) if parts is None else (parts[1], int(parts[2]))
            self.newest[index, tenant] = max(generation, self.newest.get((index, tenant), 0))
