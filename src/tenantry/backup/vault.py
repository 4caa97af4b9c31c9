"""Objects of an archive: named by what they hold, checked whenever they are read, encrypted if there is a key."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec

from tenantry.backup.manifest import (
    ARCHIVE,
    BACKUPS,
    FORMAT,
    JOURNAL,
    OBJECTS,
    About,
    Manifest,
    Ref,
    check_backup_id,
    decoded,
    encoded,
    manifest_name,
    unsealed,
)
from tenantry.errors import Conflict, Corrupt, NotFound, Refused
from tenantry.ports import Archive

T = TypeVar("T")

WORKERS = 2
NICE = 10
KEY_BYTES = 32
NONCE_BYTES = 12


class Cipher:
    """AES-256-GCM under keys that are derived from the archive's one.

    The nonce is derived from the plain bytes and the object's name (RFC 8452 has the idea: a nonce that is used twice
    is used for the same message), so that an object that is written again comes out the same.

    Args:
        key: 32 random bytes.
    """

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self.key_id = _derived(key, b"id").hex()[:12]
        self._aes = AESGCM(_derived(key, b"encrypt"))
        self._names = _derived(key, b"name")
        self._nonces = _derived(key, b"nonce")
        self._seals = _derived(key, b"seal")

    def name_of(self, data: bytes | memoryview) -> str:
        """A name that only who has the key can tell from the data."""
        return hmac.new(self._names, data, hashlib.sha256).hexdigest()

    def seal_of(self, data: bytes) -> str:
        """What nobody without the key can make."""
        return hmac.new(self._seals, data, hashlib.sha256).hexdigest()

    def encrypted(self, data: bytes | memoryview, name: str) -> bytes:
        """Nonce, then the encrypted data with their tag, bound to the name."""
        nonce = hmac.new(self._nonces, name.encode() + b"\0" + data, hashlib.sha256).digest()[:NONCE_BYTES]
        return nonce + self._aes.encrypt(nonce, data, name.encode())

    def plain(self, stored: bytes, name: str) -> bytes:
        """Raises Corrupt."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._aes.decrypt(stored[:NONCE_BYTES], stored[NONCE_BYTES:], name.encode())
        except (InvalidTag, ValueError) as error:
            raise Corrupt(f"object {name} cannot be decrypted: it was changed, or is not this key's") from error


def _derived(key: bytes, use: bytes) -> bytes:
    return hmac.new(key, b"tenantry backup " + use, hashlib.sha256).digest()


