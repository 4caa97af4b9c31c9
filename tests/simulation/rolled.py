"""Courses of events with a roll-up: what is found in it is never older than the search says, and in the end it holds
what the tenants' shards hold, whoever was killed or suspended where."""

from __future__ import annotations

import random

import msgspec
from courses import Directed, Settings
from scenario import CALM, IDS, STILL, TENANTS, Course, KilledError

from tenantry.control.mover.watch import LeaseWatch
from tenantry.errors import TenantryError
from tenantry.router.rollup import Feed
from tenantry.testing.memory_catalog_rollups import MemoryRollups

SHARD = "rollup"
POINTS = ("rollup.read", "rollup.copied", "rollup.round-copied")
#: Older than that it is not used.
MAX_LAG_S = 1_000.0
#: Longest wait of the comparison at the end: marks of the dead, and leases, have to run out first.
WAIT_S = 30.0


class RolledCourse(Course):
    """A roll-up is on from the start; one client more searches in it."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.apart = {SHARD}
        self.found_rolled = 0

    async def begin(self) -> None:
        await super().begin()
        self.world.weather, weather = CALM, self.world.weather
        self.directed, directed = None, self.directed
        process = self.processes[0]
        await process.ask(self.clusters[process.name].rollups.on(wait_s=20.0))
        self.world.weather, self.directed = weather, directed
        self.spawn(self.searcher())

    async def mover(self, tenant: str) -> None:
        """In every other course nothing moves: the end of a move has all of its tenant copied again."""
        if self.settings.seed % 2:
            await super().mover(tenant)

    async def searcher(self) -> None:
        while not self.quiet:
            await self.look()
            await self.clock.sleep(random.Random(f"{self.settings.seed}/{self.loop.time()}").uniform(0.0, 0.05))

    async def look(self) -> bool:
        """Search in the roll-up, as old as it may be; whether it was used."""
        begun = self.loop.time()
        act = lambda cluster: cluster.search_all([1.0, 0.5], top_k=100, max_lag_s=MAX_LAG_S)  # noqa: E731
        try:
            by, found = await self.ask(act, fair=False)
        except (KilledError, TenantryError):
            return False
        if found.source != "roll-up":
            return False
        self.found_rolled += 1
        for tenant in TENANTS:
            hits = {one.hit.id: one.hit for one in found.hits if one.tenant == tenant}
            self.see(tenant, [*IDS, *STILL], hits, begun - found.lag_s, f"{by} in the roll-up")
        return True

    async def end(self) -> None:
        await super().end()
        process, cluster = await self.somebody()
        try:
            found = await process.ask(cluster.rollups.verify(wait_s=WAIT_S))
        except TenantryError as error:
            self.problems.append(f"the roll-up cannot be verified at the end: {error!r}")
            return
        if not found.whole:
            self.problems.append(f"the roll-up is not what it should be: {found}")
        if not await self.look():
            self.problems.append("the roll-up is not used at the end")


def settings_for(seed: int) -> Settings:
    """Many deaths and pauses; every third course on a network that loses messages."""
    chance = random.Random(f"rolled/{seed}")
    return Settings(
        seed=seed,
        lost_share=0.02 if seed % 3 == 0 else 0.0,
        kills=chance.choice([1, 2, 3]),
        suspensions=chance.choice([0, 1, 2]),
        wishes=chance.random() < 0.3,
    )


def directed_for(seed: int) -> Directed | None:
    """In three of four courses something happens between two steps of the copying."""
    if seed % 4 == 0:
        return None
    chance = random.Random(f"rolled-directed/{seed}")
    return Directed(
        point=POINTS[seed % len(POINTS)],
        number=chance.choice([1, 2, 5, 9]),
        what=chance.choice(["kill", "suspend", "fail", "delay"]),
        seconds=chance.choice([0.3, 1.3, 2.5]),
    )


def without_marks(patch):
    """Write without having said so first."""

    async def mark(self, index, generation, owner, tenants):
        return

    patch.setattr(MemoryRollups, "mark", mark)


def without_waiting_for_marks(patch):
    """End a round whatever is still marked as of an earlier one."""

    async def look(self, index):
        found = await looked(self, index)
        return found if found is None else msgspec.structs.replace(found, oldest=None)

    looked = MemoryRollups.look
    patch.setattr(MemoryRollups, "look", look)


def without_touching_again(patch):
    """Tell of a write when it begins, not when it has ended."""

    async def note(self, *, closing=False):
        for book in self._books.values():
            for held in book.marks.values():
                held.touched = set()
        await noted(self, closing=closing)

    noted = Feed.note
    patch.setattr(Feed, "note", note)


def without_leave(patch):
    """Copy as two at once: take the lease over without waiting until its owner has ended."""
    patch.setattr(LeaseWatch, "unchanged_s", lambda self, lease: 1e9)


MUTANTS = (
    without_marks,
    without_waiting_for_marks,
    without_touching_again,
    without_leave,
)
