"""Tests a backup without restoring it, and clears away what no backup needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from tenantry.backup import lists
from tenantry.backup.columns import digest_of_columns, digest_of_segments
from tenantry.backup.jobs import Job
from tenantry.backup.manifest import BACKUPS, OBJECTS, Entry, Manifest
from tenantry.backup.retention import Retention, kept
from tenantry.backup.segments import unpack
from tenantry.backup.vault import Vault
from tenantry.control.mover.digest import NamespaceDigest, digest_of
from tenantry.errors import Corrupt, NotFound, TenantryError
from tenantry.model.blocks import Block

#: Problems that one report names.
MOST_TOLD = 1_000


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with a backup, and whose data it is; no tenant when it is the backup's own."""

    index: str
    tenant: str
    error: str


class VerifyReport(msgspec.Struct, frozen=True):
    """What was read and compared.

    Attributes:
        whole: nothing is wrong.
        faults: at most 1,000.
    """

    backup: str
    tenants: int
    records: int
    segments: int
    faults: list[Fault]

    @property
    def whole(self) -> bool:
        """Shorthand."""
        return not self.faults


async def verify(vault: Vault, id: str, job: Job) -> VerifyReport:
    """Read every object of a backup: SHA-256, decryption, Parquet, order of ids, and the digest of every tenant.
    Raises as `Vault.manifest`; everything else that is wrong is in the report."""
    await vault.about()
    manifest = await vault.manifest(id)
    job.note(tenants=manifest.totals.tenants, what=id)
    faults: list[Fault] = []
    tenants = records = segments = 0
    dimensions: dict[str, int] = {}
    try:
        image = await lists.image_of(vault, manifest)
        dimensions = {index.name: index.dimension for index in image.indexes}
    except Corrupt as error:
        faults.append(Fault("", "", f"the catalog: {error}"))
    for part in manifest.lists:
        try:
            entries: Sequence[Entry] = await lists.part_entries(vault, part)
        except Corrupt as error:
            faults.append(Fault(*part.first, f"{part.tenants} tenants from here to {part.last[1]!r}: {error}"))
            continue
        for entry in entries:
            try:
                await check_entry(vault, entry, dimensions.get(entry.index))
            except Corrupt as error:
                faults.append(Fault(entry.index, entry.name, str(error)))
            tenants += 1
            records += entry.records
            segments += len(entry.segments)
            job.note(tenants_done=tenants, records=records, bytes=job.progress.bytes + entry.bytes)
    return VerifyReport(manifest.id, tenants, records, segments, faults[:MOST_TOLD])


async def check_entry(vault: Vault, entry: Entry, dimension: int | None) -> None:
    """A tenant's segments against its digest. Raises Corrupt."""
    whole, last, records = NamespaceDigest(), "", 0
    for segment in entry.segments:
        data = await vault.get(segment.ref)
        what = f"object {segment.ref.name} in {vault.archive.where}"
        read = partial(_read, data, dimension, what, summed=entry.sums_records)
        block, digest = await vault.work(read)
        same = isinstance(digest, NamespaceDigest) or digest == segment.digest
        ordered = block.ids and block.ids[0] > last and block.ids == sorted(set(block.ids))
        if len(block) != segment.records or not ordered or not same:
            raise Corrupt(f"{what} does not hold the records that it should")
        last = block.ids[-1]
        records += len(block)
        if isinstance(digest, NamespaceDigest):
            whole.join(digest)
    told = whole.hex() if entry.sums_records else digest_of_segments(entry.segments)
    if records != entry.records or told != entry.digest:
        raise Corrupt(f"the segments of tenant {entry.name!r} do not add up to its digest")


def _read(data: bytes, dimension: int | None, what: str, *, summed: bool) -> tuple[Block, NamespaceDigest | str]:
    block = unpack(data, dimension, what)
    return block, digest_of_block(block) if summed else digest_of_columns(block)


def digest_of_block(block: Block) -> NamespaceDigest:
    """The sum of the digests of its records, as backups of format 1 have it."""
    digest = NamespaceDigest()
    for record in block.records():
        digest.add(digest_of(record))
    return digest


class PruneReport(msgspec.Struct, frozen=True):
    """What was removed, or would be in a dry run: backups, and objects that none of the others needs."""

    removed: list[str]
    kept: list[str]
    damaged: list[str]
    objects: int
    bytes: int
    dry_run: bool


async def prune(vault: Vault, retention: Retention, check: Callable[[], None], *, dry_run: bool) -> PruneReport:
    """Remove backups by age, then what no backup refers to. ``check`` raises when something else may write to the
    archive.

    A backup that cannot be read is neither counted nor removed, and while there is one no object is: it may need it.
    """
    await vault.about()
    readable: list[Manifest] = []
    damaged: list[str] = []
    for id in await vault.ids():
        try:
            readable.append(await vault.manifest(id))
        except (TenantryError, ValueError):
            damaged.append(id)
    keep = kept(readable, retention)
    removed = [one.id for one in readable if one.id not in keep]
    needed: set[str] = set()
    for manifest in readable:
        if manifest.id in keep:
            try:
                needed |= await _needed(vault, manifest)
            except Corrupt:
                damaged.append(manifest.id)
    check()
    if not dry_run:
        await _remove(vault, removed)
    objects, size = (0, 0) if damaged else await _sweep(vault, needed, dry_run=dry_run)
    return PruneReport(removed, sorted(keep), damaged, objects, size, dry_run)


async def _remove(vault: Vault, ids: Sequence[str]) -> None:
    """Manifests first: a crash leaves objects that nobody needs, never a backup without some of its own."""
    for id in ids:
        await vault.archive.delete(f"{BACKUPS}{id}.json")
    await vault.archive.flush()
    await vault.drop_journals()


async def _sweep(vault: Vault, needed: set[str], *, dry_run: bool) -> tuple[int, int]:
    """Remove objects that nothing needs; how many, and their bytes."""
    objects = size = 0
    async for one in vault.archive.list(OBJECTS):
        if one.name not in needed:
            objects, size = objects + 1, size + one.size
            if not dry_run:
                await vault.archive.delete(one.name)
    return objects, size


async def _needed(vault: Vault, manifest: Manifest) -> set[str]:
    names = {manifest.catalog.name, *(part.ref.name for part in manifest.lists)}
    async for entry in lists.entries_of(vault, manifest):
        names.update(segment.ref.name for segment in entry.segments)
    return names


async def remove(vault: Vault, id: str) -> None:
    """Remove one backup; its objects go with the next `prune`. Raises NotFound."""
    if id not in await vault.ids():
        raise NotFound("backup", id, f"in {vault.archive.where}; see `tenantry backup list`")
    await vault.archive.delete(f"{BACKUPS}{id}.json")
