"""What clients did and saw, and whether it may have been: the checker of the guarantees of a move.

Each id of a tenant is looked at by itself. A write is *begun* when a client sends it and *acknowledged* when it gets
the answer; one whose answer never came may take effect at any time after it was begun, or never.

A read may show the state that a write made only if that write had begun before the read ended, and no later write
*overrules* it: one that began after it was acknowledged, and was itself acknowledged before the read began (by
``visible_s`` more, where the store shows writes late). This is the first guarantee; of deletes it says that no deleted
record comes back. Two writes that overlap may take effect in either order, so each of them may be seen.

The state of an id is its version (the number of the last `put`, or absent) and one field that partial updates set. A
delete by filter overrules the versions that match it, and may be the cause of an absence if such a version was there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf

#: Version of an id that is not there.
ABSENT = 0


@dataclass(eq=False)
class Write:
    """One write of one id. ``version`` is 0 for a delete. A delete by filter has ``group``: it concerns the versions
    for which that is true. ``patch`` is the value that a partial update sets."""

    kind: str
    version: int
    begun: float
    acknowledged: float = inf
    group: Callable[[int], bool] | None = None
    patch: int | None = None
    found: bool | None = None


@dataclass(eq=False)
class Read:
    """One look at one id: its version, and the field of partial updates (None: never set)."""

    version: int
    patch: int | None
    begun: float
    ended: float
    by: str


@dataclass
class Register:
    """All that happened to one id."""

    writes: list[Write] = field(default_factory=lambda: [Write("start", ABSENT, -inf, -inf)])
    patches: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)


class History:
    """Record with `put`, `delete`, `delete_where`, `patch` (they return the writes, to be given to `acknowledge`) and
    `saw`; then ask for `violations`.

    Args:
        visible_s: how late the stores may show an acknowledged write, seconds.
    """

    def __init__(self, visible_s: float = 0.0) -> None:
        self.visible_s = visible_s
        self.registers: defaultdict[tuple[str, str], Register] = defaultdict(Register)

    def put(self, tenant: str, ids: Iterable[str], version: int, now: float) -> list[Write]:
        """Whole records of that version, over 0 and never used before for the id."""
        return [self._add(tenant, key, Write("put", version, now)) for key in ids]

    def delete(self, tenant: str, ids: Iterable[str], now: float) -> list[Write]:
        """By id; with all ids also for a delete of everything."""
        return [self._add(tenant, key, Write("delete", ABSENT, now)) for key in ids]

    def delete_where(self, tenant: str, ids: Iterable[str], group: Callable[[int], bool], now: float) -> list[Write]:
        """By a filter that matches the versions for which ``group`` is true."""
        return [self._add(tenant, key, Write("delete-where", ABSENT, now, group=group)) for key in ids]

    def patch(self, tenant: str, key: str, value: int, now: float) -> list[Write]:
        """A partial update that sets the field to a value never used before."""
        write = Write("patch", ABSENT, now, patch=value)
        self.registers[tenant, key].patches.append(write)
        return [write]

    @staticmethod
    def acknowledge(writes: Iterable[Write], now: float, found: bool | None = None) -> None:
        """The answer came; of a partial update with whether there was such a record."""
        for write in writes:
            write.acknowledged = now
            write.found = found

    def saw(self, tenant: str, key: str, read: Read) -> None:
        """A read ended."""
        self.registers[tenant, key].reads.append(read)

    def violations(self) -> list[str]:
        """What must not have been, in words; empty if all is well."""
        return [
            f"{tenant}/{key} {problem}"
            for (tenant, key), register in self.registers.items()
            for problem in _problems(register, self.visible_s)
        ]

    def _add(self, tenant: str, key: str, write: Write) -> Write:
        self.registers[tenant, key].writes.append(write)
        return write


def _problems(register: Register, visible_s: float) -> Iterable[str]:
    for read in register.reads:
        if not _version_allowed(register, read.version, read.begun - visible_s, read.ended):
            yield _account(register, read, "saw a version that it must not see")
        elif read.version != ABSENT and not _patch_allowed(register, read, visible_s):
            yield _account(register, read, "saw a partial update that it must not see, or missed one")


def _version_allowed(register: Register, version: int, known: float, ended: float) -> bool:
    """Whether a reader that must know what was acknowledged before ``known`` may see this version."""
    return any(
        not _overruled(register, write, version, known) and _possible(register, write)
        for write in register.writes
        if _makes(write, version) and write.begun < ended
    )


def _makes(write: Write, version: int) -> bool:
    return write.version == version and write.patch is None


def _possible(register: Register, write: Write) -> bool:
    """A delete by filter makes an id absent only if a version that it matches may have been there in its time."""
    if write.group is None:
        return True
    return any(
        other.version != ABSENT
        and write.group(other.version)
        and other.begun < write.acknowledged
        and not _overruled(register, other, other.version, write.begun)
        for other in register.writes
    )


def _overruled(register: Register, write: Write, version: int, known: float) -> bool:
    return any(
        later.begun >= write.acknowledged
        and later.acknowledged <= known
        and later is not write
        and (later.group is None or (version != ABSENT and later.group(version)))
        for later in register.writes
    )


def _patch_allowed(register: Register, read: Read, visible_s: float) -> bool:
    put = next((write for write in register.writes if write.version == read.version), None)
    if put is None:
        return False
    known = read.begun - visible_s
    if read.patch is not None:
        patch = next((one for one in register.patches if one.patch == read.patch), None)
        if patch is None or patch.begun >= read.ended:
            return False
        if patch.found is False and patch.acknowledged <= known:
            return False  # the answer was that there is no such record
        if put.begun >= patch.acknowledged:
            return False  # the record was written whole after it
        since = patch.acknowledged
    else:
        since = put.acknowledged
    return not any(
        later.begun >= since
        and later.acknowledged <= known
        and later.found is True
        and later.patch != read.patch
        and not _may_have_hit_another(register, put, later)
        for later in register.patches
    )


def _may_have_hit_another(register: Register, put: Write, patch: Write) -> bool:
    """Whether another version than that of ``put`` may have been there when the partial update took effect."""
    return any(
        other is not put and other.version != ABSENT and other.begun < patch.acknowledged
        and other.acknowledged > put.begun
        for other in register.writes
    )  # fmt: skip


def _account(register: Register, read: Read, what: str) -> str:
    near = sorted([*register.writes, *register.patches], key=lambda write: write.begun)
    lines = [
        f"  {write.kind} {write.version or write.patch or ''} {write.begun:.3f}..{write.acknowledged:.3f} {write.found}"
        for write in near
        if write.begun < read.ended
    ]
    shown = read.version or "absent"
    return "\n".join([f"{what}: {shown}/{read.patch} at {read.begun:.3f}..{read.ended:.3f} by {read.by}", *lines[-12:]])
