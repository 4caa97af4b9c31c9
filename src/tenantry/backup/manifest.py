"""What a backup consists of. The format is versioned; see ``docs/explanation/backups.md``.

::

    archive.json                   whose archive it is, and under which key
    backups/ID.json                the manifest: written last, so a backup is there whole or not at all
    objects/ab/abcdef...           segments, lists of tenants, the catalog: named by what they hold
    journal/RUN/000001.json        what a running backup has done so far; goes when it is done

A manifest refers to lists of tenants, these to segments. Objects are shared by backups and never change.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec

from tenantry.errors import Corrupt, InvalidArgument, Refused
from tenantry.model.topology import Place, TenantSpec, TenantState

#: Version of the format that is written. Every one from `OLDEST_FORMAT` to it is read. Since 2 a segment has a digest
#: of its own and a tenant's is made of them; before, a tenant's was the sum of its records'. Since 3 vectors may be
#: fixed-length binary.
FORMAT = 3
OLDEST_FORMAT = 1
ARCHIVE = "archive.json"
BACKUPS = "backups/"
OBJECTS = "objects/"
JOURNAL = "journal/"
_ID = re.compile(r"^\d{8}T\d{9}Z-[0-9a-f]{6}$")


class Scope(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a backup covers: everything, an index, a shard of it, or a tenant of it."""

    index: str | None = None
    shard: str | None = None
    tenant: str | None = None

    def __str__(self) -> str:
        """In words."""
        if self.index is None:
            return "all"
        if self.tenant is not None:
            return f"tenant {self.index}/{self.tenant}"
        return f"index {self.index}" if self.shard is None else f"shard {self.index}/{self.shard}"

    def covers(self, index: str, tenant: str, shard: str) -> bool:
        """Whether a tenant that was on that shard belongs to it."""
        return (
            self.index in (None, index) and self.tenant in (None, tenant) and self.shard in (None, shard)
        )  # fmt: skip


class Consistency(StrEnum):
    """How exactly a tenant's dump is the state of one instant."""

    SNAPSHOT = "snapshot"
    """The engine held the tenant as it was at one instant."""
    AGREED = "agreed"
    """The engine cannot; two passes over the tenant, one after the other, saw the same. So it is the state between
    them, unless a record was changed and changed back."""
    FUZZY = "fuzzy"
    """Passes never agreed since writes went on: each record is as it was at some instant of the dump."""


class Ref(msgspec.Struct, frozen=True):
    """An object: its name, and SHA-256 and length of what is stored under it."""

    name: str
    sha256: str
    size: int


class Segment(msgspec.Struct, frozen=True):
    """Records of a tenant from one id to another, both included, ascending.

    Attributes:
        digest: of its columns (`tenantry.backup.columns.digest_of_columns`); None in format 1.
    """

    first: str
    last: str
    records: int
    ref: Ref
    digest: str | None = None


class Entry(msgspec.Struct, frozen=True):
    """A tenant in a backup.

    Attributes:
        generation, place: of its namespace when it was read.
        records: how many. digest: `tenantry.backup.columns.digest_of_segments`; in format 1, where segments have none,
            `tenantry.control.mover.digest.NamespaceDigest`.
        bytes: of its vectors as float32, and of ids and metadata.
        instant: when it was as it is here, seconds since the Unix epoch: from the start of that moment, ``took_s``.
        version: what the engine said of that state, to tell whether it has changed since; None when it cannot.
    """

    index: str
    name: str
    state: TenantState
    spec: TenantSpec
    created_at: float
    generation: int
    place: Place
    records: int
    digest: str
    bytes: int
    instant: float
    took_s: float
    consistency: Consistency
    version: str | None
    segments: list[Segment]

    @property
    def sums_records(self) -> bool:
        """Whether the digest is the sum of the digests of the records, as in format 1."""
        return any(segment.digest is None for segment in self.segments)

    @property
    def key(self) -> tuple[str, str]:
        """Index and name."""
        return self.index, self.name


class Gone(msgspec.Struct, frozen=True):
    """A tenant of the catalog's image that was not dumped, and why."""

    index: str
    name: str
    why: str


class Totals(msgspec.Struct, frozen=True):
    """A backup in figures: what it holds, and what of it was written anew.

    Attributes:
        bytes: as in `Entry`; stored_bytes: of its segments as they are stored.
        reused: tenants that had not changed and were not read.
    """

    tenants: int = 0
    records: int = 0
    bytes: int = 0
    stored_bytes: int = 0
    written_bytes: int = 0
    reused: int = 0
    fuzzy: int = 0


class Part(msgspec.Struct, frozen=True):
    """Tenants of a backup from one (index, name) to another, both included, ascending: an object of entries."""

    first: tuple[str, str]
    last: tuple[str, str]
    tenants: int
    ref: Ref


class Journal(msgspec.Struct, frozen=True):
    """Tenants that a backup under way has done."""

    format: int
    ref: Ref


class Manifest(msgspec.Struct, frozen=True):
    """A backup.

    Attributes:
        cluster: random name of the cluster that it is of.
        catalog_at: the instant of the catalog's image, seconds since the Unix epoch. Each tenant's own instant lies
            between it and ``finished_at``.
        lists: the tenants, by index and name.
        seal: SHA-256 of the manifest without it, under the archive's key if it has one.
    """

    format: int
    id: str
    cluster: str
    scope: Scope
    catalog_at: float
    finished_at: float
    version: str
    key_id: str | None
    catalog: Ref
    lists: list[Part]
    totals: Totals
    gone: list[Gone] = []
    seal: str = ""


class About(msgspec.Struct, frozen=True):
    """Whose archive it is."""

    format: int
    cluster: str
    key_id: str | None = None


_encode = msgspec.json.Encoder(order="deterministic").encode


def backup_id(at: float, token: str) -> str:
    """Names that sort by time: to the millisecond, and a random end."""
    return f"{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M%S}{int(at * 1_000) % 1_000:03}Z-{token[:6]}"


def check_backup_id(id: Any) -> str:
    """Raises InvalidArgument."""
    if not isinstance(id, str) or not _ID.match(id):
        raise InvalidArgument("backup", id, "an id as `tenantry backup list` shows it")
    return id


def manifest_name(id: str) -> str:
    """Where its manifest is."""
    return f"{BACKUPS}{id}.json"


def unsealed(manifest: Manifest) -> bytes:
    """What the seal is taken of."""
    return _encode(msgspec.structs.replace(manifest, seal=""))


def encoded(value: Any) -> bytes:
    """As JSON, the same for the same value."""
    return _encode(value)


def decoded(data: bytes, kind: Any, what: str) -> Any:
    """A value of that kind. Raises Corrupt, naming ``what``; Refused for a format that is newer than this code."""
    try:
        raw = msgspec.json.decode(data)
    except ValueError as error:  # DecodeError is one, as is what comes of bytes that are no UTF-8
        raise Corrupt(f"{what} cannot be read ({error}); it was changed or cut off since it was written") from error
    check_format(raw, what)
    try:
        return msgspec.convert(raw, kind)
    except ValueError as error:
        raise Corrupt(f"{what} is not as it was written ({error})") from error


def check_format(raw: Any, what: str) -> None:
    """Raises Refused for what a newer Tenantry wrote."""
    if not isinstance(raw, Mapping) or "format" not in raw:
        return
    found = raw["format"]
    if not isinstance(found, int) or found < OLDEST_FORMAT:
        raise Corrupt(f"{what} has format {found!r}, which never was")
    if found > FORMAT:
        raise Refused(f"{what} has format {found}; this Tenantry reads formats up to {FORMAT}: use a newer one")
