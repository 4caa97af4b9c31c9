import numpy as np
import pytest

from tenantry.errors import InvalidArgument, NotFound, Unavailable

from .conftest import outwaited


async def fill(lab, tenants=12, each=5):
    rng = np.random.default_rng(7)
    everything = []
    for t in range(tenants):
        rows = [(f"r{i}", rng.normal(size=2), {"t": t}) for i in range(each)]
        await lab.cluster.tenant(f"t{t:02}").upsert(rows)
        everything += [(f"t{t:02}", key, values) for key, values, _ in rows]
    return everything


def ranked(everything, vector):
    def cosine(values):
        return float(np.dot(values, vector) / np.linalg.norm(values) / np.linalg.norm(vector))

    return [(tenant, key) for tenant, key, values in sorted(everything, key=lambda row: -cosine(row[2]))]


async def test_all_tenants_exactly(lab):
    everything = await fill(lab)
    found = await lab.cluster.search_all([1.0, 0.3], top_k=7)
    assert [(hit.tenant, hit.hit.id) for hit in found.hits] == ranked(everything, [1.0, 0.3])[:7]
    assert (found.partial, found.shards_asked, found.tenants_asked) == (False, 3, 12)


async def test_chosen_tenants_ask_only_their_shards(lab):
    everything = await fill(lab)
    chosen = ["t03"]
    found = await lab.cluster.search_all([1.0, 0.3], tenants=chosen, top_k=100)
    assert [(hit.tenant, hit.hit.id) for hit in found.hits] == [
        pair for pair in ranked(everything, [1.0, 0.3]) if pair[0] in chosen
    ]
    assert found.shards_asked == 1
    with pytest.raises(NotFound, match="ghost"):
        await lab.cluster.search_all([1, 0], tenants=["t03", "ghost"])


async def test_filters_reach_every_shard(lab):
    await fill(lab)
    found = await lab.cluster.search_all([1, 0], top_k=100, filter={"t": {"$in": [2, 9]}})
    assert {hit.tenant for hit in found.hits} == {"t02", "t09"}


async def test_a_dead_shard_is_named_and_the_others_answer(lab):
    await fill(lab)
    lab.backend("shard-1").fail_with = Unavailable("gone fishing")
    found = await lab.cluster.search_all([1, 0], top_k=100)
    assert found.partial
    assert found.missing_shards == {"shard-1": "gone fishing"}
    assert found.hits


async def test_a_slow_shard_is_left_behind_at_the_deadline(lab):
    await fill(lab)
    lab.backend("shard-2").gate.clear()
    found = await outwaited(lab.cluster.search_all([1, 0], top_k=100, deadline_s=50), lab.backend("shard-2"))
    assert list(found.missing_shards) == ["shard-2"]
    assert "50 s" in found.missing_shards["shard-2"]


async def test_suspended_tenants_are_left_out(lab):
    await fill(lab)
    await lab.cluster.tenants.suspend("t04")
    found = await lab.cluster.search_all([1, 0], top_k=1000)
    assert found.tenants_asked == 11
    assert "t04" not in {hit.tenant for hit in found.hits}


async def test_bad_questions(lab):
    with pytest.raises(InvalidArgument, match="top_k"):
        await lab.cluster.search_all([1, 0], top_k=0)
    with pytest.raises(InvalidArgument, match="exactly 2"):
        await lab.cluster.search_all([1, 0, 0])
    for deadline in (0, -1, float("nan")):
        with pytest.raises(InvalidArgument, match="deadline_s"):
            await lab.cluster.search_all([1, 0], deadline_s=deadline)


async def test_an_empty_cluster_answers_nothing(lab):
    found = await lab.cluster.search_all([1, 0])
    assert (found.hits, found.shards_asked, found.partial) == ([], 0, False)
