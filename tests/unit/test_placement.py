"""The hard rules of placement, their explanations, and the registry of policies."""

from __future__ import annotations

import mmh3
import pytest

from tenantry.errors import CapacityExceeded, InvalidArgument
from tenantry.model.topology import Claim, ClusterView, Shard, ShardState, ShardView, TenantSpec
from tenantry.placement import POLICIES, Ring, eligible, policy
from tenantry.placement.hashing import hash128

PLAIN = TenantSpec()


def shard(name: str, vectors: int = 0, dedicated_to: str | None = None, **fields: object) -> ShardView:
    return ShardView(Shard("docs", name, "embedded", **fields), vectors, Claim(dedicated_to))  # type: ignore[arg-type]


def view(*shards: ShardView) -> ClusterView:
    return ClusterView("docs", shards)


def names(spec: TenantSpec, *shards: ShardView) -> list[str]:
    return [each.shard.name for each in eligible(spec, view(*shards))]


def test_only_active_shards_take_tenants() -> None:
    shards = [shard(state.value, state=state) for state in ShardState]
    assert names(PLAIN, *shards) == ["active"]


def test_a_pin_leaves_one_shard_and_bends_no_other_rule() -> None:
    assert names(TenantSpec(shard="b"), shard("a"), shard("b"), shard("bb")) == ["b"]
    assert names(TenantSpec(shard="b"), shard("a"), shard("b", state=ShardState.DRAINING)) == []
    assert names(TenantSpec(shard="b"), shard("a"), shard("b", tenants=3, max_tenants=3)) == []


def test_region_and_tier_must_match_when_they_are_wanted() -> None:
    shards = [shard("a"), shard("b", region="eu"), shard("c", region="eu", tier="hot"), shard("d", tier="hot")]
    assert names(PLAIN, *shards) == ["a", "b", "c", "d"]
    assert names(TenantSpec(region="eu"), *shards) == ["b", "c"]
    assert names(TenantSpec(tier="hot"), *shards) == ["c", "d"]
    assert names(TenantSpec(region="eu", tier="hot"), *shards) == ["c"]


def test_a_dedicated_shard_is_nobody_elses_and_a_dedicated_tenant_wants_an_empty_one() -> None:
    shards = [shard("a", dedicated_to="x", tenants=1), shard("b", tenants=1), shard("c"), shard("d", dedicated_to="y")]
    assert names(PLAIN, *shards) == ["b", "c"]
    assert names(TenantSpec(dedicated=True), *shards) == ["c"]


def test_room_for_tenants() -> None:
    shards = [shard("a", tenants=4, max_tenants=5), shard("b", tenants=5, max_tenants=5), shard("c", max_tenants=0)]
    assert names(PLAIN, *shards) == ["a"]


def test_room_for_the_expected_vectors_and_for_one_at_least() -> None:
    shards = [shard("a", 90, max_vectors=100), shard("b", 100, max_vectors=100), shard("c", 10**9)]
    assert names(TenantSpec(expected_vectors=10), *shards) == ["a", "c"]
    assert names(TenantSpec(expected_vectors=11), *shards) == ["c"]
    assert names(PLAIN, *shards) == ["a", "c"]


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize(
    ("spec", "shards", "says"),
    [
        (PLAIN, [], ["it has no shards", "tenantry shard add NAME --index docs"]),
        (TenantSpec(shard="z"), [shard("a")], ["pinned to 'z', which does not exist"]),
        (
            PLAIN,
            [
                shard("a", tenants=2, max_tenants=2),
                shard("b", tenants=2, max_tenants=2),
                shard("c", state=ShardState.DRAINING),
                shard("d", 7, max_vectors=7),
                shard("e", dedicated_to="x"),
            ],
            [
                "'acme'",
                "of 5: 1 draining, read-only or retired",
                "1 dedicated to another tenant",
                "2 at their limit of tenants",
                "1 without room for 1 more vectors",
                "Add a shard or raise a shard's limit: tenantry shard add",
            ],
        ),
        (
            TenantSpec(region="eu", tier="hot"),
            [shard("a"), shard("b", region="eu")],
            ["1 not in region 'eu'", "1 not of tier 'hot'", "--region eu --tier hot"],
        ),
        (TenantSpec(dedicated=True), [shard("a", tenants=1)], ["1 not empty, while this tenant wants"]),
        (
            TenantSpec(shard="a"),
            [shard("a", tenants=1, max_tenants=1), shard("b")],
            ["1 not the pinned shard 'a'", "1 at their limit of tenants"],
        ),
    ],
    ids=["no shards", "no such pin", "all full", "no region", "none empty", "pin full"],
)
def test_when_nothing_is_eligible_the_error_counts_why_and_names_the_fix(
    name: str, spec: TenantSpec, shards: list[ShardView], says: list[str]
) -> None:
    with pytest.raises(CapacityExceeded) as raised:
        policy(name).choose("acme", spec, view(*shards))
    for part in says:
        assert part in str(raised.value)


def test_unknown_policies_are_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidArgument, match="rendezvous, ring, least-loaded"):
        policy("random")


def test_least_loaded_counts_vectors_for_weight_then_tenants_then_names() -> None:
    choose = policy("least-loaded").choose
    assert choose("t", PLAIN, view(shard("a", 10), shard("b", 9), shard("c", 11))) == "b"
    assert choose("t", PLAIN, view(shard("a", 10, weight=4.0), shard("b", 9))) == "a"
    assert choose("t", PLAIN, view(shard("a", 10, tenants=2), shard("b", 10, tenants=1))) == "b"
    assert choose("t", PLAIN, view(shard("b", 10), shard("a", 10))) == "a"
    # A large tenant goes where its own vectors weigh least: 30 + 100 over 2 against 10 + 100 over 1.
    uneven = view(shard("a", 30, weight=2.0), shard("b", 10))
    assert choose("t", PLAIN, uneven) == "b"
    assert choose("t", TenantSpec(expected_vectors=100), uneven) == "a"


@pytest.mark.parametrize("wrong", [{"c": 1.0}, {"c": float("nan")}, {"virtual_nodes": 0}])
def test_a_ring_needs_a_bound_over_one_and_points(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(wrong))):
        Ring(**wrong)  # type: ignore[arg-type]


def test_the_hash_is_the_published_one() -> None:
    # MurmurHash3_x64_128 of "hello", seed 0, as its reference implementation gives it.
    assert hash128(b"hello") == (0xCBD8A7B341BD9B02, 0x5B1E906A48AE1D19)
    assert all(0 <= half < 2**64 for i in range(1000) for half in hash128(str(i).encode()))
    low, high = hash128("é\x00😀".encode())
    assert mmh3.hash128("é\x00😀".encode()) == low | high << 64


def test_where_names_go_is_a_promise() -> None:
    """A change here means that tenants would be placed elsewhere than by the released code."""
    shards = view(*(shard(f"shard-{i}") for i in range(10)))
    chosen = {name: [policy(name).choose(t, PLAIN, shards) for t in ("acme", "é", "😀")] for name in POLICIES}
    assert chosen == {
        "rendezvous": ["shard-4", "shard-2", "shard-4"],
        "ring": ["shard-9", "shard-1", "shard-7"],
        "least-loaded": ["shard-0", "shard-0", "shard-0"],
    }
