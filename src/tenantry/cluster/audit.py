"""The audit log: read it, prove it, export it, shorten it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from tenantry.errors import Conflict, InvalidArgument
from tenantry.model.audit import PRUNED, Deed, Entry, Flaw, Verifier, Wanted
from tenantry.model.limits import check_count
from tenantry.ports import Catalog, Clock

LIST_MOST = 1_000
FLAWS_MOST = 100
#: How often a verification begins anew because the log was pruned meanwhile.
TRIES = 3


class Proof(msgspec.Struct, frozen=True):
    """What a verification found.

    Attributes:
        entries: how many were looked at; ``first`` and ``last`` are their numbers, ``head`` the hash of the last. Keep
            ``last`` and ``head`` elsewhere, and give them to a later verification: then not even somebody who can write
            the whole catalog can rewrite what came before.
        pruned: how many older entries were removed by `Audit.prune`.
        flaws: what is wrong, at most 100 things; none: the log is whole.
    """

    entries: int
    first: int
    last: int
    head: str
    pruned: int
    flaws: list[Flaw]

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.flaws


class Audit:
    """What was done to the cluster, by whom. Entries are only ever added; each carries a hash over itself and the one
    before, so that what is altered afterwards is found."""

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock

    async def record(self, deed: Deed) -> Entry:
        """Add an entry; durable when it returns. Its time is set here. Raises Unavailable, StorageFailed: it is not
        recorded, or perhaps twice if the caller repeats it."""
        return await self._catalog.audit.append(msgspec.structs.replace(deed, at_us=self._now_us()))

    async def list(self, wanted: Wanted | None = None) -> list[Entry]:
        """One page, newest first, or upwards when ``after`` is given. 1 to 1,000 a page."""
        wanted = wanted or Wanted()
        check_count(wanted.limit, "limit", 1, LIST_MOST)
        if wanted.after is not None and wanted.before is not None:
            raise InvalidArgument("before", wanted.before, "one of before and after")
        return await self._catalog.audit.list(wanted)

    async def export(self, wanted: Wanted | None = None) -> AsyncIterator[Entry]:
        """All entries that fit, in order, page by page."""
        wanted = msgspec.structs.replace(wanted or Wanted(), limit=LIST_MOST, before=None)
        after = wanted.after or 0
        while page := await self._catalog.audit.list(msgspec.structs.replace(wanted, after=after)):
            for entry in page:
                yield entry
            after = page[-1].seq

    async def verify(self, seq: int | None = None, hash: str | None = None) -> Proof:
        """Look at every entry; takes a second for some 100,000.

        Args:
            seq, hash: ``last`` and ``head`` of an earlier `Proof`: the log must still have that entry, unless it was
                pruned since.

        Raises InvalidArgument; Conflict when the log is pruned again and again meanwhile.
        """
        if (seq is None) != (hash is None):
            raise InvalidArgument("hash", hash, "seq and hash, or neither")
        for _ in range(TRIES):
            proof = await self._verified(seq, hash)
            if proof is not None:
                return proof
        raise Conflict("the audit log was pruned while it was verified; verify it again")

    async def prune(
        self, before: float, *, actor: str = "library", scope: str = "", request_id: str = ""
    ) -> Entry | None:
        """Remove the entries from before a time (Unix seconds), for good; the entry that says so is returned. None when
        there are none so old. What is left can be verified as before."""
        now = self._now_us()
        limit_us = int(before * 1_000_000)
        if limit_us > now:
            raise InvalidArgument("before", before, "a time that has passed, in seconds since 1970")
        chain = await self._catalog.audit.chain()
        newer = await self._catalog.audit.list(Wanted(limit=1, after=chain.base_seq, since_us=limit_us))
        through = newer[0].seq - 1 if newer else chain.seq
        if through <= chain.base_seq:
            return None
        return await self._catalog.audit.prune(
            through, Deed(at_us=now, actor=actor, action=PRUNED, result="ok", scope=scope, request_id=request_id)
        )

    async def _verified(self, seq: int | None, hash: str | None) -> Proof | None:
        start = await self._catalog.audit.chain()
        verifier, flaws, first, ended = Verifier(start), list[Flaw](), 0, -1
        noted = None if seq is None or seq <= start.base_seq else (seq, hash)
        while True:
            page = await self._catalog.audit.list(Wanted(limit=LIST_MOST, after=verifier.seq))
            for entry in page:
                first = first or entry.seq
                if noted is not None and (entry.seq, entry.hash) == noted:
                    noted = None
            flaws = [*flaws, *verifier.look(page)][:FLAWS_MOST]
            if page:
                continue
            chain = await self._catalog.audit.chain()
            if chain.seq <= verifier.seq or ended == verifier.seq:
                break
            ended = verifier.seq  # look once more: it was appended to meanwhile, perhaps
        if chain.base_seq != start.base_seq:
            return None
        flaws.extend(verifier.end(chain))
        if noted is not None:
            flaws.append(Flaw(noted[0], "the entry that was noted under this number is not in the log any more"))
        return Proof(verifier.checked, first, verifier.seq, verifier.hash, chain.base_seq, flaws[:FLAWS_MOST])

    def _now_us(self) -> int:
        return int(self._clock.now() * 1_000_000)
