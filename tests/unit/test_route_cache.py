"""The in-process route cache: epochs never go back, memory is bounded, look-ups are quick."""

from __future__ import annotations

import gc
import statistics
import tracemalloc
from time import perf_counter_ns

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tenantry.caches.memory import MemoryRouteCache
from tenantry.errors import InvalidArgument
from tenantry.model.topology import Mode, Place, Route, TenantState
from tenantry.ports import RouteCache


def route(epoch: int, shard: str = "s", namespace: str = "t") -> Route:
    return Route(epoch, Place(shard, namespace))


def test_what_is_put_comes_back() -> None:
    cache: RouteCache = MemoryRouteCache()
    whole = Route(7, Place("s1", "acme"), Mode.LOGGED, Place("s2", "acme~2"), TenantState.SUSPENDED)
    assert cache.get("docs", "acme") is None
    cache.put("docs", "acme", whole)
    cache.put("other", "acme", route(1))
    assert cache.get("docs", "acme") == whole
    assert cache.get("other", "acme") == route(1)
    assert cache.get("docs", "Acme") is None
    assert len(cache) == 2


def test_a_lower_epoch_is_ignored_and_a_higher_one_replaces() -> None:
    cache = MemoryRouteCache()
    for epoch, kept in ((5, 5), (4, 5), (6, 6), (1, 6), (7, 7)):
        cache.put("docs", "t", route(epoch, f"s{epoch}"))
        assert cache.get("docs", "t") == route(kept, f"s{kept}")
    assert len(cache) == 1


def test_a_slow_reader_cannot_bring_back_what_was_forgotten() -> None:
    cache = MemoryRouteCache()
    cache.put("docs", "t", route(3))
    cache.put("docs", "t", Route(4, Place("s", "t"), state=TenantState.DELETING))
    cache.forget("docs", "t")
    cache.put("docs", "t", route(3))  # loaded before the deletion
    assert cache.get("docs", "t") is None
    assert len(cache) == 0
    cache.put("docs", "t", route(6, namespace="t~2"))  # made anew
    assert cache.get("docs", "t") == route(6, namespace="t~2")
    cache.put("docs", "t", route(3))
    assert cache.get("docs", "t") == route(6, namespace="t~2")


def test_the_same_route_may_come_back_after_it_was_forgotten() -> None:
    cache = MemoryRouteCache()
    cache.put("docs", "t", route(3))
    cache.forget("docs", "t")
    cache.forget("docs", "t")
    cache.forget("docs", "never there")
    cache.forget("no such index", "t")
    cache.put("docs", "t", route(3))
    assert cache.get("docs", "t") == route(3)
    assert len(cache) == 1


@pytest.mark.parametrize("most", [1, 3, 64, 200])
def test_the_oldest_routes_go_when_it_is_full(most: int) -> None:
    cache = MemoryRouteCache(most)
    for i in range(most * 3):
        cache.put("docs", f"t{i}", route(1))
        assert len(cache) <= most
        assert cache.get("docs", f"t{i}") == route(1)
    kept = [i for i in range(most * 3) if cache.get("docs", f"t{i}")]
    assert kept == list(range(kept[0], most * 3))
    assert len(kept) == len(cache) >= most - most // 64 - 1


def test_a_route_that_changed_is_young_again() -> None:
    cache = MemoryRouteCache(3)
    for name in ("a", "b", "c"):
        cache.put("docs", name, route(1))
    cache.put("docs", "a", route(2))
    cache.put("docs", "d", route(1))
    assert cache.get("docs", "a") == route(2)
    assert cache.get("docs", "b") is None


def test_an_index_does_not_push_out_a_smaller_one() -> None:
    cache = MemoryRouteCache(100)
    cache.put("small", "t", route(1))
    for i in range(500):
        cache.put("large", f"t{i}", route(1))
    assert cache.get("small", "t") == route(1)


def test_kept_epochs_are_bounded_too() -> None:
    cache = MemoryRouteCache(10)
    for i in range(100):
        cache.put("docs", f"t{i}", route(2))
        cache.forget("docs", f"t{i}")
    cache.put("docs", "t99", route(1))
    assert cache.get("docs", "t99") is None
    cache.put("docs", "t0", route(1))
    assert cache.get("docs", "t0") == route(1)


@pytest.mark.parametrize("wrong", [0, -1])
def test_it_holds_one_route_at_least(wrong: int) -> None:
    with pytest.raises(InvalidArgument, match="max_routes"):
        MemoryRouteCache(wrong)


def test_a_million_routes_would_take_under_400_mb() -> None:
    count = 50_000
    cache = MemoryRouteCache()
    tracemalloc.start()
    try:
        for i in range(count):  # every string is one of its own, as the catalog delivers them
            cache.put("docs", f"tenant-{i:07d}", route(1, f"shard-{i % 100:03d}", f"tenant-{i:07d}"))
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held * 1_000_000 / count < 400e6


def test_a_look_up_takes_about_a_microsecond_at_most() -> None:
    cache = MemoryRouteCache()
    names = [f"tenant-{i}" for i in range(1_000)]
    for name in names:
        cache.put("docs", name, route(1))
    taken = []
    for _ in range(20):
        for name in names:
            start = perf_counter_ns()
            cache.get("docs", name)
            taken.append(perf_counter_ns() - start)
    assert statistics.median(taken) < 1_000


class Cache(RuleBasedStateMachine):
    """Against the simplest thing that could be right: the highest epoch ever seen of each name."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = MemoryRouteCache(1_000)
        self.highest: dict[tuple[str, str], Route] = {}
        self.there: set[tuple[str, str]] = set()

    @rule(index=st.sampled_from("xy"), tenant=st.sampled_from("abc"), epoch=st.integers(1, 8))
    def put(self, index: str, tenant: str, epoch: int) -> None:
        new = route(epoch, f"s{epoch}", tenant if epoch == 1 else f"{tenant}~{epoch}")
        self.cache.put(index, tenant, new)
        key = (index, tenant)
        highest = self.highest.get(key)
        if highest is None or epoch >= highest.epoch:
            self.highest[key] = new
            self.there.add(key)

    @rule(index=st.sampled_from("xyz"), tenant=st.sampled_from("abc"))
    def forget(self, index: str, tenant: str) -> None:
        self.cache.forget(index, tenant)
        self.there.discard((index, tenant))

    @invariant()
    def agrees(self) -> None:
        assert len(self.cache) == len(self.there)
        for index in "xyz":
            for tenant in "abc":
                expected = self.highest[index, tenant] if (index, tenant) in self.there else None
                assert self.cache.get(index, tenant) == expected


TestCache = Cache.TestCase
TestCache.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
