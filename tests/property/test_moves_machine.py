"""Random work on a cluster whose tenants move, crashes and restarts included, held against plain dictionaries."""

from __future__ import annotations

import asyncio
import itertools

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tenantry.cluster import Cluster
from tenantry.errors import AlreadyExists, CapacityExceeded, InvalidArgument, Refused
from tenantry.model.filters import matches, parse_filter
from tenantry.testing.memory_backend import MemoryBackend
from tenantry.testing.memory_catalog import MemoryCatalog
from tenantry.testing.parts import parts_in_memory
from tenantry.testing.virtual_loop import VirtualClock, VirtualLoop
from tenantry.testing.world import Process, ProcessClock, World

TENANTS = st.sampled_from(["acme", "b", "Ü / x"])
ALL_IDS = [f"r{i}" for i in range(8)]
IDS = st.lists(st.sampled_from(ALL_IDS), min_size=1, max_size=5, unique=True)
NUMBERS = st.integers(-3, 3)
FILTERS = st.sampled_from([{"n": {"$gte": 0}}, {"n": 2}, {"m": {"$exists": True}}])
CALL_S = 0.5


async def nothing():
    return None


class MovesMachine(RuleBasedStateMachine):
    """``model``: tenant to id to metadata."""

    def __init__(self):
        super().__init__()
        self.loop = VirtualLoop()
        asyncio.set_event_loop(self.loop)
        self.model = {}
        self.stores = {}
        self.numbers = itertools.count(1)
        self.born = 0
        self.shards = 2

    def run(self, work):
        return self.loop.run_until_complete(asyncio.wait_for(work, 600))

    async def ask(self, make):
        return await self.process.ask(make(self.cluster))

    def store(self, index, shard):
        return self.stores.setdefault(shard.name, MemoryBackend(index.metric))

    @initialize(seed=st.integers(0, 1_000))
    def start(self, seed):
        async def begin():
            self.world = World(seed, CALL_S)
            self.catalog = MemoryCatalog()
            self.open()
            await self.ask(lambda cluster: cluster.indexes.create("default", 2, shards=self.shards))

        self.run(begin())

    def open(self):
        """A process that has everything to itself, as one with a data folder does."""
        self.born += 1
        self.process = Process(self.world, f"p{self.born}")
        process = self.process
        clock = ProcessClock(process, VirtualClock(self.loop))
        tokens = itertools.count(1_000 * self.born)
        self.cluster = Cluster(
            parts_in_memory(
                process.reach(self.catalog),
                lambda index, shard: process.reach(self.store(index, shard)),
                clock,
                token=lambda size: f"{next(tokens):0{2 * size}x}",
                request_timeout_s=120.0,
                search_deadline_s=120.0,
                close=nothing,
            )
        )

    def teardown(self):
        async def die():
            for process in self.world.processes:
                process.kill()

        if hasattr(self, "world"):
            self.run(die())
        for _ in range(20):
            rest = asyncio.all_tasks(self.loop)
            if not rest:
                break
            for task in rest:
                task.cancel()
            self.loop.run_until_complete(asyncio.wait(rest, timeout=1))
        self.loop.close()
        asyncio.set_event_loop(None)

    # ------------------------------------------------------------------------------------- writing

    @rule(name=TENANTS, ids=IDS, number=NUMBERS)
    def upsert(self, name, ids, number):
        metadata = {"n": number, "v": next(self.numbers)}
        batch = [(key, [1.0, float(number)], metadata) for key in ids]
        self.run(self.ask(lambda cluster: cluster.tenant(name).upsert(batch)))
        self.model.setdefault(name, {}).update(dict.fromkeys(ids, metadata))

    @precondition(lambda self: self.model)
    @rule(data=st.data(), ids=IDS)
    def delete_ids(self, data, ids):
        name = data.draw(st.sampled_from(sorted(self.model)))
        self.run(self.ask(lambda cluster: cluster.tenant(name).delete(ids)))
        for key in ids:
            self.model[name].pop(key, None)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), condition=FILTERS)
    def delete_matching(self, data, condition):
        name = data.draw(st.sampled_from(sorted(self.model)))
        self.run(self.ask(lambda cluster: cluster.tenant(name).delete(filter=condition)))
        parsed = parse_filter(condition)
        self.model[name] = {key: row for key, row in self.model[name].items() if not matches(parsed, row)}

    @precondition(lambda self: self.model)
    @rule(data=st.data(), key=st.sampled_from(["r0", "r1"]), number=NUMBERS)
    def update(self, data, key, number):
        name = data.draw(st.sampled_from(sorted(self.model)))
        change = {"m": number}
        found = self.run(self.ask(lambda cluster: cluster.tenant(name).update(key, set_metadata=change)))
        assert found == (key in self.model[name])
        if found:
            self.model[name][key] = {**self.model[name][key], **change}

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def delete_tenant(self, data):
        name = data.draw(st.sampled_from(sorted(self.model)))
        self.run(self.ask(lambda cluster: cluster.tenants.delete(name)))
        del self.model[name]

    # -------------------------------------------------------------------------------------- moving

    @precondition(lambda self: self.model)
    @rule(data=st.data(), soak_s=st.sampled_from([0.0, 5.0, 1_000.0]), wait_s=st.sampled_from([0.0, 0.01, 0.05, 3.0]))
    def move(self, data, soak_s, wait_s):
        name = data.draw(st.sampled_from(sorted(self.model)))
        target = f"shard-{data.draw(st.integers(0, self.shards - 1))}"

        async def begin():
            try:
                await self.ask(lambda cluster: cluster.moves.start(name, target, soak_s=soak_s, page=2))
            except (InvalidArgument, AlreadyExists, Refused, CapacityExceeded):
                return  # there already, or moving already
            await asyncio.sleep(wait_s)

        self.run(begin())

    @rule(data=st.data(), wish=st.sampled_from(["cancel", "rollback", "finalise", "pause", "resume"]))
    def steer(self, data, wish):
        async def go():
            moves = await self.catalog.moves.list(open_only=True)
            if not moves:
                return
            move = data.draw(st.sampled_from(moves))
            try:
                await self.ask(lambda cluster: getattr(cluster.moves, wish)(move.id))
            except Refused:
                return

        self.run(go())

    @rule()
    def add_shard(self):
        if self.shards < 4:
            name = f"shard-{self.shards}"
            self.run(self.ask(lambda cluster: cluster.shards.add(name)))
            self.shards += 1

    @rule(data=st.data())
    def drain(self, data):
        name = f"shard-{data.draw(st.integers(0, self.shards - 1))}"

        async def go():
            try:
                plan = await self.ask(lambda cluster: cluster.plans.plan(aim="drain", subject=name, max_moves=100))
                run = await self.ask(lambda cluster: cluster.plans.execute(plan, name, soak_s=0.0))
            except Refused:
                return
            while self.cluster.plans.run(run.id).state == "running":
                await asyncio.sleep(0.2)
            await self.ask(lambda cluster: cluster.shards.update(name, state="active"))

        self.run(go())

    # ------------------------------------------------------------------------------------ trouble

    @rule(wait_s=st.sampled_from([0.0, 0.003, 0.02, 0.3]))
    def crash(self, wait_s):
        async def die():
            await asyncio.sleep(wait_s)
            self.process.kill()
            self.graves = [*getattr(self, "graves", []), self.cluster]
            await asyncio.sleep(CALL_S)  # what it had sent has arrived: the lock on the folder goes with the process
            self.open()

        self.run(die())

    @rule(wait_s=st.sampled_from([0.1, 20.0]))
    def time_passes(self, wait_s):
        self.run(asyncio.sleep(wait_s))

    @rule()
    def restart(self):
        async def again():
            await self.ask(lambda cluster: cluster.aclose())
            self.open()

        self.run(again())

    # ----------------------------------------------------------------------------------- invariants

    @invariant()
    def everything_is_there(self):
        if not hasattr(self, "catalog"):
            return
        for name, rows in self.model.items():
            found = self.run(self.ask(lambda cluster, name=name: cluster.tenant(name).fetch(ALL_IDS)))
            assert {key: record.metadata for key, record in found.items()} == rows, name
            hits = self.run(self.ask(lambda cluster, name=name: cluster.tenant(name).query([1.0, 0.5], top_k=50)))
            assert {hit.id: hit.metadata for hit in hits} == rows, name
        listed = self.run(self.catalog.tenants.list("default"))
        assert {tenant.name for tenant in listed} == set(self.model)

    @invariant()
    def counts_of_shards_are_those_of_routes(self):
        if not hasattr(self, "catalog"):
            return
        tenants = self.run(self.catalog.tenants.list("default"))
        for shard in self.run(self.catalog.shards.list("default")):
            assert shard.tenants == sum(one.route.place.shard == shard.name for one in tenants)
            assert shard.copies == sum(
                one.route.other is not None and one.route.other.shard == shard.name for one in tenants
            )


TestMoves = MovesMachine.TestCase
TestMoves.settings = settings(
    max_examples=250, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
