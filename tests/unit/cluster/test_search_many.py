"""Cross-tenant search: in few requests, with hedges and breakers, by pages, by groups, from the cache."""

import asyncio

import numpy as np
import pytest

from tenantry.catalogs.sql import open_catalog
from tenantry.errors import InvalidArgument, Refused, Unavailable
from tenantry.model.topology import TenantSpec
from tenantry.router.gate import GateOptions
from tenantry.router.scatter import Outcome, SearchLimits
from tenantry.router.service import ServiceOptions
from tenantry.testing.memory_backend import MemoryBackend

from .conftest import outwaited

V = [1.0, 0.3]


@pytest.fixture
async def labs(lab, tmp_path):
    """Makes further clusters, with other parts."""
    made = []

    async def make(many=False, shards=3, **parts):
        other = type(lab)(await open_catalog(f"sqlite:///{tmp_path}/{len(made)}.db"), **parts)
        other.open_backend = None
        other.cluster.router.pool._open_backend = lambda index, shard: other.backends.setdefault(
            (index.name, shard.name), MemoryBackend(index.metric, many=many)
        )
        await other.cluster.indexes.create("default", 2, shards=shards)
        made.append(other)
        return other

    yield make
    for one in made:
        await one.cluster.aclose()


async def fill(lab, tenants=12, each=5, seed=7):
    rng = np.random.default_rng(seed)
    rows = []
    for t in range(tenants):
        mine = [(f"r{i:03}", rng.normal(size=2), {"t": t}) for i in range(each)]
        await lab.cluster.tenant(f"t{t:02}").upsert(mine)
        rows += [(f"t{t:02}", id, values) for id, values, _ in mine]
    return rows


def order(rows, vector=V):
    def cosine(values):
        a, b = np.float32(values).astype(float), np.float32(vector).astype(float)
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))

    return [(t, id) for _, t, id in sorted((-cosine(values), t, id) for t, id, values in rows)]


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0)


def names(found):
    return [(one.tenant, one.hit.id) for one in found.hits]


@pytest.mark.parametrize("many", [True, False])
@pytest.mark.parametrize("top_k", [1, 10, 50, 100, 1_000])
async def test_it_is_exact_whatever_is_asked_at_first(labs, many, top_k):
    """Also where one tenant holds all the nearest, which a first try does not expect."""
    lab = await labs(many)
    rows = await fill(lab, tenants=20, each=30)
    near = [(f"n{i:03}", [1.0, 0.3 + i / 1_000]) for i in range(120)]
    await lab.cluster.tenant("t07").upsert(near)
    rows += [("t07", id, values) for id, values in near]
    found = await lab.cluster.search_all(V, top_k=top_k)
    assert names(found) == order(rows)[:top_k]
    assert found.exact
    assert sum(one.tenants for one in found.shards) == found.tenants_asked == 20


@pytest.mark.parametrize("many", [True, False])
async def test_its_parts_wait_for_their_turn_on_the_shard_and_let_tenants_by(labs, many):
    """However much is searched, one part at a time is on a shard of one place; and no part is turned away."""
    lab = await labs(many, shards=1, service=ServiceOptions(gate=GateOptions(width=1)), search_deadline_s=5.0)
    rows = await fill(lab, tenants=6)
    backend = lab.backend("shard-0")
    backend.calls.clear()
    backend.gate.clear()
    searches = [asyncio.ensure_future(lab.cluster.search_all(V, top_k=3)) for _ in range(3)]
    await until(lambda: backend.calls)
    mine = asyncio.ensure_future(lab.cluster.tenant("t03").query(V))
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(backend.calls) == 1, "one place, one part"
    lab.clock.advance(30)  # longer than a tenant's operation would wait
    backend.gate.set()
    results = await asyncio.gather(*searches)
    assert [names(one) for one in results] == [order(rows)[:3]] * 3
    assert not any(one.partial for one in results)
    with pytest.raises(Unavailable, match="waited 30000 ms"):
        await mine


