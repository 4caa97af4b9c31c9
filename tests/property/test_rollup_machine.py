"""Random work on a real embedded cluster that has a roll-up, restarts and moves included: what is found in it is what
the tenants hold."""

import asyncio
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tenantry.errors import Conflict, InvalidArgument, Refused
from tenantry.model.filters import matches, parse_filter
from tenantry.wiring import init_cluster

sys.path.insert(0, str(Path(__file__).parent))
from test_cluster_machine import FILTERS, VALUES, ClusterMachine

OLD_S = 1_000.0


class RollupMachine(ClusterMachine):
    """The same work; the copies are compared now and then."""

    @initialize()
    def start(self):
        self.cluster = self.run(init_cluster(self.folder, dimension=3, shards=2))
        self.run(self.cluster.rollups.on(wait_s=60.0))

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def move(self, data):
        name = data.draw(st.sampled_from(sorted(self.model)))

        async def moved():
            here = (await self.cluster.tenants.get(name)).tenant.route.place.shard
            target = "shard-1" if here == "shard-0" else "shard-0"
            started = await self.cluster.moves.start(name, target, soak_s=0)
            await self.cluster.moves.wait(started.id)

        try:
            self.run(moved())
        except (Refused, Conflict, InvalidArgument):
            assert name in self.suspended

    @rule(vector=VALUES, condition=st.none() | FILTERS, some=st.booleans())
    def search_the_copies(self, vector, condition, some):
        compared = self.run(self.cluster.rollups.verify(wait_s=60.0))
        assert compared.whole, compared
        active = sorted(set(self.model) - self.suspended)
        assert compared.records == sum(len(self.model[name]) for name in active)
        chosen = active[:2] if some and active else None
        found = self.run(
            self.cluster.search_all(
                vector, tenants=chosen, top_k=1_000, filter=condition, max_lag_s=OLD_S, deadline_s=60.0
            )
        )
        if chosen is None and active:
            assert found.source == "roll-up", found.why_shards
        parsed = parse_filter(condition)
        wanted = {
            (name, key)
            for name in chosen or active
            for key, (_, metadata) in self.model[name].items()
            if parsed is None or matches(parsed, metadata)
        }
        assert {(one.tenant, one.hit.id) for one in found.hits} == wanted

    @rule()
    def rest(self):
        self.run(asyncio.sleep(0.05))


TestRollup = RollupMachine.TestCase
TestRollup.settings = settings(
    max_examples=12,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
