"""Whose cost it is: by use, adding up, never by head."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.control.advisor import attribute
from tenantry.control.advisor.attribution import budget_of, storage_weight
from tenantry.control.prices import prices
from tenantry.errors import InvalidArgument, Refused
from tenantry.model.cost import Capacity, ShardUse, TenantUse, Usage

BOOK = prices()
BOTH = ("redis", "postgresql")


def usage(*tenants, shards=("s0",), backend="pinecone", **more):
    return Usage("default", 1_536, tuple(tenants), tuple(ShardUse(name, backend) for name in shards), **more)


def costs(report):
    return {each.tenant: each.cost for each in report.tenants}


def bill(found, **given):
    return attribute(found, BOOK, **{"offer": "reference", **given})


def test_two_hundred_even_tenants_on_five_shards_pay_5_75_each():
    tenants = [TenantUse(f"t{n}", 15_000, qps=1.0, shard=f"s{n % 5}") for n in range(200)]
    report = bill(usage(*tenants, shards=[f"s{n}" for n in range(5)]), overhead=BOTH)
    assert (report.monthly, report.per_tenant) == (1_150, 5.75)
    assert [each.cost for each in report.tenants] == [pytest.approx(5.75)] * 200
    assert (report.shards_needed, report.saving) == (3, 400)
    assert report.budget.state == "over"


def test_half_used_shards_waste_half_their_price():
    tenants = [TenantUse(f"t{n}", 20_000, shard=f"s{n % 5}") for n in range(200)]
    report = bill(usage(*tenants, shards=[f"s{n}" for n in range(5)]))
    assert [each.utilisation for each in report.shards] == [0.5] * 5  # 40 of 80 tenants, 0.8 of 1.6 million vectors
    assert (report.wasted, report.monthly) == (500, 1_000)
    assert [each.used for each in report.tenants] == [pytest.approx(2.5)] * 200


def test_not_by_head_but_by_what_is_stored():
    report = bill(usage(TenantUse("big", 900_000, shard="s0"), TenantUse("small", 100_000, shard="s0")))
    assert costs(report) == {"big": pytest.approx(180), "small": pytest.approx(20)}
    assert [each.tenant for each in report.tenants] == ["big", "small"]


def test_stored_bytes_count_where_all_are_known():
    one, other = TenantUse("a", 10, bytes=3_000, shard="s0"), TenantUse("b", 10, bytes=1_000, shard="s0")
    assert costs(bill(usage(one, other))) == {"a": pytest.approx(150), "b": pytest.approx(50)}
    unknown = TenantUse("b", 10, shard="s0")
    assert costs(bill(usage(one, unknown))) == {"a": pytest.approx(100), "b": pytest.approx(100)}


def test_load_counts_as_far_as_it_is_what_fills_the_shard():
    # 400,000 of 2,000,000 vectors is 20%, 100 of 500 queries is 20%: half of the price for each
    still, busy = TenantUse("still", 400_000, shard="s0"), TenantUse("busy", 0, qps=100, shard="s0")
    assert costs(bill(usage(still, busy))) == {"still": pytest.approx(100), "busy": pytest.approx(100)}
    busier = TenantUse("busy", 0, qps=300, shard="s0")
    assert costs(bill(usage(still, busier))) == {"still": pytest.approx(50), "busy": pytest.approx(150)}


def test_the_weight_of_storage():
    held = Capacity(source="s", date="d", vectors=1_000, qps=100)
    assert storage_weight(500, 50, held, 8) == 0.5
    assert storage_weight(500, 0, held, 8) == 1.0
    assert storage_weight(0, 50, held, 8) == 0.0
    assert storage_weight(5, 5, Capacity(source="s", date="d"), 8) == 0.5


def test_one_who_uses_nothing_pays_nothing():
    report = bill(usage(TenantUse("a", 10, qps=1, shard="s0"), TenantUse("idle", shard="s0")), overhead=BOTH)
    assert costs(report) == {"a": pytest.approx(350), "idle": 0.0}


def test_a_dear_shard_is_paid_by_those_on_it_and_an_empty_one_by_all():
    found = usage(
        TenantUse("alone", 1_000, shard="s0"),
        TenantUse("x", 1_000, shard="s1"),
        TenantUse("y", 1_000, shard="s1"),
        shards=("s0", "s1", "empty"),
    )
    assert costs(bill(found)) == {"alone": pytest.approx(300), "x": pytest.approx(150), "y": pytest.approx(150)}


def test_with_nothing_to_go_by_it_is_even():
    report = bill(usage(TenantUse("a", shard="s0"), TenantUse("b", shard="s0")))
    assert costs(report) == {"a": 100, "b": 100}


def test_what_is_paid_by_use_goes_to_who_uses_it():
    million = TenantUse("a", 1_000_000, qps=1, shard="s0")
    report = attribute(usage(million, TenantUse("b", 10, shard="s0")), BOOK)
    assert report.shards[0].offer == "pinecone-serverless"
    assert costs(report)["a"] > 100 * costs(report)["b"]
    assert report.wasted == 0
    assert report.monthly == pytest.approx(6.65208 * 0.33 + 2_592_000 * 6.652 * 16 / 1e6, rel=1e-3)


def test_the_way_up_to_the_minimum_goes_with_use():
    tenants = (TenantUse("a", 3_000, shard="s0"), TenantUse("b", 1_000, shard="s0"))
    report = attribute(usage(*tenants), BOOK)
    assert report.monthly == 50
    assert costs(report) == {"a": pytest.approx(37.5), "b": pytest.approx(12.5)}


def test_fifty_tenants_on_three_embedded_shards_are_well_below_5_75():
    tenants = [TenantUse(f"t{n}", 1_000, shard=f"s{n % 3}") for n in range(50)]
    shards = ("s0", "s1", "s2")
    own = attribute(usage(*tenants, shards=shards, backend="embedded"), BOOK, overhead=BOTH)
    assert own.per_tenant <= 5.75
    assert own.monthly == pytest.approx(59.57 + 150)
    # at $200 a shard three shards for fifty tenants are dear, which is why the card says not to shard then
    assert bill(usage(*tenants, shards=shards)).per_tenant == 12
    assert bill(usage(*tenants, shards=shards)).shards_needed == 1


def test_hosts_belong_to_all_shards_together():
    tenants = (
        TenantUse("a", 10, bytes=3_000, shard="s0"),
        TenantUse("b", 90, bytes=1_000, shard="s1"),
    )
    report = attribute(usage(*tenants, shards=("s0", "s1"), backend="embedded"), BOOK)
    assert costs(report) == {"a": pytest.approx(59.57 * 0.75), "b": pytest.approx(59.57 * 0.25)}
    assert [each.cost for each in report.shards] == [pytest.approx(59.57 * 0.75), pytest.approx(59.57 * 0.25)]
    full = attribute(usage(TenantUse("a", 200_000, shard="s0"), backend="embedded"), BOOK)
    assert full.shards[0].utilisation == pytest.approx(0.5)  # 400,000 of 1,536 are 80% of a million of 768


def test_own_limits_of_a_shard_go_before_those_of_its_offer():
    shard = ShardUse("s0", "pinecone", max_tenants=10, max_vectors=1_000)
    tenants = tuple(TenantUse(f"t{n}", 100, shard="s0") for n in range(4))
    report = bill(Usage("default", 1_536, tenants, (shard,)))
    assert report.shards[0].utilisation == pytest.approx((4 / 8 + 400 / 800) / 2)
    quarter = ShardUse("s0", "pinecone", max_tenants=20, max_vectors=2_000)
    report = bill(Usage("default", 1_536, tenants, (quarter,)))
    assert (report.shards[0].utilisation, report.wasted) == (0.25, 150)


def test_what_has_no_price_is_refused_with_the_way_out():
    with pytest.raises(Refused, match=r"no price is published for qdrant-cloud\.month"):
        attribute(usage(TenantUse("a", 1, shard="s0"), backend="qdrant"), BOOK)
    with pytest.raises(InvalidArgument, match="offer"):
        bill(usage(), offer="nothing")
    with pytest.raises(InvalidArgument, match="budget"):
        bill(usage(), budget=-1)


def test_budgets():
    assert [budget_of(m, 500).state for m in (400, 400.01, 500, 500.01)] == ["ok", "near", "near", "over"]


def test_a_cluster_without_tenants():
    report = bill(usage())
    assert (report.monthly, report.per_tenant, report.tenants) == (200, None, [])


some_tenants = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(0, 10**9), st.floats(0, 1e3), st.integers(0, 3)), max_size=30
)


@given(some_tenants, st.sampled_from(["reference", "self-hosted", "pinecone-serverless"]), st.booleans())
def test_it_adds_up(drawn, offer, with_overhead):
    tenants = [TenantUse(f"t{n}", v, b, q, f"s{s}") for n, (v, b, q, s) in enumerate(drawn)]
    found = usage(*tenants, shards=[f"s{n}" for n in range(4)], write_share=0.25)
    report = bill(found, offer=offer, overhead=BOTH if with_overhead else ())
    assert sum(line.amount for line in report.lines) == pytest.approx(report.monthly)
    if tenants:
        assert sum(each.cost for each in report.tenants) == pytest.approx(report.monthly)
    assert all(each.cost >= 0 and each.used <= each.cost * (1 + 1e-9) for each in report.tenants)