async def test_a_search_over_all_does_not_keep_a_tenant_waiting_for_all_of_it(labs):
    lab = await labs(shards=1, service=ServiceOptions(gate=GateOptions(width=1)), search_deadline_s=5.0)
    await fill(lab, tenants=12)
    backend = lab.backend("shard-0")
    backend.calls.clear()
    backend.gate.clear()
    search = asyncio.ensure_future(lab.cluster.search_all(V, top_k=3))
    await until(lambda: backend.calls)
    mine = asyncio.ensure_future(lab.cluster.tenant("t03").query(V))
    for _ in range(50):
        await asyncio.sleep(0)
    backend.gate.set()
    await mine
    assert len(backend.calls) <= 4, "at most a turn of the search went before"
    assert not (await search).partial
    assert len(backend.calls) == 13


async def test_an_engine_that_can_is_asked_once(labs):
    lab = await labs(many=True)
    await fill(lab)
    for backend in lab.backends.values():
        backend.calls.clear()
    found = await lab.cluster.search_all(V, top_k=7)
    assert {name: backend.calls for (_, name), backend in lab.backends.items()} == {
        f"shard-{i}": ["query_many"] for i in range(3)
    }
    assert [one.calls for one in found.shards] == [1, 1, 1]
    readings = await lab.cluster.readings()
    assert [readings.shards[f"shard-{i}"].parts for i in range(3)] == [1, 1, 1]
    await lab.cluster.search_all(V, tenants=["t03"])
    assert [call for backend in lab.backends.values() for call in backend.calls].count("query") == 1


async def test_tenants_made_and_gone_are_seen_at_once(lab):
    """Though the list of all tenants is kept."""
    await fill(lab)
    assert (await lab.cluster.search_all(V)).tenants_asked == 12
    await lab.cluster.tenant("new").upsert([("a", V)])
    found = await lab.cluster.search_all(V, top_k=1)
    assert (names(found), found.tenants_asked) == ([("new", "a")], 13)
    await lab.cluster.tenants.suspend("new")
    assert (await lab.cluster.search_all(V)).tenants_asked == 12
    await lab.cluster.tenants.resume("new")
    assert (await lab.cluster.search_all(V)).tenants_asked == 13
    await lab.cluster.tenants.delete("new")
    assert (await lab.cluster.search_all(V)).tenants_asked == 12


@pytest.mark.parametrize("many", [True, False])
async def test_at_most_so_many_of_each_tenant(labs, many):
    lab = await labs(many)
    rows = await fill(lab)
    wanted, taken = [], {}
    for tenant, id in order(rows):
        taken[tenant] = taken.get(tenant, 0) + 1
        if taken[tenant] <= 2:
            wanted.append((tenant, id))
    assert names(await lab.cluster.search_all(V, top_k=10, per_tenant=2)) == wanted[:10]
    assert names(await lab.cluster.search_all(V, top_k=100, per_tenant=2)) == wanted
    with pytest.raises(InvalidArgument, match="per_tenant"):
        await lab.cluster.search_all(V, per_tenant=0)


@pytest.mark.parametrize("many", [True, False])
@pytest.mark.parametrize("per_tenant", [None, 3])
async def test_pages_put_together_are_the_whole(labs, many, per_tenant):
    lab = await labs(many)
    await fill(lab, each=9)
    whole = names(await lab.cluster.search_all(V, top_k=1_000, per_tenant=per_tenant))
    found, cursor, pages = [], None, 0
    while True:
        page = await lab.cluster.search_all(V, top_k=7, per_tenant=per_tenant, cursor=cursor)
        found += names(page)
        pages += 1
        cursor = page.cursor
        if cursor is None:
            break
        if pages == 2 and per_tenant is None:  # between two pages, ahead of all that was seen
            await lab.cluster.tenant("t00").upsert([("first", V)])
    assert found == whole
    assert pages == len(whole) // 7 + 1


