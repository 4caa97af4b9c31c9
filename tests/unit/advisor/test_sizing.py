"""Right-sizing: every worked number of the planning guide, and the constraints besides."""

import pytest

from tenantry.control.advisor import size, synthetic, workload_of
from tenantry.control.advisor.sizing import packing, share_of_largest, utilisation
from tenantry.control.prices import prices
from tenantry.errors import InvalidArgument
from tenantry.model.advice import Workload
from tenantry.model.cost import Capacity, ShardUse, TenantUse, Thresholds, Usage

BOOK = prices()
REFERENCE = BOOK.offers["reference"].capacity


def test_ninety_tenants_with_1_2_million_vectors_need_two_shards_not_five():
    found = size(Workload(tenants=90, vectors=1_200_000), REFERENCE)
    assert (found.shards, found.by_vectors, found.by_tenants, found.binding) == (2, 1, 2, "tenants")
    assert (found.tenants_per_shard, found.vectors_per_shard) == (80, 1_600_000)


@pytest.mark.parametrize(
    ("tenants", "vectors", "qps", "shards", "binding"),
    [
        (1, 0, None, 1, "nothing"),
        (80, 1_600_000, 400, 1, "nothing"),
        (81, 1, None, 2, "tenants"),
        (1, 1_600_001, None, 2, "vectors"),
        (1, 1, 401, 2, "queries"),
        (200, 3_000_000, 100, 3, "tenants"),
        (200, 5_000_000, 100, 4, "vectors"),
        (200, 3_000_000, 2_500, 7, "queries"),  # 500 each, planned at 80%
        (500, 5_000_000, None, 7, "tenants"),
        (0, 0, 0, 1, "nothing"),
    ],
)
def test_the_tightest_constraint_decides(tenants, vectors, qps, shards, binding):
    found = size(Workload(tenants=tenants, vectors=vectors, qps=qps), REFERENCE)
    assert (found.shards, found.binding) == (shards, binding)


def test_the_target_can_be_changed():
    workload = Workload(tenants=90, vectors=1_200_000)
    assert size(workload, REFERENCE, 1.0).shards == 1
    assert size(workload, REFERENCE, 0.7).tenants_per_shard == 70
    for bad in (0, 1.01, -1):
        with pytest.raises(InvalidArgument, match="target"):
            size(workload, REFERENCE, bad)


def test_vectors_of_another_dimension_count_by_their_size():
    held = Capacity(source="s", date="d", vectors=1_000_000, dimension=768)
    assert held.vectors_of(1_536) == 500_000
    assert size(Workload(tenants=1, vectors=1_000_000, dimension=1_536), held).shards == 3
    assert size(Workload(tenants=1, vectors=1_000_000, dimension=384), held).shards == 1


def test_nothing_limits_what_has_no_limits():
    found = size(Workload(tenants=10_000, vectors=10**9), None)
    assert (found.shards, found.binding, found.utilisation) == (1, "nothing", None)


def test_tenants_are_not_divided():
    three = [TenantUse(f"t{n}", 900_000) for n in range(3)]
    assert size(Workload(tenants=3, vectors=2_700_000), REFERENCE).shards == 2
    assert packing(three, REFERENCE, 1_536) == 3
    usage = Usage("default", 1_536, tuple(three), ())
    found = size(workload_of(usage, REFERENCE, Thresholds()), REFERENCE)
    assert (found.shards, found.packed, found.binding) == (3, 3, "whole tenants")


def test_one_that_is_too_large_gets_a_shard_for_itself():
    assert packing([TenantUse("huge", 5_000_000), TenantUse("small", 10)], REFERENCE, 1_536) == 2


def test_packing_is_never_below_the_totals_and_close_to_them():
    for seed in range(5):
        tenants = synthetic(300, 6_000_000, sigma=1.0, seed=seed)
        least = size(Workload(tenants=300, vectors=6_000_000), REFERENCE).shards
        assert least <= packing(tenants, REFERENCE, 1_536) <= least + 1


def test_utilisation_is_the_mean_of_tenants_and_vectors_against_their_targets():
    assert utilisation(40, 800_000, 80, 1_600_000) == 0.5
    assert utilisation(80, 0, 80, 1_600_000) == 0.5
    assert utilisation(200, 5_000_000, 80, 1_600_000) == 1.0
    assert utilisation(40, 0, 80, None) == 0.5


def test_the_largest():
    assert share_of_largest([80, 5, 5, 10], 1) == 0.8
    assert share_of_largest([80], 1) is None
    assert share_of_largest([0, 0], 1) is None


def test_a_measured_cluster_as_a_workload():
    tenants = tuple(TenantUse(f"t{n}", 150_000 if n < 2 else 1_000, qps=1.0) for n in range(20))
    shards = (ShardUse("a", "pinecone"), ShardUse("b", "pinecone"))
    usage = Usage("default", 8, tenants, shards, cross_tenant=0.1, write_share=0.25)
    found = workload_of(usage, REFERENCE, Thresholds())
    assert (found.tenants, found.vectors, found.large, found.large_vectors) == (20, 318_000, 2, 300_000)
    assert (found.qps, found.writes, found.shards) == (15.0, 5.0, 2)
    assert found.top_share == pytest.approx(300 / 318)


def test_synthetic_tenants_are_seeded_and_add_up():
    one, other = synthetic(90, 1_200_000, qps=50, seed=7), synthetic(90, 1_200_000, qps=50, seed=7)
    assert one == other != synthetic(90, 1_200_000, qps=50, seed=8)
    assert sum(each.vectors for each in one) == 1_200_000
    assert sum(each.qps for each in one) == pytest.approx(50)
    assert len({each.name for each in one}) == 90
    even = [each.vectors for each in synthetic(7, 100, sigma=0)]
    assert max(even) - min(even) <= 1
    for bad in ({"tenants": 0}, {"vectors": -1}, {"sigma": 6}, {"qps": -1}):
        with pytest.raises(InvalidArgument, match=next(iter(bad))):
            synthetic(**{"tenants": 5, "vectors": 5, **bad})
