"""The protocol with one rule left out. Each must be found out by the checker; the last one takes away the comparison of
both sides, which is no rule: copy and log alone must be right."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager

import pytest

from tenantry.control.mover import ledger
from tenantry.control.mover.applier import Applier
from tenantry.control.mover.barrier import Barrier
from tenantry.control.mover.copier import Copier
from tenantry.control.mover.runner import MoveRunner
from tenantry.control.mover.verifier import Verifier
from tenantry.model.changes import Touched
from tenantry.model.moves import Move, Phase, Proof, target_rules
from tenantry.model.records import CopiedPage
from tenantry.router.inflight import Inflight
from tenantry.router.member import Member
from tenantry.testing.memory_catalog_topology import MemoryTenants


def without_r1(patch):
    """Acknowledge whatever has become of the lease."""
    patch.setattr(Member, "still", lambda self, term: True)


def without_r2(patch):
    """Wait for no router."""

    async def passed(self, tenant):
        return

    patch.setattr(Barrier, "passed", passed)


def without_r3(patch):
    """Count what was logged before the barrier as captured."""

    async def capture(self):
        s0 = await self._context.catalog.log.head(self.move.index, self.move.tenant)
        self._ledger.note(s0=s0, target_mark=s0)
        self._applier.touched = Touched()
        await self._barrier.passed(await self._tenant())
        await self._applier.reached(lambda: self.move.source_mark >= s0)
        await self._advance(Phase.COPY)

    patch.setattr(MoveRunner, "_capture", capture)


def without_r4(patch):
    """Let the log be applied to the target between reading a page and writing it."""

    async def page(self, first):
        read = await self._source.scan(self._ledger.move.progress.cursor, self._ledger.move.options.page)
        taken = self._uncovered(read.records)
        await self._context.faults.reach("copy.page-read")
        if taken:
            await self._target.put(taken)
        return CopiedPage(read.cursor, len(taken))

    patch.setattr(Copier, "_page", page)


def without_r5(patch):
    """Commit without waiting for the log."""
    patch.setattr(MoveRunner, "_level", lambda self, head: True)
    patch.setattr(ledger, "check_step", lambda *step: None)


def without_r6(patch):
    """Let the new side alone answer at once."""
    patch.setattr(Move, "acknowledged", lambda self: self.target_mark if target_rules(self) else self.source_mark)


def without_coalescing(patch):
    """Apply what is replayed entry by entry."""
    lead = Applier._lead_resolved

    async def one_by_one(self, side, entries):
        for entry in entries:
            await lead(self, side, [entry])

    patch.setattr(Applier, "_lead_resolved", one_by_one)


def without_verifying(patch):
    async def run(self):
        await asyncio.sleep(0)
        return Proof(0, "", 0, 0, 0, 1, 0, 1.0, 1, 0, 0.0, 0.0)

    patch.setattr(Verifier, "run", run)


def without_moments(patch):
    """Use routes of other processes whenever they were read."""

    async def changes(self):
        return {}

    patch.setattr(MemoryTenants, "changes", changes)


def without_floors(patch):
    """Use routes of other processes also when this one has acknowledged a newer one."""

    def enter(self, index, tenant, epoch):
        key = (index, tenant, epoch)
        self._held[key] = self._held.get(key, 0) + 1
        return True

    patch.setattr(Inflight, "enter", enter)


RULES = {
    "R1": without_r1,
    "R2": without_r2,
    "R3": without_r3,
    "R4": without_r4,
    "R5": without_r5,
    "R6": without_r6,
    "moments": without_moments,
    "floors": without_floors,
}


@contextmanager
def mutated(*changes):
    with pytest.MonkeyPatch.context() as patch:
        for change in changes:
            change(patch)
        yield
