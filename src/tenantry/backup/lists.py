"""Lists of tenants and the catalog's image, as objects of an archive."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from tenantry.backup.manifest import JOURNAL, Entry, Journal, Manifest, Part, Ref, decoded, encoded
from tenantry.backup.vault import Vault
from tenantry.errors import Corrupt, NotFound, Refused, TenantryError
from tenantry.model.image import CatalogImage

#: Tenants in one list.
PART_TENANTS = 500
#: A list or an image is not longer than this when it is decompressed, bytes.
MOST_BYTES = 4 * 2**30


async def store(vault: Vault, value: Any) -> tuple[Ref, bool]:
    """A value as compressed JSON."""
    return await vault.put(await vault.work(lambda: zlib.compress(encoded(value), 6)))


async def store_parts(vault: Vault, entries: Sequence[Entry]) -> list[Part]:
    """Tenants in lists."""
    ordered = sorted(entries, key=lambda entry: entry.key)
    parts = []
    for start in range(0, len(ordered), PART_TENANTS):
        some = ordered[start : start + PART_TENANTS]
        ref, _ = await store(vault, some)
        parts.append(Part(some[0].key, some[-1].key, len(some), ref))
    return parts


async def entries_of(vault: Vault, manifest: Manifest) -> AsyncIterator[Entry]:
    """Every tenant of a backup. Raises Corrupt."""
    for part in manifest.lists:
        for entry in await _entries(vault, part.ref):
            yield entry


async def part_entries(vault: Vault, part: Part) -> list[Entry]:
    """The tenants of one list. Raises Corrupt."""
    return await _entries(vault, part.ref)


async def find(vault: Vault, manifest: Manifest, index: str, tenant: str) -> Entry | None:
    """One tenant of a backup. Raises Corrupt."""
    for part in manifest.lists:
        if part.first <= (index, tenant) <= part.last:
            found = next((one for one in await _entries(vault, part.ref) if one.key == (index, tenant)), None)
            if found is not None:
                return found
    return None


async def image_of(vault: Vault, manifest: Manifest) -> CatalogImage:
    """The catalog of a backup. Raises Corrupt."""
    image: CatalogImage = await _value(vault, manifest.catalog, CatalogImage)
    return image


async def newest(vault: Vault) -> dict[tuple[str, str], Entry]:
    """What is known of each tenant from the newest backups that can be read and from what unfinished ones have done:
    what a new backup need not read again. What is damaged counts as not there."""
    known: dict[tuple[str, str], Entry] = {}
    covered = False
    for id in reversed(await vault.ids()):
        try:
            manifest = await vault.manifest(id)
            async for entry in entries_of(vault, manifest):
                _newer(known, entry)
        except (Corrupt, NotFound):
            continue
        covered = covered or manifest.scope.index is None
        if covered:
            break
    names = sorted([one.name async for one in vault.archive.list(JOURNAL)])
    for name in names:
        try:
            journal: Journal = decoded(await vault.archive.get(name), Journal, name)
            for entry in await _entries(vault, journal.ref):
                _newer(known, entry)
        except (Corrupt, NotFound, Refused):
            continue
    return known


def _newer(known: dict[tuple[str, str], Entry], entry: Entry) -> None:
    there = known.get(entry.key)
    if there is None or there.instant < entry.instant:
        known[entry.key] = entry


async def _entries(vault: Vault, ref: Ref) -> list[Entry]:
    found: list[Entry] = await _value(vault, ref, list[Entry])
    return found


async def _value(vault: Vault, ref: Ref, kind: Any) -> Any:
    data = await vault.get(ref)
    what = f"object {ref.name} in {vault.archive.where}"

    def read() -> Any:
        try:
            plain = zlib.decompressobj().decompress(data, MOST_BYTES)
            return msgspec.json.decode(plain, type=kind)
        except (zlib.error, ValueError) as error:
            raise Corrupt(f"{what} is not a list of a backup ({error})") from error

    return await vault.work(read)


def in_words(error: TenantryError) -> str:
    """An error for a report."""
    return f"{type(error).__name__}: {error}"
