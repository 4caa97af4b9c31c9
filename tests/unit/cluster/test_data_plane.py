import asyncio

import numpy as np
import pytest

from tenantry import Record
from tenantry.errors import (
    CapacityExceeded,
    DeadlineExceeded,
    Diverged,
    InvalidArgument,
    NotFound,
    Refused,
    StorageFailed,
)


async def test_first_write_makes_the_tenant_and_reads_find_it(lab):
    acme = lab.cluster.tenant("acme")
    assert await acme.upsert([Record("a", [1, 0], {"n": 1}), ("b", [0, 1]), {"id": "c", "values": [1, 1]}]) == 3
    hits = await acme.query([1, 0.1], top_k=2)
    assert [hit.id for hit in hits] == ["a", "c"]
    assert hits[0].metadata == {"n": 1}
    status = await lab.cluster.tenants.get("acme")
    assert (status.tenant.state, status.vectors) == ("active", 3)


async def test_query_by_id_filter_and_values(lab):
    acme = lab.cluster.tenant("acme")
    await acme.upsert([("a", [1, 0], {"n": 1}), ("b", [1, 0.1], {"n": 2}), ("c", [0, 1], {"n": 3})])
    assert [hit.id for hit in await acme.query(id="a", top_k=2)] == ["a", "b"]
    [hit] = await acme.query([1, 0], filter={"n": {"$gt": 2}}, include_values=True, include_metadata=False)
    assert (hit.id, hit.metadata) == ("c", None)
    np.testing.assert_array_equal(hit.values, np.array([0, 1], np.float32))
    with pytest.raises(NotFound, match="record 'zz'"):
        await acme.query(id="zz")
    with pytest.raises(InvalidArgument, match="exactly one"):
        await acme.query([1, 0], id="a")


async def test_fetch_update_delete_list_scan_stats(lab):
    acme = lab.cluster.tenant("acme")
    await acme.upsert([(f"x{i}", [1, i], {"even": i % 2 == 0}) for i in range(6)])
    assert list(await acme.fetch(["x3", "no", "x1"])) == ["x3", "x1"]
    assert await acme.update("x1", set_metadata={"extra": "y"})
    assert (await acme.fetch(["x1"]))["x1"].metadata == {"even": False, "extra": "y"}
    assert not await acme.update("no", values=[1, 1])
    await acme.delete(["x0", "no"])
    await acme.delete(filter={"extra": "y"})
    page = await acme.list_ids(limit=3)
    assert (page.ids, page.cursor) == (["x2", "x3", "x4"], "x4")
    assert (await acme.list_ids(cursor="x4")).ids == ["x5"]
    assert [record.id async for record in acme.scan()] == ["x2", "x3", "x4", "x5"]
    assert (await acme.stats()).vectors == 4
    await acme.delete(all=True)
    assert (await acme.stats()).vectors == 0


@pytest.mark.parametrize("selector", [{}, {"ids": ["a"], "all": True}, {"filter": {}}, {"ids": []}, {"ids": "a"}])
async def test_delete_wants_exactly_one_selector(lab, selector):
    acme = lab.cluster.tenant("acme")
    await acme.upsert([("a", [1, 0])])
    with pytest.raises(InvalidArgument):
        await acme.delete(**selector)
    assert (await acme.stats()).vectors == 1


async def test_a_bad_batch_changes_nothing_and_makes_no_tenant(lab):
    with pytest.raises(InvalidArgument, match=r"vectors\[1\]"):
        await lab.cluster.tenant("acme").upsert([("a", [1, 0]), ("b", [1, 0, 0])])
    with pytest.raises(NotFound):
        await lab.cluster.tenants.get("acme")


async def test_reads_of_an_unknown_tenant_make_nothing(lab):
    ghost = lab.cluster.tenant("ghost")
    for call in (ghost.query([1, 0]), ghost.fetch(["a"]), ghost.delete(["a"]), ghost.stats(), ghost.list_ids()):
        with pytest.raises(NotFound, match="tenant 'ghost'"):
            await call
    assert await lab.cluster.tenants.list() == []
    with pytest.raises(NotFound, match="index 'nope'"):
        await lab.cluster.tenant("acme", "nope").query([1, 0])


async def test_auto_create_can_be_switched_off(lab):
    await lab.cluster.indexes.update("default", auto_create=False)
    with pytest.raises(NotFound, match="acme"):
        await lab.cluster.tenant("acme").upsert([("a", [1, 0])])
    await lab.cluster.tenants.create("acme")
    assert await lab.cluster.tenant("acme").upsert([("a", [1, 0])]) == 1


async def test_many_first_writes_at_once_make_one_tenant(lab):
    acme = lab.cluster.tenant("acme")
    await asyncio.gather(*(acme.upsert([(f"r{i}", [1, i])]) for i in range(40)))
    assert (await acme.stats()).vectors == 40
    assert (await lab.cluster.tenants.get("acme")).tenant.generation == 1