async def test_a_cursor_of_another_question_is_refused(lab):
    await fill(lab)
    cursor = (await lab.cluster.search_all(V, top_k=3)).cursor
    assert names(await lab.cluster.search_all(V, top_k=2, cursor=cursor))
    for other in (
        {"vector": [0.3, 1.0]},
        {"filter": {"t": 1}},
        {"tenants": ["t01"]},
        {"per_tenant": 2},
        {"exactness": 0.9},
    ):
        with pytest.raises(InvalidArgument, match="cursor"):
            await lab.cluster.search_all(**{"vector": V, "cursor": cursor, **other})


async def test_less_exact_asks_for_less_and_says_whether_it_is_proven(labs):
    lab = await labs(many=False)
    rows = await fill(lab, tenants=20, each=50)
    asked = []
    query_at = lab.cluster.router.query_at

    async def noted(index, tenant, route, query, term):
        asked.append(query.top_k)
        return await query_at(index, tenant, route, query, term)

    lab.cluster.router.query_at = noted
    whole = await lab.cluster.search_all(V, top_k=100)
    asked.clear()
    found = await lab.cluster.search_all(V, top_k=100, exactness=0.999)
    assert len(asked) == 20
    assert max(asked) < 30
    assert found.exact
    assert names(found) == names(whole) == order(rows)[:100]
    await lab.cluster.tenant("t03").upsert([(f"n{i}", [1.0, 0.3 + i / 1_000]) for i in range(90)])
    found = await lab.cluster.search_all(V, top_k=100, exactness=0.999)
    assert not found.exact
    assert len(found.hits) == 100
    with pytest.raises(InvalidArgument, match="exactness"):
        await lab.cluster.search_all(V, exactness=0)


async def test_shards_are_asked_once_when_what_is_near_lies_together(labs):
    lab = await labs(many=True)
    await fill(lab, tenants=20, each=50)
    await lab.cluster.tenant("t03").upsert([(f"n{i}", [1.0, 0.3 + i / 1_000]) for i in range(100)])
    found = await lab.cluster.search_all(V, top_k=100)
    assert found.exact
    assert [one.calls for one in found.shards] == [1, 1, 1]


async def test_a_filter_makes_it_exact_again(labs):
    """What a filter leaves of each tenant is unknown, so nothing can be said about chances."""
    lab = await labs(many=False)
    await fill(lab, tenants=20, each=50)
    await lab.cluster.tenant("t03").upsert([(f"n{i}", [1.0, 0.3 + i / 1_000], {"t": 99}) for i in range(100)])
    found = await lab.cluster.search_all(V, top_k=100, exactness=0.9, filter={"t": 99})
    assert found.exact
    assert {one.tenant for one in found.hits} == {"t03"}


class TestBreaker:
    async def test_a_shard_that_keeps_failing_is_left_out_and_tried_again(self, lab):
        await fill(lab)
        sick = lab.backend("shard-1")
        sick.fail_with = Unavailable("gone fishing")
        for _ in range(5):
            found = await lab.cluster.search_all(V)
            assert found.missing_shards == {"shard-1": "gone fishing"}
        sick.calls.clear()
        found = await lab.cluster.search_all(V)
        assert sick.calls == []
        assert "tried again in 5.0 s" in found.missing_shards["shard-1"]
        assert "gone fishing" in found.missing_shards["shard-1"]
        assert {one.shard: one.outcome for one in found.shards}["shard-1"] is Outcome.OPEN
        assert lab.cluster.scatter.breakers("default")["shard-1"] == "open"
        sick.fail_with = None
        assert (await lab.cluster.search_all(V)).partial
        lab.clock.advance(5)
        assert not (await lab.cluster.search_all(V)).partial
        assert lab.cluster.scatter.breakers("default")["shard-1"] == "half-open"
        assert not (await lab.cluster.search_all(V)).partial
        assert set(lab.cluster.scatter.breakers("default").values()) == {"closed"}

    async def test_a_probe_does_not_wait_long(self, labs):
        lab = await labs(searching=SearchLimits(probe_s=5), search_deadline_s=60)
        await fill(lab)
        sick = lab.backend("shard-1")
        sick.gate.clear()
        for _ in range(5):
            found = await outwaited(lab.cluster.search_all(V), sick)
            assert "60 s" in found.missing_shards["shard-1"]
        lab.clock.advance(5)
        found = await outwaited(lab.cluster.search_all(V), sick)
        assert "5 s" in found.missing_shards["shard-1"]
        assert lab.cluster.scatter.breakers("default")["shard-1"] == "open"
        sick.gate.set()

    async def test_a_caller_in_a_hurry_is_no_reason_to_leave_it_out(self, lab):
        await fill(lab)
        lab.backend("shard-1").gate.clear()
        for _ in range(10):
            found = await outwaited(lab.cluster.search_all(V, deadline_s=10), lab.backend("shard-1"))
            assert "10 s" in found.missing_shards["shard-1"]
        assert lab.cluster.scatter.breakers("default")["shard-1"] == "closed"
        lab.backend("shard-1").gate.set()


