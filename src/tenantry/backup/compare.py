"""What a backup holds of a tenant, and whether a namespace holds the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from tenantry.backup.columns import digest_of_columns
from tenantry.backup.dump import Pages, reading
from tenantry.backup.manifest import Entry, Segment
from tenantry.backup.segments import unpack
from tenantry.backup.vault import Vault
from tenantry.backup.verify import digest_of_block
from tenantry.control.mover.context import Context
from tenantry.control.mover.digest import NamespaceDigest, alike
from tenantry.errors import Diverged
from tenantry.model.blocks import Block, joined
from tenantry.ports import Index, VectorBackend

READ_PAGE = 512


async def blocks(vault: Vault, entry: Entry, dimension: int) -> AsyncIterator[Block]:
    """Segment after segment of a backup; the next one is fetched while one is used. Raises Corrupt."""
    following: asyncio.Task[Block] | None = None
    try:
        for number, segment in enumerate(entry.segments):
            block = await (following or _unpacked(vault, segment, dimension))
            more = entry.segments[number + 1 : number + 2]
            following = asyncio.create_task(_unpacked(vault, more[0], dimension)) if more else None
            yield block
    finally:
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def _unpacked(vault: Vault, segment: Segment, dimension: int) -> Block:
    data = await vault.get(segment.ref)
    what = f"object {segment.ref.name} in {vault.archive.where}"
    return await vault.work(lambda: unpack(data, dimension, what))


class Comparison:
    """Compares every record of a backup of a tenant with what a namespace gives back."""

    def __init__(self, context: Context, vault: Vault, entry: Entry, dimension: int) -> None:
        self._context, self._vault = context, vault
        self._entry, self._dimension = entry, dimension

    async def with_namespace(self, backend: VectorBackend, handle: Index) -> None:
        """Raises Diverged: it does not hold the same."""
        features = backend.features
        await self._context.clock.sleep(features.visible_s)
        if not features.exact_values:
            await self._one_by_one(handle)
            return
        async with reading(handle, features, self._dimension) as source:
            await (self._by_sum(source) if self._entry.sums_records else self._by_segment(source))

    async def _by_segment(self, source: Pages) -> None:
        """Each segment's columns, which are read back in the backup's order. Where their digest is another, records
        are compared, for engines may spell metadata otherwise."""
        held: Block | None = None
        cursor: str | None = None
        ended = False
        checked: asyncio.Future[None] | None = None
        try:
            for segment in self._entry.segments:
                parts, count = ([], 0) if held is None else ([held], len(held))
                while count < segment.records and not ended:
                    page = await source.page(cursor, READ_PAGE)
                    parts.append(page)
                    count += len(page)
                    cursor, ended = page.cursor, page.cursor is None
                if count < segment.records:
                    raise self._diverged(f"ends before record {segment.last!r}")
                # A page that goes over the end of the segment is the beginning of the next one.
                over = count - segment.records
                here = len(parts[-1]) - over
                held = parts[-1].part(here, len(parts[-1]))
                parts[-1] = parts[-1].part(0, here)
                if checked is not None:
                    await checked
                checked = asyncio.ensure_future(self._check(segment, parts))
            if checked is not None:
                await checked
            if not ended and not held:
                held = await source.page(cursor, READ_PAGE)
            if held:
                raise self._diverged(f"has a record {held.ids[0]!r} of which the backup knows nothing")
        finally:
            if checked is not None:
                checked.cancel()
                await asyncio.gather(checked, return_exceptions=True)

    async def _check(self, segment: Segment, parts: Sequence[Block]) -> None:
        def look() -> tuple[Block, str]:
            whole = joined(parts)
            return whole, digest_of_columns(whole)

        found, digest = await self._vault.work(look)
        if digest == segment.digest:
            return
        wanted = await _unpacked(self._vault, segment, self._dimension)
        different = await self._vault.work(lambda: _first_difference(wanted, found))
        if different is not None:
            raise self._diverged(f"has another record {different!r}")

    async def _by_sum(self, source: Pages) -> None:
        """All records together, as backups of format 1 were summed up."""
        digest = NamespaceDigest()
        cursor: str | None = None
        while True:
            page = await source.page(cursor, READ_PAGE)
            digest.join(await self._vault.work(lambda page=page: digest_of_block(page)))  # type: ignore[misc]
            cursor = page.cursor
            if cursor is None:
                break
        if digest.records != self._entry.records or digest.hex() != self._entry.digest:
            raise self._diverged(f"has {digest.records:,} records with digest {digest.hex()}")

    async def _one_by_one(self, handle: Index) -> None:
        """Where values come back rounded: within `tenantry.model.records.CLOSE` of their length."""
        limit = self._context.limits.fetch_ids
        count = 0
        cursor: str | None = None
        while True:
            ids = await handle.list_ids(cursor, limit)
            count += len(ids.ids)
            cursor = ids.cursor
            if cursor is None:
                break
        if count != self._entry.records:
            raise self._diverged(f"has {count:,} records")
        async for block in blocks(self._vault, self._entry, self._dimension):
            for start in range(0, len(block), limit):
                part = block.part(start, start + limit)
                found = await handle.fetch(part.ids)
                for record in part.records():
                    there = found.get(record.id)
                    if there is None or not alike(record, there, exactly=False):
                        raise self._diverged(f"has another record {record.id!r}")

    def _diverged(self, how: str) -> Diverged:
        entry = self._entry
        return Diverged(f"tenant {entry.name!r} did not come back as its {entry.records:,} records were: it {how}")


def _first_difference(wanted: Block, found: Block) -> str | None:
    """The id of the first record that is not the same."""
    pairs: Sequence[tuple[str, str]] = list(zip(wanted.ids, found.ids, strict=True))
    for one, other in pairs:
        if one != other:
            return min(one, other)
    for record, there in zip(wanted.records(), found.records(), strict=True):
        if not alike(record, there):
            return record.id
    return None