async def test_a_cancelled_first_writer_does_not_stop_the_others(lab):
    await lab.cluster.shards.list()  # opens the backends
    for backend in lab.backends.values():
        backend.gate.clear()
    acme = lab.cluster.tenant("acme")
    first, second = (asyncio.create_task(acme.upsert([(key, [1, 0])])) for key in "ab")
    while not any("create" in backend.calls or "stats" in backend.calls[3:] for backend in lab.backends.values()):
        await asyncio.sleep(0)
        if all(len(backend.calls) >= 1 for backend in lab.backends.values()):
            break
    first.cancel()
    for backend in lab.backends.values():
        backend.gate.set()
    assert await second == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_the_hot_path_asks_the_catalog_nothing(lab):
    acme = lab.cluster.tenant("acme")
    await acme.upsert([("a", [1, 0])])
    await lab.catalog.aclose()
    assert (await acme.query([1, 0]))[0].id == "a"
    assert await acme.upsert([("b", [1, 0])]) == 1
    assert await acme.fetch(["b"])


async def test_a_suspended_tenant_answers_nothing_until_resumed(lab):
    acme = lab.cluster.tenant("acme")
    await acme.upsert([("a", [1, 0])])
    await lab.cluster.tenants.suspend("acme")
    for call in (acme.query([1, 0]), acme.upsert([("b", [1, 0])]), acme.delete(all=True), acme.stats()):
        with pytest.raises(Refused, match="suspended"):
            await call
    assert (await lab.cluster.tenants.get("acme")).vectors == 1
    await lab.cluster.tenants.suspend("acme")
    await lab.cluster.tenants.resume("acme")
    assert len(await acme.query([1, 0])) == 1


async def test_a_deleted_tenant_is_gone_and_comes_back_empty_with_a_higher_epoch(lab):
    acme = lab.cluster.tenant("acme")
    await acme.upsert([("a", [1, 0])])
    before = (await lab.cluster.tenants.get("acme")).tenant
    await lab.cluster.tenants.delete("acme")
    with pytest.raises(NotFound):
        await acme.query([1, 0])
    assert all(not backend.data for backend in lab.backends.values())
    await acme.upsert([("b", [1, 0])])
    after = (await lab.cluster.tenants.get("acme")).tenant
    assert after.route.epoch > before.route.epoch
    assert (after.generation, after.route.place.namespace) == (2, "acme~2")
    assert [hit.id for hit in await acme.query([1, 0])] == ["b"]
    with pytest.raises(NotFound):
        await lab.cluster.tenants.delete("ghost")


async def test_a_delete_that_failed_half_way_is_finished_by_the_next(lab):
    acme = lab.cluster.tenant("acme")
    await acme.upsert([("a", [1, 0])])
    shard = (await lab.cluster.tenants.get("acme")).tenant.route.place.shard
    lab.backend(shard).fail_with = StorageFailed("disk full")
    with pytest.raises(StorageFailed):
        await lab.cluster.tenants.delete("acme")
    lab.backend(shard).fail_with = None
    with pytest.raises(Refused, match="deleting"):
        await acme.query([1, 0])
    await lab.cluster.tenants.delete("acme")
    assert not lab.backend(shard).data


async def test_a_creation_that_failed_half_way_is_finished_by_the_next_write(lab):
    await lab.cluster.shards.list()
    acme = lab.cluster.tenant("acme")
    real_create = {}
    for key, backend in lab.backends.items():
        real_create[key] = backend.create

        async def broken(namespace):
            raise StorageFailed("disk full")

        backend.create = broken
    with pytest.raises(StorageFailed):
        await acme.upsert([("a", [1, 0])])
    assert (await lab.cluster.tenants.get("acme")).tenant.state == "creating"
    for key, backend in lab.backends.items():
        backend.create = real_create[key]
    assert await acme.upsert([("a", [1, 0])]) == 1
    assert (await lab.cluster.tenants.get("acme")).tenant.state == "active"


async def test_a_slow_shard_is_given_up_after_the_time_limit(lab):
    acme = lab.cluster.tenant("acme")
    await acme.upsert([("a", [1, 0])])
    lab.cluster.router.request_timeout_s = 0.05
    for backend in lab.backends.values():
        backend.gate.clear()
    with pytest.raises(DeadlineExceeded, match=r"took over 0\.05 s"):
        await acme.query([1, 0])


async def test_a_read_only_shard_refuses_writes_and_answers_reads(lab):
    acme = lab.cluster.tenant("acme")
    await acme.upsert([("a", [1, 0])])
    shard = (await lab.cluster.tenants.get("acme")).tenant.route.place.shard
    await lab.cluster.shards.update(shard, state="read-only")
    for call in (acme.upsert([("b", [1, 0])]), acme.delete(["a"]), acme.update("a", values=[0, 1])):
        with pytest.raises(Refused, match="read-only"):
            await call
    assert len(await acme.query([1, 0])) == 1


async def test_a_full_cluster_says_so(lab):
    for number in range(3):
        await lab.cluster.shards.update(f"shard-{number}", max_tenants=1)
    results = await asyncio.gather(*(lab.cluster.tenants.create(f"t{i}") for i in range(8)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, Exception)]
    assert len(refused) == 5
    assert all(isinstance(result, CapacityExceeded) for result in refused)
    assert [status.shard.tenants for status in await lab.cluster.shards.list()] == [1, 1, 1]


async def test_lost_data_are_called_lost_and_not_made_anew(lab):
    acme = lab.cluster.tenant("acme")
    await acme.upsert([("a", [1, 0])])
    place = (await lab.cluster.tenants.get("acme")).tenant.route.place
    del lab.backend(place.shard).data[place.namespace]
    for call in (acme.query([1, 0]), acme.upsert([("b", [1, 0])])):
        with pytest.raises(Diverged, match="verify-routing"):
            await call
