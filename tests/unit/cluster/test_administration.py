import msgspec
import pytest

from tenantry.errors import AlreadyExists, CapacityExceeded, InvalidArgument, NotFound, Refused, Unauthenticated
from tenantry.model.topology import Place, Route, TenantSpec


async def test_indexes_have_shards_and_tenants_of_their_own(lab):
    made = await lab.cluster.indexes.create("books", 3, "euclidean", shards=2, tags={"team": "a"})
    assert (made.metric, made.dimension) == ("euclidean", 3)
    await lab.cluster.tenant("acme", "books").upsert([("a", [0, 0, 0])])
    await lab.cluster.tenant("acme").upsert([("b", [1, 0])])
    assert [index.name for index in await lab.cluster.indexes.list()] == ["books", "default"]
    assert list(await lab.cluster.tenant("acme", "books").fetch(["a", "b"])) == ["a"]
    await lab.cluster.indexes.delete("books")
    with pytest.raises(NotFound):
        await lab.cluster.tenant("acme", "books").fetch(["a"])
    assert list(await lab.cluster.tenant("acme").fetch(["a", "b"])) == ["b"]


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "Bad Name"},
        {"dimension": 0},
        {"dimension": 20_001},
        {"metric": "manhattan"},
        {"policy": "dice"},
        {"shards": -1},
        {"embedder": "x"},
    ],
)
async def test_a_bad_index_is_refused_and_not_made(lab, bad):
    with pytest.raises(InvalidArgument):
        await lab.cluster.indexes.create(**{"name": "books", "dimension": 3, **bad})
    assert [index.name for index in await lab.cluster.indexes.list()] == ["default"]


async def test_protected_indexes_stay(lab):
    await lab.cluster.indexes.update("default", deletion_protection=True)
    with pytest.raises(Refused, match="protect"):
        await lab.cluster.indexes.delete("default")
    with pytest.raises(InvalidArgument, match="dimension"):
        await lab.cluster.indexes.update("default", dimension=7)
    with pytest.raises(AlreadyExists):
        await lab.cluster.indexes.create("default", 2)


async def test_shards_come_change_and_go(lab):
    await lab.cluster.shards.add("big", max_tenants=5, weight=2, region="eu")
    assert (await lab.cluster.shards.get("big")).shard.region == "eu"
    changed = await lab.cluster.shards.update("big", weight=3, state="draining")
    assert (changed.weight, changed.state, changed.max_tenants) == (3, "draining", 5)
    await lab.cluster.shards.remove("big")
    with pytest.raises(NotFound):
        await lab.cluster.shards.get("big")
    for bad in ({"weight": 0}, {"weight": float("inf")}, {"max_tenants": -1}, {"state": "odd"}, {"backend": "x"}):
        with pytest.raises(InvalidArgument):
            await lab.cluster.shards.update("shard-0", **bad)
    with pytest.raises(AlreadyExists):
        await lab.cluster.shards.add("shard-0")


async def test_a_shard_with_tenants_stays(lab):
    await lab.cluster.tenants.create("acme", spec=TenantSpec(shard="shard-1"))
    with pytest.raises(Refused, match="1 tenants"):
        await lab.cluster.shards.remove("shard-1")
    with pytest.raises(Refused):
        await lab.cluster.shards.update("shard-1", state="retired")
    assert (await lab.cluster.shards.get("shard-1")).shard.tenants == 1


async def test_tenants_are_listed_page_by_page(lab):
    for i in range(7):
        await lab.cluster.tenants.create(f"t{i}")
    page = await lab.cluster.tenants.list(limit=3)
    assert [status.tenant.name for status in page] == ["t0", "t1", "t2"]
    rest = await lab.cluster.tenants.list(after="t2", limit=100)
    assert [status.tenant.name for status in rest] == ["t3", "t4", "t5", "t6"]
    with pytest.raises(InvalidArgument, match="limit"):
        await lab.cluster.tenants.list(limit=0)
    with pytest.raises(AlreadyExists):
        await lab.cluster.tenants.create("t0")
    with pytest.raises(Refused, match="cannot be renamed"):
        await lab.cluster.tenants.rename("t0", "t9")
    with pytest.raises(InvalidArgument, match="expected_vectors"):
        await lab.cluster.tenants.create("neg", spec=TenantSpec(expected_vectors=-1))


