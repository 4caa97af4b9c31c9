"""One simulated course of events: three processes serve two tenants that move, while clients write and read, and
processes are killed, suspended, delayed and failed; then everything settles and is checked.

The same seed gives the same course. ``python -m tests.simulation.scenario SEED`` tells one.
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

from tenantry.caches.memory import MemoryRouteCache
from tenantry.cluster import Cluster
from tenantry.control.mover.context import MovingLimits
from tenantry.errors import (
    AlreadyExists,
    CapacityExceeded,
    Conflict,
    InvalidArgument,
    Refused,
    TenantryError,
    Unavailable,
)
from tenantry.model.moves import Options, Wish
from tenantry.testing.history import ABSENT, History, Read
from tenantry.testing.memory_backend import MemoryBackend
from tenantry.testing.memory_catalog import MemoryCatalog
from tenantry.testing.memory_shared import MemorySharedRoutes
from tenantry.testing.parts import parts_in_memory
from tenantry.testing.virtual_loop import VirtualClock, run_virtual
from tenantry.testing.world import CALM, KilledError, Process, ProcessClock, SuspendedError, Weather, World

sys.path.insert(0, str(Path(__file__).parent))

from courses import Directed, Settings, directed_for, settings_for

PROCESSES = 3
SHARDS = 3
TENANTS = ("acme", "globex")
IDS = tuple(f"r{i}" for i in range(6))
#: Records that nobody touches, so that a copy has several pages.
STILL = tuple(f"still-{i:02}" for i in range(12))
LEASE_S = 0.4
CALL_S = 0.4
REQUEST_S = 0.5
#: Routers of the simulation give requests no time limit of their own: a suspended process must find the answer first.
NO_LIMIT_S = 10_000.0
GROUPS = 3


class Hook:
    """Implements `Faults` for one process."""

    def __init__(self, course: Course, process: Process) -> None:
        self._course = course
        self._process = process

    async def reach(self, point: str) -> None:
        directed = self._course.directed
        self._course.points.add(point)
        if directed is None or directed.point != point:
            return
        directed.reached += 1
        if directed.reached != directed.number:
            return
        self._course.world.note(f"{self._process.name}: {directed.what} at {point}")
        if directed.what == "kill":
            self._process.kill()
            self._course.revive_later(self._process)
            await self._process.turn()
        elif directed.what == "suspend":
            self._course.spawn(self._process.suspend(directed.seconds))
            await asyncio.sleep(0)
            await self._process.turn()
        elif directed.what == "fail":
            raise Unavailable("a fault of the test", retry_after_s=0.0)
        else:
            await asyncio.sleep(directed.seconds)


class Course:
    """A world, its processes and clients."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.chance = random.Random(settings.seed)
        self.world = World(settings.seed, CALL_S, Weather(lost_share=settings.lost_share))
        self.loop = asyncio.get_running_loop()
        self.clock = VirtualClock(self.loop)
        self.catalog = MemoryCatalog()
        self.shared = MemorySharedRoutes(old_share=1 / 3, chance=random.Random(f"shared/{settings.seed}"))
        self.stores: dict[tuple[str, str], MemoryBackend] = {}
        self.history = History(settings.visible_s)
        self.processes: list[Process] = []
        self.clusters: dict[str, Cluster] = {}
        #: Of the dead; kept, or their tasks would be collected in the middle.
        self.graves: list[Cluster] = []
        self.problems: list[str] = []
        #: Chance of its own, so that courses stay as they are otherwise.
        self.searching = random.Random(f"searching/{settings.seed}")
        self.searches = 0
        self.points: set[str] = set()
        self.directed: Directed | None = None
        #: Shards that hold no tenants.
        self.apart: set[str] = set()
        self.version = 0
        self.born = 0
        self.quiet = False
        #: Who gets the next request, if anybody in particular.
        self.chosen: Process | None = None
        self._tasks: set[asyncio.Task] = set()

    # --------------------------------------------------------------------------------- processes

    def spawn(self, work) -> asyncio.Task:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.problems.append(f"the test itself failed: {task.exception()!r}")

    def bear(self) -> Process:
        """A new process with a cluster of its own."""
        self.born += 1
        process = Process(self.world, f"p{self.born}")
        chance = random.Random(f"{self.settings.seed}/{self.born}")
        cluster = Cluster(
            parts_in_memory(
                process.reach(self.catalog),
                lambda index, shard: process.reach(self.store(index, shard)),
                ProcessClock(process, self.clock),
                cache=MemoryRouteCache(self.settings.routes),
                token=lambda size: f"{chance.getrandbits(8 * size):0{2 * size}x}",
                request_timeout_s=NO_LIMIT_S,
                search_deadline_s=NO_LIMIT_S,
                close=nothing,
                sole=False,
                lease_s=LEASE_S,
                moving=MovingLimits(call_s=CALL_S, request_s=REQUEST_S, poll_s=0.05),
                faults=Hook(self, process),
                shared=process.reach(self.shared) if self.settings.shared else None,
            )
        )
        self.processes.append(process)
        self.clusters[process.name] = cluster
        self.spawn(self._live(process, cluster))
        return process

    async def _live(self, process: Process, cluster: Cluster) -> None:
        """As a gateway: it looks for moves from the start."""

        async def wake() -> None:
            cluster._moving.wake()
            cluster._rolling.wake()

        try:
            await process.ask(wake())
        except KilledError:
            return

    def revive_later(self, process: Process) -> None:
        self.processes.remove(process)
        self.graves.append(self.clusters.pop(process.name))
        self.loop.call_later(self.chance.uniform(0.05, 1.0), self.bear)

    def store(self, index, shard) -> MemoryBackend:
        return self.stores.setdefault((index.name, shard.name), self.make_store(index, shard))

    def make_store(self, index, shard):
        return MemoryBackend(index.metric, many=self.settings.seed % 2 == 0)

    async def somebody(self) -> tuple[Process, Cluster]:
        while not self.processes:
            await asyncio.sleep(0.05)
        chosen, self.chosen = self.chosen, None
        process = chosen if chosen in self.processes else self.chance.choice(self.processes)
        return process, self.clusters[process.name]

    # ----------------------------------------------------------------------------------- clients

    async def ask(self, act, *, fair: bool = True):
        """One request to some process. Returns its answer; raises KilledError when it died, Unavailable when the
        weather was bad."""
        process, cluster = await self.somebody()
        try:
            return process.name, await process.ask(act(cluster))
        except (KilledError, Unavailable) as error:
            if isinstance(error, Unavailable) and not isinstance(error, SuspendedError) and not self.stormy:
                self.problems.append(f"{self.loop.time():.3f} {process.name} failed in fair weather: {error!r}")
            raise
        except (TenantryError, ExceptionGroup) as error:
            if fair:
                self.problems.append(f"{self.loop.time():.3f} {process.name} failed because of the move: {error!r}")
            raise

    @property
    def stormy(self) -> bool:
        return self.settings.lost_share > 0 or self.directed is not None

    async def write(self, tenant: str) -> None:
        self.version += 1
        version, now = self.version, self.loop.time()
        kind = self.chance.choices(
            ["put", "delete", "where", "patch", "values", "clear"], [50, 14, 5, 24, 4, 1]
        )[0]  # fmt: skip
        ids = self.chance.sample(IDS, self.chance.choice([1, 1, 2, 3]))
        if kind == "put":
            begun = self.history.put(tenant, ids, version, now)
            records = [(key, [1.0, version], {"v": version, "g": version % GROUPS}) for key in ids]
            act = lambda cluster: cluster.tenant(tenant).upsert(records)  # noqa: E731
        elif kind == "delete":
            begun = self.history.delete(tenant, ids, now)
            act = lambda cluster: cluster.tenant(tenant).delete(ids)  # noqa: E731
        elif kind == "where":
            group = version % GROUPS
            begun = self.history.delete_where(tenant, [*IDS, *STILL], lambda of: of % GROUPS == group, now)
            act = lambda cluster: cluster.tenant(tenant).delete(filter={"g": group})  # noqa: E731
        elif kind == "clear":
            begun = self.history.delete(tenant, [*IDS, *STILL], now)
            act = lambda cluster: cluster.tenant(tenant).delete(all=True)  # noqa: E731
        else:
            begun = self.history.patch(tenant, ids[0], version, now)
            act = lambda cluster: cluster.tenant(tenant).update(ids[0], set_metadata={"p": version})  # noqa: E731
        self.world.note(f"{kind} {version} of {tenant} {ids}")
        try:
            _, found = await self.ask(act)
        except (KilledError, TenantryError):
            return  # it may have taken effect, or still will
        self.history.acknowledge(begun, self.loop.time(), found if kind in ("patch", "values") else None)
        self.world.note(f"  {version} acknowledged")

    async def read(self, tenant: str) -> None:
        ids = [*IDS, self.chance.choice(STILL)]
        begun = self.loop.time()
        if self.chance.random() < 0.7:
            act = lambda cluster: cluster.tenant(tenant).fetch(ids)  # noqa: E731
        elif self.searching.random() < 0.5:
            await self.search(ids)
            return
        else:
            act = lambda cluster: cluster.tenant(tenant).query([1.0, 0.5], top_k=100)  # noqa: E731
        try:
            by, found = await self.ask(act)
        except (KilledError, TenantryError):
            return
        if isinstance(found, list):
            found = {hit.id: hit for hit in found}
        self.see(tenant, ids, found, begun, by)

    async def search(self, ids) -> None:
        """A search over both tenants is a read of each, all of it or nothing."""
        begun = self.loop.time()
        tenants = TENANTS if self.searching.random() < 0.5 else None
        try:
            by, found = await self.ask(lambda cluster: cluster.search_all([1.0, 0.5], tenants=tenants, top_k=100))
        except (KilledError, TenantryError):
            return
        if found.partial:
            return  # the shard that is named may hold either of them
        names = [(one.tenant, one.hit.id) for one in found.hits]
        if len(set(names)) < len(names) or found.tenants_asked != len(TENANTS):
            self.problems.append(f"{self.loop.time():.3f} {by} found twice, or not both tenants: {names}")
        self.searches += 1
        known = begun - (found.lag_s or 0.0)
        for tenant in TENANTS:
            self.see(tenant, ids, {one.hit.id: one.hit for one in found.hits if one.tenant == tenant}, known, by)

    def see(self, tenant: str, ids, found, begun: float, by: str) -> None:
        now = self.loop.time()
        for key in ids:
            metadata = found[key].metadata if key in found else {}
            read = Read(metadata.get("v", ABSENT), metadata.get("p"), begun, now, by)
            self.history.saw(tenant, key, read)

    async def client(self, number: int) -> None:
        while not self.quiet:
            tenant = self.chance.choice(TENANTS)
            if self.chance.random() < 0.55:
                await self.write(tenant)
            else:
                await self.read(tenant)
            await asyncio.sleep(self.chance.expovariate(1 / 0.02))

    # ----------------------------------------------------------------------------------- trouble

    async def mover(self, tenant: str) -> None:
        while not self.quiet:
            try:
                move = await self.start_move(tenant)
            except (KilledError, AlreadyExists, InvalidArgument, Conflict, Unavailable, CapacityExceeded):
                await asyncio.sleep(0.1)
                continue
            self.world.note(f"move {move.id} of {tenant}: {move.source} -> {move.target}")
            while not self.quiet:
                await asyncio.sleep(self.chance.uniform(0.02, 0.3))
                now = await self.catalog.moves.get(move.id)
                if now.ended:
                    break
                if self.settings.wishes and self.chance.random() < 0.2:
                    wish = self.chance.choice([Wish.CANCEL, Wish.ROLL_BACK, Wish.FINALISE, Wish.PAUSE, Wish.RUN])
                    await self.wish(move.id, wish)

    async def start_move(self, tenant: str):
        target = f"shard-{self.chance.randrange(SHARDS)}"
        options = Options(soak_s=self.chance.choice([0.0, 0.1, 0.5]), page=4, fence_s=0.2, samples=2)
        act = lambda cluster: cluster._moving.start("default", tenant, target, options)  # noqa: E731
        return (await self.ask(act, fair=False))[1]

    async def wish(self, id: str, wish: Wish) -> None:
        try:
            await self.ask(lambda cluster: cluster._moving.wish(id, wish), fair=False)
            self.world.note(f"{id}: {wish}")
        except (KilledError, Refused, Unavailable):
            return

    async def reaper(self) -> None:
        for _ in range(self.settings.kills):
            await asyncio.sleep(self.chance.uniform(0, self.settings.rounds_s / self.settings.kills))
            process, _ = await self.somebody()
            if not process.killed:
                process.kill()
                self.revive_later(process)

    async def suspender(self) -> None:
        for _ in range(self.settings.suspensions):
            await asyncio.sleep(self.chance.uniform(0, self.settings.rounds_s / self.settings.suspensions))
            process, _ = await self.somebody()
            if not process.suspended:
                await process.suspend(self.chance.choice([0.2, 1.2, 2.5]))

    async def ambusher(self) -> None:
        for _ in range(self.settings.ambushes):
            while not (moves := await self.catalog.moves.list(open_only=True)):
                await asyncio.sleep(0.05)
            process, _ = await self.somebody()
            if process.suspended or process.killed:
                continue
            self.clusters[process.name]._parts.cache.clear()
            self.chosen = process
            self.spawn(self.write(moves[0].tenant))
            await asyncio.sleep(self.chance.uniform(0, 0.01))
            await process.suspend(2.5)

    # -------------------------------------------------------------------------------------- whole

    async def begin(self) -> None:
        self.world.weather, weather = CALM, self.world.weather
        first = self.bear()
        cluster = self.clusters[first.name]
        await first.ask(cluster.indexes.create("default", 2, shards=SHARDS))
        for tenant in TENANTS:
            self.version += 1
            keys = [*IDS[:3], *STILL]
            records = [(key, [1.0, 1.0], {"v": self.version, "g": self.version % GROUPS}) for key in keys]
            begun = self.history.put(tenant, keys, self.version, self.loop.time())
            await first.ask(cluster.tenant(tenant).upsert(records))
            self.history.acknowledge(begun, self.loop.time())
        for _ in range(PROCESSES - 1):
            self.bear()
        for process in self.processes:
            for tenant in TENANTS:  # each has both routes cached before anything moves
                await process.ask(self.clusters[process.name].tenant(tenant).fetch(["r0"]))
        self.world.weather = weather

    async def end(self) -> None:
        """Fair weather; whatever moves comes to its end; then everybody looks at everything."""
        await asyncio.sleep(3 * CALL_S)  # what is still on its way arrives
        for _ in range(2_000):
            for move in await self.catalog.moves.list(open_only=True):
                if move.wish is Wish.PAUSE:
                    await self.wish(move.id, Wish.RUN)
            if len(self.processes) == PROCESSES and not await self.catalog.moves.list(open_only=True):
                break
            await asyncio.sleep(0.05)
        else:
            stuck = await self.catalog.moves.list(open_only=True)
            self.problems.append(f"moves that never end: {stuck}")
        await asyncio.sleep(self.settings.visible_s)
        for process in list(self.processes):
            for tenant in TENANTS:
                begun = self.loop.time()
                ids = [*IDS, *STILL]
                try:
                    found = await process.ask(self.clusters[process.name].tenant(tenant).fetch(ids))
                except SuspendedError:  # it stood still until now, and lost the call by which it noticed
                    found = await process.ask(self.clusters[process.name].tenant(tenant).fetch(ids))
                self.see(tenant, ids, found, begun, f"{process.name} at the end")
        await self.check_places()

    async def check_places(self) -> None:
        """Only the routed namespaces, and retired copies, are left."""
        named = set()
        for tenant in TENANTS:
            route = (await self.catalog.tenants.get("default", tenant)).route
            named.add(route.place)
            if route.other is not None:
                self.problems.append(f"{tenant} still has another place: {route}")
        named |= {copy.place for copy in await self.catalog.copies.list("default")}
        for (_, shard), store in self.stores.items():
            if shard in self.apart:
                continue
            for namespace in store.data:
                if all((shard, namespace) != (place.shard, place.namespace) for place in named):
                    self.problems.append(f"an orphan is left: {shard}/{namespace}")

    async def run(self) -> list[str]:
        await self.begin()
        work = [self.client(number) for number in range(self.settings.clients)]
        work += [self.mover(tenant) for tenant in TENANTS]
        work += [self.reaper(), self.suspender(), self.ambusher()]
        tasks = [self.spawn(one) for one in work]
        await asyncio.sleep(self.settings.rounds_s)
        self.quiet = True
        self.world.weather = CALM
        self.directed = None
        _, late = await asyncio.wait(tasks, timeout=60)
        if late:
            self.problems.append(f"requests that are never answered: {late}")
        await self.end()
        return self.problems + self.history.violations()


class Outcome(list):
    """Problems of one course, with what else it tells."""

    points: set[str]
    trace: list[str]
    moves: dict[str, int]


def play(seed: int, settings: Settings | None = None, directed: Directed | None = None, kind=Course) -> Outcome:
    """Run one course of events; returns what was wrong."""

    async def main() -> Outcome:
        course = kind(settings or settings_for(seed))
        course.directed = directed or directed_for(seed)
        outcome = Outcome(await course.run())
        outcome.points, outcome.trace = course.points, course.world.trace
        outcome.moves = {}
        for move in await course.catalog.moves.list(limit=1_000):
            outcome.moves[move.phase.value] = outcome.moves.get(move.phase.value, 0) + 1
        return outcome

    return run_virtual(main(), limit_s=600)


async def nothing():
    return None


if __name__ == "__main__":
    told = play(int(sys.argv[1]))
    print("\n".join(told.trace))
    print("\n".join(told) or "nothing wrong", told.moves)
