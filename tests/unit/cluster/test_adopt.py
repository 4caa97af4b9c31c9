"""Adoption: namespaces become tenants where they are; repeating it is harmless; what is odd is left alone."""

import numpy as np
import pytest

from tenantry.errors import AlreadyExists, InvalidArgument, NotFound
from tenantry.model.records import Metric, Record
from tenantry.testing.memory_backend import MemoryBackend


@pytest.fixture
async def existing(lab):
    """An index full of namespaces that the cluster does not know."""
    backend = MemoryBackend(Metric.COSINE)
    lab.backends["default", "old"] = backend
    for number in range(5):
        await backend.create(f"customer-{number}")
        records = [Record(f"r{n}", np.array([1, n], np.float32)) for n in range(10 * (number + 1))]
        await backend.index(f"customer-{number}").upsert(records)
    return backend


async def names(lab):
    return [each.tenant.name for each in await lab.cluster.tenants.list()]


async def adopt(lab, **more):
    return await lab.cluster.adoption.adopt("memory", shard="old", **more)


async def test_every_namespace_becomes_a_tenant_and_nothing_is_copied(lab, existing):
    before = {name: existing.index(name) for name in await existing.namespaces(None, 100)}
    report = await adopt(lab)
    assert report.adopted == [f"customer-{n}" for n in range(5)]
    assert (report.found, report.vectors, report.made_shard, report.left_alone) == (5, 150, True, [])
    assert (report.dimension, report.metric) == (2, "cosine")
    assert list(before) == await existing.namespaces(None, 100)
    hits = await lab.cluster.tenant("customer-4").query([1, 0], top_k=1)
    assert [hit.id for hit in hits] == ["r0"]
    status = await lab.cluster.shards.get("old")
    assert status.shard.tenants == 5
    assert (await lab.cluster.verify_routing()).consistent
    assert report.advice is not None
    assert not report.advice.shard
    assert report.plan is not None
    assert report.plan.moves  # three empty shards beside it


async def test_repeating_it_adopts_what_is_new(lab, existing):
    await adopt(lab)
    again = await adopt(lab)
    assert (again.adopted, again.known, again.made_shard) == ([], 5, False)
    await existing.create("customer-9")
    assert (await adopt(lab)).adopted == ["customer-9"]
    assert len(await names(lab)) == 6


async def test_a_dry_run_changes_nothing(lab, existing):
    report = await adopt(lab, dry_run=True)
    assert (len(report.adopted), report.made_shard, report.advice) == (5, False, None)
    assert await names(lab) == []
    assert "old" not in [each.shard.name for each in await lab.cluster.shards.list()]


async def test_what_cannot_be_a_tenant_is_left_alone_with_the_reason(lab, existing):
    await lab.cluster.tenant("customer-1").upsert([("mine", [1, 0])])
    await existing.create("customer-1~2")
    await existing.create("a\nb")
    report = await adopt(lab)
    assert report.adopted == ["customer-0", "customer-2", "customer-3", "customer-4"]
    reasons = {each.namespace: each.reason for each in report.left_alone}
    assert reasons["customer-1"].startswith("a tenant of that name is on shard 'shard-")
    assert reasons["customer-1~2"] == "its name looks like a copy that Tenantry made"
    assert "printable" in reasons["a\nb"]
    assert list(await lab.cluster.tenant("customer-1").fetch(["mine", "r0"])) == ["mine"]


async def test_the_name_of_a_deleted_tenant_is_not_taken_for_its_namespace(lab, existing):
    await lab.cluster.tenant("customer-1").upsert([("mine", [1, 0])])
    await lab.cluster.tenants.delete("customer-1")
    report = await adopt(lab)
    assert [each.namespace for each in report.left_alone] == ["customer-1"]
    assert "customer-1" not in await names(lab)
    assert (await existing.stats("customer-1")).vectors == 20
    assert [each.namespace for each in (await adopt(lab)).left_alone] == ["customer-1"]


async def test_what_cannot_be(lab, existing):
    with pytest.raises(InvalidArgument, match="backend"):
        await lab.cluster.adoption.adopt("nothing", shard="old")
    with pytest.raises(InvalidArgument, match="backend"):
        await lab.cluster.adoption.adopt("nothing", shard="old", dry_run=True)
    with pytest.raises(NotFound):
        await adopt(lab, index="nothing")
    with pytest.raises(AlreadyExists, match="name another shard"):
        await lab.cluster.adoption.adopt("memory", shard="shard-0", options={"x": "y"})
    assert await names(lab) == []


async def test_a_full_or_draining_shard_says_so(lab, existing):
    await adopt(lab)
    await existing.create("late")
    await lab.cluster.shards.update("old", state="draining")
    report = await adopt(lab)
    assert ["draining" in each.reason for each in report.left_alone] == [True]
    await lab.cluster.shards.update("old", state="active", max_tenants=5)
    assert "limit of 5" in (await adopt(lab)).left_alone[0].reason
