"""The decision card: every row of the guide's decision table, every threshold and red flag, on both of its sides."""

import pytest

from tenantry.control.advisor import advise
from tenantry.control.prices import prices
from tenantry.errors import InvalidArgument
from tenantry.model.advice import Architecture, Growth, Workload

BOOK = prices()
A_DAY = 1 / 86_400


def card(offer=None, growth=None, **given):
    return advise(Workload(**{"tenants": 120, "vectors": 1_500_000, **given}), BOOK, offer=offer, growth=growth)


def names(found, level=None):
    return {flag.name for flag in found.flags if level in (None, flag.level)}


@pytest.mark.parametrize(
    ("given", "architecture", "shard"),
    [
        # the decision table
        ({"tenants": 79, "vectors": 999_999}, Architecture.SINGLE, False),
        ({"tenants": 100, "vectors": 1_000_000}, Architecture.SHARDED, True),
        ({"tenants": 200, "vectors": 3_000_000}, Architecture.SHARDED, True),
        ({"tenants": 500, "vectors": 5_000_000}, Architecture.SHARDED, True),
        ({"tenants": 49, "vectors": 500_000, "isolated": True}, Architecture.PER_TENANT, False),
        ({"tenants": 200, "qps": 9_999 * A_DAY, "unpredictable": True}, Architecture.SERVERLESS, False),
        ({"tenants": 501, "vectors": 5_000_001}, Architecture.ADVANCED, True),
        # its examples
        ({"tenants": 70, "vectors": 800_000, "budget": 200}, Architecture.SINGLE, False),
        ({"tenants": 15, "vectors": 300_000, "revenue": 5_000}, Architecture.PER_TENANT, False),
        ({"tenants": 90, "vectors": 1_200_000, "cross_tenant": 0.05}, Architecture.SHARDED, True),
        (
            {
                "tenants": 100, "vectors": 595_000, "large": 5, "large_vectors": 500_000,
                "top_share": 0.85, "ten_share": 0.85,
            },
            Architecture.HYBRID,
            True,
        ),
        ({"tenants": 90, "vectors": 1_200_000, "cross_tenant": 0.3}, Architecture.SINGLE, False),
        ({"tenants": 200, "vectors": 3_000_000, "cross_tenant": 0.3}, Architecture.SERVERLESS, False),
    ],
)  # fmt: skip
def test_the_architecture(given, architecture, shard):
    found = card(**given)
    assert (found.architecture, found.shard) == (architecture, shard)
    assert found.choices[0].architecture is architecture
    assert found.choices[0].fits
    assert found.why


@pytest.mark.parametrize(
    ("given", "shard"),
    [
        ({"tenants": 84, "vectors": 1_200_000}, False),
        ({"tenants": 85, "vectors": 1_200_000}, True),
        ({"tenants": 70, "vectors": 1_000_001, "p95_ms": 800}, False),
        ({"tenants": 70, "vectors": 1_000_001, "p95_ms": 801}, True),
        ({"tenants": 70, "vectors": 1_000_000, "p95_ms": 801}, False),
        ({"tenants": 70, "vectors": 500_000, "p95_ms": 1_000}, False),
        ({"tenants": 70, "vectors": 500_000, "p95_ms": 1_001}, True),
        ({"tenants": 70, "vectors": 1_600_000}, False),
        ({"tenants": 70, "vectors": 1_600_001}, True),  # over 80% of two million
        ({"tenants": 70, "vectors": 1_000, "qps": 401}, True),
        ({"tenants": 90, "vectors": 1_200_000, "cross_tenant": 0.2}, True),
        ({"tenants": 90, "vectors": 1_200_000, "cross_tenant": 0.201}, False),
        ({"tenants": 49, "vectors": 1_000, "revenue": 2_000}, False),
    ],
)
def test_where_it_tips(given, shard):
    assert card(**given).shard is shard


@pytest.mark.parametrize(
    ("given", "flag", "level"),
    [
        ({"tenants": 79}, "few-tenants", "stop"),
        ({"tenants": 80}, "tenants-near", "mind"),
        ({"tenants": 85}, "many-tenants", "go"),
        ({"vectors": 799_999}, "few-vectors", "mind"),
        ({"vectors": 1_000_001}, "many-vectors", "go"),
        ({"p95_ms": 499}, "fast", "mind"),
        ({"p95_ms": 801}, "slow", "go"),
        ({"p95_ms": 1_001}, "too-slow", "go"),
        ({"top_share": 0.8}, "uneven", "stop"),
        ({"top_share": 0.79, "ten_share": 0.71}, "uneven", "stop"),
        ({"large": 1, "large_vectors": 100_000}, "large-tenants", "mind"),
        ({"cross_tenant": 0.201}, "cross-tenant", "stop"),
        ({"cross_tenant": 0.1}, "some-cross-tenant", "mind"),
        ({"budget": 500, "tenants": 90}, "over-budget", "stop"),
        ({"budget": 999}, "low-budget", "mind"),
        ({"tenants": 70}, "small-bill", "mind"),
    ],
)
def test_a_flag_is_raised(given, flag, level):
    assert flag in names(card(**given), level)