class Vault:
    """What backups keep in one archive. Long work is done in threads that give way to others.

    Attributes:
        archive: where it is.
    """

    def __init__(self, archive: Archive, cipher: Cipher | None = None) -> None:
        self.archive = archive
        self._cipher = cipher
        self._known: dict[str, int] = {}
        self._workers: ThreadPoolExecutor | None = None

    @property
    def key_id(self) -> str | None:
        """Which key is used."""
        return None if self._cipher is None else self._cipher.key_id

    # ---------------------------------------------------------------------------------- whose it is

    async def about(self) -> About | None:
        """Whose archive it is; None for one that was never written to. Raises Corrupt; Refused: a newer format, another
        key, or none."""
        try:
            data = await self.archive.get(ARCHIVE)
        except NotFound:
            return None
        about: About = decoded(data, About, f"{self.archive.where}/{ARCHIVE}")
        if about.key_id != self.key_id:
            raise Refused(self._wrong_key(about.key_id))
        return about

    def _wrong_key(self, wanted: str | None) -> str:
        where, given = self.archive.where, self.key_id
        if wanted is None:
            return f"archive {where} is not encrypted, and a key was given: unset TENANTRY_BACKUP_KEY, or use another"
        if given is None:
            return f"archive {where} is encrypted with key {wanted}: give that key with TENANTRY_BACKUP_KEY"
        return f"archive {where} is encrypted with key {wanted}; TENANTRY_BACKUP_KEY holds key {given}, the wrong one"

    async def claim(self, cluster: str) -> None:
        """Make the archive this cluster's, unless it is. Raises Refused: it is another's."""
        await self.archive.put(ARCHIVE, encoded(About(FORMAT, cluster, self.key_id)))
        about = await self.about()
        if about is not None and about.cluster != cluster:
            raise Refused(
                f"archive {self.archive.where} holds backups of another cluster ({about.cluster}); "
                "give each cluster an archive of its own"
            )

    # -------------------------------------------------------------------------------------- objects

    async def look(self) -> None:
        """Learn which objects are there, so that what is there is not sent again."""
        self._known = {one.name: one.size async for one in self.archive.list(OBJECTS)}

    def holds(self, refs: Sequence[Ref]) -> bool:
        """Whether all of these are there, as far as `look` has shown, with the lengths that they must have."""
        return all(self._known.get(ref.name) == ref.size for ref in refs)

    async def put(self, data: bytes | memoryview, *, recheck: bool = False) -> tuple[Ref, bool]:
        """Store an object; whether it was written anew. One of that name with another length, or with ``recheck``
        with other bytes, is damaged and replaced."""
        ref, stored = await self.work(lambda: self._sealed(data))
        there = self._known.get(ref.name)
        if there == ref.size and not (recheck and await self._is_damaged(ref)):
            return ref, False
        if there is not None:
            await self.archive.delete(ref.name)
        written = await self.archive.put(ref.name, stored)
        if not written and await self._is_damaged(ref):
            await self.archive.delete(ref.name)
            written = await self.archive.put(ref.name, stored)
        self._known[ref.name] = ref.size
        return ref, written

    async def get(self, ref: Ref) -> bytes:
        """What an object holds. Raises Corrupt, naming it, when that is not what was stored, or it is gone."""
        where = f"object {ref.name} in {self.archive.where}"
        try:
            stored = await self.archive.get(ref.name)
        except NotFound as error:
            raise Corrupt(f"{where} is missing; restore from another backup") from error
        if len(stored) != ref.size:
            raise Corrupt(f"{where} has {len(stored):,} bytes instead of {ref.size:,}; restore from another backup")
        return await self.work(lambda: self._opened(ref, stored, where))

    def _sealed(self, data: bytes | memoryview) -> tuple[Ref, bytes | memoryview]:
        cipher = self._cipher
        digest = hashlib.sha256(data).hexdigest() if cipher is None else cipher.name_of(data)
        name = f"{OBJECTS}{digest[:2]}/{digest}"
        if cipher is None:
            return Ref(name, digest, len(data)), data
        stored = cipher.encrypted(data, name)
        return Ref(name, hashlib.sha256(stored).hexdigest(), len(stored)), stored

    def _opened(self, ref: Ref, stored: bytes, where: str) -> bytes:
        if hashlib.sha256(stored).hexdigest() != ref.sha256:
            raise Corrupt(f"{where} was changed since it was written (SHA-256); restore from another backup")
        return stored if self._cipher is None else self._cipher.plain(stored, ref.name)

    async def _is_damaged(self, ref: Ref) -> bool:
        try:
            await self.get(ref)
        except Corrupt:
            return True
        return False

    # ------------------------------------------------------------------------------------ manifests

    async def publish(self, manifest: Manifest) -> Manifest:
        """Make a backup be there: the last step, after all that it refers to is durable. Raises Conflict."""
        sealed = msgspec.structs.replace(manifest, seal=self._seal(manifest))
        name, data = manifest_name(manifest.id), encoded(sealed)
        await self.archive.flush()
        if not await self.archive.put(name, data if self._cipher is None else self._cipher.encrypted(data, name)):
            raise Conflict(f"a backup {manifest.id} is there already")
        await self.archive.flush()
        return sealed

    async def ids(self) -> list[str]:
        """Backups, oldest first."""
        names = [one.name async for one in self.archive.list(BACKUPS)]
        return sorted(name.removeprefix(BACKUPS).removesuffix(".json") for name in names if name.endswith(".json"))

    async def manifest(self, id: str) -> Manifest:
        """One. Raises InvalidArgument, NotFound, Corrupt, Refused (newer format)."""
        name = manifest_name(check_backup_id(id))
        try:
            data = await self.archive.get(name)
        except NotFound:
            raise NotFound("backup", id, f"in {self.archive.where}; see `tenantry backup list`") from None
        where = f"{self.archive.where}/{name}"
        if self._cipher is not None:
            data = self._cipher.plain(data, name)
        manifest: Manifest = decoded(data, Manifest, where)
        if not hmac.compare_digest(manifest.seal, self._seal(manifest)) or manifest.id != id:
            raise Corrupt(f"{where} was changed since it was written (its seal does not fit); use another backup")
        return manifest

    def _seal(self, manifest: Manifest) -> str:
        data = unsealed(manifest)
        return hashlib.sha256(data).hexdigest() if self._cipher is None else self._cipher.seal_of(data)

    async def drop_journals(self) -> None:
        """Forget what unfinished backups have done."""
        for name in [one.name async for one in self.archive.list(JOURNAL)]:
            await self.archive.delete(name)

    # -------------------------------------------------------------------------------------- workers

    async def work(self, job: Callable[[], T]) -> T:
        """Run in a thread that gives way to others."""
        if self._workers is None:
            self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="tenantry-backup", initializer=_give_way)
        return await asyncio.get_running_loop().run_in_executor(self._workers, job)

    async def aclose(self) -> None:
        """Stop the workers and close the archive; safe to call twice."""
        workers, self._workers = self._workers, None
        if workers is not None:
            await asyncio.to_thread(workers.shutdown)
        await self.archive.aclose()


def _give_way() -> None:
    """Lower the calling thread's priority, where a thread has one of its own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
