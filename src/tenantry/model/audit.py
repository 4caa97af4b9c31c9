"""The audit log's entries, how they are chained, and what is wrong with a chain. Pure.

Each entry carries the SHA-256 of its own content and of the hash of the entry before it. So whoever changes, removes or
inserts one has to change every later hash too, the end of the chain included, of which anybody may have kept a copy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import msgspec

#: What stands before the first entry of all.
GENESIS = "0" * 64
#: Longer texts are cut.
TEXT_CHARS = 600
DETAIL_CHARS = 4_000
#: The result of an entry that was written before the deed; the one after it has the same request id.
BEGUN = "begun"
OK = "ok"
PRUNED = "audit.prune"

_json = msgspec.json.Encoder()


class Deed(msgspec.Struct, frozen=True):
    """Something to be recorded.

    Attributes:
        at_us: microseconds since the Unix epoch.
        actor: ``key:ID``; ``admin-key`` (of the settings), ``open`` (no key is configured), ``command-line``,
            ``library``.
        scope: of the actor's key.
        action: ``tenant.delete``, ``search``, ...
        index, tenant, shard: on what, where it is one of these.
        subject: id of the key, move or run.
        result: ``begun``, ``ok``, or the code of the error.
        request_id: ties the entries of one request together, and to the log.
        detail: further parameters; never vectors, texts, filters or secrets.
    """

    at_us: int
    actor: str
    action: str
    result: str
    scope: str = ""
    index: str | None = None
    tenant: str | None = None
    shard: str | None = None
    subject: str | None = None
    request_id: str = ""
    detail: dict[str, str | int | float | bool] = {}


class Entry(msgspec.Struct, frozen=True):
    """A deed in its place in the log. ``seq`` counts from 1; ``detail`` is JSON as it was written."""

    seq: int
    at_us: int
    actor: str
    scope: str
    action: str
    index: str | None
    tenant: str | None
    shard: str | None
    subject: str | None
    result: str
    request_id: str
    detail: str
    previous: str
    hash: str


class Chain(msgspec.Struct, frozen=True):
    """Ends of the log: the last entry that was pruned (0 and `GENESIS` when none was), and the last of all."""

    base_seq: int = 0
    base_hash: str = GENESIS
    seq: int = 0
    hash: str = GENESIS


class Wanted(msgspec.Struct, frozen=True):
    """Which entries: ``after`` counts upwards from there, else newest first and before ``before``."""

    limit: int = 100
    after: int | None = None
    before: int | None = None
    index: str | None = None
    tenant: str | None = None
    actor: str | None = None
    action: str | None = None
    since_us: int | None = None
    until_us: int | None = None


class Flaw(msgspec.Struct, frozen=True):
    """Something wrong with the log: at which entry, and what."""

    seq: int
    what: str


def chained(chain: Chain, deed: Deed) -> Entry:
    """The deed as the next entry of the chain."""
    detail = _json.encode(deed.detail).decode()
    if len(detail) > DETAIL_CHARS:
        detail = _json.encode({"cut": detail[: DETAIL_CHARS // 2]}).decode()
    entry = Entry(
        seq=chain.seq + 1,
        at_us=deed.at_us,
        actor=_text(deed.actor) or "",
        scope=_text(deed.scope) or "",
        action=_text(deed.action) or "",
        index=_text(deed.index),
        tenant=_text(deed.tenant),
        shard=_text(deed.shard),
        subject=_text(deed.subject),
        result=_text(deed.result) or "",
        request_id=_text(deed.request_id) or "",
        detail=detail,
        previous=chain.hash,
        hash="",
    )
    return msgspec.structs.replace(entry, hash=hash_of(entry))


def hash_of(entry: Entry) -> str:
    """What the entry's ``hash`` must be: SHA-256 of all its other fields as a JSON list, in their order."""
    values = [getattr(entry, name) for name in Entry.__struct_fields__ if name != "hash"]
    return hashlib.sha256(_json.encode(values)).hexdigest()


def extended(chain: Chain, entry: Entry) -> Chain:
    """The chain with an entry more."""
    return msgspec.structs.replace(chain, seq=entry.seq, hash=entry.hash)


class Verifier:
    """Looks at the entries of a log one after another, beginning where it begins.

    Attributes:
        seq, hash: of the last entry seen.
        checked: how many were seen.
    """

    def __init__(self, chain: Chain) -> None:
        self.seq, self.hash = chain.base_seq, chain.base_hash
        self.checked = 0
        self._base = chain
        self._pruned: tuple[int, str] | None = None

    def look(self, entries: Iterable[Entry]) -> Iterator[Flaw]:
        """What is wrong with these, the next ones."""
        for entry in entries:
            self.checked += 1
            if entry.seq != self.seq + 1:
                gone = (
                    f"entry {self.seq + 1} is"
                    if entry.seq == self.seq + 2
                    else f"{self.seq + 1} to {entry.seq - 1} are"
                )
                yield Flaw(
                    self.seq + 1, f"{gone} missing" if entry.seq > self.seq else f"number {entry.seq} comes twice"
                )
            elif entry.previous != self.hash:
                yield Flaw(entry.seq, "`previous` is not the hash of the entry before: one of the two was altered")
            if hash_of(entry) != entry.hash:
                yield Flaw(entry.seq, "the content does not have the recorded hash: a field of it was altered")
            if entry.action == PRUNED and entry.result == OK:
                self._pruned = _pruned(entry)
            self.seq, self.hash = entry.seq, entry.hash

    def end(self, chain: Chain) -> Iterator[Flaw]:
        """What is wrong once the last one was seen, which must be where ``chain``, read since, ends."""
        if self.seq < chain.seq:
            yield Flaw(
                self.seq + 1, f"the log ends with entry {self.seq}, but {chain.seq} were written: its end was removed"
            )
        elif self.seq > chain.seq:
            yield Flaw(
                chain.seq, f"the log goes on to entry {self.seq}, but its own record ends here: that was altered"
            )
        elif self.hash != chain.hash:
            yield Flaw(self.seq, "the last entry is not the one that was written last")
        base = (self._base.base_seq, self._base.base_hash)
        if base not in ((0, GENESIS), self._pruned):
            yield Flaw(
                base[0], "the log begins later than at its first entry, and no entry says that it was pruned so far"
            )


def _pruned(entry: Entry) -> tuple[int, str] | None:
    try:
        detail = msgspec.json.decode(entry.detail)
        return int(detail["through"]), str(detail["hash"])
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        return None


def _text(given: str | None) -> str | None:
    """Text that every catalog holds, of bounded length."""
    if given is None:
        return None
    safe = given.encode("utf-8", "replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return safe if len(safe) <= TEXT_CHARS else safe[: TEXT_CHARS - 1] + "…"