@pytest.mark.parametrize(
    ("given", "flag"),
    [
        ({"tenants": 80}, "few-tenants"),
        ({"tenants": 84}, "many-tenants"),
        ({"vectors": 800_000}, "few-vectors"),
        ({"vectors": 1_000_000}, "many-vectors"),
        ({"p95_ms": 500}, "fast"),
        ({"p95_ms": 800}, "slow"),
        ({"p95_ms": 1_000}, "too-slow"),
        ({"top_share": 0.79, "ten_share": 0.7}, "uneven"),
        ({"cross_tenant": 0.2}, "cross-tenant"),
        ({"cross_tenant": 0.099}, "some-cross-tenant"),
        ({"budget": 550, "tenants": 90}, "over-budget"),
        ({"budget": 1_000}, "low-budget"),
        ({"tenants": 90}, "small-bill"),
    ],
)
def test_a_flag_is_not_raised(given, flag):
    assert flag not in names(card(**given))


def test_words_within_flags():
    assert "(70 even)" in next(f.text for f in card(tenants=69).flags if f.name == "few-tenants")
    assert "even" not in next(f.text for f in card(tenants=70).flags if f.name == "few-tenants")
    assert "get slow" in next(f.text for f in card(cross_tenant=0.3).flags if f.name == "cross-tenant")
    assert "for one index" in next(f.text for f in card(budget=499).flags if f.name == "low-budget")
    assert "for one index" not in next(f.text for f in card(budget=500).flags if f.name == "low-budget")


def test_flags_against_sharding_come_first():
    levels = [flag.level for flag in card(tenants=79, vectors=1_200_000, p95_ms=900, budget=100).flags]
    assert levels == sorted(levels, key=["stop", "mind", "go"].index)
    assert levels[0] == "stop"


def test_the_card_of_the_guides_own_example():
    found = card(tenants=90, vectors=1_200_000, cross_tenant=0.05, budget=500)
    assert found.headline == "Shard: 2 shards, $550 a month ($6.11 a tenant)"
    assert (found.sizing.shards, found.budget.state) == (2, "over")
    assert any("$50 a month over the budget of $500" in why for why in found.why)
    assert any("which one gateway does without" in why for why in found.why)
    without = advise(found.workload, BOOK, overhead=())
    assert (without.choices[0].monthly, without.budget.state) == (400, "ok")


def test_a_bill_over_500_is_told_of_unless_another_budget_is_given():
    assert card(tenants=90).budget.budget == 500
    assert card(tenants=90).budget.state == "over"
    assert card(tenants=90, budget=600).budget.state == "near"
    assert card(tenants=90, budget=700).budget.state == "ok"


def test_what_is_unknown_is_said_and_not_weighed():
    [unknown] = [note for note in card().notes if note.startswith("not known")]
    assert unknown.endswith("queries a second, P95, share of queries across tenants, how uneven tenants are")


def test_where_nothing_limits_namespaces_their_number_is_no_reason():
    own = card("self-hosted", tenants=400, vectors=100_000)
    assert own.architecture is Architecture.SINGLE
    assert names(own) >= {"no-namespace-limit"}
    assert card("self-hosted", tenants=400, vectors=5_000_000).shard
    assert card("pinecone-serverless", tenants=84_999, vectors=1, qps=1).architecture is Architecture.SINGLE
    assert card("pinecone-serverless", tenants=85_000, vectors=1, qps=1).shard


def test_growth_tells_when_one_index_ends_and_what_it_costs_then():
    found = card(tenants=90, growth=Growth(tenants_per_month=10, vectors_per_tenant=10_000))
    months = found.forecast
    assert [len(months), months[0].tenants, months[12].tenants, months[12].vectors] == [13, 90, 210, 2_700_000]
    assert [each.shards for each in months] == [2] * 8 + [3] * 5  # over 160 tenants in month 8
    assert (months[7].monthly, months[8].monthly) == (550, 750)
    single = card(tenants=70, growth=Growth(rate=0.1)).forecast
    assert [each.shards for each in single[:5]] == [1, 1, 1, 1, 2]  # 102 tenants do not fit 100 namespaces
    assert single[1].tenants == 77
    assert card(tenants=70).forecast == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"tenants": -1}, "tenants"),
        ({"vectors": -1}, "vectors"),
        ({"dimension": 0}, "dimension"),
        ({"cross_tenant": 5}, "cross_tenant"),
        ({"top_share": -0.1}, "top_share"),
        ({"qps": float("nan")}, "qps"),
        ({"budget": -5}, "budget"),
        ({"large": 121}, "large"),
        ({"large_vectors": 2_000_000}, "large_vectors"),
    ],
)
def test_what_cannot_be_is_refused(given, field):
    with pytest.raises(InvalidArgument) as caught:
        card(**given)
    assert caught.value.field == field


def test_an_unknown_offer_or_growth_is_refused():
    with pytest.raises(InvalidArgument, match="offer: got 'nothing'"):
        card("nothing")
    with pytest.raises(InvalidArgument, match="growth"):
        card(growth=Growth(rate=-1))


def test_no_tenants_at_all():
    found = card(tenants=0, vectors=0)
    assert (found.shard, found.choices[0].per_tenant) == (False, None)