class SlowFirst(MemoryBackend):
    """The first request after `arm` hangs; others answer at once."""

    armed = False
    hung = 0

    async def enter(self, call):
        if self.armed and call.startswith("query"):
            self.armed = False
            SlowFirst.hung += 1
            await asyncio.Event().wait()
        await super().enter(call)


class TestHedge:
    @pytest.fixture
    async def slow(self, labs):
        lab = await labs(shards=1)
        lab.cluster.router.pool._open_backend = lambda index, shard: lab.backends.setdefault(
            (index.name, shard.name), SlowFirst(index.metric, many=True)
        )
        await lab.cluster.router.pool.aclose()
        lab.backends.clear()
        await fill(lab)
        return lab

    async def test_a_second_request_saves_a_slow_search(self, slow):
        for _ in range(20):
            assert sum(one.hedges for one in (await slow.cluster.search_all(V)).shards) == 0
        slow.backend("shard-0").armed = True
        found = await slow.cluster.search_all(V, top_k=5)
        assert not found.partial
        assert [one.hedges for one in found.shards] == [1]
        assert len(found.hits) == 5

    async def test_no_more_than_one_in_twenty(self, slow):
        for _ in range(25):
            await slow.cluster.search_all(V)
        late = 0
        for _ in range(3):
            slow.backend("shard-0").armed = True
            late += (await slow.cluster.search_all(V, deadline_s=1.0)).partial
        assert slow.cluster.scatter._standings.of("default", "shard-0").hedges == 1
        assert late >= 2

    async def test_without_hedging_it_is_late(self, labs):
        lab = await labs(shards=1, searching=SearchLimits(hedge_share=0.0))
        lab.cluster.router.pool._open_backend = lambda index, shard: lab.backends.setdefault(
            (index.name, shard.name), SlowFirst(index.metric, many=True)
        )
        await lab.cluster.router.pool.aclose()
        lab.backends.clear()
        await fill(lab)
        for _ in range(25):
            await lab.cluster.search_all(V)
        lab.backend("shard-0").armed = True
        assert (await lab.cluster.search_all(V, deadline_s=0.05)).partial


async def test_cancelling_ends_what_is_under_way(labs):
    lab = await labs(many=False)
    await fill(lab)
    for backend in lab.backends.values():
        backend.gate.clear()
    before = asyncio.all_tasks()
    search = asyncio.create_task(lab.cluster.search_all(V, deadline_s=60))
    async with asyncio.timeout(60):
        while not all("query" in backend.calls for backend in lab.backends.values()):
            await asyncio.sleep(0)
    search.cancel()
    with pytest.raises(asyncio.CancelledError):
        await search
    await lab.cluster.scatter.aclose()
    assert asyncio.all_tasks() - before == set()
    assert not lab.cluster.router.inflight._held
    assert set(lab.cluster.scatter.breakers("default").values()) == {"closed"}
    for backend in lab.backends.values():
        backend.gate.set()