async def test_keys_are_recognised_expire_and_can_be_revoked(lab):
    key, secret = await lab.cluster.keys.create("acme", label="app", expires_in_s=60)
    assert secret.startswith(f"tnk_{key.id}_")
    assert secret.split("_")[2] not in repr(await lab.cluster.keys.list())
    assert (await lab.cluster.keys.authenticate(secret)).tenant == "acme"
    for wrong in ("", "tnk", secret[:-1], secret + "0", secret.replace(key.id, "0" * 12), "tnk_a_b_c"):
        with pytest.raises(Unauthenticated, match="not valid"):
            await lab.cluster.keys.authenticate(wrong)
    lab.clock.advance(61)
    with pytest.raises(Unauthenticated):
        await lab.cluster.keys.authenticate(secret)
    admin, admin_secret = await lab.cluster.keys.create()
    assert (await lab.cluster.keys.authenticate(admin_secret)).scope == "admin"
    assert await lab.cluster.keys.any_exist()
    await lab.cluster.keys.revoke(admin.id)
    with pytest.raises(Unauthenticated):
        await lab.cluster.keys.authenticate(admin_secret)
    assert not await lab.cluster.keys.any_exist()
    with pytest.raises(NotFound):
        await lab.cluster.keys.revoke("nobody")


async def test_verify_routing_finds_and_heals(lab):
    for name in ("a", "b", "c", "d"):
        await lab.cluster.tenant(name).upsert([("x", [1, 0])])
    assert (await lab.cluster.verify_routing()).problems == []
    tenant = (await lab.cluster.tenants.get("a")).tenant
    stale = msgspec.structs.replace(tenant.route, epoch=tenant.route.epoch + 5, place=Place("shard-0", "nowhere"))
    lab.cache.put("default", "a", stale)
    lost = (await lab.cluster.tenants.get("b")).tenant.route.place
    lab.backend(lost.shard).data.pop(lost.namespace)
    lab.backend("shard-2").data["stray"] = {}
    creating = await lab.catalog.tenants.place("default", "e", TenantSpec(), "shard-0", 0.0)
    assert creating.state == "creating"
    report = await lab.cluster.verify_routing()
    assert {(p.kind, p.name, p.healed) for p in report.problems} == {
        ("stale-cache", "a", True),
        ("missing-namespace", "b", False),
        ("half-created", "e", True),
        ("orphan-namespace", "stray", False),
    }
    assert not report.consistent
    assert lab.cache.get("default", "a") in (tenant.route, None)  # None: the false epoch was higher, so it is read anew
    assert await lab.cluster.tenant("a").fetch(["x"])
    assert (await lab.cluster.tenants.get("e")).tenant.state == "active"


async def test_verify_routing_can_look_without_touching(lab):
    await lab.cluster.tenant("a").upsert([("x", [1, 0])])
    stale = Route(99, Place("shard-0", "nowhere"))
    lab.cache.put("default", "a", stale)
    [problem] = (await lab.cluster.verify_routing(heal=False)).problems
    assert (problem.kind, problem.healed) == ("stale-cache", False)
    assert lab.cache.get("default", "a") == stale


async def test_keys_end_with_what_they_reach(lab):
    _, secret = await lab.cluster.keys.create("acme")
    _, other = await lab.cluster.keys.create("globex")
    await lab.cluster.tenants.create("acme")
    await lab.cluster.tenants.delete("acme")
    await lab.cluster.tenants.create("acme")
    with pytest.raises(Unauthenticated):
        await lab.cluster.keys.authenticate(secret)
    assert (await lab.cluster.keys.authenticate(other)).tenant == "globex"
    await lab.cluster.indexes.delete("default")
    lab.clock.advance(2)
    with pytest.raises(Unauthenticated):
        await lab.cluster.keys.authenticate(other)


async def test_planned_vectors_count_against_a_shard(lab):
    for number in range(3):
        await lab.cluster.shards.update(f"shard-{number}", max_vectors=100)
    for i in range(3):
        await lab.cluster.tenants.create(f"t{i}", spec=TenantSpec(expected_vectors=60))
    assert [status.shard.tenants for status in await lab.cluster.shards.list()] == [1, 1, 1]
    with pytest.raises(CapacityExceeded, match="60 more vectors"):
        await lab.cluster.tenants.create("t9", spec=TenantSpec(expected_vectors=60))
