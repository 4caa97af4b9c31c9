"""Bills day by day: each adds up, follows what was used that day, and knows who was there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.control.cost_history import cost_by_day
from tenantry.control.prices import prices
from tenantry.model.cost import ShardUse, TenantUse
from tenantry.model.cost import Usage as Cluster
from tenantry.model.usage import DAY_S, Usage

BOOK = prices()
FIRST = 20_000 * DAY_S
TENANTS = ("acme", "globex", "initech")


def cluster(days=3, tenants=TENANTS):
    used = tuple(TenantUse(name, 1_000, 4_000_000, 1.0, f"s{place % 2}") for place, name in enumerate(tenants))
    shards = tuple(ShardUse(f"s{place}", "pinecone") for place in range(2))
    return Cluster("default", 768, used, shards, at=FIRST + days * DAY_S - 1)


def row(day, tenant, **counts):
    return Usage("default", tenant, FIRST + day * DAY_S, **counts)


def part(day, tenant):
    return next(one for one in day.tenants if one.tenant == tenant)


def test_a_part_follows_what_the_tenant_used_that_day():
    rows = [
        row(0, "acme", queries=90_000, vectors_stored=1_000, bytes_stored=4_000_000),
        row(0, "initech", queries=10_000, vectors_stored=1_000, bytes_stored=4_000_000),
        row(1, "acme", queries=10_000, vectors_stored=1_000, bytes_stored=4_000_000),
        row(1, "initech", queries=90_000, vectors_stored=1_000, bytes_stored=4_000_000),
    ]
    first, second = cost_by_day(cluster(2), {}, rows, BOOK)
    assert part(first, "acme").cost > part(second, "acme").cost
    assert part(first, "acme").load_share == pytest.approx(0.9)
    assert part(second, "initech").load_share == pytest.approx(0.9)
    assert part(first, "acme").qps == pytest.approx(90_000 / DAY_S)


def test_days_without_use_are_there_with_the_size_that_was_last_known():
    rows = [
        row(0, "acme", writes=5, vectors_stored=500, bytes_stored=2_000_000),
        row(3, "acme", writes=5, vectors_stored=900, bytes_stored=3_600_000),
    ]
    days = cost_by_day(cluster(4), {}, rows, BOOK)
    assert [day.start for day in days] == [FIRST + number * DAY_S for number in range(4)]
    assert [part(day, "acme").vectors for day in days] == [500, 500, 500, 900]
    assert [part(day, "acme").qps for day in days[1:3]] == [0.0, 0.0]
    assert part(days[0], "globex").vectors == 1_000  # never counted: as large as today


def test_a_tenant_is_on_no_bill_before_it_was_made_and_one_that_is_gone_on_none():
    rows = [row(0, "acme", queries=1), row(0, "gone", queries=9), row(1, "acme", queries=1)]
    days = cost_by_day(cluster(2), {"globex": FIRST + DAY_S + 5.0}, rows, BOOK)
    assert [sorted(one.tenant for one in day.tenants) for day in days] == [
        ["acme", "initech"],
        ["acme", "globex", "initech"],
    ]

    before = [row(0, "globex", queries=1), *rows]  # counted, so it was there, whatever the catalog knows
    days = cost_by_day(cluster(2), {"globex": FIRST + DAY_S + 5.0}, before, BOOK)
    assert [len(day.tenants) for day in days] == [3, 3]


def test_only_so_many_or_only_one():
    rows = [row(0, "acme", queries=100), row(0, "globex", queries=1)]
    assert [one.tenant for one in cost_by_day(cluster(1), {}, rows, BOOK, top=1)[0].tenants] == ["acme"]
    assert [one.tenant for one in cost_by_day(cluster(1), {}, rows, BOOK, tenant="globex")[0].tenants] == ["globex"]
    assert cost_by_day(cluster(1), {}, [], BOOK) == []


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(TENANTS), st.integers(0, 10**6)), max_size=20))
def test_the_parts_of_a_day_add_up_to_its_bill(counted):
    summed = {}
    for day, tenant, queries in counted:
        summed[day, tenant] = summed.get((day, tenant), 0) + queries
    rows = [row(day, tenant, queries=queries) for (day, tenant), queries in sorted(summed.items())]
    for day in cost_by_day(cluster(6), {}, rows, BOOK, overhead=("redis",)):
        assert sum(one.cost for one in day.tenants) == pytest.approx(day.monthly)