class TestCache:
    @pytest.fixture
    async def kept(self, labs):
        lab = await labs(searching=SearchLimits(cache_s=2.0))
        await fill(lab)
        return lab

    async def test_the_same_question_is_answered_again(self, kept):
        first = await kept.cluster.search_all(V, top_k=5)
        calls = sum(len(backend.calls) for backend in kept.backends.values())
        again = await kept.cluster.search_all(V, top_k=5)
        assert (first.cached, again.cached) == (False, True)
        assert names(again) == names(first)
        assert again.cursor == first.cursor
        assert sum(len(backend.calls) for backend in kept.backends.values()) == calls
        again.hits[0].hit.metadata["t"] = "mine"
        assert (await kept.cluster.search_all(V, top_k=5)).hits[0].hit.metadata != {"t": "mine"}
        kept.clock.advance(2.0)
        assert not (await kept.cluster.search_all(V, top_k=5)).cached

    async def test_another_question_or_key_is_not(self, kept):
        from tenantry.model.records import Query
        from tenantry.router.scatter import Options

        query = Query(np.float32(V), 5)
        search = kept.cluster.scatter.search
        assert not (await search("default", query, options=Options(scope="one"))).cached
        assert not (await search("default", query, options=Options(scope="two"))).cached
        assert (await search("default", query, options=Options(scope="one"))).cached
        assert not (await search("default", query, ["t01"], options=Options(scope="one"))).cached
        assert not (await search("default", query, options=Options(scope="one", per_tenant=1))).cached
        assert not (await search("default", Query(np.float32(V), 6), options=Options(scope="one"))).cached
        assert not (await search("default", Query(np.float32(V), 5, None, True), options=Options(scope="one"))).cached

    async def test_a_write_from_here_is_seen_at_once(self, kept):
        await kept.cluster.search_all(V, top_k=1)
        await kept.cluster.tenant("t01").upsert([("new", V)])
        found = await kept.cluster.search_all(V, top_k=1)
        assert (found.cached, names(found)) == (False, [("t01", "new")])
        await kept.cluster.tenants.delete("t01")
        assert ("t01", "new") not in names(await kept.cluster.search_all(V, top_k=1))

    async def test_an_incomplete_answer_is_not_kept(self, kept):
        kept.backend("shard-1").fail_with = Unavailable("away")
        assert (await kept.cluster.search_all(V)).partial
        kept.backend("shard-1").fail_with = None
        found = await kept.cluster.search_all(V)
        assert (found.partial, found.cached) == (False, False)

    async def test_it_is_bounded(self, labs):
        lab = await labs(searching=SearchLimits(cache_s=60.0, cache_bytes=20_000))
        await fill(lab)
        for i in range(100):
            await lab.cluster.search_all([1.0, i], top_k=5)
        answers = lab.cluster.scatter._answers
        assert 2 < len(answers) < 20
        assert 0 < answers.bytes <= 20_000


class Model:
    """As much of an embedder as a name."""

    dimension = 2

    def __init__(self, name):
        self.model = f"model-of-{name}"


async def test_tenants_of_different_models_are_refused_unless_asked_for(labs):
    lab = await labs(embedder=Model)
    await lab.cluster.tenants.create("own", spec=TenantSpec(embedder="words"))
    await lab.cluster.tenant("own").upsert([("a", V)])
    await lab.cluster.tenant("plain").upsert([("b", V), ("c", [0, 1])])
    for tenants in (None, ["plain", "own"]):
        with pytest.raises(Refused, match=r"model-of-words: 'own'; .*by_model"):
            await lab.cluster.search_all(V, tenants=tenants)
    assert names(await lab.cluster.search_all(V, tenants=["own"])) == [("own", "a")]
    found = await lab.cluster.search_all(V, by_model=True)
    assert found.hits == []
    assert [(group.model, [one.tenant for one in group.hits]) for group in found.groups] == [
        ("", ["plain", "plain"]),
        ("model-of-words", ["own"]),
    ]
    assert found.tenants_asked == 2
    with pytest.raises(InvalidArgument, match="cursor"):
        await lab.cluster.search_all(V, by_model=True, cursor="x")
