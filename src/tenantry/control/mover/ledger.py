"""The one place that knows where a running move stands, and that saves it."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from tenantry.control.mover.context import Context
from tenantry.control.mover.side import Owner
from tenantry.model.moves import Move, Phase, Wish, check_step
from tenantry.model.topology import Place, Tenant


class Ledger:
    """Keeps the move in memory ahead of the catalog: marks and progress are saved after the fact, a phase before
    anything is done in it. One save at a time, so that a later state is never overwritten by an earlier one."""

    def __init__(self, context: Context, owner: Owner, move: Move) -> None:
        self._context = context
        self._owner = owner
        self.move = move
        self._saving = asyncio.Lock()
        self._looked = context.clock.monotonic()
        self._saved = move
        #: Held while entries are applied to the authoritative side, and while the phase (and so that side) changes.
        self.turn = asyncio.Lock()
        #: The catalog may be in a later phase than this one: its answer to a step is awaited, or was lost.
        self.unsure = False
        self.changed = asyncio.Event()

    def note(self, **changes: Any) -> None:
        """Change fields of the move in memory."""
        self.move = msgspec.structs.replace(self.move, **changes)

    def mark(self, place: Place, seq: int) -> None:
        """Note that a side has every entry up to this one."""
        if place == self.move.source:
            self.note(source_mark=seq)
        else:
            self.note(target_mark=seq)
        self.changed.set()

    def unsaved(self, place: Place) -> int:
        """Log entries that a side has beyond its mark in the catalog."""
        return self.move.mark(place) - self._saved.mark(place)

    async def save(self) -> None:
        """Save marks, progress, proof and error, unless that is done. Raises Conflict when the lease was lost."""
        async with self._saving:
            move = self.move
            if move is not self._saved:
                self._owner.check()
                await self._context.catalog.moves.save(move, self._owner.fence)
                self._saved = move

    async def advance(self, phase: Phase, *, head: int | None = None, **changes: Any) -> Tenant:
        """Go to another phase, and set the route that belongs to it. Raises as `MoveCatalog.advance`."""
        async with self.turn, self._saving:
            self._owner.check()
            check_step(msgspec.structs.replace(self.move, **changes), phase, head)
            started = {**self.move.started, phase.value: self._context.clock.now()}
            term = self._context.member.term
            wanted = msgspec.structs.replace(self.move, phase=phase, started=started, **changes)
            self.unsure = True
            saved, tenant = await self._context.catalog.moves.advance(wanted, self._owner.fence, head=head)
            self.unsure = False
            # Marks may have grown meanwhile; nothing else of the move changes beside us but the wish.
            self.note(phase=phase, started=started, wish=saved.wish, **changes)
            self._saved = wanted
            self._context.resolver.changed(tenant, term, moving=True)
        self.changed.set()
        return tenant

    async def make_sure(self) -> None:
        """After a step whose outcome is not known (the connection broke, the caller was cancelled): ask what the
        catalog has. Marks here are ahead of it and stay."""
        if not self.unsure:
            return
        async with self._saving:
            saved = self._saved = await self._context.catalog.moves.get(self.move.id)
            self.move = msgspec.structs.replace(
                saved,
                source_mark=max(saved.source_mark, self.move.source_mark),
                target_mark=max(saved.target_mark, self.move.target_mark),
            )
            self.unsure = False

    async def abandon(self, error: str) -> None:
        """The tenant is gone: end the move from wherever it stands."""
        async with self._saving:
            ended = msgspec.structs.replace(
                self.move, phase=Phase.FAILED, outcome=Phase.FAILED, error=error,
                started={**self.move.started, Phase.FAILED.value: self._context.clock.now()},
            )  # fmt: skip
            await self._context.catalog.moves.advance(ended, self._owner.fence)
            self.move = ended
        self.changed.set()

    async def wish(self) -> Wish:
        """What is wanted now; asks the catalog at most every ``poll_s``."""
        now = self._context.clock.monotonic()
        if now - self._looked >= self._context.poll_s:
            self._looked = now
            self.note(wish=(await self._context.catalog.moves.get(self.move.id)).wish)
        return self.move.wish

    def look_soon(self) -> None:
        """The wish has changed: ask the catalog next time."""
        self._looked = -1e9
