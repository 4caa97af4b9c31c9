"""Random work on a real embedded cluster, restarts included, held against plain dictionaries."""

import asyncio
import shutil
import tempfile

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tenantry.errors import NotFound, Refused
from tenantry.model.filters import matches, parse_filter
from tenantry.wiring import init_cluster, open_cluster

TENANTS = st.sampled_from(["acme", "Ünïcode / Kunde", "b", "__default__"])
IDS = st.lists(st.sampled_from([f"r{i}" for i in range(12)] + ["日本", "a#b"]), min_size=1, max_size=8, unique=True)
VALUES = st.lists(st.integers(-5, 5), min_size=3, max_size=3).filter(any)
METADATA = st.none() | st.fixed_dictionaries(
    {}, optional={"n": st.integers(-3, 3), "kind": st.sampled_from(["x", "y"]), "tags": st.lists(st.sampled_from("pq"))}
)
FILTERS = st.sampled_from(
    [{"n": {"$gte": 0}}, {"kind": "x"}, {"kind": {"$ne": "x"}}, {"tags": "p"}, {"n": {"$exists": False}}]
)


class ClusterMachine(RuleBasedStateMachine):
    """``model`` is what must be there: tenant to id to (values, metadata)."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.mkdtemp()
        self.model = {}
        self.suspended = set()
        self.epochs = {}

    def run(self, work):
        return self.loop.run_until_complete(work)

    @initialize()
    def start(self):
        self.cluster = self.run(init_cluster(self.folder, dimension=3, shards=2))

    def teardown(self):
        if hasattr(self, "cluster"):
            self.run(self.cluster.aclose())
        self.loop.close()
        shutil.rmtree(self.folder)

    def refused_if_suspended(self, name, work):
        """Run the work; True when it was refused because the tenant is suspended, which then must be so."""
        try:
            self.run(work)
        except Refused:
            assert name in self.suspended
            return True
        assert name not in self.suspended
        return False

    @rule(name=TENANTS, ids=IDS, values=VALUES, metadata=METADATA)
    def upsert(self, name, ids, values, metadata):
        batch = [(key, [values[0] + i, values[1], values[2] or 1], metadata) for i, key in enumerate(ids)]
        if not self.refused_if_suspended(name, self.cluster.tenant(name).upsert(batch)):
            self.model.setdefault(name, {}).update({key: (vector, metadata) for key, vector, metadata in batch})

    @precondition(lambda self: self.model)
    @rule(data=st.data(), ids=IDS)
    def delete_ids(self, data, ids):
        name = data.draw(st.sampled_from(sorted(self.model)))
        if not self.refused_if_suspended(name, self.cluster.tenant(name).delete(ids)):
            for key in ids:
                self.model[name].pop(key, None)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), condition=FILTERS)
    def delete_matching(self, data, condition):
        name = data.draw(st.sampled_from(sorted(self.model)))
        if not self.refused_if_suspended(name, self.cluster.tenant(name).delete(filter=condition)):
            parsed = parse_filter(condition)
            kept = {key: row for key, row in self.model[name].items() if not matches(parsed, row[1])}
            self.model[name] = kept

    @precondition(lambda self: self.model)
    @rule(data=st.data(), key=st.sampled_from(["r0", "r1", "日本"]), number=st.integers(-3, 3))
    def update(self, data, key, number):
        name = data.draw(st.sampled_from(sorted(self.model)))
        refused = self.refused_if_suspended(name, self.cluster.tenant(name).update(key, set_metadata={"n": number}))
        if not refused and key in self.model[name]:
            values, metadata = self.model[name][key]
            self.model[name][key] = (values, {**(metadata or {}), "n": number})

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def delete_tenant(self, data):
        name = data.draw(st.sampled_from(sorted(self.model)))
        self.run(self.cluster.tenants.delete(name))
        del self.model[name]
        self.suspended.discard(name)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def suspend_or_resume(self, data):
        name = data.draw(st.sampled_from(sorted(self.model)))
        if name in self.suspended:
            self.run(self.cluster.tenants.resume(name))
            self.suspended.discard(name)
        else:
            self.run(self.cluster.tenants.suspend(name))
            self.suspended.add(name)

    @rule()
    def restart(self):
        self.run(self.cluster.aclose())
        self.cluster = self.run(open_cluster(self.folder))

    @rule(vector=VALUES, condition=st.none() | FILTERS)
    def query(self, vector, condition):
        parsed = parse_filter(condition)
        for name in set(self.model) - self.suspended:
            hits = self.run(self.cluster.tenant(name).query(vector, top_k=100, filter=condition))
            rows = {k: r for k, r in self.model[name].items() if parsed is None or matches(parsed, r[1])}
            assert {hit.id: hit.metadata for hit in hits} == {key: metadata for key, (_, metadata) in rows.items()}
            assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
            for hit in hits:
                stored = np.array(rows[hit.id][0], float)
                cosine = stored @ vector / np.linalg.norm(stored) / np.linalg.norm(vector)
                assert abs(hit.score - cosine) < 1e-5

    @invariant()
    def everything_is_there(self):
        if not hasattr(self, "cluster"):
            return
        listed = self.run(self.cluster.tenants.list())
        assert {status.tenant.name: status.vectors for status in listed} == {n: len(r) for n, r in self.model.items()}
        for status in listed:
            name, epoch = status.tenant.name, status.tenant.route.epoch
            assert epoch >= self.epochs.get(name, 0)
            self.epochs[name] = epoch
            if name not in self.suspended:
                wanted = [f"r{i}" for i in range(12)] + ["日本", "a#b"]
                found = self.run(self.cluster.tenant(name).fetch(wanted))
                assert {k: (r.values.tolist(), r.metadata) for k, r in found.items()} == self.model[name]

    @invariant()
    def unknown_tenants_stay_unknown(self):
        if hasattr(self, "cluster"):
            try:
                self.run(self.cluster.tenant("nobody").query([1, 0, 0]))
            except NotFound:
                return
            raise AssertionError("a read made a tenant")


TestCluster = ClusterMachine.TestCase
TestCluster.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
